import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type AsyncSocketDelegate, type AsyncSocketOptions, type CloseReason } from "asyncsocket";
import { arrived, failure, pattern, Recorder, settled, until } from "../support/delegates.js";
import { assertNothingLeft, connectedPair, type Kind, overEveryTransport } from "../support/transports.js";

interface Waiting {
  /** Idle still. */
  readonly client: AsyncSocket;
  readonly connect: () => PromiseLike<AsyncSocket>;
  /** The other side, once it is there. */
  readonly accepted: () => Promise<AsyncSocket>;
}

/** A listener, and a client that has not connected yet. */
async function waitingPair(t: TestContext, kind: Kind, options: AsyncSocketOptions = {}): Promise<Waiting> {
  const wire = kind.open();
  const listener = new AsyncSocket(wire.options);
  await listener.listen(wire.listen);
  const connections = listener.connections();
  const client = new AsyncSocket({ ...wire.options, ...options });
  const servers: AsyncSocket[] = [];
  t.after(async () => {
    await Promise.all([client, listener, ...servers].map((socket) => socket.disconnect()));
    wire.dispose();
    await assertNothingLeft();
  });
  return {
    client,
    connect: () => client.connect(wire.connect(listener)),
    async accepted() {
      const { value } = await connections.next();
      assert.ok(value !== undefined);
      servers.push(value);
      return value;
    },
  };
}

describe("the two queues", () => {
  overEveryTransport((kind) => {
    it("decision 1: reads never hold up writes", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const read = client.readExactly(3);
      client.readLine();
      await client.write("not held up");
      assert.equal(String(await server.readExactly(11)), "not held up");
      assert.equal(read.state, "current");
    });

    it("decision 1: writes never hold up reads", async (t) => {
      const limits = { readAhead: 16, writeQueue: Infinity };
      const { client, server } = await connectedPair(t, kind, { limits }, { limits });
      const stuck = client.write(pattern(kind.isReal ? 24_000_000 : 200_000));
      await settled(100);
      assert.equal(stuck.state, "current");
      assert.equal(client.currentWrite, stuck);
      server.write("hello");
      assert.equal(String(await client.readExactly(5)), "hello");
      assert.equal(stuck.state, "current");
    });

    it("decision 1: code that awaits the connection goes on before the first write is told of", async (t) => {
      const { client, connect, accepted } = await waitingPair(t, kind);
      const log: string[] = [];
      client.delegate = {
        didConnect: () => void log.push("didConnect"),
        didWrite: () => void log.push("didWrite"),
        didRead: () => void log.push("didRead"),
      };
      client.write("queued before");
      client.readExactly(0);
      const connecting = (async () => {
        await connect();
        log.push("awaited");
      })();
      await accepted();
      await connecting;
      await until(() => log.length === 4, "all of them");
      assert.deepEqual(log.slice(0, 2), ["didConnect", "awaited"]);
    });

    it("decision 1: entries queued while idle start when the connection is there, didConnect first", async (t) => {
      const recorder = new Recorder();
      const { client, connect, accepted } = await waitingPair(t, kind, { delegate: recorder });
      const line = client.readLine({ tag: "line" });
      const none = client.readExactly(0, { tag: "none" });
      const write = client.write("from before\n", { tag: "write" });
      await settled();
      assert.deepEqual([line.state, none.state, write.state], ["queued", "queued", "queued"]);
      assert.equal(client.state, "idle");
      connect();
      const server = await accepted();
      assert.equal(await server.readLine(), "from before");
      server.write("answer\n");
      assert.equal(await line, "answer");
      await none;
      await write;
      assert.equal(recorder.names[0], "didConnect");
      assert.deepEqual(recorder.names.slice(1).sort(), ["didRead", "didReadText", "didWrite"]);
      assert.deepEqual(
        recorder.names.filter((name) => name.startsWith("didRead")),
        ["didReadText", "didRead"],
      );
    });

    it("decision 1: entries may be queued while connecting", async (t) => {
      const recorder = new Recorder();
      const { client, connect, accepted } = await waitingPair(t, kind, { delegate: recorder });
      const connecting = connect();
      assert.equal(client.state, "connecting");
      const none = client.readExactly(0);
      client.write("first\n");
      client.write("second\n");
      assert.equal(await connecting, client);
      await none;
      const server = await accepted();
      assert.equal(await server.readLine(), "first");
      assert.equal(await server.readLine(), "second");
      assert.equal(recorder.names[0], "didConnect");
    });

    it("decision 1: a queued entry can be taken back while idle", async (t) => {
      const { client, connect, accepted } = await waitingPair(t, kind);
      const write = client.write("never\n");
      const read = client.read();
      client.write("sent\n");
      assert.equal(write.cancel(), true);
      assert.equal(client.cancelReads(), 1);
      await failure(write, "CANCELED");
      await failure(read, "CANCELED");
      connect();
      const server = await accepted();
      assert.equal(await server.readLine(), "sent");
    });
  });
});

/** Notes every call, and fails if one comes from inside a public call, or from inside another one. */
class Guard extends Recorder {
  #depth = 0;
  #inside = false;

  /** A public call, during which nothing may be told. */
  call<T>(what: () => T): T {
    this.#inside = true;
    const before = this.calls.length;
    const value = what();
    assert.equal(this.calls.length, before);
    this.#inside = false;
    return value;
  }

  during(what: () => void): void {
    assert.equal(this.#inside, false, "told from inside a public call");
    assert.equal(this.#depth, 0, "told from inside another callback");
    this.#depth++;
    what();
    this.#depth--;
  }
}

describe("telling", () => {
  overEveryTransport((kind) => {
    it("decision 2: nothing is told and nothing settles inside a public call", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const guard = new Guard();
      const delegate: AsyncSocketDelegate = {
        didRead: (_socket, data, tag) => guard.during(() => guard.didRead(server, data, tag)),
        didReadText: (_socket, text, tag) => guard.during(() => guard.didReadText(server, text, tag)),
        didWrite: (_socket, tag) => guard.during(() => guard.didWrite(server, tag)),
        didFailRead: (_socket, error, tag) => guard.during(() => guard.didFailRead(server, error, tag)),
        didFailWrite: (_socket, error, tag) => guard.during(() => guard.didFailWrite(server, error, tag)),
        didReadPartial: () => guard.during(() => undefined),
        willDisconnect: (_socket, reason) => guard.during(() => guard.willDisconnect(server, reason)),
        didDisconnect: (_socket, reason) => guard.during(() => guard.didDisconnect(server, reason)),
      };
      server.delegate = delegate;
      client.write("abcline\nrest of it");
      await arrived(server, 18);
      const a = guard.call(() => server.readExactly(3));
      const b = guard.call(() => server.readLine());
      const c = guard.call(() => server.readExactly(0));
      const d = guard.call(() => server.read({ timeout: 0 }));
      const e = guard.call(() => server.write("bytes"));
      const f = guard.call(() => server.write(""));
      for (const one of [a, b, c, d, e, f]) assert.ok(one.state === "queued" || one.state === "current", one.state);
      await Promise.all([a, b, c, d, e, f]);
      const g = guard.call(() => server.readExactly(5));
      guard.call(() => g.cancel());
      const h = guard.call(() => server.readLine({ signal: AbortSignal.abort() }));
      const i = guard.call(() => server.readLine());
      guard.call(() => server.cancelReads());
      const j = guard.call(() => server.read());
      await Promise.all([g, h, i].map((one) => failure(one, "CANCELED")));
      guard.call(() => server.disconnect());
      guard.call(() => server.disconnect());
      const k = guard.call(() => server.read());
      const l = guard.call(() => server.write("too late"));
      await Promise.all([j, k, l].map((one) => failure(one, "CLOSED")));
      await server.closed;
      assert.equal(guard.names.at(-1), "didDisconnect");
    });

    it("decision 2: calls from inside a callback are told of later, not from inside them", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      let depth = 0;
      let count = 0;
      const step = (): void => {
        assert.equal(depth, 0);
        depth++;
        if (++count < 50) {
          if (count % 3 === 0) server.readExactly(0);
          else if (count % 3 === 1) server.readLine();
          else server.readExactly(1);
        }
        depth--;
      };
      server.delegate = { didRead: step, didReadText: step };
      client.write("l\nx".repeat(40));
      server.readLine();
      await until(() => count === 50, "fifty reads");
    });

    it("decision 2: the delegate is told first, then the promise, in the same turn", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const log: string[] = [];
      const turnNoted = (name: string): void => {
        log.push(name);
        setImmediate(() => log.push(`turn after ${name}`));
      };
      server.delegate = {
        didReadText: () => turnNoted("didReadText"),
        didWrite: () => turnNoted("didWrite"),
        didFailRead: () => turnNoted("didFailRead"),
      };
      const line = server.readLine().then(() => log.push("line"));
      client.write("line\n");
      await line;
      await settled();
      const write = server.write("x").then(() => log.push("write"));
      await write;
      await settled();
      const failing = server.read();
      const caught = failing.catch(() => log.push("failure"));
      failing.cancel();
      await caught;
      await settled();
      assert.deepEqual(log, [
        "didReadText",
        "line",
        "turn after didReadText",
        "didWrite",
        "write",
        "turn after didWrite",
        "didFailRead",
        "failure",
        "turn after didFailRead",
      ]);
    });

    it("decision 2: each entry is told of exactly once, in the order of the queue", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      server.delegate = recorder;
      const counts = Array.from({ length: 100 }, (_, i) => i);
      let settledOnce = 0;
      for (const tag of counts) {
        const request = tag % 2 === 0 ? server.readExactly(1, { tag }) : server.readUntil(";", { tag });
        request.then(() => {
          settledOnce++;
        });
      }
      client.write("x;".repeat(50));
      await until(() => settledOnce === 100, "a hundred settlements");
      await settled();
      assert.deepEqual(recorder.tags("didRead"), counts);
      assert.equal(recorder.calls.length, 100);
    });

    it("decision 2: the delegate of that moment is told", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const [a, b, c] = [new Recorder(), new Recorder(), new Recorder()];
      server.delegate = a;
      const first = server.readExactly(1, { tag: 1 });
      server.delegate = b;
      client.write("1");
      await first;
      server.delegate = {
        didRead(socket) {
          socket.delegate = c;
        },
      };
      server.readExactly(1, { tag: 2 });
      const third = server.readExactly(1, { tag: 3 });
      client.write("23");
      await third;
      server.delegate = null;
      const fourth = server.readExactly(1, { tag: 4 });
      client.write("4");
      await fourth;
      assert.deepEqual(a.calls, []);
      assert.deepEqual(b.calls, [["didRead", "1", 1]]);
      assert.deepEqual(c.calls, [["didRead", "3", 3]]);
    });

    it("decision 2: methods are called with the delegate as this, and the socket first", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const seen: unknown[] = [];
      const delegate = {
        didRead(this: unknown, socket: AsyncSocket): void {
          seen.push(this, socket);
        },
      };
      server.delegate = delegate;
      client.write("x");
      await server.readExactly(1);
      assert.equal(seen[0], delegate);
      assert.equal(seen[1], server);
    });
  });
});

describe("the end", () => {
  overEveryTransport((kind) => {
    it("decision 2: didDisconnect comes after code that awaited the last entry, then the requests, then nothing", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const log: string[] = [];
      const awaiting = async (): Promise<void> => {
        await failure(server.read(), "CLOSED");
        for (let i = 0; i < 10; i++) await Promise.resolve();
        log.push("awaiting code ran");
      };
      server.delegate = {
        didFailRead: () => void log.push("didFailRead"),
        didFailWrite: () => void log.push("didFailWrite"),
        willDisconnect: () => void log.push("willDisconnect"),
        didDisconnect(socket) {
          log.push(`didDisconnect ${socket.state}`);
          setImmediate(() => log.push("turn after didDisconnect"));
        },
        didEndReading: () => void log.push("didEndReading"),
      };
      const waiting = awaiting();
      server.closed.then(() => void log.push("closed"));
      server.disconnect().then(() => void log.push("disconnect"));
      await waiting;
      await server.closed;
      client.disconnect();
      await settled();
      const at = log.indexOf("didDisconnect closed");
      assert.deepEqual(log.slice(0, at).sort(), ["awaiting code ran", "didFailRead", "willDisconnect"]);
      assert.deepEqual(log.slice(at + 1).sort(), ["closed", "disconnect", "turn after didDisconnect"]);
      assert.equal(log.at(-1), "turn after didDisconnect");
    });

    it("decision 2: it is told once, with one reason, to all who ask", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      server.delegate = recorder;
      const closed = server.closed;
      const [a, b] = [server.disconnect(), server.disconnectAfterWriting()];
      const reasons: CloseReason[] = await Promise.all([closed, a, b, server.disconnect()]);
      const late = await server.closed;
      await settled();
      assert.equal(recorder.of("willDisconnect").length, 1);
      assert.equal(recorder.of("didDisconnect").length, 1);
      assert.equal(recorder.names.at(-1), "didDisconnect");
      for (const reason of [...reasons, await server.disconnect(), late]) assert.deepEqual(reason, server.closeReason);
      assert.equal(late.by, "local");
      assert.equal(late.error, null);
      await client.closed;
    });

    it("decision 2: every queued entry settles before it", async (t) => {
      const { server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      server.delegate = recorder;
      const reads = Array.from({ length: 20 }, (_, tag) => server.readExactly(1, { tag }));
      await settled();
      server.disconnect();
      const late = [server.read({ tag: "late" }), server.write("x", { tag: "late write" })];
      await server.closed;
      assert.deepEqual(recorder.tags("didFailRead").sort(), [...reads.keys(), "late"].sort());
      assert.deepEqual(recorder.tags("didFailWrite"), ["late write"]);
      assert.equal(recorder.names.at(-1), "didDisconnect");
      for (const request of [...reads, ...late]) await failure(request, "CLOSED");
    });

    it("decision 2: unread bytes are there in willDisconnect, and in the reason", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      let seen = "";
      server.delegate = {
        willDisconnect: (socket, reason) => void (seen = `${socket.unread.toString()}|${reason.unread.toString()}`),
      };
      client.write("unread");
      await arrived(server, 6);
      const reason = await server.disconnect();
      assert.equal(seen, "unread|unread");
      assert.equal(reason.unread.toString(), "unread");
      assert.equal(reason.bytesRead, 6);
      assert.equal(server.bytesRead, 6);
      assert.equal(server.closeReason?.unread.toString(), "unread");
    });
  });
});
