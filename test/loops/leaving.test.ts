/** Sockets on their way to another thread, when something comes in between. No thread takes sockets here but loops. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, it } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { AsyncSocket, RunLoop, type SocketRequest } from "asyncsocket";
import { failure, shortCode, until } from "../support/delegates.js";
import { Belongings, rawPair } from "../support/lifecycle-helpers.js";
import { openSockets } from "../support/open-sockets.js";
import { portOf, SAFETY } from "../support/transports.js";
import { loopOf, moduleOf, MOVABLE, pairOf } from "./helpers.js";
import { Link } from "#dist/threads/link.js";
import { pack } from "#dist/threads/transfer.js";
import { NodeTransport } from "#dist/transport/node/node-transport.js";

/** Takes no sockets. */
const DEAF = moduleOf("");
/** Sends each socket back to the thread that it came from. */
const RETURNS = moduleOf("RunLoop.current.onSocket((socket) => void socket.moveTo(RunLoop.current.parent));");

for (const transport of MOVABLE) {
  describe(`a socket of the ${transport} transport that leaves`, SAFETY, () => {
    it("right when a write has met a reset, fails, and ends nothing else", async (t) => {
      const loop = await loopOf(t);
      const { socket, peer } = await rawPair(t, { transport });
      const moving: SocketRequest<void>[] = [];
      socket.delegate = {
        didWrite(_socket, tag) {
          if (tag === "second") moving.push(socket.moveTo(loop));
        },
      };
      peer.resume();
      peer.once("data", () => {
        peer.resetAndDestroy();
        socket.write("y", { tag: "second" });
      });
      socket.write("x");
      const { error } = await socket.closed;
      assert.ok(error !== null);
      for (const request of moving) await failure(request, "TRANSFER");
    });

    it("keeps what was unread where its loop begins to close, and tells willDisconnect", async (t) => {
      const loop = await loopOf(t, DEAF);
      const { accepted, client } = await pairOf(t, { transport });
      client.write("some bytes");
      await until(() => accepted.unreadBytes === 10, "they have come");
      let unread = "";
      accepted.delegate = { willDisconnect: (_socket, reason) => void (unread = String(reason.unread)) };
      const request = accepted.moveTo(loop);
      const closing = loop.close();
      await failure(request, "TRANSFER");
      const reason = await accepted.closed;
      assert.equal(shortCode(reason.error), "TRANSFER");
      assert.equal(String(reason.unread), "some bytes");
      assert.equal(unread, "some bytes");
      assert.equal(reason.bytesRead, 10);
      await closing;
      await client.closed;
    });

    it("to where nobody takes it, does not hold up the shutdown of its listener", async (t) => {
      const before = openSockets().length;
      const loop = await loopOf(t, DEAF);
      const belongings = Belongings.of(t);
      const lost: string[] = [];
      const listener = belongings.add(
        new AsyncSocket({
          transport,
          delegate: {
            didAccept: (_listener, socket) =>
              void socket.moveTo(loop).catch((error: unknown) => lost.push(shortCode(error as Error))),
          },
        }),
      );
      await listener.listen({ port: 0, host: "127.0.0.1" });
      const clients = await Promise.all(
        [1, 2, 3].map(() => AsyncSocket.connect({ host: "127.0.0.1", port: portOf(listener) })),
      );
      for (const client of clients) belongings.add(client);
      await until(() => loop.sockets === 3, "they are on their way");
      await clients[0]?.disconnect();
      assert.deepEqual(await listener.shutdown({ graceMs: 1 }), { finished: 0, forced: 3 });
      assert.deepEqual(lost, ["TRANSFER", "TRANSFER", "TRANSFER"]);
      for (const client of clients) await client.closed;
      await until(() => loop.sockets === 0, "none is counted");
      await until(() => openSockets().length <= before, "all descriptors are closed");
    });
  });
}

describe("a socket that a loop sends back, and nobody takes", { ...SAFETY, skip: MOVABLE.length === 0 }, () => {
  for (const ends of ["close", "shutdown"] as const) {
    it(`does not hold up ${ends} with a grace`, async (t) => {
      const before = openSockets().length;
      const belongings = Belongings.of(t);
      const loop = await loopOf(t, RETURNS);
      const listener = belongings.add(await AsyncSocket.listen({ port: 0, host: "127.0.0.1", loops: loop }));
      const client = belongings.add(await AsyncSocket.connect({ host: "127.0.0.1", port: portOf(listener) }));
      await until(() => loop.sockets === 1, "it is on its way");
      if (ends === "close") assert.deepEqual(await loop.close({ graceMs: 1 }), { finished: 0, forced: 1 });
      else assert.deepEqual(await listener.shutdown({ graceMs: 1 }), { finished: 0, forced: 1 });
      await client.closed;
      await listener.disconnect();
      assert.deepEqual(await loop.close({ graceMs: 1 }), { finished: 0, forced: ends === "close" ? 1 : 0 });
      await until(() => openSockets().length <= before, "all descriptors are closed");
      assert.equal(RunLoop.current.sockets, 0);
    });
  }
});

describe("a loop that closes", { ...SAFETY, skip: MOVABLE.length === 0 }, () => {
  it("first lets its last socket tell that it is closed", async (t) => {
    const loop = await loopOf(
      t,
      moduleOf(`RunLoop.current.onSocket((socket) => {
        socket.delegate = { didDisconnect: () => parentPort.postMessage("told") };
      });`),
    );
    const { accepted } = await pairOf(t);
    await accepted.moveTo(loop);
    let words: unknown;
    loop.worker?.on("message", (message: unknown) => void (words = message));
    assert.deepEqual(await loop.close({ graceMs: 1 }), { finished: 0, forced: 1 });
    assert.equal(words, "told");
  });
});

describe("the end of a socket that never came", SAFETY, () => {
  it("is told of to the thread that asks for it, so that it does not wait", async (t) => {
    const { port1, port2 } = new MessageChannel();
    t.after(() => port1.close());
    const link = new Link(port1, { name: "odd", didReceive: () => undefined, didChange: () => undefined });
    const news = once(port2, "message");
    port2.postMessage({ kind: "end", ids: [77] });
    const [{ refused }] = (await news) as [{ refused: unknown }];
    assert.deepEqual(refused, [[77, "it was closed before it was received"]]);
    assert.equal(link.received.size, 0);
  });
});

describe("a socket of the runtime's whose error is still to be told", SAFETY, () => {
  it("is not packed, and its error is no uncaught one", async (t) => {
    const server = createServer().listen(0, "127.0.0.1");
    t.after(() => server.close());
    await once(server, "listening");
    const accepted = once(server, "connection");
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    const [peer] = (await accepted) as [Socket];
    t.after(() => peer.destroy());
    const transport = new NodeTransport(socket);
    const error = Object.assign(new Error("write ECONNRESET"), { code: "ECONNRESET" });
    socket.destroy(error);
    assert.throws(() => pack(transport), error);
    await until(() => socket.closed, "it is closed");
  });
});
