import assert from "node:assert/strict";
import { BlockList } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { type AcceptInfo, AsyncSocket, type AsyncSocketError } from "asyncsocket";
import { failure, Recorder, settled, shortCode, until } from "../support/delegates.js";
import { Belongings, opened, throwsBadState, type Timed, timedNetwork } from "../support/lifecycle-helpers.js";
import { overEveryTransport, SAFETY } from "../support/transports.js";

class LineSocket extends AsyncSocket {
  readonly greeting = "from a subclass";
}

describe("accepted sockets", () => {
  overEveryTransport((kind) => {
    it("have the listener's class, delegate, limits and allowHalfOpen, not its userData", async (t) => {
      const wire = kind.open();
      t.after(() => wire.dispose());
      const belongings = Belongings.of(t);
      const accepted: AsyncSocket[] = [];
      const delegate = {
        didAccept(listener: AsyncSocket, socket: AsyncSocket): void {
          assert.equal(this, delegate);
          accepted.push(listener, belongings.add(socket));
        },
      };
      const listener = new LineSocket({
        ...wire.options,
        delegate,
        userData: "the listener's own",
        allowHalfOpen: true,
        limits: { readLength: 5 },
      });
      belongings.add(listener);
      assert.equal(await listener.listen(wire.listen), listener);
      const client = belongings.add(new AsyncSocket(wire.options));
      await client.connect(wire.connect(listener));
      await until(() => accepted.length > 0, "didAccept");
      const [who, server] = accepted;
      assert.equal(who, listener);
      assert.ok(server instanceof LineSocket);
      assert.equal(server.greeting, "from a subclass");
      assert.equal(server.delegate, delegate);
      assert.equal(server.userData, undefined);
      assert.equal(server.allowHalfOpen, true);
      assert.equal(server.state, "open");
      assert.notEqual(server.id, listener.id);
      client.write("123456");
      await failure(server.readUntil("\n", { onFailure: "continue" }), "READ_LIMIT");
      assert.deepEqual(server.remote?.family, client.local?.family);
      if (server.remote?.family !== "unix") assert.deepEqual(server.remote, client.local);
      assert.deepEqual(client.remote, server.local);
    });

    it("are told of by didAccept, and read what came with the connection", async (t) => {
      const got: string[] = [];
      const names: string[] = [];
      const { connect, listener } = await opened(t, kind, {
        delegate: {
          didAccept(_listener, socket) {
            names.push(`accept ${socket.state}`);
            socket.readLine();
          },
          didConnect: () => void names.push("connect"),
          didReadText(socket, text) {
            got.push(text);
            socket.write(`you said ${text}\n`);
            socket.disconnectAfterWriting();
          },
        },
      });
      const client = await connect();
      client.write("hello\n");
      assert.equal(await client.readLine(), "you said hello");
      assert.deepEqual(got, ["hello"]);
      await client.closed;
      assert.deepEqual(names, ["accept open"]);
      assert.equal(listener.state, "listening");
    });

    it("wait for connections() without didAccept, in their order, until the listener closes", async (t) => {
      const { connect, listener, belongings } = await opened(t, kind, { delegate: new Recorder() });
      for (let i = 0; i < 3; i++) {
        const client = await connect();
        client.write(`${i}\n`);
        await client.write("");
      }
      const lines: string[] = [];
      for await (const server of listener.connections()) {
        belongings.add(server);
        lines.push(await server.readLine());
        if (lines.length === 3) await listener.disconnect();
      }
      assert.deepEqual(lines.sort(), ["0", "1", "2"]);
      assert.deepEqual(await listener.connections().next(), { done: true, value: undefined });
    });

    it("each go to one of the iterators that wait; leaving an iterator early loses none", async (t) => {
      const { connect, listener, belongings } = await opened(t, kind);
      const [a, b] = [listener.connections(), listener.connections()];
      const waiting = [a.next(), b.next()];
      await Promise.all([connect(), connect()]);
      const results = await Promise.all(waiting);
      const servers = results.map((result) => belongings.add(result.value as AsyncSocket));
      assert.notEqual(servers[0], servers[1]);
      await a.return?.();
      assert.equal((await a.next()).done, true);
      await connect();
      const { value } = await listener.connections().next();
      assert.ok(value !== undefined);
      belongings.add(value);
    });

    it("decision 11: live on when the listener is disposed, and no more are accepted", async (t) => {
      const { connect, listener, accepted } = await opened(t, kind);
      const client = await connect();
      const server = await accepted();
      await listener[Symbol.asyncDispose]();
      assert.equal(listener.state, "closed");
      assert.deepEqual([listener.closeReason?.by, listener.closeReason?.error], ["local", null]);
      client.write("still here\n");
      assert.equal(await server.readLine(), "still here");
      const error = await failure(connect(), "CONNECT");
      assert.match(error.message, /./);
      assert.equal(server.state, "open");
    });

    it("may be disconnected inside didAccept", async (t) => {
      const { connect, listener } = await opened(t, kind, {
        delegate: { didAccept: (_listener, socket) => void socket.disconnect() },
      });
      if (kind.isSecure) await assert.rejects(connect(), { code: "ERR_ASYNCSOCKET_TLS" });
      else assert.equal((await (await connect()).closed).by === "local", false);
      assert.equal(listener.state, "listening");
    });

    it("are refused beyond limits.connections; the listener goes on", async (t) => {
      const failures: [AsyncSocketError, AcceptInfo][] = [];
      const servers: AsyncSocket[] = [];
      const { connect, listener, belongings } = await opened(t, kind, {
        limits: { connections: 2 },
        delegate: {
          didAccept: (_listener, socket) => void servers.push(belongings.add(socket)),
          didFailAccept(who, error, info) {
            assert.equal(who, listener);
            failures.push([error, info]);
          },
        },
      });
      await Promise.all([connect(), connect()]);
      await until(() => servers.length === 2, "two sockets");
      await turnedAway(connect());
      await until(() => failures.length === 1, "didFailAccept");
      const [[error, info]] = failures as [[AsyncSocketError, AcceptInfo]];
      assert.equal(shortCode(error), "ACCEPT");
      assert.match(error.message, /connections/);
      assert.deepEqual(info.remote?.family, servers[0]?.remote?.family);
      assert.deepEqual(info.local, servers[0]?.local);
      await servers[0]?.disconnect();
      await connect();
      await until(() => servers.length === 3, "a third socket");
      assert.equal(failures.length, 1);
      assert.equal(listener.state, "listening");
    });

    it("are counted no more once they are closed, whoever closes them", async (t) => {
      const { connect, accepted } = await opened(t, kind, { limits: { connections: 1 } });
      for (let i = 0; i < 20; i++) {
        const client = await connect();
        const server = await accepted();
        const [first, second] = i % 2 === 0 ? [client, server] : [server, client];
        await first.disconnect();
        await second.closed;
      }
    });

    it("decision 16: a listen that fails says so in words, and the socket may be used again", async (t) => {
      const { listener, socket, listen } = await opened(t, kind);
      const recorder = new Recorder();
      const other = socket({ delegate: recorder });
      const local = listener.local;
      assert.ok(local !== undefined);
      const taken = local.family === "unix" ? { path: local.path } : { ...listen, port: local.port };
      const error = await failure(other.listen(taken), "LISTEN");
      assert.match(error.message, /in use|another listener/);
      assert.match(error.message, local.family === "unix" ? /\/s/ : new RegExp(String(local.port)));
      const reason = await other.closed;
      assert.equal(reason.by, "error");
      assert.equal(reason.error, error);
      assert.equal(recorder.of("didDisconnect").length, 1);
      assert.equal(listener.state, "listening");
      await listener.disconnect();
      await other.listen(taken);
      assert.equal(other.state, "listening");
      assert.equal(other.closeReason, undefined);
    });
  });
});

/** A listener and some connections, by a clock of its own. */
async function connected(
  t: TestContext,
  count: number,
): Promise<Timed & { listener: AsyncSocket; ends: AsyncSocket[][] }> {
  const timed = timedNetwork(t);
  const { transport, belongings } = timed;
  const listener = belongings.add(await AsyncSocket.listen({ transport, port: 1 }));
  const ends: AsyncSocket[][] = [];
  for (let i = 0; i < count; i++) {
    const client = belongings.add(await AsyncSocket.connect({ transport, port: 1 }));
    const { value: server } = await listener.connections().next();
    assert.ok(server !== undefined);
    ends.push([client, belongings.add(server)]);
  }
  return { ...timed, listener, ends };
}

describe("shutdown", SAFETY, () => {
  it("stops accepting, waits for the connections, then forces those that are left", async (t) => {
    const { listener, ends, pass, transport, clock } = await connected(t, 3);
    const recorder = new Recorder();
    listener.delegate = recorder;
    const shutdown = listener.shutdown({ graceMs: 1000 });
    await pass(10);
    assert.equal(shutdown.state, "current");
    await failure(AsyncSocket.connect({ transport, port: 1 }), "CONNECT");
    const [one, two, three] = ends;
    one?.[0]?.write("bye\n");
    assert.equal(await one?.[1]?.readLine(), "bye");
    await one?.[0]?.disconnect();
    await two?.[1]?.disconnect();
    await pass(989);
    assert.equal(shutdown.state, "current");
    assert.equal(three?.[1]?.state, "open");
    await pass(1);
    assert.deepEqual(await shutdown, { finished: 2, forced: 1 });
    assert.equal(three[1].state, "closed");
    assert.equal(three[1].closeReason?.by, "local");
    assert.equal(listener.state, "closed");
    assert.equal(recorder.of("didDisconnect").length, 1);
    await three[0]?.closed;
    assert.equal(clock.size, 0);
  });

  it("of a listener without connections is done at once", async (t) => {
    const { listener } = await connected(t, 0);
    assert.deepEqual(await listener.shutdown({ graceMs: 1000 }), { finished: 0, forced: 0 });
    assert.equal(listener.state, "closed");
    assert.equal(listener.closeReason?.by, "local");
  });

  it("without graceMs waits as long as it takes", async (t) => {
    const { listener, ends, pass } = await connected(t, 1);
    const shutdown = listener.shutdown();
    await pass(2 ** 40);
    assert.equal(shutdown.state, "current");
    await ends[0]?.[1]?.disconnect();
    assert.deepEqual(await shutdown, { finished: 1, forced: 0 });
  });

  it("with graceMs of 0 forces at once", async (t) => {
    const { listener, ends, pass } = await connected(t, 2);
    const shutdown = listener.shutdown({ graceMs: 0 });
    await pass(1);
    assert.deepEqual(await shutdown, { finished: 0, forced: 2 });
    for (const [, server] of ends) assert.equal(server?.state, "closed");
  });

  it("counts a graceful close under way as finished when it is, within the grace", async (t) => {
    const { listener, ends, pass } = await connected(t, 1);
    ends[0]?.[1]?.disconnectAfterWriting();
    const shutdown = listener.shutdown({ graceMs: 1000 });
    await pass(10);
    assert.deepEqual(await shutdown, { finished: 1, forced: 0 });
  });

  it("is not counted for connections that ended before it", async (t) => {
    const { listener, ends } = await connected(t, 2);
    await ends[0]?.[1]?.disconnect();
    await ends[0]?.[0]?.closed;
    const shutdown = listener.shutdown({ graceMs: 1000 });
    await ends[1]?.[1]?.disconnect();
    assert.deepEqual(await shutdown, { finished: 1, forced: 0 });
  });

  it("ends the connections() of the listener normally", async (t) => {
    const { listener } = await connected(t, 0);
    const next = listener.connections().next();
    await listener.shutdown();
    assert.equal((await next).done, true);
  });

  it("decision 12: throws on a socket that does not listen, as connections() does", async (t) => {
    const { transport } = timedNetwork(t);
    const socket = new AsyncSocket({ transport });
    throwsBadState(() => socket.shutdown(), "shutdown");
    throwsBadState(() => socket.connections(), "connections");
    await socket.disconnect();
    throwsBadState(() => socket.shutdown(), "shutdown");
    throwsBadState(() => socket.connections(), "connections");
  });
});

interface Guarded {
  readonly connect: (localAddress?: string) => Promise<AsyncSocket>;
  /** A connection that the listener refuses. Fast as it is, the client may not even have seen it open. */
  readonly connectInVain: (localAddress?: string) => Promise<void>;
  readonly servers: AsyncSocket[];
  readonly refused: AcceptInfo[];
}

/** Waits until a connection has been turned away: while it connects, in the handshake, or after. */
async function turnedAway(connecting: PromiseLike<AsyncSocket>): Promise<void> {
  let socket: AsyncSocket;
  try {
    socket = await connecting;
  } catch (error) {
    assert.match(shortCode(error), /^(CONNECT|TLS)$/);
    return;
  }
  assert.notEqual((await socket.closed).by, "local");
}

describe("guards of a listener", SAFETY, () => {
  async function guarded(t: TestContext, options: { limits?: object; blockList?: BlockList }): Promise<Guarded> {
    const belongings = Belongings.of(t);
    const servers: AsyncSocket[] = [];
    const refused: AcceptInfo[] = [];
    const listener = belongings.add(
      await AsyncSocket.listen({
        port: 0,
        ...options,
        delegate: {
          didAccept: (_listener, socket) => void servers.push(belongings.add(socket)),
          didFailAccept(_listener, error, info) {
            assert.equal(shortCode(error), "ACCEPT");
            refused.push(info);
          },
        },
      }),
    );
    const { local } = listener;
    assert.ok(local !== undefined && local.family !== "unix");
    const connect = (localAddress?: string): Promise<AsyncSocket> => {
      const socket = belongings.add(new AsyncSocket());
      return socket.connect({ host: "127.0.0.1", port: local.port, localAddress }).finally(() => undefined);
    };
    return {
      connect,
      connectInVain: (localAddress) => turnedAway(connect(localAddress)),
      servers,
      refused,
    };
  }

  it("limits.connectionsPerAddress bounds each address by itself, on a dual-stack listener too", async (t) => {
    const { connect, connectInVain, servers, refused } = await guarded(t, { limits: { connectionsPerAddress: 2 } });
    await connect("127.0.0.2");
    await connect("127.0.0.2");
    await until(() => servers.length === 2, "two sockets");
    await connectInVain("127.0.0.2");
    await until(() => refused.length === 1, "a refusal");
    const from = refused[0]?.remote;
    assert.ok(from?.family === "IPv4" && from.address === "127.0.0.2");
    const other = await connect("127.0.0.3");
    await until(() => servers.length === 3, "a socket from elsewhere");
    assert.equal(other.state, "open");
    await servers[0]?.disconnect();
    await connect("127.0.0.2");
    await until(() => servers.length === 4, "a socket in place of the closed one");
    assert.equal(refused.length, 1);
  });

  it("a BlockList keeps addresses out, mapped ones too, before any delegate sees a socket", async (t) => {
    const blockList = new BlockList();
    blockList.addSubnet("127.0.0.8", 29, "ipv4");
    const { connect, connectInVain, servers, refused } = await guarded(t, { blockList });
    await connectInVain("127.0.0.9");
    await until(() => refused.length === 1, "a refusal");
    assert.equal(servers.length, 0);
    const [info] = refused;
    assert.ok(info?.remote?.family === "IPv4" && info.remote.address === "127.0.0.9");
    assert.ok(info.local?.family === "IPv4" && info.local.address === "127.0.0.1");
    const fine = await connect("127.0.0.1");
    await until(() => servers.length === 1, "a socket");
    await settled();
    assert.equal(fine.state, "open");
    blockList.addAddress("127.0.0.1");
    await connectInVain("127.0.0.1");
    assert.equal(fine.state, "open");
  });

  it("decision 2: a read or write on a closed listener reports no second end", async (t) => {
    const { transport, belongings } = timedNetwork(t);
    const recorder = new Recorder();
    const listener = belongings.add(await AsyncSocket.listen({ transport, port: 1, delegate: recorder }));
    await listener.disconnect();
    await failure(listener.read(), "CLOSED");
    await failure(listener.write("a"), "CLOSED");
    await settled();
    assert.equal(recorder.of("didDisconnect").length, 1);
  });

  it("limits.connections of 0 lets nobody in", async (t) => {
    const { connectInVain, servers, refused } = await guarded(t, { limits: { connections: 0 } });
    await connectInVain();
    await until(() => refused.length === 1, "a refusal");
    assert.equal(servers.length, 0);
  });
});
