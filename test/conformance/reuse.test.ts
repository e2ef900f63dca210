import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AsyncSocket, type AsyncSocketOptions } from "asyncsocket";
import { arrived, failure, pattern, Recorder, settled, until } from "../support/delegates.js";
import { muchFor, opened, throwsBadState, timedNetwork } from "../support/lifecycle-helpers.js";
import { overEveryTransport, SAFETY } from "../support/transports.js";

describe("using a socket again", () => {
  overEveryTransport((kind) => {
    it("decision 17: clears queues, unread bytes, counters and the reason; keeps the rest", async (t) => {
      const { socket: make, target, accepted } = await opened(t, kind);
      const delegate = new Recorder();
      const userData = { mine: true };
      const options: AsyncSocketOptions = { delegate, userData, allowHalfOpen: true, limits: { readLength: 7 } };
      const socket = make(options);
      const { id } = socket;
      await socket.connect(target);
      const server = await accepted();
      server.write("unread");
      await arrived(socket, 6);
      await socket.write("abc");
      const left = socket.readExactly(100);
      await socket.disconnect();
      await failure(left, "CLOSED");
      assert.deepEqual([socket.bytesRead, socket.bytesWritten, socket.unreadBytes], [6, 3, 6]);

      const connecting = socket.connect(target);
      assert.equal(socket.state, "connecting");
      assert.deepEqual([socket.bytesRead, socket.bytesWritten, socket.unreadBytes, socket.unsentBytes], [0, 0, 0, 0]);
      assert.deepEqual([socket.pendingReads, socket.pendingWrites, socket.peerEnded], [0, 0, false]);
      assert.deepEqual(
        [socket.currentRead, socket.currentWrite, socket.closeReason],
        [undefined, undefined, undefined],
      );
      assert.equal(socket.unread.length, 0);
      assert.equal(await connecting, socket);
      assert.equal(socket.id, id);
      assert.equal(socket.delegate, delegate);
      assert.equal(socket.userData, userData);
      assert.equal(socket.allowHalfOpen, true);
      const other = await accepted();
      assert.notEqual(other, server);
      other.write("12345678");
      await failure(socket.readUntil("\n", { onFailure: "continue" }), "READ_LIMIT");
      assert.equal(String(await socket.readExactly(8)), "12345678");
      assert.deepEqual(delegate.names.filter((name) => name === "didConnect").length, 2);
    });

    it("decision 17: from didDisconnect on", async (t) => {
      const { socket: make, target, accepted } = await opened(t, kind);
      const socket = make();
      let round = 0;
      const reconnected = new Promise<AsyncSocket>((resolve, reject) => {
        socket.delegate = {
          didDisconnect(again) {
            if (++round === 1) again.connect(target).then(resolve, reject);
          },
        };
      });
      await socket.connect(target);
      const first = await accepted();
      first.disconnect();
      const reason = await socket.closed;
      assert.equal(reason.by, "remote");
      assert.equal(await reconnected, socket);
      assert.equal(socket.state, "open");
      const second = await accepted();
      second.write("hello\n");
      assert.equal(await socket.readLine(), "hello");
      assert.equal(round, 1);
    });

    it("decision 17: once `closed` is settled; before that it is BAD_STATE", async (t) => {
      const { socket: make, target, accepted, listen } = await opened(t, kind);
      const socket = make();
      await socket.connect(target);
      await accepted();
      socket.disconnect();
      throwsBadState(() => socket.connect(target), "connect");
      throwsBadState(() => socket.listen(listen), "listen");
      await socket.closed;
      await socket.connect(target);
      assert.equal(socket.state, "open");
      await accepted();
    });

    it("decision 17: after a connect that failed", async (t) => {
      const { socket: make, target, listener, accepted } = await opened(t, kind);
      const socket = make();
      const controller = new AbortController();
      const connecting = socket.connect({ ...target, signal: controller.signal });
      controller.abort();
      await failure(connecting, "CANCELED");
      await socket.closed;
      await socket.connect(target);
      // The first may have been accepted, too, and be closed by now.
      while ((await accepted()).state !== "open");
      assert.equal(listener.state, "listening");
    });

    it("decision 17: a request of the old connection does nothing to the new one", async (t) => {
      const { socket: make, target, accepted } = await opened(t, kind);
      const socket = make({ limits: { writeQueue: Infinity } });
      await socket.connect(target);
      const first = await accepted();
      const oldRead = socket.readExactly(5);
      const oldWrite = socket.write(pattern(muchFor(kind)));
      const oldClosed = socket.closed;
      const disconnecting = socket.disconnect();
      await Promise.all([oldClosed, failure(oldRead, "CLOSED"), failure(oldWrite, "CLOSED")]);
      const oldConnect = socket.connect(target);
      await oldConnect;
      const server = await accepted();
      const read = socket.readExactly(5);
      const write = socket.write("hello");
      for (const old of [oldRead, oldWrite, oldConnect, oldClosed, disconnecting]) {
        assert.equal(old.cancel(), false);
        assert.equal(old.extend(1), false);
      }
      await write;
      assert.equal(String(await server.readExactly(5)), "hello");
      server.write("world");
      assert.equal(String(await read), "world");
      assert.notEqual(socket.closed, oldClosed);
      assert.equal(socket.closed.state === "done", false);
      assert.equal(socket.closeReason, undefined);
      assert.equal(first.state === "listening", false);
    });

    it("decision 17: a signal of the old connection does nothing to the new one", async (t) => {
      const { socket: make, target, accepted } = await opened(t, kind);
      const socket = make();
      const controller = new AbortController();
      const { signal } = controller;
      await socket.connect({ ...target, signal });
      await accepted();
      const old = [socket.readExactly(5, { signal }), socket.write("x", { signal })];
      await settled();
      await socket.disconnect();
      await failure(old[0] as PromiseLike<unknown>, "CLOSED");
      await socket.connect(target);
      const server = await accepted();
      const read = socket.readExactly(5);
      controller.abort();
      await settled();
      assert.equal(read.state, "current");
      server.write("hello");
      assert.equal(String(await read), "hello");
    });

    it("decision 17: as a listener after a connection, and as a connection after a listener", async (t) => {
      const { socket: make, target, accepted, listener, listen } = await opened(t, kind);
      const socket = make();
      await socket.connect(target);
      await accepted();
      await socket.disconnect();
      await listener.disconnect();
      await listener.listen(listen);
      assert.equal(listener.state, "listening");
      await listener.disconnect();
      const pathOrPort = listen.path === undefined ? { ...listen, port: kind.isReal ? 0 : (listen.port ?? 0) } : listen;
      await socket.listen(pathOrPort);
      assert.equal(socket.state, "listening");
      assert.equal(socket.bytesRead, 0);
      const { local } = socket;
      assert.ok(local !== undefined);
      const place = local.family === "unix" ? { path: local.path } : { host: local.address, port: local.port };
      await listener.connect({ ...place, tls: target.tls });
      assert.equal(listener.state, "open");
      const { value: server } = await socket.connections().next();
      assert.ok(server !== undefined);
      server.write("turned round\n");
      assert.equal(await listener.readLine(), "turned round");
      await server.disconnect();
    });

    it("decision 17: a hundred times", async (t) => {
      const { socket: make, target, accepted } = await opened(t, kind);
      const recorder = new Recorder();
      const socket = make({ delegate: recorder });
      for (let i = 0; i < 100; i++) {
        await socket.connect(target);
        const server = await accepted();
        socket.write(`round ${i}\n`);
        assert.equal(await server.readLine(), `round ${i}`);
        await (i % 2 === 0 ? socket.disconnect() : socket.disconnectAfterWriting());
      }
      assert.equal(recorder.of("didConnect").length, 100);
      assert.equal(recorder.of("didDisconnect").length, 100);
    });
  });
});

describe("what the old connection left running", SAFETY, () => {
  it("decision 17: no old timer touches the new connection", async (t) => {
    const { transport, belongings, pass, clock } = timedNetwork(t);
    const accepting = { allowHalfOpen: true };
    const listener = belongings.add(await AsyncSocket.listen({ transport, port: 1, ...accepting }));
    const limits = { lingerMs: 500, idleMs: 100_000 };
    const socket = belongings.add(new AsyncSocket({ transport, limits }));
    await socket.connect({ port: 1, timeout: 300 });
    socket.read({ timeout: 400 });
    socket.write("x", { timeout: 400 });
    await settled();
    socket.disconnectAfterWriting();
    await settled();
    await socket.disconnect();
    await socket.connect({ port: 1 });
    const read = socket.readExactly(5, { timeout: 100_000 });
    await pass(99_000);
    assert.equal(read.state, "current");
    assert.equal(socket.state, "open");
    const servers = listener.connections();
    await servers.next();
    const { value: server } = await servers.next();
    server?.write("hello");
    assert.equal(String(await read), "hello");
    await Promise.all([socket.disconnect(), listener.disconnect(), server?.disconnect()]);
    await pass(1_000_000);
    assert.equal(clock.size, 0);
  });

  it("decision 17: an iterator of the old connection gives nothing of the new one", async (t) => {
    const { transport, belongings } = timedNetwork(t);
    const listener = belongings.add(await AsyncSocket.listen({ transport, port: 1 }));
    const servers = listener.connections();
    const socket = belongings.add(await AsyncSocket.connect({ transport, port: 1 }));
    const { value: first } = await servers.next();
    const lines = socket.lines();
    first?.write("one\n");
    assert.equal((await lines.next()).value, "one");
    await socket.disconnect();
    await socket.connect({ port: 1 });
    const { value: second } = await servers.next();
    second?.write("two\n");
    await arrived(socket, 4);
    const next = lines.next();
    await settled();
    assert.equal(socket.unreadBytes, 4, "the line of the new connection is not the old iterator's");
    const result = await next;
    assert.equal(result.done, true);
  });

  it("decision 17: a listener used again starts with no connections of its own", async (t) => {
    const { transport, belongings } = timedNetwork(t);
    const limits = { connections: 1 };
    const listener = belongings.add(await AsyncSocket.listen({ transport, port: 1, limits }));
    const one = belongings.add(await AsyncSocket.connect({ transport, port: 1 }));
    const { value: first } = await listener.connections().next();
    assert.ok(first !== undefined);
    belongings.add(first);
    await listener.disconnect();
    assert.equal(one.state, "open");
    await listener.listen({ port: 2 });
    const two = belongings.add(await AsyncSocket.connect({ transport, port: 2 }));
    const { value: second } = await listener.connections().next();
    assert.ok(second !== undefined);
    belongings.add(second);
    await settled();
    assert.equal(two.state, "open");
    const shutdown = listener.shutdown();
    await two.disconnect();
    assert.deepEqual(await shutdown, { finished: 1, forced: 0 });
    assert.equal(one.state, "open");
  });

  it("decision 17: what didDisconnect of the first life is told of is that life alone", async (t) => {
    const { transport, belongings } = timedNetwork(t);
    belongings.add(await AsyncSocket.listen({ transport, port: 1 }));
    const log: string[] = [];
    const socket = belongings.add(new AsyncSocket({ transport }));
    socket.delegate = {
      didConnect: () => void log.push("connect"),
      didFailRead: (_socket, _error, tag) => void log.push(`failed ${String(tag)}`),
      didDisconnect(again, reason) {
        log.push(`disconnect ${reason.by}`);
        assert.equal(again.closeReason, reason);
        if (log.length < 10) again.connect({ port: 1 });
        again.readExactly(1, { tag: "new" });
      },
    };
    await socket.connect({ port: 1 });
    socket.readExactly(1, { tag: "old" });
    socket.disconnect();
    await until(() => socket.state === "open" && log.length === 4, "the second connection");
    await settled();
    assert.deepEqual(log, ["connect", "failed old", "disconnect local", "connect"]);
    assert.equal(socket.currentRead?.tag, "new");
    socket.delegate = null;
  });
});
