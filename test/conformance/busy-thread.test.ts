/** No deadline strikes before the kernel was asked once more: what came while the thread was busy counts (decision 3). */

import assert from "node:assert/strict";
import { lookup } from "node:dns";
import { readFile } from "node:fs";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type AsyncSocketError, type CloseReason, type SocketRequest } from "asyncsocket";
import { NO_NATIVE } from "../support/availability.js";
import { BusyPeer } from "../support/busy-peer.js";
import { failure, settled, until } from "../support/delegates.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { portOf, SAFETY, turn } from "../support/transports.js";

/** From where in the event loop the thread is kept busy. */
const PLACES: Record<string, () => Promise<void>> = {
  "in a turn's end": turn,
  "in a timer": () => new Promise((done) => void setTimeout(done, 1)),
  "in a callback of I/O": () => new Promise((done) => readFile("/dev/null", () => done())),
};
const TIMEOUT_MS = 40;
const BETWEEN_MS = TIMEOUT_MS + 2;
/** More sockets than have their turn in one turn of the native transport. */
const MANY = 300;

async function connected(
  t: TestContext,
  transport: "node" | "native",
  limits = {},
): Promise<{ socket: AsyncSocket; peer: BusyPeer }> {
  const peer = await BusyPeer.start(t);
  const socket = Belongings.of(t).add(new AsyncSocket({ transport, limits }));
  await socket.connect({ host: "127.0.0.1", port: peer.port });
  await settled();
  return { socket, peer };
}

for (const transport of ["node", "native"] as const) {
  describe(`a busy thread, ${transport} transport`, { ...SAFETY, skip: transport === "native" && NO_NATIVE }, () => {
    for (const [where, place] of Object.entries(PLACES)) {
      it(`decision 3: a read is met by what came while the thread was busy ${where}`, async (t) => {
        const { socket, peer } = await connected(t, transport);
        await place();
        const read = socket.readLine({ timeout: TIMEOUT_MS });
        await turn();
        await place();
        peer.doWhileBusy("send", performance.now() + BETWEEN_MS);
        assert.equal(await read, "line");
      });
    }

    it("decision 3: a long read, of which more came than one turn brings", async (t) => {
      const { socket, peer } = await connected(t, transport);
      const read = socket.readExactly(300_000, { timeout: TIMEOUT_MS });
      await turn();
      peer.doWhileBusy("send", performance.now() + BETWEEN_MS, "x".repeat(300_000));
      assert.equal((await read).length, 300_000);
    });

    it("decision 3: a FIN that came while the thread was busy counts", async (t) => {
      const { socket, peer } = await connected(t, transport);
      const read = socket.readLine({ timeout: TIMEOUT_MS });
      await turn();
      peer.doWhileBusy("end", performance.now() + BETWEEN_MS);
      await failure(read, "END_OF_STREAM");
    });

    it("decision 3: idleMs counts what came while the thread was busy", async (t) => {
      const { socket, peer } = await connected(t, transport, { idleMs: 500 });
      const read = socket.readLine();
      peer.doWhileBusy("send", performance.now() + 505);
      assert.equal(await read, "line");
      assert.equal(socket.state, "open");
    });

    it("decision 3: the 'timeout' of a stream takes into account what came while the thread was busy", async (t) => {
      const { socket, peer } = await connected(t, transport);
      const stream = socket.toDuplex();
      const events: string[] = [];
      stream.on("data", () => events.push("data"));
      stream.setTimeout(500, () => events.push("timeout"));
      peer.doWhileBusy("send", performance.now() + 505);
      await new Promise((done) => stream.once("timeout", done));
      assert.deepEqual(events, ["data", "timeout"]);
    });

    it("decision 3: the FIN ends a graceful close, though the thread was busy for longer than lingerMs", async (t) => {
      const { socket, peer } = await connected(t, transport, { lingerMs: TIMEOUT_MS });
      const closing = socket.disconnectAfterWriting();
      await turn();
      peer.doWhileBusy("end", performance.now() + BETWEEN_MS);
      await closing;
      assert.equal(socket.peerEnded, true);
    });

    it("decision 3: a connect succeeds that was completed while the thread was busy", async (t) => {
      const peer = await BusyPeer.start(t);
      const socket = Belongings.of(t).add(new AsyncSocket({ transport }));
      const connect = socket.connect({ host: "127.0.0.1", port: peer.port, timeout: TIMEOUT_MS });
      const dueAt = performance.now() + BETWEEN_MS;
      while (performance.now() <= dueAt);
      await connect;
    });

    it("decision 3: a connect succeeds whose name was found while the thread was busy", async (t) => {
      const peer = await BusyPeer.start(t);
      const socket = Belongings.of(t).add(new AsyncSocket({ transport }));
      const connect = socket.connect({
        host: "found.test",
        port: peer.port,
        timeout: 400,
        lookup: (_host, options, done) => lookup("127.0.0.1", options, done),
      });
      const dueAt = performance.now() + 405;
      while (performance.now() <= dueAt);
      await connect;
    });

    it("decision 3: hundreds of connects succeed that were completed while the thread was busy", async (t) => {
      const peer = await BusyPeer.start(t);
      const target = { host: "127.0.0.1", port: peer.port, timeout: 200 };
      await allWhileBusy(t, target.timeout, () => new AsyncSocket({ transport }).connect(target));
    });

    it("decision 3: hundreds of connects succeed whose proxy answered while the thread was busy", async (t) => {
      const peer = await BusyPeer.start(t);
      const target = { host: "target.test", port: 1, proxy: `http://127.0.0.1:${peer.port}`, timeout: 200 };
      await allWhileBusy(t, target.timeout, () => new AsyncSocket({ transport }).connect(target), peer);
    });

    it("decision 3: PROXY headers count that came while the thread was busy", async (t) => {
      const peer = await BusyPeer.start(t);
      const errors: AsyncSocketError[] = [];
      let accepted = 0;
      let told = 0;
      const listener = Belongings.of(t).add(
        await AsyncSocket.listen({
          transport,
          host: "127.0.0.1",
          port: 0,
          proxyProtocol: true,
          blockList: { check: () => accepted++ < 0 },
          limits: { handshakeMs: 400 },
          delegate: { didAccept: (): number => told++, didFailAccept: (_listener, error) => void errors.push(error) },
        }),
      );
      peer.connectTo(portOf(listener), MANY);
      await until(() => accepted === MANY, "they are accepted");
      peer.doWhileBusy("send", performance.now() + 405, "PROXY UNKNOWN\r\n", MANY);
      await until(() => told + errors.length === MANY, "each is told of");
      assert.equal(errors.length, 0, `${errors.length} of ${MANY} were late`);
    });

    it("decision 3: connections whose FIN came while the thread was busy finish by themselves, though the grace is over", async (t) => {
      const peer = await BusyPeer.start(t);
      let accepted = 0;
      const delegate = { didAccept: (): number => accepted++ };
      const options = { transport, host: "127.0.0.1", port: 0, delegate };
      const listener = Belongings.of(t).add(await AsyncSocket.listen(options));
      peer.connectTo(portOf(listener), 3);
      await until(() => accepted === 3, "they are accepted");
      const shutdown = listener.shutdown({ graceMs: TIMEOUT_MS });
      await turn();
      peer.doWhileBusy("end", performance.now() + BETWEEN_MS, "", 3);
      assert.deepEqual(await shutdown, { finished: 3, forced: 0 });
    });

    it("decision 3: with hundreds of sockets that all have news, each is asked", async (t) => {
      const peer = await BusyPeer.start(t);
      const sockets: AsyncSocket[] = [];
      for (let i = 0; i < 300; i++) {
        const socket = Belongings.of(t).add(new AsyncSocket({ transport }));
        sockets.push(await socket.connect({ host: "127.0.0.1", port: peer.port }));
      }
      await settled();
      const reads = sockets.map((socket) => socket.readLine({ timeout: TIMEOUT_MS }));
      await turn();
      peer.doWhileBusy("send", performance.now() + BETWEEN_MS, "line\n", sockets.length);
      // What the last of them are sent is on its way while the first one's is.
      await Promise.allSettled(reads);
      const failed = sockets.filter(({ closeReason }) => closeReason !== undefined).length;
      assert.equal(failed, 0, `${failed} of 300 timed out`);
    });

    it("decision 3: a peer that sends without end does not put a deadline off for ever", async (t) => {
      const { socket: sender } = await floodedBy(t, transport);
      const reason = await sender.closed;
      assert.equal(reason.error?.code, "ERR_ASYNCSOCKET_READ_TIMEOUT");
    });

    it("decision 3: idleMs counts what the peer takes of what the system has to send", async (t) => {
      // The peer's system takes bytes in large pieces. On a busy machine there is more than `idleMs` between two of them;
      // then more time is given. If they did not count, no time would do.
      let reason: CloseReason | undefined;
      for (let idleMs = 400; idleMs <= 6400; idleMs *= 2) {
        const { socket, peer } = await connected(t, transport, { idleMs });
        await socket.write(Buffer.alloc(600_000));
        peer.readSlowly(8000, idleMs / 20);
        const endAt = performance.now() + 1.75 * idleMs;
        while (performance.now() < endAt && socket.state === "open") await new Promise((done) => setTimeout(done, 20));
        reason = socket.closeReason;
        if (reason === undefined) return;
      }
      assert.equal(reason, undefined);
    });
  });
}

/** Begins many connects, and is busy until their time is over; a proxy answers them meanwhile. */
async function allWhileBusy(
  t: TestContext,
  timeoutMs: number,
  begin: () => SocketRequest<AsyncSocket>,
  proxy?: BusyPeer,
): Promise<void> {
  const belongings = Belongings.of(t);
  const connects = Array.from({ length: MANY }, begin);
  // The runtime connects in a tick of its own. No event has come before the next one.
  await new Promise<void>((done) => process.nextTick(done));
  const dueAt = performance.now() + timeoutMs + 5;
  proxy?.doWhileBusy("send", dueAt, "HTTP/1.1 200 OK\r\n\r\n", MANY);
  while (performance.now() <= dueAt);
  const results = await Promise.allSettled(connects);
  let failed = 0;
  for (const result of results) {
    if (result.status === "fulfilled") belongings.add(result.value);
    else failed++;
  }
  assert.equal(failed, 0, `${failed} of ${MANY} timed out`);
}

/** A socket with a read that will never be met, though bytes come all the time. */
async function floodedBy(t: TestContext, transport: "node" | "native"): Promise<{ socket: AsyncSocket }> {
  const belongings = Belongings.of(t);
  const limits = { readLength: Infinity };
  const listener = belongings.add(await AsyncSocket.listen({ transport, host: "127.0.0.1", port: 0, limits }));
  const { port } = listener.local as { port: number };
  const sender = belongings.add(await AsyncSocket.connect({ transport, host: "127.0.0.1", port }));
  const { value: socket } = await listener.connections().next();
  assert.ok(socket !== undefined);
  belongings.add(socket);
  sender.delegate = { didWrite: () => void sender.write("some bytes") };
  sender.write("some bytes");
  socket.readUntil("never", { timeout: TIMEOUT_MS, maxLength: Infinity });
  return { socket };
}
