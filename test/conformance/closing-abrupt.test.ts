import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AsyncSocket, type CloseReason } from "asyncsocket";
import { arrived, failure, pattern, Recorder, settled, shortCode, until } from "../support/delegates.js";
import { codeOf, errnoOf, muchFor, rawPair } from "../support/lifecycle-helpers.js";
import { connectedPair, overEveryTransport, SAFETY } from "../support/transports.js";

const CLOSES = ["disconnect", "reset"] as const;

describe("closing at once", () => {
  overEveryTransport((kind) => {
    for (const close of CLOSES) {
      it(`decision 11: ${close}() fails every queued read and write with CLOSED`, async (t) => {
        const { client, server } = await connectedPair(t, kind);
        const recorder = new Recorder();
        server.delegate = recorder;
        const entries = [server.readExactly(10, { tag: 1 }), server.readLine({ tag: 2 }), server.read({ tag: 3 })];
        client.write("abc");
        await arrived(server, 3);
        const closing = server[close]();
        const write = server.write("never", { tag: 4 });
        assert.equal(server.state, "closing");
        const [first] = await Promise.all(entries.map((entry) => failure(entry, "CLOSED")));
        await failure(write, "CLOSED");
        const reason = await closing;
        assert.equal(first?.bytesDone, 3);
        assert.equal(String(first.partial), "abc");
        assert.equal(reason.by, "local");
        assert.equal(reason.error, null);
        assert.equal(String(reason.unread), "abc");
        assert.deepEqual(recorder.tags("didFailRead"), [1, 2, 3]);
        assert.deepEqual(recorder.tags("didFailWrite"), [4]);
        assert.equal(recorder.of("willDisconnect").length, 1);
        assert.equal(recorder.of("didDisconnect").length, 1);
        assert.equal(server.state, "closed");
        await client.closed;
      });

      it(`decision 11: ${close}() drops what is not sent, and tells how much`, async (t) => {
        const limits = { readAhead: 16, writeQueue: Infinity };
        const { client } = await connectedPair(t, kind, { limits }, { limits });
        const total = muchFor(kind);
        const stuck = client.write(pattern(total), { tag: "stuck" });
        const behind = client.write("behind");
        await settled(50);
        assert.equal(client.unsentBytes > 0, true);
        const reason = await client[close]();
        const error = await failure(stuck, "CLOSED");
        assert.equal(error.tag, "stuck");
        assert.ok(error.bytesDone < total);
        assert.equal((await failure(behind, "CLOSED")).bytesDone, 0);
        assert.equal(reason.bytesWritten + reason.unsentBytes, total + 6);
        assert.equal(client.unsentBytes, reason.unsentBytes);
      });

      it(`decision 11: ${close}() is idempotent, and never throws, in every state`, async (t) => {
        const { client, server, listener } = await connectedPair(t, kind);
        const idle = new AsyncSocket();
        for (const socket of [idle, client, server, listener]) {
          const requests = [socket[close](), socket[close](), socket.disconnect(), socket.reset()];
          const reasons: CloseReason[] = await Promise.all(requests);
          for (const reason of reasons) assert.equal(reason, socket.closeReason);
          assert.equal(await socket[close](), socket.closeReason);
          assert.equal(socket.state, "closed");
        }
      });
    }

    it("decision 11: what was written before disconnect() and is sent arrives", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      await client.write("last words");
      client.disconnect();
      assert.equal(String(await server.readExactly(10)), "last words");
      const reason = await server.closed;
      assert.equal(reason.by, "remote");
      assert.equal(reason.error, null);
    });

    if (kind.hasReset) {
      it("decision 11: the peer of a reset() sees CONNECTION_LOST, with ECONNRESET in the cause", async (t) => {
        const { client, server } = await connectedPair(t, kind);
        const recorder = new Recorder();
        server.delegate = recorder;
        const read = server.readExactly(10, { tag: "read" });
        const second = server.readLine();
        client.write("abc");
        await arrived(server, 3);
        client.reset();
        const error = await failure(read, "CONNECTION_LOST");
        await failure(second, "CONNECTION_LOST");
        assert.equal(error.tag, "read");
        assert.equal(String(error.partial), "abc");
        const reason = await server.closed;
        assert.equal(reason.by, "error");
        assert.equal(codeOf(reason), "CONNECTION_LOST");
        assert.equal(errnoOf(reason.error), "ECONNRESET");
        assert.match(reason.error.message, /reset/);
        assert.equal(String(reason.unread), "abc");
        assert.equal(recorder.of("didDisconnect").length, 1);
        assert.equal(recorder.names.includes("didEndReading"), false);
      });

      it("decision 11: the peer of a disconnect() that leaves bytes unread sees CONNECTION_LOST", async (t) => {
        const { client, server } = await connectedPair(t, kind, {}, { limits: { readAhead: 16 } });
        client.write(pattern(40));
        await arrived(server, 16);
        await settled();
        server.disconnect();
        const reason = await client.closed;
        assert.ok(reason.by === "error" || reason.by === "remote");
      });
    }

    it("decision 2: willDisconnect sees the unread bytes and the reason, didDisconnect the same reason", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const seen: unknown[] = [];
      server.delegate = {
        willDisconnect(socket, reason) {
          seen.push(socket.state, String(socket.unread), socket.unreadBytes, reason, socket.closeReason);
        },
        didDisconnect: (socket, reason) => void seen.push(socket.state, reason),
      };
      client.write("unread");
      await arrived(server, 6);
      const reason = await server.disconnect();
      assert.deepEqual(seen.slice(0, 3), ["closing", "unread", 6]);
      assert.equal(seen[3], reason);
      assert.equal(seen[4], reason);
      assert.deepEqual(seen.slice(5), ["closed", reason]);
    });

    it("every property can be read after the close, addresses too", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const { local, remote, id } = server;
      assert.notEqual(local, undefined);
      assert.notEqual(remote, undefined);
      const sent = client.write("abc");
      await arrived(server, 3);
      await sent;
      await server.write("12345");
      await server.disconnect();
      assert.equal(server.state, "closed");
      assert.deepEqual(server.local, local);
      assert.deepEqual(server.remote, remote);
      assert.equal(server.id, id);
      assert.equal(server.bytesRead, 3);
      assert.equal(server.bytesWritten, 5);
      assert.equal(server.unreadBytes, 3);
      assert.equal(String(server.unread), "abc");
      assert.equal(server.unsentBytes, 0);
      assert.equal(server.pendingReads, 0);
      assert.equal(server.pendingWrites, 0);
      assert.equal(server.currentRead, undefined);
      assert.equal(server.currentWrite, undefined);
      assert.equal(server.isSecure, kind.isSecure);
      assert.equal(server.closeReason, await server.closed);
      assert.equal(server.closeReason.bytesRead, 3);
      assert.equal(server.closeReason.bytesWritten, 5);
    });

    it("decision 12: entries on a closing and on a closed socket fail with CLOSED, and tell the delegate", async (t) => {
      const { server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      server.delegate = recorder;
      server.disconnect();
      await failure(server.read({ tag: 1 }), "CLOSED");
      await failure(server.write("x", { tag: 2 }), "CLOSED");
      await server.closed;
      for (const request of [server.read(), server.readExactly(0), server.write("x"), server.write(""), server.end()]) {
        const error = await failure(request, "CLOSED");
        assert.equal(error.operation, request.kind);
        assert.equal(request.state, "failed");
        assert.equal(request.cancel(), false);
      }
      assert.deepEqual(recorder.tags("didFailRead").slice(0, 1), [1]);
      assert.deepEqual(recorder.tags("didFailWrite").slice(0, 1), [2]);
    });

    it("an aborted signal of an entry on a closed socket makes no difference", async (t) => {
      const { server } = await connectedPair(t, kind);
      await server.disconnect();
      assert.match(shortCode(await failure(server.read({ signal: AbortSignal.abort() }))), /^(CLOSED|CANCELED)$/);
    });
  });
});

describe("a connection that is lost", SAFETY, () => {
  it("fails queued writes once each, with CONNECTION_LOST and what was done of them", async (t) => {
    const { socket, peer } = await rawPair(t, { limits: { writeQueue: Infinity } });
    const recorder = new Recorder();
    socket.delegate = recorder;
    const writes = [0, 1, 2].map((tag) => socket.write(pattern(12_000_000, tag), { tag }));
    await settled(20);
    peer.resetAndDestroy();
    const errors = await Promise.all(writes.map((write) => failure(write, "CONNECTION_LOST")));
    assert.deepEqual(
      errors.map((error) => error.tag),
      [0, 1, 2],
    );
    const reason = await socket.closed;
    assert.equal(reason.by, "error");
    assert.equal(reason.bytesWritten + reason.unsentBytes, 36_000_000);
    assert.equal(recorder.of("didFailWrite").length + recorder.of("didWrite").length, 3);
    assert.equal(recorder.of("didDisconnect").length, 1);
  });

  it("is noticed by the first write after the peer has gone, and later entries fail with CLOSED", async (t) => {
    const { socket, peer } = await rawPair(t, { allowHalfOpen: true });
    peer.destroy();
    await until(() => socket.peerEnded, "the FIN");
    socket.write("into the void");
    await until(() => {
      if (socket.state === "open") socket.write("again");
      return socket.state !== "open";
    }, "the loss");
    const reason = await socket.closed;
    assert.equal(reason.by, "error");
    assert.equal(codeOf(reason), "CONNECTION_LOST");
    await failure(socket.write("x"), "CLOSED");
  });
});
