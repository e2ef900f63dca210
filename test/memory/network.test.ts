/** The network for tests itself: that it does what it says, at the time it says, and the same again for the same seed. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AsyncSocket, type ConnectOptions } from "asyncsocket";
import {
  type MemoryConnection,
  MemoryNetwork,
  type MemoryNetworkOptions,
  seededRandom,
  VirtualClock,
} from "asyncsocket/testing";
import { Authority } from "../support/certificates.js";
import { failure, pattern, shortCode } from "../support/delegates.js";
import { errnoOf } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";

const HERE = "127.0.0.1";
const THERE = "192.0.2.1";

class World {
  readonly clock = new VirtualClock();
  readonly network: MemoryNetwork;
  readonly accepted: AsyncSocket[] = [];

  constructor(options: MemoryNetworkOptions = {}) {
    this.network = new MemoryNetwork({ clock: this.clock, ...options });
  }

  async listen(): Promise<void> {
    const didAccept = (_: AsyncSocket, socket: AsyncSocket): void => void this.accepted.push(socket);
    const { network: transport } = this;
    await this.clock.run(AsyncSocket.listen({ transport, port: 7, allowHalfOpen: true, delegate: { didAccept } }));
  }

  connect(options: ConnectOptions = {}): PromiseLike<AsyncSocket> {
    return AsyncSocket.connect({ transport: this.network, host: THERE, port: 7, allowHalfOpen: true, ...options });
  }

  async pair(): Promise<[client: AsyncSocket, server: AsyncSocket]> {
    await this.listen();
    const client = await this.clock.run(this.connect());
    await this.clock.run(() => this.accepted.length > 0);
    return [client, this.accepted[0] as AsyncSocket];
  }

  /** At which times how many bytes are there. */
  async arrivals(socket: AsyncSocket, count: number): Promise<[atMs: number, bytes: number][]> {
    const found: [number, number][] = [];
    while (socket.bytesRead < count) {
      const before = socket.bytesRead;
      await this.clock.run(() => socket.bytesRead > before);
      found.push([this.clock.now(), socket.bytesRead - before]);
    }
    return found;
  }
}

describe("a link", SAFETY, () => {
  it("takes its latency one way for bytes, two for a connect, and a third for the accept", async () => {
    const world = new World({ latencyMs: 100 });
    await world.listen();
    const client = await world.clock.run(world.connect());
    assert.equal(world.clock.now(), 200);
    await world.clock.run(() => world.accepted.length > 0);
    assert.equal(world.clock.now(), 300);
    const [server] = world.accepted as [AsyncSocket];
    server.write("x");
    assert.deepEqual(await world.arrivals(client, 1), [[400, 1]]);
  });

  it("differs by address where that is said", async () => {
    const world = new World({ latencyMs: 100, links: { [THERE]: { latencyMs: 5 } } });
    await world.listen();
    await world.clock.run(world.connect());
    assert.equal(world.clock.now(), 10);
    await world.clock.run(world.connect({ host: "192.0.2.2" }));
    assert.equal(world.clock.now(), 210);
  });

  it("carries so many bytes a millisecond", async () => {
    const world = new World({ bytesPerMs: 10 });
    const [client, server] = await world.pair();
    client.write(pattern(35));
    assert.deepEqual(await world.arrivals(server, 35), [
      [0, 10],
      [1, 10],
      [2, 10],
      [3, 5],
    ]);
  });

  it("carries less than a byte a millisecond, too", async () => {
    const world = new World({ bytesPerMs: 0.1 });
    const [client, server] = await world.pair();
    client.write("abc");
    assert.deepEqual(await world.arrivals(server, 3), [
      [0, 1],
      [10, 1],
      [20, 1],
    ]);
  });

  it("cuts by lot, and by the same lot for the same seed", async () => {
    const run = async (seed: number): Promise<[number, number][]> => {
      const world = new World({ seed, chunkBytes: [1, 400], latencyMs: [0, 9] });
      const [client, server] = await world.pair();
      for (let i = 0; i < 5; i++) client.write(pattern(300));
      return world.arrivals(server, 1500);
    };
    const first = await run(7);
    assert.deepEqual(await run(7), first);
    assert.notDeepEqual(await run(8), first);
    const sizes = first.map(([, bytes]) => bytes);
    assert.ok(Math.min(...sizes) < 20 && Math.max(...sizes) > 100, sizes.join(" "));
  });

  it("takes writes short, so that didWrite comes later", async () => {
    const states = async (writeBytes: number): Promise<string[]> => {
      const world = new World({ writeBytes });
      const [client] = await world.pair();
      const write = client.write(pattern(100));
      const seen: string[] = [];
      while (write.state !== "done") {
        seen.push(`${world.network.connections[0]?.up.bytesUnderWay}`);
        await new Promise((done) => setImmediate(done));
      }
      return seen;
    };
    assert.ok((await states(40)).length > (await states(Infinity)).length + 1);
    assert.ok((await states(0)).length > (await states(Infinity)).length);
  });

  it("holds what its capacity allows, and the writer waits", async () => {
    const world = new World({ capacityBytes: 100 });
    const [client, server] = await world.pair();
    const { up } = world.network.connections[0] as MemoryConnection;
    up.stall();
    const write = client.write(pattern(250));
    await world.clock.run();
    assert.equal(write.state, "current");
    assert.equal(up.bytesUnderWay, 100);
    up.resume();
    assert.ok((await world.clock.run(server.readExactly(250))).equals(pattern(250)));
    await world.clock.run(write);
  });

  it("is linear: were all that waits copied for each write or chunk, this would never end", async () => {
    const world = new World({ chunkBytes: 64, capacityBytes: Infinity });
    const [client, server] = await world.pair();
    world.network.connections[0]?.up.stall();
    for (let i = 0; i < 60_000; i++) client.write(pattern(64));
    await world.clock.run(() => client.pendingWrites === 0);
    world.network.connections[0]?.up.resume();
    await world.clock.run(server.skip(60_000 * 64));
  });
});

describe("the end of a stream in memory", SAFETY, () => {
  for (const together of [true, false]) {
    it(`comes ${together ? "in the turn of the last bytes" : "behind them, when it was sent later"}`, async () => {
      const world = new World({ latencyMs: 10 });
      const [client, server] = await world.pair();
      client.write("last words");
      if (!together) await world.clock.runFor(5);
      client.end();
      await world.clock.run(() => server.bytesRead > 0);
      assert.equal(server.peerEnded, together);
      await world.clock.run(() => server.peerEnded);
      assert.equal(server.unread.toString(), "last words");
    });
  }

  it("ends one direction alone", async () => {
    const world = new World();
    const [client, server] = await world.pair();
    client.end();
    await world.clock.run(() => server.peerEnded);
    server.write("still here");
    assert.equal(String(await world.clock.run(client.readExactly(10))), "still here");
  });
});

describe("a fault", SAFETY, () => {
  for (const at of [0, 1, 99, 100]) {
    it(`breaks a connection after byte ${at} exactly, for both ends`, async () => {
      const world = new World({ chunkBytes: 7 });
      const [client, server] = await world.pair();
      world.network.connectionOf(server)?.up.breakAfter(at);
      client.write(pattern(100));
      const reasons = await world.clock.run(Promise.all([client.closed, server.closed]));
      for (const { error } of reasons) assert.equal(shortCode(error), "CONNECTION_LOST");
      assert.deepEqual(reasons[1].unread, pattern(100).subarray(0, at));
      await world.clock.run();
      assert.equal(world.network.connections.length, 0);
    });
  }

  it("resets with the errno that is asked for, from inside a callback, too", async () => {
    const world = new World();
    const [client, server] = await world.pair();
    client.delegate = { didRead: () => world.network.connections[0]?.reset("ETIMEDOUT") };
    client.read();
    server.write("x");
    const { error } = await world.clock.run(client.closed);
    assert.equal(errnoOf(error), "ETIMEDOUT");
  });

  it("breaks a connection that nobody has accepted yet: who accepts it is told then", async () => {
    const world = new World({ latencyMs: 10, onConnection: (connection) => connection.reset() });
    await world.listen();
    const client = await world.clock.run(world.connect());
    await world.clock.run(client.closed);
    await world.clock.run(() => world.accepted.length > 0);
    const { error } = await world.clock.run((world.accepted[0] as AsyncSocket).closed);
    assert.equal(shortCode(error), "CONNECTION_LOST");
  });

  it("stalls one direction, FIN and all, and the other goes on", async () => {
    const world = new World();
    const [client, server] = await world.pair();
    world.network.connections[0]?.down.stall();
    client.write("up");
    server.write("down");
    server.end();
    assert.equal(String(await world.clock.run(server.readExactly(2))), "up");
    await world.clock.run();
    assert.deepEqual([client.bytesRead, client.peerEnded], [0, false]);
    world.network.connections[0]?.down.resume();
    await world.clock.run(() => client.peerEnded);
    assert.equal(client.unread.toString(), "down");
  });

  for (const address of [HERE, THERE]) {
    it(`cuts every way from and to ${address} until it is healed`, async () => {
      const world = new World();
      const [client, server] = await world.pair();
      world.network.partition(address);
      client.write("one");
      client.disconnectAfterWriting();
      await world.clock.runFor(1000);
      assert.deepEqual([server.bytesRead, server.peerEnded], [0, false]);
      await failure(world.clock.run(world.connect({ timeout: 100 })), "CONNECT_TIMEOUT");
      const late = world.connect();
      await world.clock.runFor(1000);
      world.network.heal(address);
      await world.clock.run(late);
      assert.equal(String(await world.clock.run(server.readExactly(3))), "one");
    });
  }

  it("refuses with an errno until it is healed", async () => {
    const world = new World();
    await world.listen();
    world.network.refuse(THERE, "EHOSTUNREACH");
    assert.equal(errnoOf(await failure(world.clock.run(world.connect()), "CONNECT")), "EHOSTUNREACH");
    world.network.heal(THERE);
    await world.clock.run(world.connect());
  });
});

describe("a name server in memory", SAFETY, () => {
  const hosts = {
    "late.test": { found: [THERE], delayMs: 300 },
    "never.test": { delayMs: Infinity },
    "broken.test": { error: "ESERVFAIL", delayMs: 20 },
  };

  it("answers late", async () => {
    const world = new World({ hosts });
    await world.listen();
    const client = await world.clock.run(world.connect({ host: "late.test" }));
    assert.equal(world.clock.now(), 300);
    assert.equal(client.remote?.family, "IPv4");
  });

  it("fails late, and never answers", async () => {
    const world = new World({ hosts });
    assert.equal(errnoOf(await failure(world.clock.run(world.connect({ host: "broken.test" })), "DNS")), "ESERVFAIL");
    await failure(world.clock.run(world.connect({ host: "never.test", timeout: 1000 })), "CONNECT_TIMEOUT");
    assert.equal(world.clock.now(), 1020);
  });

  it("answers late about services, and forgets a question that nobody has any more", async () => {
    const services = {
      "_chat._tcp.late.test": { found: [{ name: THERE, port: 7, priority: 1, weight: 1 }], delayMs: 50 },
    };
    const world = new World({ services });
    await world.listen();
    await world.clock.run(world.connect({ service: "chat", host: "late.test" }));
    assert.equal(world.clock.now(), 50);
    const socket = new AsyncSocket({ transport: world.network });
    socket.connect({ service: "chat", host: "late.test" });
    socket.disconnect();
    await world.clock.run(socket.closed);
    assert.equal(world.clock.size, 0);
  });
});

describe("TLS over a network in memory", SAFETY, () => {
  it("shakes hands before the clock goes on to the timeout of the handshake", async () => {
    const clock = new VirtualClock();
    const transport = new MemoryNetwork({ clock, latencyMs: [0, 20], chunkBytes: [1, 500] });
    const authority = await Authority.create();
    const identity = await authority.issue([THERE]);
    const didAccept = (_: AsyncSocket, socket: AsyncSocket): void => void socket.write("secret");
    await clock.run(AsyncSocket.listen({ transport, port: 7, tls: identity, delegate: { didAccept } }));
    for (let i = 0; i < 20; i++) {
      const before = clock.now();
      const connecting = AsyncSocket.connect({ transport, host: THERE, port: 7, tls: { ca: authority.cert } });
      const client = await clock.run(connecting);
      assert.equal(String(await clock.run(client.readExactly(6))), "secret");
      assert.ok(clock.now() - before < 5000, `${clock.now() - before} ms`);
      await clock.run(client.disconnect());
    }
  });
});

describe("numbers by a seed", () => {
  it("are the same for the same seed, others for another, and even", () => {
    const numbers = (seed: number): number[] => Array.from({ length: 10_000 }, seededRandom(seed));
    assert.deepEqual(numbers(5), numbers(5));
    assert.notDeepEqual(numbers(5), numbers(6));
    const all = numbers(123_456_789);
    assert.ok(all.every((one) => one >= 0 && one < 1));
    const mean = all.reduce((sum, one) => sum + one, 0) / all.length;
    assert.ok(Math.abs(mean - 0.5) < 0.02, `${mean}`);
  });

  it("are those that they were when seeds were written down", () => {
    const random = seededRandom(1);
    assert.deepEqual(
      [random(), random(), random()].map((one) => Math.floor(one * 1e6)),
      [627_073, 2735, 527_447],
    );
  });
});

describe("options of a network", () => {
  for (const options of [
    { bytesPerMs: 0 },
    { capacityBytes: 0 },
    { bytesPerMs: NaN },
    { chunkBytes: NaN },
    { writeBytes: [2, 1] as const },
  ]) {
    it(`${JSON.stringify(options)} throws`, () => assert.throws(() => new MemoryNetwork(options), RangeError));
  }
});
