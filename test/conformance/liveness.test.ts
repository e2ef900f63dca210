import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { arrived, failure, pattern, Recorder, settled, until } from "../support/delegates.js";
import { codeOf, errnoOf, rawPair, timedNetwork } from "../support/lifecycle-helpers.js";
import { connectedPair, overEveryTransport, SAFETY } from "../support/transports.js";

describe("a peer that goes away", () => {
  overEveryTransport((kind) => {
    it("decision 10: is noticed by its FIN with no read queued", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      server.delegate = recorder;
      client.disconnect();
      const reason = await server.closed;
      assert.deepEqual([reason.by, reason.error], ["remote", null]);
      assert.deepEqual(recorder.names, ["didEndReading", "willDisconnect", "didDisconnect"]);
    });

    it("decision 10: is noticed by its FIN after some reads, with bytes unread below readAhead", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("line\nunread");
      assert.equal(await server.readLine(), "line");
      client.end();
      await until(() => server.peerEnded, "the FIN");
      assert.equal(server.state, "open");
      assert.equal(String(server.unread), "unread");
    });

    if (kind.hasReset) {
      it("decision 10: is noticed by its RST with no read queued", async (t) => {
        const { client, server } = await connectedPair(t, kind);
        client.reset();
        const reason = await server.closed;
        assert.equal(codeOf(reason), "CONNECTION_LOST");
        assert.equal(errnoOf(reason.error), "ECONNRESET");
      });

      it("decision 10: is noticed by its RST with bytes unread below readAhead, which are not lost", async (t) => {
        const { client, server } = await connectedPair(t, kind);
        client.write("unread");
        await arrived(server, 6);
        await settled();
        client.reset();
        const reason = await server.closed;
        assert.equal(codeOf(reason), "CONNECTION_LOST");
        assert.equal(String(reason.unread), "unread");
      });

      it("decision 10: is noticed by its RST by a socket that allows half-open connections", async (t) => {
        const { client, server } = await connectedPair(t, kind, {}, { allowHalfOpen: true });
        client.end();
        await until(() => server.peerEnded, "the FIN");
        assert.equal(server.state, "open");
        client.reset();
        if (kind.isReal) {
          // What the peer's kernel says to these writes is all there is to notice it by.
          await until(() => {
            if (server.state === "open") server.write("x").catch(() => undefined);
            return server.state !== "open";
          }, "the loss");
        }
        assert.equal(codeOf(await server.closed), "CONNECTION_LOST");
      });
    }
  });

  it("decision 10: is noticed by a listener's sockets that nobody reads from", SAFETY, async (t) => {
    const { socket, peer } = await rawPair(t);
    peer.destroy();
    assert.equal((await socket.closed).by, "remote");
  });
});

describe("limits.idleMs", SAFETY, () => {
  it("closes a connection with IDLE_TIMEOUT on which no byte goes either way", async (t) => {
    const { socket } = await rawPair(t, { limits: { idleMs: 30 } });
    const recorder = new Recorder();
    socket.delegate = recorder;
    const read = socket.read({ tag: "waiting" });
    const reason = await socket.closed;
    assert.equal(reason.by, "error");
    assert.equal(codeOf(reason), "IDLE_TIMEOUT");
    assert.match(reason.error.message, /30/);
    const error = await failure(read, "CLOSED");
    assert.equal(error.cause, reason.error);
    assert.deepEqual(recorder.tags("didFailRead"), ["waiting"]);
  });

  it("counts from the last byte of either direction, by the clock", async (t) => {
    const { transport, belongings, pass } = timedNetwork(t);
    const listener = belongings.add(await AsyncSocket.listen({ transport, port: 1 }));
    const limits = { idleMs: 1000 };
    const client = belongings.add(await AsyncSocket.connect({ transport, port: 1, limits }));
    const { value: server } = await listener.connections().next();
    assert.ok(server !== undefined);
    belongings.add(server);
    await pass(999);
    server.write("x");
    await pass(999);
    assert.equal(client.state, "open");
    client.write("y");
    await pass(999);
    assert.equal(client.state, "open");
    client.readExactly(1);
    await pass(1);
    assert.equal(codeOf(await client.closed), "IDLE_TIMEOUT");
  });

  it("is inherited by accepted sockets, and is none by default", async (t) => {
    const { transport, belongings, pass } = timedNetwork(t);
    const limits = { idleMs: 1000 };
    const listener = belongings.add(await AsyncSocket.listen({ transport, port: 1, limits }));
    const client = belongings.add(await AsyncSocket.connect({ transport, port: 1 }));
    const { value: server } = await listener.connections().next();
    assert.ok(server !== undefined);
    belongings.add(server);
    await pass(1000);
    assert.equal(codeOf(await server.closed), "IDLE_TIMEOUT");
    await client.closed;
    assert.equal(listener.state, "listening");
    const calm = belongings.add(await AsyncSocket.listen({ transport, port: 2 }));
    const other = belongings.add(await AsyncSocket.connect({ transport, port: 2 }));
    await pass(2 ** 40);
    assert.equal(other.state, "open");
    await calm.disconnect();
  });
});

describe("timers", SAFETY, () => {
  it("decision 18: a timeout on each of 10 000 reads, and on 1000 sockets, is a handful", async (t) => {
    const { transport, belongings, clock, pass } = timedNetwork(t);
    belongings.add(
      await AsyncSocket.listen({ transport, port: 1, delegate: { didAccept: (_l, s) => void belongings.add(s) } }),
    );
    const sockets: AsyncSocket[] = [];
    for (let i = 0; i < 1000; i++) sockets.push(belongings.add(new AsyncSocket({ transport })));
    await Promise.all(sockets.map((socket) => socket.connect({ port: 1, timeout: 60_000 })));
    const reads = sockets.flatMap((socket, i) =>
      Array.from({ length: 10 }, (_, k) => socket.read({ timeout: 1000 + i + k, onFailure: "continue" })),
    );
    await settled();
    assert.ok(clock.size <= 4, `${clock.size} timers`);
    await pass(1000);
    assert.equal(reads[0]?.state, "failed");
    assert.equal(reads.filter((read) => read.state === "failed").length, 1);
    assert.ok(clock.size <= 4, `${clock.size} timers`);
    await Promise.all(sockets.map((socket) => socket.disconnect()));
    await settled();
    assert.equal(clock.size <= 1, true, `${clock.size} timers left`);
  });
});

describe("memory, over real sockets", SAFETY, () => {
  const MIB = 1024 * 1024;

  it("decision 8: a peer that sends for ever to a socket that does not read is pushed back", async (t) => {
    const { socket, peer } = await rawPair(t);
    const chunk = Buffer.alloc(64 * 1024, 7);
    const TOTAL = 256 * MIB;
    let given = 0;
    const feed = (): void => {
      while (given < TOTAL && !peer.destroyed) {
        given += chunk.length;
        if (!peer.write(chunk)) return;
      }
    };
    peer.on("drain", feed);
    feed();
    await arrived(socket, 64 * 1024);
    for (let calm = 0, last = -1; calm < 200; last = given) {
      await settled(1);
      calm = given === last ? calm + 1 : 0;
    }
    assert.ok(given < TOTAL, "the peer got rid of everything");
    assert.ok(socket.unreadBytes <= 64 * 1024 + 256 * 1024, `${socket.unreadBytes} unread`);
    assert.equal(socket.bytesRead, socket.unreadBytes);
    const before = given;
    await socket.skip(32 * MIB);
    await until(() => given > before, "the peer going on");
    assert.equal(socket.state, "open");
  });

  for (const readAhead of [1, 1000, 65_536, 300_000]) {
    it(`decision 8: with readAhead ${readAhead}, no more than that and a chunk is unread`, async (t) => {
      const { socket, peer } = await rawPair(t, { limits: { readAhead } });
      const bytes = pattern(2_000_000);
      peer.write(bytes);
      await arrived(socket, 1);
      await settled(100);
      assert.ok(socket.unreadBytes <= readAhead + 65_536, `${socket.unreadBytes} unread`);
      assert.ok((await socket.readExactly(2_000_000)).equals(bytes));
    });
  }

  it("decision 6: writing to a peer that never reads ends at limits.writeQueue", async (t) => {
    const { socket } = await rawPair(t, { limits: { writeQueue: MIB } });
    const chunk = Buffer.alloc(16 * 1024);
    let accepted = 0;
    const failures: PromiseLike<unknown>[] = [];
    while (socket.closeReason === undefined) {
      failures.push(socket.write(chunk));
      accepted++;
      assert.ok(socket.unsentBytes <= MIB);
      if (accepted % 16 === 0) await settled(1);
      assert.ok(accepted < 10_000, "the queue has no bound");
    }
    const reason = await socket.closed;
    assert.equal(codeOf(reason), "QUEUE_FULL");
    assert.ok(reason.unsentBytes <= MIB);
    assert.equal(reason.error?.operation, "write");
    await failure(failures.at(-1) as PromiseLike<unknown>, "QUEUE_FULL");
  });

  it("decision 6: small writes count their bookkeeping", async (t) => {
    const { socket } = await rawPair(t, { limits: { writeQueue: 64 * 1024 } });
    let count = 0;
    while (socket.state === "open" && count < 64 * 1024) {
      socket.write("x");
      count++;
    }
    assert.ok(count < 16 * 1024, `${count} one-byte writes fitted in a queue of 64 KiB`);
    assert.equal(codeOf(await socket.closed), "QUEUE_FULL");
  });
});
