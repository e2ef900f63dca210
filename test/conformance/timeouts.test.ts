import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type AsyncSocketOptions } from "asyncsocket";
import { MemoryNetwork, VirtualClock } from "asyncsocket/testing";
import { arrived, failure, pattern, Recorder, settled, until } from "../support/delegates.js";
import { connectedPair, memory, overEveryTransport, type Pair, SAFETY } from "../support/transports.js";

interface Timed extends Pair {
  readonly clock: VirtualClock;
  /** Lets time pass, and then whatever follows from it happen. */
  readonly pass: (ms: number) => Promise<void>;
}

async function timedPair(t: TestContext, options?: AsyncSocketOptions, accepting?: AsyncSocketOptions): Promise<Timed> {
  const clock = new VirtualClock();
  const pair = await connectedPair(t, memory("memory", { clock, capacityBytes: 1024 }), options, accepting);
  const pass = async (ms: number): Promise<void> => {
    await settled();
    clock.advance(ms);
    await settled();
  };
  return { ...pair, clock, pass };
}

describe("timeouts of reads, by a virtual clock", SAFETY, () => {
  it("decision 3: a timeout starts when its entry becomes current", async (t) => {
    const { client, server, pass } = await timedPair(t);
    const first = server.readExactly(1, { timeout: 100 });
    const second = server.readExactly(1, { timeout: 100 });
    await pass(60);
    client.write("x");
    await first;
    await pass(99);
    assert.equal(second.state, "current");
    await pass(1);
    await failure(second, "READ_TIMEOUT");
  });

  it("decision 3: it does not run while the socket is idle or connecting", async (t) => {
    const clock = new VirtualClock();
    const transport = new MemoryNetwork({ clock });
    const listener = await AsyncSocket.listen({ transport, port: 1 });
    const client = new AsyncSocket({ transport });
    const request = client.readExactly(1, { timeout: 50 });
    t.after(() => Promise.all([client.disconnect(), listener.disconnect()]));
    await settled();
    clock.advance(1000);
    client.connect({ port: 1 });
    clock.advance(1000);
    const { value: server } = await listener.connections().next();
    await settled();
    clock.advance(49);
    await settled();
    assert.equal(request.state, "current");
    server?.write("!");
    assert.equal(String(await request), "!");
    await server?.disconnect();
  });

  it("decision 3: it is total time, not idle time", async (t) => {
    const { client, server, pass } = await timedPair(t);
    const request = server.readExactly(10, { timeout: 100 });
    for (let i = 0; i < 3; i++) {
      await pass(30);
      client.write("x");
    }
    await pass(9);
    assert.equal(request.state, "current");
    await pass(1);
    const error = await failure(request, "READ_TIMEOUT");
    assert.equal(error.bytesDone, 3);
    assert.equal(error.partial?.toString(), "xxx");
  });

  it("decision 3: none and Infinity mean none", async (t) => {
    const { client, server, pass } = await timedPair(t);
    const first = server.readExactly(1);
    const second = server.readExactly(1, { timeout: Infinity });
    const third = server.readExactly(1, { timeout: undefined });
    await pass(2 ** 45);
    client.write("1");
    await first;
    await pass(2 ** 45);
    client.write("2");
    await second;
    await pass(2 ** 45);
    client.write("3");
    await third;
  });

  it("decision 3: beyond 2^31 ms it expires in its time", async (t) => {
    const { server, pass } = await timedPair(t);
    const request = server.readExactly(1, { timeout: 2 ** 40 });
    await pass(2 ** 31);
    await pass(2 ** 32);
    await pass(2 ** 40 - 2 ** 31 - 2 ** 32 - 1);
    assert.equal(request.state, "current");
    await pass(1);
    await failure(request, "READ_TIMEOUT");
  });

  it("decision 3: fractions work", async (t) => {
    const { server, pass } = await timedPair(t);
    const request = server.readExactly(1, { timeout: 10.25, onFailure: "continue" });
    await pass(10);
    assert.equal(request.state, "current");
    await pass(1);
    await failure(request, "READ_TIMEOUT");
    const tiny = server.readExactly(1, { timeout: Number.MIN_VALUE });
    await pass(1);
    await failure(tiny, "READ_TIMEOUT");
  });

  it("decision 3: 0 is met by bytes already here, however many reads want them", async (t) => {
    const { client, server } = await timedPair(t);
    client.write("abcline\n;12");
    await arrived(server, 11);
    const timeout = 0;
    const requests = [
      server.readExactly(3, { timeout }),
      server.readLine({ timeout }),
      server.readExactly(0, { timeout }),
      server.readUntil(";", { timeout }),
      server.peek({ length: 2, timeout }),
      server.read({ timeout }),
    ];
    assert.deepEqual((await Promise.all(requests)).map(String), ["abc", "line", "", ";", "12", "12"]);
  });

  it("decision 3: 0 expires else, and the delegate is not asked", async (t) => {
    const { client, server } = await timedPair(t);
    server.delegate = { shouldExtendReadTimeout: () => assert.fail("asked for more time") };
    client.write("ab");
    await arrived(server, 2);
    const request = server.readExactly(3, { timeout: 0, onFailure: "continue" });
    const error = await failure(request, "READ_TIMEOUT");
    assert.equal(error.bytesDone, 2);
    const queued = server.readExactly(2);
    const none = server.read({ timeout: 0 });
    assert.equal(String(await queued), "ab");
    await failure(none, "READ_TIMEOUT");
    assert.equal((await server.closed).error?.code, "ERR_ASYNCSOCKET_READ_TIMEOUT");
  });

  it("decision 3: a read that is done in time has no timeout left", async (t) => {
    const { client, server, clock, pass } = await timedPair(t);
    client.write("x");
    await server.readExactly(1, { timeout: 50 });
    const next = server.readExactly(1);
    await pass(1000);
    assert.equal(next.state, "current");
    assert.equal(server.state, "open");
    client.write("y");
    await next;
    await pass(1000);
    assert.equal(clock.size, 0);
  });

  it("decision 4: it closes the connection by default; the others fail with CLOSED", async (t) => {
    const { client, server, pass } = await timedPair(t);
    const recorder = new Recorder();
    server.delegate = recorder;
    const first = server.readExactly(10, { timeout: 100, tag: { of: "first" } });
    const second = server.readLine({ tag: "second" });
    client.write("abc");
    await pass(100);
    const error = await failure(first, "READ_TIMEOUT");
    assert.equal(error.operation, "readExactly");
    assert.deepEqual(error.tag, { of: "first" });
    assert.equal(error.bytesDone, 3);
    assert.equal(error.partial?.toString(), "abc");
    await failure(second, "CLOSED");
    const reason = await server.closed;
    assert.equal(reason.by, "error");
    assert.equal(reason.error, error);
    assert.equal(reason.unread.toString(), "abc");
    assert.deepEqual(recorder.of("didFailRead"), [
      ["READ_TIMEOUT", { of: "first" }],
      ["CLOSED", "second"],
    ]);
  });

  it("decision 4: with onFailure continue, connection and bytes stay", async (t) => {
    const { client, server, pass } = await timedPair(t);
    const request = server.readExactly(10, { timeout: 100, onFailure: "continue" });
    const line = server.readLine({ timeout: 100 });
    client.write("abc");
    await pass(100);
    assert.equal((await failure(request, "READ_TIMEOUT")).partial?.toString(), "abc");
    assert.equal(server.state, "open");
    await pass(99);
    client.write("d\n");
    assert.equal(await line, "abcd");
  });

  it("decision 18: a timeout per read on a thousand sockets is a handful of timers", async (t) => {
    const clock = new VirtualClock();
    const transport = new MemoryNetwork({ clock });
    const listener = await AsyncSocket.listen({ transport, port: 1 });
    const sockets = Array.from({ length: 1000 }, () => new AsyncSocket({ transport }));
    t.after(() => Promise.all([listener, ...sockets].map((socket) => socket.disconnect())));
    await Promise.all(sockets.map((socket) => socket.connect({ port: 1 })));
    const requests = sockets.map((socket, i) => socket.read({ timeout: 1000 + i, onFailure: "continue" }));
    await settled();
    assert.ok(clock.size <= 4, `${clock.size} timers`);
    clock.advance(1499);
    await settled();
    assert.equal(requests.filter((request) => request.state === "failed").length, 500);
  });
});

describe("extensions, by a virtual clock", SAFETY, () => {
  it("decision 3: the delegate is asked with tag, elapsed time and bytes done, again and again", async (t) => {
    const { client, server, pass } = await timedPair(t);
    const asked: unknown[][] = [];
    const answers = [50, 25.5, 0];
    server.delegate = {
      shouldExtendReadTimeout(socket, tag, elapsed, bytesDone) {
        assert.equal(socket, server);
        asked.push([tag, elapsed, bytesDone]);
        return answers.shift() ?? 0;
      },
    };
    const request = server.readExactly(10, { timeout: 100, tag: "t" });
    client.write("ab");
    await pass(100);
    assert.deepEqual(asked, [["t", 100, 2]]);
    client.write("cd");
    await pass(49);
    assert.equal(asked.length, 1);
    await pass(1);
    assert.deepEqual(asked[1], ["t", 150, 4]);
    await pass(26);
    assert.equal(asked.length, 3);
    await failure(request, "READ_TIMEOUT");
  });

  it("decision 3: 0, less, and what is no number let it expire", async (t) => {
    const { server, pass } = await timedPair(t);
    for (const answer of [0, -1, -Infinity, NaN, undefined, "100", null] as number[]) {
      server.delegate = { shouldExtendReadTimeout: () => answer };
      const request = server.read({ timeout: 10, onFailure: "continue" });
      await pass(10);
      await failure(request, "READ_TIMEOUT");
    }
  });

  it("decision 3: only 0 or less lets it expire, however late the timer was that asked", async (t) => {
    const { server, pass } = await timedPair(t);
    let answer = 0.5;
    server.delegate = { shouldExtendReadTimeout: () => answer };
    const request = server.read({ timeout: 10.1 });
    // The clock's timers go by whole milliseconds: asked at 11, when 10.6 would be past already.
    for (let i = 0; i < 5; i++) {
      await pass(11);
      assert.equal(request.state, "current");
    }
    answer = 0;
    await pass(11);
    await failure(request, "READ_TIMEOUT");
  });

  it("decision 3: an extension of Infinity ends the timeout", async (t) => {
    const { client, server, pass } = await timedPair(t);
    let asked = 0;
    server.delegate = {
      shouldExtendReadTimeout() {
        asked++;
        return Infinity;
      },
    };
    const request = server.read({ timeout: 10 });
    await pass(10);
    await pass(2 ** 42);
    assert.equal(asked, 1);
    client.write("!");
    await request;
  });

  it("decision 3: an extension is bound to its entry", async (t) => {
    const { client, server, pass } = await timedPair(t);
    const asked: unknown[] = [];
    server.delegate = {
      shouldExtendReadTimeout(_socket, tag, elapsed) {
        asked.push([tag, elapsed]);
        return tag === 1 ? 1000 : 0;
      },
    };
    const first = server.readExactly(1, { timeout: 100, tag: 1 });
    const second = server.readExactly(1, { timeout: 100, tag: 2 });
    await pass(100);
    client.write("x");
    await first;
    await pass(99);
    assert.equal(second.state, "current");
    await pass(1);
    await failure(second, "READ_TIMEOUT");
    assert.deepEqual(asked, [
      [1, 100],
      [2, 100],
    ]);
  });

  it("decision 3: a read taken back while the delegate is asked is canceled, not timed out", async (t) => {
    const { server, pass } = await timedPair(t);
    server.delegate = {
      shouldExtendReadTimeout(socket) {
        assert.equal(socket.cancelReads(), 1);
        return 0;
      },
    };
    const request = server.read({ timeout: 10 });
    await pass(10);
    await failure(request, "CANCELED");
    assert.equal(server.state, "open");
  });

  it("decision 3: a delegate that closes the socket while it is asked is obeyed", async (t) => {
    const { server, pass } = await timedPair(t);
    server.delegate = {
      shouldExtendReadTimeout(socket) {
        socket.disconnect();
        return 100;
      },
    };
    const request = server.read({ timeout: 10 });
    await pass(10);
    await failure(request, "CLOSED");
    assert.equal((await server.closed).by, "local");
  });

  it("request.extend gives more time, before the entry is current and after", async (t) => {
    const { client, server, pass } = await timedPair(t);
    const first = server.readExactly(1, { timeout: 100 });
    const second = server.readExactly(1, { timeout: 100 });
    assert.equal(second.extend(50), true);
    await pass(99);
    assert.equal(first.extend(10), true);
    assert.equal(first.extend(10), true);
    await pass(20);
    assert.equal(first.state, "current");
    client.write("x");
    await first;
    assert.equal(first.extend(10), false);
    await pass(149);
    assert.equal(second.state, "current");
    await pass(1);
    await failure(second, "READ_TIMEOUT");
  });

  it("request.extend works from inside shouldExtendReadTimeout", async (t) => {
    const { server, pass } = await timedPair(t);
    let asked = 0;
    server.delegate = {
      shouldExtendReadTimeout(socket) {
        if (++asked === 1) socket.currentRead?.extend(40);
        return 0;
      },
    };
    const request = server.read({ timeout: 10 });
    await pass(10);
    await pass(39);
    assert.equal(request.state, "current");
    await pass(1);
    await failure(request, "READ_TIMEOUT");
    assert.equal(asked, 2);
  });

  it("request.extend takes no negative time", async (t) => {
    const { server } = await timedPair(t);
    const request = server.read({ timeout: 10 });
    assert.throws(() => request.extend(-1), RangeError);
    assert.throws(() => request.extend(NaN), RangeError);
    assert.throws(() => request.extend("5" as unknown as number), TypeError);
  });
});

describe("timeouts of writes, by a virtual clock", SAFETY, () => {
  const small = { limits: { readAhead: 64 } };

  it("decision 3: a write's timeout starts when it becomes current", async (t) => {
    const { client, server, pass } = await timedPair(t, {}, small);
    const first = client.write(pattern(400_000), { timeout: 100 });
    const second = client.write(pattern(400_000), { timeout: 100 });
    await pass(60);
    await server.skip(400_000);
    await settled();
    assert.equal(first.state, "done");
    await pass(99);
    assert.equal(second.state, "current");
    await pass(1);
    await failure(second, "WRITE_TIMEOUT");
  });

  it("decision 6: a write that times out closes the connection, and tells the bytes done", async (t) => {
    const { client, pass } = await timedPair(t, {}, small);
    const recorder = new Recorder();
    client.delegate = recorder;
    const first = client.write(pattern(400_000), { timeout: 100, tag: "w" });
    const second = client.write("behind", { tag: "behind" });
    await pass(100);
    const error = await failure(first, "WRITE_TIMEOUT");
    assert.equal(error.operation, "write");
    assert.equal(error.tag, "w");
    assert.ok(error.bytesDone < 400_000);
    await failure(second, "CLOSED");
    const reason = await client.closed;
    assert.equal(reason.error, error);
    assert.equal(reason.unsentBytes, 400_006 - error.bytesDone);
    assert.deepEqual(recorder.of("didFailWrite"), [
      ["WRITE_TIMEOUT", "w"],
      ["CLOSED", "behind"],
    ]);
  });

  it("decision 3: the delegate may give a write more time", async (t) => {
    const { client, server, pass } = await timedPair(t, {}, small);
    const asked: unknown[][] = [];
    client.delegate = {
      shouldExtendWriteTimeout(socket, tag, elapsed, bytesDone) {
        assert.equal(socket, client);
        asked.push([tag, elapsed, bytesDone]);
        return asked.length === 1 ? 30 : 0;
      },
    };
    const request = client.write(pattern(400_000), { timeout: 100, tag: 7 });
    const second = client.write(pattern(400_000), { timeout: 100, tag: 8 });
    await pass(100);
    assert.deepEqual(asked, [[7, 100, request.bytesDone]]);
    await pass(29);
    await server.skip(400_000);
    await settled();
    assert.equal(request.state, "done");
    await pass(100);
    assert.equal(asked.length, 2);
    assert.deepEqual(asked[1]?.slice(0, 2), [8, 100]);
    await failure(second, "WRITE_TIMEOUT");
  });

  it("request.extend gives a write more time", async (t) => {
    const { client, pass } = await timedPair(t, {}, small);
    const request = client.write(pattern(400_000), { timeout: 100 });
    request.extend(50);
    await pass(149);
    assert.equal(request.state, "current");
    await pass(1);
    await failure(request, "WRITE_TIMEOUT");
  });
});

describe("timeouts in real time", () => {
  overEveryTransport((kind) => {
    it("decision 4: an expired read closes the connection with READ_TIMEOUT", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const first = server.readExactly(10, { timeout: 20 });
      const second = server.read();
      client.write("abc");
      const error = await failure(first, "READ_TIMEOUT");
      await failure(second, "CLOSED");
      const reason = await server.closed;
      assert.equal(reason.error, error);
      await client.closed;
    });

    it("decision 4: an expired read with onFailure continue takes no byte", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("abc");
      await arrived(server, 3);
      const error = await failure(server.readExactly(10, { timeout: 20, onFailure: "continue" }), "READ_TIMEOUT");
      assert.equal(error.bytesDone, 3);
      assert.equal(server.unread.toString(), "abc");
      client.write("defghij");
      assert.equal(String(await server.readExactly(10)), "abcdefghij");
    });

    it("decision 3: a fractional timeout expires, a timeout of 2^40 ms does not", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const warnings: Error[] = [];
      const note = (warning: Error): void => void warnings.push(warning);
      process.on("warning", note);
      t.after(() => process.off("warning", note));
      await failure(server.read({ timeout: 2.5, onFailure: "continue" }), "READ_TIMEOUT");
      const long = server.read({ timeout: 2 ** 40 });
      await failure(client.read({ timeout: 20, onFailure: "continue" }), "READ_TIMEOUT");
      assert.equal(long.state, "current");
      client.write("!");
      await long;
      assert.deepEqual(warnings, []);
    });

    it("decision 3: the delegate may extend until the bytes are there", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const asked: number[] = [];
      server.delegate = {
        shouldExtendReadTimeout(_socket, _tag, elapsed, bytesDone) {
          assert.ok(bytesDone >= 3 && bytesDone < 6);
          asked.push(elapsed);
          if (asked.length === 3) client.write("def");
          return 5;
        },
      };
      client.write("abc");
      await arrived(server, 3);
      assert.equal(String(await server.readExactly(6, { timeout: 5 })), "abcdef");
      assert.ok(asked.length >= 3);
      // The same, where the timer was so late that the extension was over, too.
      for (let i = 1; i < asked.length; i++) assert.ok((asked[i] ?? 0) >= (asked[i - 1] ?? 0));
    });

    it("decision 6: an expired write to a peer that never reads closes the connection", async (t) => {
      const limits = { readAhead: 16, writeQueue: Infinity };
      const { client } = await connectedPair(t, kind, { limits }, { limits });
      const total = kind.isReal ? 24_000_000 : 200_000;
      const partial: number[] = [];
      client.delegate = { didWritePartial: (_socket, byteCount) => void partial.push(byteCount) };
      const error = await failure(client.write(pattern(total), { timeout: 50 }), "WRITE_TIMEOUT");
      assert.ok(error.bytesDone < total);
      assert.ok(partial.every((count) => count > 0));
      assert.ok(partial.reduce((a, b) => a + b, 0) <= error.bytesDone);
      const reason = await client.closed;
      assert.equal(reason.error, error);
      assert.equal(reason.bytesWritten + reason.unsentBytes, total);
      await until(() => client.state === "closed", "the close");
    });
  });
});
