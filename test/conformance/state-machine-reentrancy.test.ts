import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AsyncSocket, AsyncSocketDelegate } from "asyncsocket";
import { arrived, failure, settled, until } from "../support/delegates.js";
import { opened } from "../support/lifecycle-helpers.js";
import { connectedPair, overEveryTransport } from "../support/transports.js";

/** What can be called on any socket, from anywhere. */
const CALLS: Record<string, (socket: AsyncSocket) => unknown> = {
  "read()": (socket) => socket.read(),
  "readExactly(0)": (socket) => socket.readExactly(0),
  "write()": (socket) => socket.write("x"),
  "cancelReads()": (socket) => socket.cancelReads(),
  "end()": (socket) => socket.end(),
  "disconnect()": (socket) => socket.disconnect(),
  "reset()": (socket) => socket.reset(),
  "disconnectAfterReading()": (socket) => socket.disconnectAfterReading(),
  "disconnectAfterWriting()": (socket) => socket.disconnectAfterWriting(),
  "dispose()": (socket) => socket[Symbol.asyncDispose](),
  "currentRead.cancel()": (socket) => socket.currentRead?.cancel(),
  "delegate = null": (socket) => (socket.delegate = null),
};

const METHODS = [
  "didRead",
  "didReadText",
  "didReadPartial",
  "didWrite",
  "didFailRead",
  "didFailWrite",
  "didEndReading",
  "willDisconnect",
  "didDisconnect",
] as const;

type Method = (typeof METHODS)[number];

/** Has one call made, once, from inside one of the delegate's methods, and counts every method. */
function meddler(
  method: Method,
  call: (socket: AsyncSocket) => unknown,
): { delegate: AsyncSocketDelegate; told: Method[] } {
  const told: Method[] = [];
  let isInside = false;
  let hasCalled = false;
  const delegate: Record<string, (socket: AsyncSocket) => void> = {};
  for (const name of METHODS) {
    delegate[name] = (socket) => {
      assert.equal(isInside, false, `${name} told from inside ${method}`);
      told.push(name);
      if (name !== method || hasCalled) return;
      hasCalled = true;
      isInside = true;
      try {
        const result = call(socket);
        if (result instanceof Promise) result.catch(() => undefined);
      } finally {
        isInside = false;
      }
    };
  }
  return { delegate, told };
}

describe("calls from inside callbacks", () => {
  overEveryTransport((kind) => {
    for (const [name, call] of Object.entries(CALLS)) {
      it(`decision 13: ${name} from inside every callback: nothing nests, everything ends once`, async (t) => {
        const { connect, accepted, belongings, listener } = await opened(t, kind);
        for (const method of METHODS) {
          const client = belongings.add(await connect());
          const server = await accepted();
          const { delegate, told } = meddler(method, call);
          server.delegate = delegate;
          const requests = [
            server.readExactly(2),
            server.readLine(),
            server.write("hello"),
            server.write("world"),
            server.readExactly(100),
            server.readExactly(1),
          ];
          const canceled = server.write("taken back");
          canceled.cancel();
          client.write("ab");
          client.write("line\n");
          client.write("rest");
          client.end();
          await until(
            () => requests.every(({ state }) => state !== "queued" && state !== "current"),
            `${method} to end`,
          );
          // What the meddling queued may go on, and a graceful close may wait for a peer that reads nothing.
          await settled();
          client.disconnect();
          server.disconnect();
          await Promise.all([client.closed, server.closed]);
          assert.ok(told.filter((one) => one === "willDisconnect").length <= 1);
          if (name !== "delegate = null") assert.equal(told.filter((one) => one === "didDisconnect").length, 1);
          assert.equal(told.filter((one) => one === "didEndReading").length <= 1, true);
          assert.equal(server.pendingReads + server.pendingWrites, 0);
          assert.equal(listener.state, "listening");
        }
      });
    }

    it("decision 13: cancelReads() from inside didRead leaves no read behind, and takes no byte", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const counts: number[] = [];
      server.delegate = {
        didRead(socket) {
          counts.push(socket.cancelReads());
        },
      };
      client.write("abcdef");
      await arrived(server, 6);
      const reads = [server.readExactly(2), server.readExactly(2), server.readExactly(2)];
      await settled();
      assert.deepEqual(counts, [2]);
      assert.equal(String(await reads[0]), "ab");
      for (const read of reads.slice(1)) await failure(read, "CANCELED");
      assert.equal(String(server.unread), "cdef");
    });

    it("decision 13: disconnect() from inside didRead: no further read is met", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      let told = 0;
      server.delegate = {
        didRead(socket) {
          told++;
          socket.disconnect();
        },
      };
      client.write("abcdef");
      await arrived(server, 6);
      const reads = [server.readExactly(2), server.readExactly(2), server.readExactly(2)];
      const reason = await server.closed;
      assert.equal(told, 1);
      assert.equal(String(await reads[0]), "ab");
      for (const read of reads.slice(1)) await failure(read, "CLOSED");
      assert.equal(String(reason.unread), "cdef");
    });

    it("decision 13: connect() from inside didDisconnect, a hundred times over", async (t) => {
      const { socket: make, target } = await opened(t, kind, {
        delegate: { didAccept: (_l, one) => void one.disconnect() },
      });
      const socket = make();
      let rounds = 0;
      socket.delegate = {
        didDisconnect(again) {
          if (++rounds < 100) again.connect(target);
        },
      };
      socket.connect(target);
      await until(() => rounds === 100, "a hundred rounds");
      assert.equal(socket.state, "closed");
    });

    it("decision 13: willDisconnect may read what is unread, and queues nothing any more", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const seen: string[] = [];
      const entries: PromiseLike<unknown>[] = [];
      server.delegate = {
        willDisconnect(socket) {
          seen.push(String(socket.unread));
          entries.push(socket.read(), socket.write("x"));
          socket.disconnect();
        },
        didDisconnect: () => void seen.push("closed"),
      };
      client.write("unread");
      await arrived(server, 6);
      await server.disconnect();
      assert.deepEqual(seen, ["unread", "closed"]);
      for (const entry of entries) await failure(entry, "CLOSED");
    });

    it("decision 13: a ping-pong of thousands of callbacks takes no stack", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const ROUNDS = kind.isReal ? 500 : 3000;
      let rounds = 0;
      const delegate: AsyncSocketDelegate = {
        didRead(socket) {
          if (++rounds >= ROUNDS) return;
          socket.readExactly(1);
          socket.write("x");
        },
      };
      client.delegate = server.delegate = delegate;
      client.readExactly(1);
      server.readExactly(1);
      client.write("x");
      await until(() => rounds >= ROUNDS, "the rounds");
    });
  });
});
