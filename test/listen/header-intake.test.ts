/** A connection before its PROXY header, over a transport that does what the test says: what it is refused for, and when. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AsyncSocketError, type TransportSink } from "asyncsocket";
import { errno, ScriptedFactory, type ScriptedTransport } from "../connect/scripted-factory.js";
import { settled } from "../support/delegates.js";
import { type HeaderOwner, ProxyHeaderReader } from "#dist/listen/proxy-header-reader.js";
import { type ProxyHeader, V2_MAX_BYTES } from "#dist/listen/proxy-protocol.js";

const HEADER = "PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\r\n";
const NO_SINK = { didOpen: () => undefined, didFail: () => undefined, didClose: () => undefined };

class Stage implements HeaderOwner {
  readonly factory = new ScriptedFactory();
  readonly transport: ScriptedTransport;
  readonly intake: ProxyHeaderReader;
  /** Whether each timer was to keep the process alive. */
  readonly timers: boolean[] = [];
  error: AsyncSocketError | null = null;

  constructor(timeoutMs = 500, holdsProcess = true) {
    const { clock, log } = this.factory;
    const setTimer = clock.setTimer.bind(clock);
    clock.setTimer = (callback: () => void, delayMs: number, holds?: boolean) => {
      this.timers.push(holds === true);
      return setTimer(callback, delayMs);
    };
    this.transport = this.factory.connect({ path: "x" }, { noDelay: true, keepAliveMs: false }, NO_SINK);
    Object.assign(this.transport, { holdsProcess, setRoom: (bytes: number) => void log.push(`room ${bytes}`) });
    log.length = 0;
    this.intake = new ProxyHeaderReader(this.transport, this, clock, timeoutMs);
  }

  get sink(): TransportSink {
    assert.equal(this.transport.sink, this.intake);
    return this.intake;
  }

  receive(text: string): void {
    // In the middle of memory that is then used for something else.
    const chunk = Buffer.from(`<${text}>`);
    this.sink.didReceive(chunk, 1, chunk.length - 2);
    chunk.fill("!");
  }

  get log(): string[] {
    return this.factory.take();
  }

  didReadHeader(intake: ProxyHeaderReader, { proxied }: ProxyHeader, rest: Buffer, hasEnded: boolean): void {
    assert.equal(intake, this.intake);
    const from = proxied?.remote;
    this.factory.log.push(
      `from ${from?.family === "IPv4" ? from.address : "?"}, then ${rest.toString()}${hasEnded ? ", then the end" : ""}`,
    );
  }

  didFailHeader(intake: ProxyHeaderReader, error: AsyncSocketError): void {
    assert.equal(intake, this.intake);
    this.error = error;
    this.factory.log.push(error.message);
  }
}

const ROOM = `room ${V2_MAX_BYTES}`;
const FULL = "room 0";
const REFUSED = "A connection was refused for its PROXY header:";

describe("a connection before its PROXY header", () => {
  it("is handed over in a turn of its own, with what came behind the header, and with all the room there is", async () => {
    const stage = new Stage();
    assert.deepEqual(stage.log, [ROOM]);
    stage.receive(`${HEADER}hello`);
    assert.deepEqual(stage.log, [FULL], "not from inside the call that delivers the bytes");
    await settled();
    assert.deepEqual(stage.log, ["room Infinity", "from 192.0.2.1, then hello"]);
    assert.equal(stage.factory.clock.size, 0);
  });

  it("may have its header come in any pieces, each in memory that is used again", async () => {
    for (let size = 1; size <= HEADER.length; size++) {
      const stage = new Stage();
      for (let at = 0; at < HEADER.length; at += size) stage.receive(HEADER.slice(at, at + size));
      await settled(2);
      assert.deepEqual(stage.log, [ROOM, FULL, "room Infinity", "from 192.0.2.1, then "]);
    }
  });

  it("asks for nothing more when its header is complete, and keeps what comes nevertheless, until it is handed over", async () => {
    const stage = new Stage();
    stage.receive(HEADER);
    stage.receive("more");
    stage.receive(HEADER);
    await settled();
    assert.deepEqual(stage.log, [ROOM, FULL, "room Infinity", `from 192.0.2.1, then more${HEADER}`]);
    stage.receive("yet more");
    stage.sink.didClose();
    stage.intake.cancel();
    stage.intake.handOver();
    assert.deepEqual(stage.log, []);
  });

  it("may end right behind its header", async () => {
    const stage = new Stage();
    stage.receive(`${HEADER}hello`);
    stage.sink.didEnd();
    assert.deepEqual(stage.log, [ROOM, FULL]);
    await settled();
    assert.deepEqual(stage.log, ["room Infinity", "from 192.0.2.1, then hello, then the end"]);
  });

  it("is not handed over before its header is complete", () => {
    const stage = new Stage();
    stage.intake.handOver();
    stage.receive(HEADER.slice(0, 10));
    stage.intake.handOver();
    assert.deepEqual(stage.log, [ROOM]);
    stage.intake.cancel();
  });

  it("is under a timeout, to the millisecond", async () => {
    const stage = new Stage(500);
    stage.factory.clock.advance(499);
    assert.deepEqual(stage.log, [ROOM]);
    stage.factory.clock.advance(1);
    await settled();
    assert.deepEqual(stage.log, ["x: destroy by RST", `${REFUSED} it took more than limits.handshakeMs, 500 ms`]);
  });

  it("needs no timer where it has all the time there is", () => {
    const stage = new Stage(Infinity);
    assert.equal(stage.factory.clock.size, 0);
    stage.intake.cancel();
    assert.deepEqual(stage.log, [ROOM, "x: destroy by RST"]);
  });

  it("keeps the process alive by its timer where the transport does not", () => {
    assert.deepEqual(new Stage(500, true).timers, [false]);
    assert.deepEqual(new Stage(500, false).timers, [true]);
  });

  it("is closed without a word when it is canceled, once", () => {
    const stage = new Stage();
    stage.intake.cancel();
    stage.intake.cancel();
    stage.receive(HEADER);
    assert.deepEqual(stage.log, [ROOM, "x: destroy by RST"]);
    assert.equal(stage.factory.clock.size, 0);
  });

  it("is closed without a word when it is canceled between its header and the handover", async () => {
    const stage = new Stage();
    stage.receive(HEADER);
    stage.intake.cancel();
    await settled();
    assert.deepEqual(stage.log, [ROOM, FULL, "x: destroy by RST"]);
  });

  const cause = errno("ECONNRESET");
  for (const [name, act, why] of [
    ["what comes is no header", (stage: Stage) => stage.receive("GET / HTTP/1.1\r\n"), null],
    ["the stream ends", (stage: Stage) => stage.sink.didEnd(), "the stream ended before it was complete"],
    [
      "the connection is lost",
      (stage: Stage) => stage.sink.didFail(cause),
      "the connection was lost: the peer reset the connection (ECONNRESET)",
    ],
    ["it is closed", (stage: Stage) => stage.sink.didClose(), "the connection was closed underneath"],
  ] as const) {
    it(`is reset, and told of once, where ${name}`, () => {
      const stage = new Stage();
      act(stage);
      const { error } = stage;
      assert.ok(error instanceof AsyncSocketError);
      assert.deepEqual([error.code, error.operation], ["ERR_ASYNCSOCKET_PROXY_PROTOCOL", "listen"]);
      assert.equal(error.cause, why?.includes("lost") === true ? cause : undefined);
      if (why === null) assert.ok(error.message.startsWith(`${REFUSED} `) && error.message.length > REFUSED.length + 9);
      else assert.equal(error.message, `${REFUSED} ${why}`);
      assert.deepEqual(stage.log, [ROOM, "x: destroy by RST", error.message]);
      stage.receive(HEADER);
      stage.sink.didEnd();
      stage.sink.didClose();
      assert.deepEqual(stage.log, []);
      assert.equal(stage.factory.clock.size, 0);
    });
  }

  it("says nothing of what it never asked for", () => {
    const stage = new Stage();
    stage.sink.didWrite();
    stage.sink.didFinish();
    assert.deepEqual(stage.log, [ROOM]);
    stage.intake.cancel();
  });
});
