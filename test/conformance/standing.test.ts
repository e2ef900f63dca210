// Standing reads (`repeat: true`): queued once, told of every message.

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, line, type SocketRequest } from "asyncsocket";
import { NO_UNCAUGHT } from "../support/availability.js";
import { arrived, failure, pattern, Recorder, settled, shortCode, until } from "../support/delegates.js";
import { codeOf, throwsBadState, timedNetwork } from "../support/lifecycle-helpers.js";
import { connectedPair, memory, overEveryTransport } from "../support/transports.js";
import { logOfUncaught } from "../support/uncaught.js";

type Ask = (socket: AsyncSocket) => SocketRequest<number>;

/** A way to read, what the peer sends for three messages, and what the delegate is told of them. */
const KINDS: readonly (readonly [name: string, ask: Ask, sent: string, told: readonly unknown[][]])[] = [
  ["readExactly", (s) => s.readExactly(2, { repeat: true, tag: 1 }), "aabbcc", bytes("aa", "bb", "cc")],
  ["readUntil", (s) => s.readUntil(";", { repeat: true, tag: 1 }), "a;bb;;", bytes("a;", "bb;", ";")],
  ["readLine", (s) => s.readLine({ repeat: true, tag: 1 }), "a\n\r\nccc\n", text("a", "", "ccc")],
  [
    "readFrame",
    (s) => s.readFrame({ lengthBytes: 1, repeat: true, tag: 1 }),
    "\x01a\x00\x03ccc",
    bytes("a", "", "ccc"),
  ],
  ["readMessage", (s) => s.readMessage(line(), { repeat: true, tag: 1 }), "a\nb\nc\n", text("a", "b", "c")],
  [
    "readExactly",
    (s) => s.readExactly(1, { repeat: true, encoding: "hex", tag: 1 }),
    "\x01\x02\x03",
    text("01", "02", "03"),
  ],
];

function bytes(...data: string[]): unknown[][] {
  return data.map((one) => ["didRead", one, 1]);
}

function text(...data: string[]): unknown[][] {
  return data.map((one) => ["didReadText", one, 1]);
}

/** A delegate's calls for reads, one after the other. */
function told(recorder: Recorder): unknown[][] {
  return recorder.calls.filter(([name]) => name.startsWith("didRead")).map((call) => [...call]);
}

describe("a standing read", () => {
  overEveryTransport((kind) => {
    for (const [name, ask, sent, expected] of KINDS) {
      it(`of ${name} is told of each message, and gives their number at the FIN`, async (t) => {
        const { client, server } = await connectedPair(t, kind);
        const recorder = new Recorder();
        server.delegate = recorder;
        const request = ask(server);
        assert.equal(request.kind, name);
        client.write(sent);
        client.end();
        assert.equal(await request, 3);
        assert.deepEqual(told(recorder), expected);
        assert.deepEqual(recorder.of("didFailRead"), []);
        assert.equal(request.state, "done");
        assert.equal(codeOf(await server.closed), null);
        assert.deepEqual(recorder.names.filter((one) => one === "didEndReading").length, 1);
      });
    }

    it("of read is told of whatever comes, until the FIN", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const parts: Buffer[] = [];
      server.delegate = { didRead: (_socket, data) => void parts.push(data) };
      const request = server.read({ repeat: true });
      const data = pattern(5000);
      client.write(data);
      await until(() => Buffer.concat(parts).length === 5000, "all bytes");
      client.end();
      assert.equal(await request, parts.length);
      assert.deepEqual(Buffer.concat(parts), data);
    });

    it("goes on where nobody is told: without a delegate or a method, messages are taken, and lost", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const request = server.readLine({ repeat: true });
      client.write("to nobody\n");
      await until(() => server.bytesRead === 10 && server.unreadBytes === 0, "the line is taken");
      server.delegate = {};
      client.write("unheard\n");
      await until(() => server.bytesRead === 18 && server.unreadBytes === 0, "the line is taken");
      const recorder = new Recorder();
      server.delegate = recorder;
      client.write("heard\n");
      client.end();
      assert.equal(await request, 3);
      assert.deepEqual(told(recorder), [["didReadText", "heard", undefined]]);
    });

    it("that is cancelled in the callback leaves the very next byte to the next read", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const headers: string[] = [];
      let request: SocketRequest<number> | null = null;
      const body = new Promise<Buffer>((resolve) => {
        server.delegate = {
          didReadText(socket, header) {
            if (header !== "") headers.push(header);
            else {
              assert.equal(request?.cancel(), true);
              assert.equal(request.state, "canceled");
              void socket.readExactly(5).then(resolve);
            }
          },
        };
      });
      request = server.readLine({ repeat: true });
      client.write("Host: a\r\nLength: 5\r\n\r\n\nbody and more");
      assert.equal(String(await body), "\nbody");
      assert.deepEqual(headers, ["Host: a", "Length: 5"]);
      await failure(request, "CANCELED");
      assert.equal(String(await server.readExactly(9)), " and more");
    });

    it("keeps reads behind it waiting, and lets them go on when it is cancelled", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      server.delegate = recorder;
      const standing = server.readLine({ repeat: true, tag: "lines" });
      const behind = server.readExactly(3, { tag: "behind" });
      const loop = server.lines();
      const next = loop.next();
      client.write("a\nb\nxyz");
      await until(() => recorder.of("didReadText").length === 2, "two lines");
      await arrived(server, 3);
      assert.equal(behind.state, "queued");
      assert.equal(server.currentRead, standing);
      assert.equal(standing.state, "current");
      assert.equal(server.pendingReads, 3);
      standing.cancel();
      assert.equal(String(await behind), "xyz");
      client.write("last\n");
      assert.deepEqual(await next, { done: false, value: "last" });
      assert.deepEqual(recorder.of("didFailRead"), [["CANCELED", "lines"]]);
    });

    it("fails with END_OF_STREAM where the FIN cuts a message, and the bytes stay", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      server.delegate = recorder;
      const standing = server.readLine({ repeat: true });
      const behind = server.readLine();
      client.write("whole\ncut");
      client.end();
      const error = await failure(standing, "END_OF_STREAM");
      assert.deepEqual([error.bytesDone, String(error.partial)], [3, "cut"]);
      await failure(behind, "END_OF_STREAM");
      assert.deepEqual(recorder.of("didReadText"), [["whole", undefined]]);
      assert.equal(String((await server.closed).unread), "cut");
    });

    it("goes on after an exception of the delegate, which surfaces each time", { skip: NO_UNCAUGHT }, async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const log = logOfUncaught(t);
      server.delegate = {
        didReadText(_socket, one) {
          throw new Error(one);
        },
      };
      const request = server.readLine({ repeat: true });
      client.write("1\n2\n3\n");
      client.end();
      assert.equal(await request, 3);
      assert.deepEqual(log, ["uncaught 1", "uncaught 2", "uncaught 3"]);
    });

    it("ends with the connection, from inside the callback as well", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const seen: string[] = [];
      server.delegate = {
        didReadText(socket, one) {
          seen.push(one);
          if (one === "2") void socket.disconnect();
        },
      };
      const request = server.readLine({ repeat: true });
      client.write("1\n2\n3\n");
      await failure(request, "CLOSED");
      assert.deepEqual(seen, ["1", "2"]);
      assert.ok("3\n".startsWith(String((await server.closed).unread)));
    });
  });

  for (let chunkBytes = 1; chunkBytes <= 9; chunkBytes++) {
    it(`is told of the same messages in chunks of ${chunkBytes}`, async (t) => {
      const { client, server } = await connectedPair(t, memory("memory", { chunkBytes, capacityBytes: 64 }));
      const got: Buffer[] = [];
      const bodies = Array.from({ length: 40 }, (_, i) => pattern((i * 7) % 23, i));
      const done = new Promise<void>((resolve) => {
        server.delegate = {
          didRead(_socket, data) {
            if (got.push(data) === bodies.length) resolve();
          },
        };
      });
      server.readFrame({ lengthBytes: 2, repeat: true });
      for (const body of bodies) client.writeFrame(body, { lengthBytes: 2 });
      await done;
      assert.deepEqual(got, bodies);
    });
  }

  it("may be queued before the connection is there", async (t) => {
    const { belongings, transport } = timedNetwork(t);
    const recorder = new Recorder();
    const server = belongings.add(
      new AsyncSocket({ transport, delegate: { didAccept: (_listener, socket) => void socket.write("a\nb\n") } }),
    );
    await server.listen({ port: 7 });
    const client = belongings.add(new AsyncSocket({ transport, delegate: recorder }));
    client.readLine({ repeat: true });
    await client.connect({ port: 7 });
    await until(() => recorder.of("didReadText").length === 2, "both lines");
    assert.deepEqual(recorder.names, ["didConnect", "didReadText", "didReadText"]);
  });

  it("serves a hundred thousand messages of one write without a stack, and lets others have their turn", async (t) => {
    const { client, server } = await connectedPair(t, memory("memory", { capacityBytes: 1 << 20 }));
    let count = 0;
    let turnsBetween = 0;
    const watch = setInterval(() => turnsBetween++, 0);
    t.after(() => clearInterval(watch));
    server.delegate = {
      didRead() {
        count++;
      },
    };
    const request = server.readExactly(1, { repeat: true });
    client.write(Buffer.alloc(100_000));
    client.end();
    assert.equal(await request, 100_000);
    assert.equal(count, 100_000);
    assert.ok(turnsBetween > 0, "others had turns");
  });
});

describe("the end of a standing read", () => {
  it("by its signal, by cancelReads or by its timeout fails it once, and a new one goes on", async (t) => {
    const { client, server } = await connectedPair(t, memory("memory"));
    const recorder = new Recorder();
    server.delegate = recorder;
    const controller = new AbortController();
    const first = server.readLine({ repeat: true, signal: controller.signal, tag: 1 });
    client.write("a\nb\n");
    await until(() => recorder.of("didReadText").length === 2, "two lines");
    controller.abort("enough");
    assert.equal((await failure(first, "CANCELED")).cause, "enough");
    const second = server.readLine({ repeat: true, tag: 2 });
    client.write("c\n");
    await until(() => recorder.of("didReadText").length === 3, "three lines");
    assert.equal(server.cancelReads(), 1);
    await failure(second, "CANCELED");
    const third = server.readLine({ repeat: true, timeout: 0, onFailure: "continue", tag: 3 });
    await failure(third, "READ_TIMEOUT");
    client.write("d\n");
    assert.equal(await server.readLine(), "d");
    assert.deepEqual(recorder.tags("didFailRead"), [1, 2, 3]);
  });

  it("by a limit closes the connection, or with onFailure continue leaves the bytes to the next read", async (t) => {
    const { client, server } = await connectedPair(t, memory("memory"));
    const first = server.readLine({ repeat: true, maxLength: 4, onFailure: "continue" });
    client.write("abc\ntoo long\n");
    await failure(first, "READ_LIMIT");
    assert.equal(await server.readLine(), "too long");
    const second = server.readLine({ repeat: true, maxLength: 4 });
    client.write("abc\ntoo long\n");
    await failure(second, "READ_LIMIT");
    assert.equal(codeOf(await server.closed), "READ_LIMIT");
  });

  it("by what its framing throws is BAD_FRAME, and the messages before it were told", async (t) => {
    const { client, server } = await connectedPair(t, memory("memory"));
    const recorder = new Recorder();
    server.delegate = recorder;
    const framing = {
      measure: () => 1,
      decode(message: Buffer) {
        if (message.toString() === "x") throw new Error("no x");
        return message;
      },
    };
    const request = server.readMessage(framing, { repeat: true, onFailure: "continue" });
    client.write("abxc");
    await failure(request, "BAD_FRAME");
    assert.equal(recorder.of("didRead").length, 2);
    assert.equal(String(await server.readExactly(2)), "xc");
  });

  it("at a FIN that came before it was queued gives what is left, with allowHalfOpen", async (t) => {
    const { client, server } = await connectedPair(t, memory("memory"), {}, { allowHalfOpen: true });
    client.write("a\nb\n");
    client.end();
    await until(() => server.peerEnded, "the FIN");
    assert.equal(await server.readLine({ repeat: true }), 2);
    assert.equal(await server.readLine({ repeat: true }), 0);
    await failure(server.readLine(), "END_OF_STREAM");
    server.write("still");
    assert.equal(String(await client.readExactly(5)), "still");
  });

  it("is what disconnectAfterReading waits for", async (t) => {
    const { client, server } = await connectedPair(t, memory("memory"));
    const request = server.readLine({ repeat: true });
    const reason = server.disconnectAfterReading();
    client.write("a\n");
    await settled();
    assert.equal(server.state, "open");
    request.cancel();
    assert.equal(codeOf(await reason), null);
  });
});

describe("the timeout of a standing read", () => {
  async function timed(t: TestContext) {
    const network = timedNetwork(t);
    const listener = network.belongings.add(new AsyncSocket({ transport: network.transport }));
    await listener.listen({ port: 7 });
    const client = network.belongings.add(new AsyncSocket({ transport: network.transport }));
    await client.connect({ port: 7 });
    const { value: server } = await listener.connections().next();
    assert.ok(server !== undefined);
    return { ...network, client, server: network.belongings.add(server) };
  }

  it("begins anew for each message, and what extend adds is for one message", async (t) => {
    const { client, server, pass } = await timed(t);
    const recorder = new Recorder();
    server.delegate = recorder;
    const request = server.readLine({ repeat: true, timeout: 100 });
    for (let i = 0; i < 5; i++) {
      await pass(99);
      client.write("x\n");
      await settled();
    }
    assert.equal(recorder.of("didReadText").length, 5);
    await pass(50);
    assert.equal(request.extend(100), true);
    await pass(149);
    assert.equal(request.state, "current");
    client.write("y\n");
    await pass(99);
    assert.equal(request.state, "current");
    await pass(1);
    await failure(request, "READ_TIMEOUT");
    assert.equal(codeOf(await server.closed), "READ_TIMEOUT");
  });

  it("asks shouldExtendReadTimeout with what has passed for this message", async (t) => {
    const { client, server, pass } = await timed(t);
    const asked: number[][] = [];
    server.delegate = {
      shouldExtendReadTimeout(_socket, _tag, elapsed, bytesDone) {
        asked.push([elapsed, bytesDone]);
        return asked.length % 2 === 1 ? 10 : 0;
      },
    };
    const request = server.readLine({ repeat: true, timeout: 100, onFailure: "continue" });
    await pass(100);
    client.write("one\ntw");
    await settled();
    await pass(100);
    await failure(request, "READ_TIMEOUT");
    assert.deepEqual(asked, [
      [100, 0],
      [100, 2],
    ]);
    assert.equal(String(await server.readExactly(2)), "tw");
  });

  it("is what startTLS behind it waits for: the error of the upgrade says so", async (t) => {
    const { server, pass } = await timed(t);
    const standing = server.readLine({ repeat: true });
    const upgrade = server.startTLS({ isServer: false, servername: "a.test", timeout: 100 });
    await settled();
    assert.equal(server.currentRead, standing);
    assert.equal(server.currentWrite?.kind, "startTLS");
    await pass(100);
    const error = await failure(upgrade, "TLS_TIMEOUT");
    assert.match(error.message, /it waited for the read before it \(readLine, which repeats\)/);
  });
});

describe("what a standing read cannot be", () => {
  it("is refused at once", async (t) => {
    const { server } = await connectedPair(t, memory("memory"));
    const repeat = { repeat: true } as never;
    const wrong: readonly (() => unknown)[] = [
      () => server.peek({ length: 1, ...(repeat as object) }),
      () => server.skip(1, repeat),
      () => server.readExactly(0, repeat),
      () => server.readExactly(1, { into: new Uint8Array(1), repeat: true }),
      () => server.read({ into: new Uint8Array(1), repeat: true }),
      () => server.readLine({ repeat: 1 as never }),
      () => server.lines(repeat),
      () => server.frames({ lengthBytes: 1, ...(repeat as object) }),
      () => server.messages(line(), repeat),
    ];
    for (const call of wrong) assert.throws(call, /^(Type|Range)Error: Expected .*, got/, String(call));
    assert.equal(server.pendingReads, 0);
    assert.equal(server.readLine({ repeat: false }).cancel(), true);
    assert.equal(server.readLine({ repeat: undefined }).cancel(), true);
  });

  it("holds back what needs an empty queue of reads", async (t) => {
    const { server } = await connectedPair(t, memory("memory"));
    const request = server.readLine({ repeat: true });
    throwsBadState(() => server.toDuplex());
    throwsBadState(() => server.toWeb());
    request.cancel();
    assert.equal(shortCode(await failure(request)), "CANCELED");
  });
});
