import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { arrived, failure, pattern, readToEnd, Recorder, settled, until } from "../support/delegates.js";
import { allOf, codeOf, muchFor, opened, rawPair, throwsBadState, timedNetwork } from "../support/lifecycle-helpers.js";
import { connectedPair, overEveryTransport, SAFETY } from "../support/transports.js";

describe("closing gracefully", () => {
  overEveryTransport((kind) => {
    const big = muchFor(kind);

    it("decision 11: disconnectAfterWriting() with much queued: the peer gets every byte, then the FIN", async (t) => {
      const limits = { writeQueue: Infinity };
      const { client, server } = await connectedPair(t, kind, { limits }, { limits });
      const recorder = new Recorder();
      client.delegate = recorder;
      const bytes = pattern(big);
      const write = client.write(bytes, { tag: "big" });
      client.write("the last", { tag: "last" });
      const closing = client.disconnectAfterWriting();
      const came = await readToEnd(server);
      assert.equal(came.length, big + 8);
      assert.ok(came.subarray(0, big).equals(bytes));
      assert.equal(String(came.subarray(big)), "the last");
      await write;
      const reason = await closing;
      assert.deepEqual([reason.by, reason.error, reason.unsentBytes], ["local", null, 0]);
      assert.equal(reason.bytesWritten, big + 8);
      assert.deepEqual(recorder.tags("didWrite"), ["big", "last"]);
      const theirs = await server.closed;
      assert.deepEqual([theirs.by, theirs.error, theirs.bytesRead], ["remote", null, big + 8]);
      assert.equal(recorder.of("didDisconnect").length, 1);
      assert.equal(recorder.of("willDisconnect").length, 1);
    });

    it("decision 11: disconnectAfterWriting() closes though reads wait, and they fail with CLOSED", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const reads = [client.readExactly(5), client.readLine()];
      client.write("bye");
      const closing = client.disconnectAfterWriting();
      assert.equal(String(await server.readExactly(3)), "bye");
      for (const read of reads) await failure(read, "CLOSED");
      assert.equal((await closing).by, "local");
      assert.equal((await server.closed).by, "remote");
    });

    it("decision 11: reads queued before go on until the writes are out", async (t) => {
      const limits = { readAhead: 16, writeQueue: Infinity };
      const { client, server } = await connectedPair(t, kind, { limits }, { limits });
      const stuck = client.write(pattern(big));
      const line = client.readLine();
      const later = client.readLine();
      const closing = client.disconnectAfterWriting();
      server.write("one line\n");
      assert.equal(await line, "one line");
      assert.equal(stuck.state, "current");
      assert.equal(client.state, "open");
      const more = client.readExactly(4);
      server.write("second\nmore");
      assert.equal(await later, "second");
      assert.equal(String(await more), "more");
      await server.skip(big);
      await stuck;
      assert.equal((await closing).by, "local");
    });

    it("decision 11: disconnectAfterReading() closes when the queued reads are done", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const first = server.readExactly(3);
      const line = server.readLine();
      const closing = server.disconnectAfterReading();
      await settled();
      assert.equal(server.state, "open");
      client.write("abc");
      assert.equal(String(await first), "abc");
      await settled();
      assert.equal(server.state, "open");
      client.write("line\n");
      assert.equal(await line, "line");
      const reason = await closing;
      assert.deepEqual([reason.by, reason.error, reason.unread.length], ["local", null, 0]);
      assert.equal((await client.closed).by, "remote");
    });

    it("decision 11: disconnectAfterReading() loses no queued write", async (t) => {
      const limits = { writeQueue: Infinity };
      const { client, server } = await connectedPair(t, kind, { limits }, { limits });
      const bytes = pattern(big);
      const write = server.write(bytes);
      const closing = server.disconnectAfterReading();
      assert.ok((await readToEnd(client)).equals(bytes));
      await write;
      assert.equal((await closing).unsentBytes, 0);
    });

    it("decision 11: with no read queued disconnectAfterReading() closes at once, gracefully", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const reason = await server.disconnectAfterReading();
      assert.deepEqual([reason.by, reason.error], ["local", null]);
      assert.equal((await client.closed).by, "remote");
    });

    it("decision 11: writes may be queued until disconnectAfterReading() is through, then fail with CLOSED", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const line = server.readLine();
      const closing = server.disconnectAfterReading();
      await server.write("still\n");
      assert.equal(await client.readLine(), "still");
      client.write("go\n");
      await line;
      await until(() => server.state !== "open", "the close");
      await failure(server.write("too late"), "CLOSED");
      await closing;
    });

    const BOTH: readonly [string, (socket: AsyncSocket) => PromiseLike<unknown>][] = [
      ["disconnectAfterReadingAndWriting()", (socket) => socket.disconnectAfterReadingAndWriting()],
      [
        "disconnectAfterReading() and disconnectAfterWriting() add up, and",
        (socket) => {
          socket.disconnectAfterReading();
          return socket.disconnectAfterWriting();
        },
      ],
      [
        "disconnectAfterWriting() and disconnectAfterReading() add up, and",
        (socket) => {
          socket.disconnectAfterWriting();
          return socket.disconnectAfterReading();
        },
      ],
    ];
    for (const [name, close] of BOTH) {
      it(`decision 11: ${name} waits for both queues`, async (t) => {
        const limits = { readAhead: 16, writeQueue: Infinity };
        const { client, server } = await connectedPair(t, kind, { limits }, { limits });
        const stuck = client.write(pattern(big));
        const line = client.readLine();
        const closing = close(client);
        throwsBadState(() => client.read(), "read");
        throwsBadState(() => client.write("x"), "write");
        server.write("line\n");
        assert.equal(await line, "line");
        await settled();
        assert.equal(client.state, "open");
        assert.equal(stuck.state, "current");
        await server.skip(big);
        await stuck;
        await closing;
        assert.equal(client.state, "closed");
        assert.equal((await server.closed).by, "remote");
      });
    }

    it("decision 11: disconnectAfterReading() waits for a read though the writes are out", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const line = server.readLine();
      server.disconnectAfterReadingAndWriting();
      await settled();
      assert.equal(server.state, "open");
      client.write("x\n");
      await line;
      await server.closed;
    });

    it("decision 11: cancelling the last read meets the condition, too", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const line = server.readLine();
      const closing = server.disconnectAfterReading();
      await settled();
      assert.equal(line.cancel(), true);
      await failure(line, "CANCELED");
      assert.equal((await closing).by, "local");
      await client.closed;
    });

    it("decision 11: what still comes is read and dropped, and the peer can end in its time", async (t) => {
      const limits = { readAhead: 16, writeQueue: Infinity };
      const { client, server } = await connectedPair(t, kind, { limits }, { limits, allowHalfOpen: true });
      const closing = client.disconnectAfterWriting();
      await until(() => server.peerEnded, "the FIN");
      await server.write(pattern(big));
      assert.equal(client.state, "closing");
      server.end();
      const reason = await closing;
      assert.deepEqual([reason.by, reason.error], ["local", null]);
      assert.equal(reason.unread.length <= 16, true);
    });

    it("decision 11: bytes unread at the close are in the reason", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("unread");
      await arrived(server, 6);
      const reason = await server.disconnectAfterWriting();
      assert.deepEqual([reason.by, String(reason.unread)], ["local", "unread"]);
      assert.equal(String(server.unread), "unread");
    });

    for (const cut of ["disconnect", "reset"] as const) {
      it(`decision 11: ${cut}() cuts a graceful close short`, async (t) => {
        const { client, server } = await connectedPair(t, kind, {}, { allowHalfOpen: true });
        const closing = client.disconnectAfterWriting();
        await until(() => server.peerEnded, "the FIN");
        await settled();
        assert.equal(client.state, "closing");
        const reason = await client[cut]();
        assert.deepEqual([reason.by, reason.error], ["local", null]);
        assert.equal(await closing, reason);
      });

      it(`decision 11: ${cut}() cuts a close short that is still flushing`, async (t) => {
        const limits = { readAhead: 16, writeQueue: Infinity };
        const { client } = await connectedPair(t, kind, { limits }, { limits });
        const stuck = client.write(pattern(big));
        client.disconnectAfterWriting();
        await settled(50);
        const reason = await client[cut]();
        await failure(stuck, "CLOSED");
        assert.equal(reason.by, "local");
        assert.ok(reason.unsentBytes > 0);
      });
    }

    it("decision 11: graceful closes are idempotent and give the same reason, whoever asks", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      client.delegate = recorder;
      const requests = [
        client.disconnectAfterWriting(),
        client.disconnectAfterWriting(),
        client.disconnectAfterReading(),
        client.disconnectAfterReadingAndWriting(),
        client.closed,
      ];
      await client[Symbol.asyncDispose]();
      for (const request of requests) assert.equal(await request, client.closeReason);
      assert.equal(await client.disconnectAfterReading(), client.closeReason);
      assert.equal(recorder.of("didDisconnect").length, 1);
      await server.closed;
    });

    it("decision 11: await using closes gracefully, and loses nothing", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const bytes = pattern(big);
      const came = readToEnd(server);
      {
        await using socket = client;
        socket.write(bytes);
        socket.read().catch(() => undefined);
      }
      assert.equal(client.state, "closed");
      assert.deepEqual([client.closeReason?.by, client.closeReason?.error], ["local", null]);
      assert.ok((await came).equals(bytes));
    });

    it("decision 11: writes queued while idle, then disconnectAfterWriting(): connected, sent, closed", async (t) => {
      const { socket: make, target, accepted } = await opened(t, kind);
      const socket = make();
      const write = socket.write("early");
      const closing = socket.disconnectAfterWriting();
      throwsBadState(() => socket.write("x"), "write");
      assert.equal(socket.state, "idle");
      await socket.connect(target);
      const server = await accepted();
      assert.equal(String(await readToEnd(server)), "early");
      await write;
      assert.equal((await closing).by, "local");
      await server.closed;
    });
  });
});

describe("closing a socket that was never connected", SAFETY, () => {
  it("decision 11: with nothing queued is done at once", async () => {
    const socket = new AsyncSocket();
    const reason = await socket.disconnectAfterReadingAndWriting();
    assert.deepEqual([reason.by, reason.error, socket.state], ["local", null, "closed"]);
  });

  it("decision 11: on an idle socket, too, the condition counts from when it is met", async () => {
    const reading = new AsyncSocket();
    const read = reading.read();
    reading.disconnectAfterReading();
    const writing = new AsyncSocket();
    const write = writing.write("x");
    writing.disconnectAfterWriting();
    await settled();
    assert.deepEqual([reading.state, writing.state], ["idle", "idle"]);
    read.cancel();
    write.cancel();
    await settled();
    assert.deepEqual([reading.state, writing.state], ["closed", "closed"]);
  });

  it("decision 11: disconnect() fails what was queued with CLOSED", async () => {
    const socket = new AsyncSocket();
    const entries = [socket.read(), socket.write("abc"), socket.end()] as const;
    const reason = await socket.disconnect();
    for (const entry of entries) await failure(entry, "CLOSED");
    assert.deepEqual([reason.by, reason.unsentBytes], ["local", 3]);
  });
});

describe("lingering", SAFETY, () => {
  it("decision 11: a peer that never ends fails nothing: all is out, and lingerMs are over", async (t) => {
    const { socket, peer } = await rawPair(t, { limits: { lingerMs: 30 } });
    const recorder = new Recorder();
    socket.delegate = recorder;
    peer.resume();
    socket.write("bye");
    const reason = await socket.disconnectAfterWriting();
    assert.deepEqual([reason.by, reason.error], ["local", null]);
    assert.equal(socket.peerEnded, false);
    assert.equal(reason.unsentBytes, 0);
    assert.equal(reason.bytesWritten, 3);
    assert.equal(recorder.of("didDisconnect").length, 1);
  });

  it("decision 11: lingerMs runs from the FIN, by the clock", async (t) => {
    const { transport, belongings, pass } = timedNetwork(t, 1024);
    const accepting = { limits: { readAhead: 16 }, allowHalfOpen: true };
    const listener = belongings.add(await AsyncSocket.listen({ transport, port: 1, ...accepting }));
    const limits = { lingerMs: 1000 };
    const client = belongings.add(await AsyncSocket.connect({ transport, port: 1, limits }));
    const { value: server } = await listener.connections().next();
    assert.ok(server !== undefined);
    const write = client.write(pattern(4096));
    client.disconnectAfterWriting();
    for (let taken = 0; taken < 3072; taken += 256) {
      await pass(900);
      await server.skip(256);
    }
    await write;
    await server.skip(1024);
    await pass(999);
    assert.equal(client.state, "closing");
    await pass(1);
    assert.equal((await client.closed).by, "local");
    await server.disconnect();
  });

  it("decision 11: for dispose the deadline bounds the flush too, and shows as LINGER_TIMEOUT", async (t) => {
    const { transport, belongings, pass } = timedNetwork(t, 1024);
    const limits = { readAhead: 16, lingerMs: 1000 };
    belongings.add(await AsyncSocket.listen({ transport, port: 1, limits }));
    const client = belongings.add(await AsyncSocket.connect({ transport, port: 1, limits }));
    const write = client.write(pattern(40_000));
    const disposed = client[Symbol.asyncDispose]();
    await pass(999);
    assert.equal(write.state, "current");
    await pass(1);
    await disposed;
    const error = await failure(write, "CLOSED");
    assert.ok(error.bytesDone < 40_000);
    assert.equal(codeOf(await client.closed), "LINGER_TIMEOUT");
    assert.ok((client.closeReason?.unsentBytes ?? 0) > 0);
  });

  /** Who never reads, and how a close meets it. */
  const STUCK: Record<string, (client: AsyncSocket, server: AsyncSocket) => unknown> = {
    "disconnectAfterWriting()": (client) => client.disconnectAfterWriting(),
    "disconnectAfterReading()": (client) => client.disconnectAfterReading(),
    "disconnectAfterReadingAndWriting()": (client) => client.disconnectAfterReadingAndWriting(),
    "the peer's FIN": (_client, server) => server.end(),
    "a dispose": (client) => client[Symbol.asyncDispose](),
  };
  for (const [how, begin] of Object.entries(STUCK)) {
    it(`decision 11: a flush begun by ${how} ends when no byte got out for lingerMs`, async (t) => {
      const { transport, belongings, pass } = timedNetwork(t, 1024);
      const limits = { readAhead: 16, lingerMs: 1000 };
      const listener = belongings.add(await AsyncSocket.listen({ transport, port: 1, limits, allowHalfOpen: true }));
      const client = belongings.add(await AsyncSocket.connect({ transport, port: 1, limits }));
      const { value: server } = await listener.connections().next();
      assert.ok(server !== undefined);
      const write = client.write(pattern(40_000));
      begin(client, server);
      await pass(999);
      assert.equal(write.state, "current");
      // What is taken meanwhile gives it more time, but for the dispose, which bounds all of it.
      if (how !== "a dispose") {
        await server.skip(100);
        await pass(999);
        assert.equal(write.state, "current");
        await pass(300);
      }
      await pass(1);
      const error = await failure(write, "CLOSED");
      const reason = await client.closed;
      assert.equal(codeOf(reason), "LINGER_TIMEOUT");
      assert.equal(reason.unsentBytes + reason.bytesWritten, 40_000);
      assert.equal(error.bytesDone, reason.bytesWritten);
      // By a RST: the kernel would keep the rest.
      assert.equal(codeOf(await server.closed), "CONNECTION_LOST");
    });
  }

  it("decision 11: a half-open socket whose FIN waits behind a stuck write ends after lingerMs, too", async (t) => {
    const { transport, belongings, pass } = timedNetwork(t, 1024);
    const limits = { readAhead: 16, lingerMs: 1000 };
    const listener = belongings.add(await AsyncSocket.listen({ transport, port: 1, limits, allowHalfOpen: true }));
    const client = belongings.add(await AsyncSocket.connect({ transport, port: 1, limits, allowHalfOpen: true }));
    const { value: server } = await listener.connections().next();
    client.write(pattern(40_000));
    server?.end();
    await pass(5000);
    assert.equal(client.state, "open");
    client.end();
    await pass(999);
    assert.equal(client.state, "open");
    await pass(1);
    assert.equal(codeOf(await client.closed), "LINGER_TIMEOUT");
  });

  it("decision 11: a close while a name is looked up for ever lasts lingerMs, or as long as the connect may", async (t) => {
    const { transport, belongings, pass } = timedNetwork(t);
    const lookup = (): void => undefined;
    const limits = { lingerMs: 1000 };
    const target = { host: "hangs.test", port: 1, lookup };
    const bounded = belongings.add(new AsyncSocket({ transport, limits }));
    const connects = [bounded.connect({ ...target, timeout: 3000 })];
    bounded.write("x");
    const unbounded = belongings.add(new AsyncSocket({ transport, limits }));
    connects.push(unbounded.connect(target));
    unbounded.write("x");
    for (const socket of [bounded, unbounded]) socket.disconnectAfterWriting();
    await pass(999);
    assert.equal(unbounded.state, "connecting");
    await pass(1);
    assert.equal(codeOf(await unbounded.closed), "LINGER_TIMEOUT");
    assert.equal(bounded.state, "connecting");
    await pass(2000);
    assert.equal(codeOf(await bounded.closed), "CONNECT_TIMEOUT");
    for (const connect of connects) await failure(connect);
  });

  it("decision 11: lingerMs of Infinity waits for ever", async (t) => {
    const { transport, belongings, pass } = timedNetwork(t);
    const listener = belongings.add(await AsyncSocket.listen({ transport, port: 1, allowHalfOpen: true }));
    const limits = { lingerMs: Infinity };
    const client = belongings.add(await AsyncSocket.connect({ transport, port: 1, limits }));
    const { value: server } = await listener.connections().next();
    client.disconnectAfterWriting();
    await pass(2 ** 40);
    assert.equal(client.state, "closing");
    server?.end();
    assert.equal((await client.closed).by, "local");
  });

  it("decision 11: lingerMs of 0 waits no longer than the FIN", async (t) => {
    const { socket, peer } = await rawPair(t, { limits: { lingerMs: 0 } });
    socket.write("all of it");
    const came = allOf(peer);
    const reason = await socket.disconnectAfterWriting();
    assert.equal(String(await came), "all of it");
    assert.equal(reason.unsentBytes, 0);
    assert.equal(reason.by, "local");
  });

  it("decision 11: a peer that sends for ever meanwhile is bounded by lingerMs, and its bytes are dropped", async (t) => {
    const { socket, peer } = await rawPair(t, { limits: { lingerMs: 30 } });
    const chunk = Buffer.alloc(65_536, 1);
    const feed = (): void => {
      while (!peer.destroyed && peer.write(chunk));
    };
    peer.on("drain", feed);
    const closing = socket.disconnectAfterWriting();
    feed();
    const reason = await closing;
    assert.deepEqual([reason.by, reason.error], ["local", null]);
    assert.ok(reason.unread.length <= 65_536, `${reason.unread.length} unread`);
  });

  it("decision 11: a peer that resets while we linger ends the close", async (t) => {
    const { socket, peer } = await rawPair(t);
    const closing = socket.disconnectAfterWriting();
    await allOf(peer);
    peer.resetAndDestroy();
    const reason = await closing;
    assert.equal(reason.unsentBytes, 0);
    assert.equal(socket.state, "closed");
  });

  it("decision 9: a peer that ends first is closed with the queued writes finished", async (t) => {
    const { socket, peer } = await rawPair(t, { limits: { writeQueue: Infinity } });
    const bytes = pattern(8_000_000);
    const write = socket.write(bytes);
    await settled();
    peer.end();
    await until(() => socket.peerEnded, "the FIN");
    await settled();
    assert.ok((await allOf(peer)).equals(bytes));
    await write;
    const reason = await socket.closed;
    assert.deepEqual([reason.by, reason.error, reason.unsentBytes], ["remote", null, 0]);
  });
});
