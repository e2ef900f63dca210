/** One listener for each signal, however many requests and sockets it is for: Node 20 warns of more than ten. */

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, reconnect } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import { failure } from "./support/delegates.js";
import { Belongings } from "./support/lifecycle-helpers.js";
import { SAFETY } from "./support/transports.js";

interface Pair {
  readonly socket: AsyncSocket;
  readonly peer: AsyncSocket;
}

async function pair(t: TestContext): Promise<Pair> {
  const transport = new MemoryNetwork();
  const belongings = Belongings.of(t);
  const listener = belongings.add(await AsyncSocket.listen({ port: 1, transport }));
  const socket = belongings.add(await AsyncSocket.connect({ port: 1, transport }));
  const { value: peer } = await listener.connections().next();
  return { socket, peer: belongings.add(peer ?? assert.fail()) };
}

function listeners(signal: AbortSignal): number {
  return getEventListeners(signal, "abort").length;
}

describe("a signal that many requests share", SAFETY, () => {
  it("has one listener, which goes with the last of them", async (t) => {
    const { socket, peer } = await pair(t);
    const { signal } = new AbortController();
    const other = new AsyncSocket({ transport: new MemoryNetwork() });
    const reads = Array.from({ length: 20 }, () => socket.readExactly(1, { signal }));
    const elsewhere = Belongings.of(t).add(other).read({ signal });
    const writes = Array.from({ length: 20 }, () => other.write("x", { signal }));
    assert.equal(listeners(signal), 1);
    peer.write(Buffer.alloc(20));
    await Promise.all(reads);
    assert.equal(listeners(signal), 1);
    elsewhere.cancel();
    for (const write of writes) write.cancel();
    assert.equal(listeners(signal), 0);
  });

  it("has one listener beside connects and reconnects, too", async (t) => {
    const { signal } = new AbortController();
    const transport = new MemoryNetwork({ silent: ["127.0.0.1"] });
    const sockets = Array.from({ length: 12 }, () => Belongings.of(t).add(new AsyncSocket({ transport })));
    const connects = sockets.map((socket) => socket.connect({ port: 1, signal }));
    const loops = Array.from({ length: 12 }, () => reconnect({ port: 1, transport }, { signal }));
    const nexts = loops.map((loop) => loop.next());
    await Promise.resolve();
    assert.equal(listeners(signal), 1);
    for (const loop of loops) await loop.return?.();
    await Promise.all(nexts);
    for (const socket of sockets) socket.disconnect();
    for (const connect of connects) await failure(connect, "CLOSED");
    assert.equal(listeners(signal), 0);
  });

  it("cancels all of them when it is aborted, in their order, with its reason, and has no listener left", async (t) => {
    const { socket } = await pair(t);
    const controller = new AbortController();
    const { signal } = controller;
    const reason = new Error("changed my mind");
    const order: number[] = [];
    const reads = [1, 2, 3].map((tag) => {
      const read = socket.read({ signal, tag });
      read.catch(() => order.push(tag));
      return read;
    });
    const unharmed = socket.read();
    controller.abort(reason);
    for (const read of reads) assert.equal((await failure(read, "CANCELED")).cause, reason);
    assert.deepEqual(order, [1, 2, 3]);
    assert.equal(unharmed.state, "current");
    assert.equal(listeners(signal), 0);
    assert.equal((await failure(socket.read({ signal }), "CANCELED")).cause, reason);
    assert.equal(listeners(signal), 0);
  });

  it("can be used again by later requests, after its last listener went", async (t) => {
    const { socket, peer } = await pair(t);
    const controller = new AbortController();
    const { signal } = controller;
    for (let i = 0; i < 3; i++) {
      const read = socket.readExactly(1, { signal });
      peer.write("x");
      await read;
      assert.equal(listeners(signal), 0);
    }
    const last = socket.read({ signal });
    controller.abort();
    await failure(last, "CANCELED");
  });
});
