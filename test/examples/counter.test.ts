/** How a protocol is tried out on a network that fails: the same faults for the same seed, and no time passes. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { MemoryNetwork, VirtualClock, type MemoryConnection } from "asyncsocket/testing";
import { CounterClient, CounterServer } from "../../examples/counter.js";

const SERVER = "192.0.2.1";

/** A world of its own: a clock, a network, a server, and what harms them. */
class World {
  readonly clock = new VirtualClock();
  readonly server = new CounterServer();
  readonly network: MemoryNetwork;

  constructor(seed: number, harm: (connection: MemoryConnection, network: MemoryNetwork) => void = () => undefined) {
    this.network = new MemoryNetwork({
      seed,
      clock: this.clock,
      latencyMs: [1, 40],
      chunkBytes: [1, 20],
      writeBytes: [0, 20],
      onConnection: (connection) => harm(connection, this.network),
    });
  }

  listen(): Promise<AsyncSocket> {
    const { network: transport, server: delegate } = this;
    return this.clock.run(AsyncSocket.listen({ transport, host: SERVER, port: 7, delegate }));
  }

  client(name: string): CounterClient {
    const { network } = this;
    return new CounterClient({ name, host: SERVER, port: 7, transport: network, random: network.random });
  }
}

/** Each connection breaks at some byte, stalls for ever, or lives, by lot. */
function harmByLot({ up, down }: MemoryConnection, { random }: MemoryNetwork): void {
  const flow = random() < 0.5 ? up : down;
  if (random() < 0.5) flow.breakAfter(Math.floor(random() * 60));
  else if (random() < 0.2) flow.stall();
}

describe("the counter", () => {
  it("counts each request once, whatever happens to the connections: 200 seeds", async () => {
    for (let seed = 0; seed < 200; seed++) {
      const world = new World(seed, harmByLot);
      const { clock, server, network } = world;
      const listener = await world.listen();
      const clients = [world.client("a"), world.client("b")];
      const work = clients.map(async (client) => {
        for (let amount = 1; amount <= 10; amount++) await client.add(amount);
        await client.close();
      });
      await clock.run(Promise.all(work));
      assert.equal(server.total, 110, `seed ${seed}`);
      listener.disconnect();
      await clock.run();
      assert.deepEqual([network.connections.length, clock.size], [0, 0], `seed ${seed}: nothing is left`);
    }
  });

  it("goes on when the network is back", async () => {
    const world = new World(1);
    await world.listen();
    const client = world.client("a");
    assert.equal(await world.clock.run(client.add(1)), 1);
    world.network.partition(SERVER);
    const adding = client.add(2);
    await world.clock.runFor(60_000);
    assert.equal(world.server.total, 1);
    world.network.heal(SERVER);
    assert.equal(await world.clock.run(adding), 3);
    await world.clock.run(client.close());
  });

  it("tells how it is used, and closes, where a line makes no sense", async () => {
    const world = new World(1);
    await world.listen();
    const socket = new AsyncSocket({ transport: world.network });
    socket.connect({ host: SERVER, port: 7 });
    socket.write("subtract 1\n");
    assert.equal(await world.clock.run(socket.readLine()), "add ID AMOUNT");
    assert.equal((await world.clock.run(socket.closed)).by, "remote");
  });
});
