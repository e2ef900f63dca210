/** What the simulation has found, each as small as it could be made. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AsyncSocket, type AsyncSocketDelegate, type SocketRequest } from "asyncsocket";
import { MemoryNetwork, VirtualClock } from "asyncsocket/testing";
import { writeEntry } from "../pump/entries.js";
import { Recorder, shortCode } from "../support/delegates.js";
import { WriteQueue } from "#dist/pump/write-queue.js";

const SERVER = "192.0.2.1";

async function world(delegate: AsyncSocketDelegate = {}): Promise<{ clock: VirtualClock; transport: MemoryNetwork }> {
  const clock = new VirtualClock();
  const transport = new MemoryNetwork({ clock });
  await clock.run(AsyncSocket.listen({ transport, host: SERVER, port: 7, delegate }));
  return { clock, transport };
}

describe("found by the simulation", () => {
  it("an empty write is not done before there is a connection, nor where there never is one", async () => {
    const { clock, transport } = await world();
    for (const port of [7, 8]) {
      const delegate = new Recorder();
      const socket = new AsyncSocket({ transport, delegate });
      const write = socket.write("", { tag: "empty" });
      await clock.run();
      assert.equal(write.state, "queued");
      socket.connect({ host: SERVER, port });
      await clock.run();
      if (port === 7) assert.deepEqual(delegate.names, ["didConnect", "didWrite"]);
      else assert.deepEqual(delegate.names, ["didFailWrite", "didDisconnect"]);
      socket.disconnect();
    }
  });

  it("a write that is out, but not told of yet, is not counted as unsent", async () => {
    const { clock, transport } = await world();
    const socket = new AsyncSocket({ transport, delegate: { didWrite: (one) => void one.disconnect() } });
    socket.connect({ host: SERVER, port: 7 });
    socket.write("one");
    socket.write("two");
    const reason = await clock.run(socket.closed);
    assert.deepEqual([reason.bytesWritten, reason.unsentBytes], [6, 0]);
  });

  it("what landed of a write that is taken off the queue is not taken for the next one's bytes", () => {
    const queue = new WriteQueue();
    const large = writeEntry([Buffer.alloc(300_000)]);
    const small = writeEntry([Buffer.alloc(10)]);
    queue.push(large);
    queue.push(small);
    queue.gather();
    queue.landed();
    queue.remove(large);
    assert.equal(queue.nextDone(), null);
    assert.deepEqual([small.sent, queue.unsentBytes], [0, 10]);
  });

  it("didDisconnect comes a turn after what was asked last, even if that was just before it", async () => {
    for (let turns = 0; turns < 8; turns++) {
      const { clock, transport } = await world();
      const log: string[] = [];
      const didDisconnect = (): void => void log.push("didDisconnect");
      const socket = new AsyncSocket({ transport, delegate: { didDisconnect } });
      await clock.run(socket.connect({ host: SERVER, port: 7 }));
      socket.disconnect();
      for (let i = 0; i < turns; i++) await new Promise((done) => setImmediate(done));
      if (socket.state === "closed") break;
      socket.read().catch(async (error: unknown) => {
        log.push(shortCode(error));
        for (let i = 0; i < 5; i++) await Promise.resolve();
        log.push("awaited");
      });
      await clock.run();
      assert.deepEqual(log, ["CLOSED", "awaited", "didDisconnect"], `after ${turns} turns`);
    }
  });

  it("didDisconnect comes also where something is asked in every turn", async () => {
    const { clock, transport } = await world();
    const socket = new AsyncSocket({ transport });
    await clock.run(socket.connect({ host: SERVER, port: 7 }));
    socket.disconnect();
    for (let turns = 0; socket.state !== "closed"; turns++) {
      assert.ok(turns < 100);
      socket.write("x");
      await new Promise((done) => setImmediate(done));
    }
  });

  it("a network in memory delivers no FIN once a RST is under way", async () => {
    const clock = new VirtualClock();
    const transport = new MemoryNetwork({ clock, latencyMs: 10 });
    const delegate = new Recorder();
    const accepted: AsyncSocket[] = [];
    const didAccept = (_: AsyncSocket, socket: AsyncSocket): void => void accepted.push(socket);
    await clock.run(AsyncSocket.listen({ transport, port: 7, delegate: { didAccept } }));
    const socket = new AsyncSocket({ transport, delegate });
    await clock.run(socket.connect({ port: 7 }));
    await clock.run(() => accepted.length > 0);
    accepted[0]?.write("lost");
    accepted[0]?.end();
    await clock.runFor(5);
    accepted[0]?.reset();
    await clock.run();
    assert.deepEqual(delegate.names, ["didConnect", "willDisconnect", "didDisconnect"]);
    assert.equal(shortCode(socket.closeReason?.error), "CONNECTION_LOST");
  });

  it("a write of which much went out while reads were served is current when its delegate is told of that", async () => {
    const clock = new VirtualClock();
    const transport = new MemoryNetwork({ clock, capacityBytes: 2 ** 20 });
    const told: unknown[] = [];
    let large: SocketRequest<void> | undefined;
    const delegate: AsyncSocketDelegate = {
      didAccept(_, socket) {
        socket.readExactly(1, { tag: "first" });
        socket.readExactly(1);
        void socket.readExactly(1).then();
      },
      didRead(socket, _, tag) {
        if (tag !== "first") return;
        socket.write("small");
        large = socket.write(Buffer.alloc(257 * 1024));
      },
      didWritePartial: ({ currentWrite }, count) => void told.push(count, large?.state, currentWrite === large),
    };
    await clock.run(AsyncSocket.listen({ transport, port: 7, delegate }));
    const client = new AsyncSocket({ transport });
    client.write("four");
    await clock.run(client.connect({ port: 7 }));
    await clock.run();
    assert.deepEqual(told, [256 * 1024, "current", true]);
  });
});
