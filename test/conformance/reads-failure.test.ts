import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AsyncSocket, SocketRequest } from "asyncsocket";
import { arrived, failure, Recorder } from "../support/delegates.js";
import { connectedPair, overEveryTransport } from "../support/transports.js";

const alone = { onFailure: "continue" } as const;

/** Each fails at once over "abcdef\n", alone. */
const FAILING: Record<string, (socket: AsyncSocket) => SocketRequest<unknown>> = {
  "by its limit": (socket) => socket.readUntil("\n", { ...alone, maxLength: 3 }),
  "by its timeout": (socket) => socket.readExactly(100, { ...alone, timeout: 20 }),
  "by a timeout of 0": (socket) => socket.readExactly(100, { ...alone, timeout: 0 }),
};

describe("onFailure continue", () => {
  overEveryTransport((kind) => {
    for (const [how, fail] of Object.entries(FAILING)) {
      it(`decision 4: a read that fails ${how} takes no byte, and the next is served`, async (t) => {
        const { client, server } = await connectedPair(t, kind);
        client.write("abcdef\n");
        await arrived(server, 7);
        const failing = fail(server);
        const next = server.readLine();
        await failure(failing);
        assert.equal(await next, "abcdef");
        assert.equal(server.state, "open");
      });

      it(`decision 4: awaiting code can cancelReads() before the next read starts, when one fails ${how}`, async (t) => {
        const { client, server } = await connectedPair(t, kind);
        client.write("abcdef\n");
        await arrived(server, 7);
        const failing = fail(server);
        const next = server.readLine();
        const after = server.readExactly(1);
        await failure(failing);
        assert.equal(next.state, "queued");
        assert.equal(server.cancelReads(), 2);
        const skip = server.skip(3);
        const anew = server.readUntil("\n");
        await failure(next, "CANCELED");
        await failure(after, "CANCELED");
        await skip;
        assert.equal(String(await anew), "def\n");
      });

      it(`decision 4: the delegate can cancelReads() before the next read starts, when one fails ${how}`, async (t) => {
        const { client, server } = await connectedPair(t, kind);
        client.write("abcdef\n");
        await arrived(server, 7);
        const got: [string, unknown][] = [];
        server.delegate = {
          didFailRead(socket, error, tag) {
            if (error.code === "ERR_ASYNCSOCKET_CANCELED") return;
            assert.equal(tag, undefined);
            assert.equal(socket.cancelReads(), 1);
            socket.skip(6, { tag: "skip" });
            socket.readUntil("\n", { tag: "anew" });
          },
          didRead: (_socket, data, tag) => void got.push([data.toString(), tag]),
        };
        fail(server);
        const next = server.readLine({ tag: "next" });
        await failure(next, "CANCELED");
        client.write("more");
        assert.equal(String(await server.readExactly(4, { tag: "more" })), "more");
        assert.deepEqual(got, [
          ["", "skip"],
          ["\n", "anew"],
          ["more", "more"],
        ]);
      });
    }

    it("decision 4: the next entry starts in a later turn, after all code that awaited the failure", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("abcdef\n");
      await arrived(server, 7);
      const log: string[] = [];
      server.delegate = {
        didFailRead() {
          process.nextTick(() => log.push("next tick"));
        },
        didReadText: () => void log.push("next read"),
      };
      const awaiting = async (request: SocketRequest<string>): Promise<void> => {
        await failure(request, "READ_LIMIT");
        for (let i = 0; i < 20; i++) await Promise.resolve();
        log.push("awaiting code");
      };
      const waiting = awaiting(server.readLine({ ...alone, maxLength: 2 }));
      await server.readLine();
      await waiting;
      assert.deepEqual(log.slice(0, 2).sort(), ["awaiting code", "next tick"]);
      assert.deepEqual(log.slice(2), ["next read"]);
    });

    it("decision 4: several in a row fail one after the other, and the connection goes on", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      server.delegate = recorder;
      client.write("abcdef\n");
      const failing = [1, 2, 3, 4].map((maxLength) => server.readLine({ ...alone, maxLength, tag: maxLength }));
      const line = server.readLine({ tag: "line" });
      for (const [i, request] of failing.entries()) {
        const error = await failure(request, "READ_LIMIT");
        assert.equal(error.bytesDone, i + 1);
      }
      assert.equal(await line, "abcdef");
      assert.deepEqual(recorder.calls, [
        ["didFailRead", "READ_LIMIT", 1],
        ["didFailRead", "READ_LIMIT", 2],
        ["didFailRead", "READ_LIMIT", 3],
        ["didFailRead", "READ_LIMIT", 4],
        ["didReadText", "abcdef", "line"],
      ]);
    });

    it("decision 4: writes go on meanwhile", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      server.delegate = { didFailRead: (socket) => void socket.write("sorry\n") };
      client.write("too long a line\n");
      server.readLine({ ...alone, maxLength: 5 });
      assert.equal(await client.readLine(), "sorry");
    });

    it("decision 4: it does not keep a lost or closed connection open", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const request = server.readLine(alone);
      server.disconnect();
      await failure(request, "CLOSED");
      assert.equal((await server.closed).by, "local");
      await client.closed;
    });
  });
});

describe("a read that closes the connection", () => {
  overEveryTransport((kind) => {
    it("decision 4: leaves its bytes in the reason's unread", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("abcdef");
      await arrived(server, 6);
      const error = await failure(server.readExactly(7, { timeout: 20, onFailure: "disconnect" }), "READ_TIMEOUT");
      const reason = await server.closed;
      assert.equal(reason.by, "error");
      assert.equal(reason.error, error);
      assert.equal(reason.unread.toString(), "abcdef");
      assert.equal(server.unread.toString(), "abcdef");
      assert.equal(server.closeReason?.error, error);
    });

    it("decision 4: takes waiting writes with it, which fail with CLOSED", async (t) => {
      const limits = { readAhead: 16, writeQueue: Infinity };
      const { server } = await connectedPair(t, kind, { limits }, { limits });
      const total = kind.isReal ? 24_000_000 : 200_000;
      const write = server.write(Buffer.alloc(total), { tag: "big" });
      const behind = server.write("behind");
      const error = await failure(server.read({ timeout: 20 }), "READ_TIMEOUT");
      const closed = await failure(write, "CLOSED");
      assert.ok(closed.bytesDone < total);
      await failure(behind, "CLOSED");
      const reason = await server.closed;
      assert.equal(reason.error, error);
      assert.equal(reason.unsentBytes, total + 6 - reason.bytesWritten);
    });
  });
});
