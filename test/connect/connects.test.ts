import assert from "node:assert/strict";
import type { SrvRecord } from "node:dns";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type ConnectOptions, type ResolveSrv, type TransportFactory } from "asyncsocket";
import { MemoryNetwork, type MemoryNetworkOptions, VirtualClock } from "asyncsocket/testing";
import { failure, settled } from "../support/delegates.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { SAFETY, turn } from "../support/transports.js";

const HOSTS = {
  "both.test": ["192.0.2.1", "2001:db8::1"],
  "four.test": ["192.0.2.1", "192.0.2.2"],
  "six.test": ["2001:db8::1"],
  "none.test": [],
  "a.test": ["192.0.2.10"],
  "b.test": ["192.0.2.20"],
};
const SERVICE = "_chat._tcp.example.test";

function srv(name: string, port: number, priority: number): SrvRecord {
  return { name, port, priority, weight: 0 };
}

class World {
  readonly clock = new VirtualClock();
  readonly network: MemoryNetwork;
  readonly #belongings: Belongings;

  constructor(t: TestContext, options: MemoryNetworkOptions = {}) {
    this.network = new MemoryNetwork({ clock: this.clock, hosts: HOSTS, ...options });
    this.#belongings = Belongings.of(t);
  }

  async listen(host: string, port: number): Promise<void> {
    this.#belongings.add(await AsyncSocket.listen({ transport: this.network, host, port }));
  }

  socket(transport: TransportFactory = this.network): AsyncSocket {
    return this.#belongings.add(new AsyncSocket({ transport }));
  }

  /** The remote address that a connect ends at. */
  async reached(options: ConnectOptions): Promise<string> {
    const socket = await this.socket().connect(options);
    const { remote } = socket;
    assert.ok(remote !== undefined && remote.family !== "unix");
    return `${remote.address} ${remote.port}`;
  }

  async pass(ms: number): Promise<void> {
    await settled();
    this.clock.advance(ms);
    await settled();
  }
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}

describe("connecting to a name", SAFETY, () => {
  it("begins with IPv6, and takes IPv4 where nobody listens there", async (t) => {
    const world = new World(t);
    await world.listen("192.0.2.1", 7);
    assert.equal(await world.reached({ host: "both.test", port: 7 }), "192.0.2.1 7");
    await world.listen("2001:db8::1", 7);
    assert.equal(await world.reached({ host: "both.test", port: 7 }), "2001:db8::1 7");
    assert.equal(await world.reached({ host: "both.test", port: 7, preferFamily: 4 }), "192.0.2.1 7");
    assert.equal(await world.reached({ host: "both.test", port: 7, family: 4 }), "192.0.2.1 7");
  });

  it("goes on after attemptDelay when an address is silent", async (t) => {
    const world = new World(t, { silent: ["2001:db8::1"] });
    await world.listen("192.0.2.1", 7);
    const socket = world.socket();
    const request = socket.connect({ host: "both.test", port: 7, attemptDelay: 100 });
    await world.pass(99);
    assert.equal(socket.state, "connecting");
    await world.pass(1);
    assert.equal(socket.state, "open");
    await request;
    assert.equal(world.clock.size, 0);
  });

  it("tries addresses of localAddress's family alone, and comes from there", async (t) => {
    const world = new World(t);
    await world.listen("::", 7);
    const socket = world.socket();
    await socket.connect({ host: "both.test", port: 7, localAddress: "192.0.2.77", localPort: 1234 });
    assert.deepEqual(socket.local, { family: "IPv4", address: "192.0.2.77", port: 1234 });
    assert.deepEqual(socket.remote, { family: "IPv4", address: "192.0.2.1", port: 7 });
    const error = await failure(
      world.socket().connect({ host: "six.test", port: 7, localAddress: "192.0.2.77" }),
      "DNS",
    );
    assert.match(error.message, /IPv4 address of the host "six.test".*other addresses only: 2001:db8::1/);
  });

  it("refuses a localAddress that cannot be", (t) => {
    const socket = new World(t).socket();
    const wrong = { host: "both.test", port: 7, localAddress: "127.0.0.1" };
    assert.throws(() => socket.connect({ ...wrong, family: 6 }), RangeError);
    assert.throws(() => socket.connect({ ...wrong, localAddress: "both.test" }), RangeError);
    assert.throws(() => socket.connect({ ...wrong, interface: "eth0" }), TypeError);
    assert.equal(socket.state, "idle");
  });

  it("lists every address that failed, each with its cause", async (t) => {
    const error = await failure(new World(t).socket().connect({ host: "both.test", port: 7 }), "CONNECT");
    assert.equal(
      error.message,
      "Cannot connect to both.test port 7: [2001:db8::1]: nothing listens there (ECONNREFUSED); " +
        "192.0.2.1: nothing listens there (ECONNREFUSED)",
    );
    assert.ok(error.cause instanceof AggregateError);
    assert.equal(error.cause.errors.length, 2);
  });

  it("the timeout lists the addresses tried, those without an answer too", async (t) => {
    const world = new World(t, { silent: ["192.0.2.1"] });
    const request = world.socket().connect({ host: "both.test", port: 7, timeout: 500 });
    await world.pass(500);
    const error = await failure(request, "CONNECT_TIMEOUT");
    assert.equal(
      error.message,
      "Cannot connect to both.test port 7: it took more than 500 ms; " +
        "[2001:db8::1]: nothing listens there (ECONNREFUSED); 192.0.2.1: no answer yet",
    );
    assert.equal((error.cause as { code?: unknown }).code, "ECONNREFUSED");
    assert.equal(world.clock.size, 0);
  });

  it("the timeout says when it was the name lookup that took too long", async (t) => {
    const world = new World(t);
    const request = world.socket().connect({ host: "slow.test", port: 7, timeout: 500, lookup: () => undefined });
    await world.pass(500);
    const error = await failure(request, "CONNECT_TIMEOUT");
    assert.match(error.message, /more than 500 ms; the name lookup of slow\.test has not answered yet$/);
  });

  it("a name without an address of the wanted family says which it has", async (t) => {
    const connecting = new World(t).socket().connect({ host: "four.test", port: 7, family: 6 });
    const error = await failure(connecting, "DNS");
    assert.match(error.message, /an IPv6 address of the host "four.test".*other addresses only: 192.0.2.1, 192.0.2.2/);
  });

  it("a name that there is not says what to check", async (t) => {
    for (const family of [undefined, 4, 6] as const) {
      const error = await failure(new World(t).socket().connect({ host: "none.test", port: 7, family }), "DNS");
      assert.match(error.message, /"none.test": no such host name.*check/);
    }
  });

  it("a resolver that cannot be reached says so, whichever family it was asked for", async (t) => {
    const { network } = new World(t);
    const failing: TransportFactory = {
      clock: network.clock,
      connect: (...args) => network.connect(...args),
      listen: (...args) => network.listen(...args),
      lookup: (_host, { family }, done) =>
        done(Object.assign(new Error("x"), { code: family === 4 ? "EAI_AGAIN" : "ENOTFOUND" }), []),
    };
    const error = await failure(new AsyncSocket({ transport: failing }).connect({ host: "x.test", port: 7 }), "DNS");
    assert.match(error.message, /"x.test": the name server could not be reached.*check the network/);
  });

  it("an address needs no lookup, nor does one in brackets", async (t) => {
    const world = new World(t);
    await world.listen("::", 7);
    const lookup = (): void => assert.fail("nobody is to be asked");
    for (const host of ["192.0.2.5", "2001:db8::5", "[2001:db8::5]", "fe80::1%eth0"]) {
      assert.equal(await world.reached({ host, port: 7, lookup }), `${host.replace(/[[\]]/g, "")} 7`);
    }
    const error = await failure(world.socket().connect({ host: "::1", port: 7, family: 4 }), "DNS");
    assert.match(error.message, /it is an IPv6 address/);
  });

  it("an interface that there is not is CONNECT, and tells those that are there", async (t) => {
    const connecting = new World(t).socket().connect({ host: "both.test", port: 7, interface: "no-such-interface" });
    const error = await failure(connecting, "CONNECT");
    assert.match(error.message, /no network interface "no-such-interface"/);
  });

  it("unref() and ref() while connecting reach attempts under way and to come", async (t) => {
    const world = new World(t, { silent: ["2001:db8::1", "192.0.2.1"] });
    const deeds: string[] = [];
    const watching: TransportFactory = {
      clock: world.clock,
      lookup: world.network.lookup,
      listen: (...args) => world.network.listen(...args),
      connect(endpoint, settings, sink) {
        const made = world.network.connect(endpoint, settings, sink);
        const name = endpoint.path ?? endpoint.address;
        made.ref = () => void deeds.push(`ref ${name}`);
        made.unref = () => void deeds.push(`unref ${name}`);
        return made;
      },
    };
    const socket = world.socket(watching);
    const request = socket.connect({ host: "both.test", port: 7 });
    socket.unref();
    await world.pass(250);
    socket.ref();
    assert.deepEqual(deeds, ["unref 2001:db8::1", "unref 192.0.2.1", "ref 2001:db8::1", "ref 192.0.2.1"]);
    socket.disconnect();
    await failure(request, "CLOSED");
  });
});

describe("the end of a connect", SAFETY, () => {
  it("didDisconnect waits for the descriptor of every attempt, the losers' of a connection that was won included", async (t) => {
    const world = new World(t, { silent: ["2001:db8::1"] });
    await world.listen("192.0.2.1", 7);
    const { network } = world;
    const held: (() => void)[] = [];
    const slow: TransportFactory = {
      clock: world.clock,
      lookup: network.lookup,
      listen: (...args) => network.listen(...args),
      connect: (endpoint, settings, sink) =>
        network.connect(endpoint, settings, {
          didOpen: () => sink.didOpen(),
          didFail: (error) => sink.didFail(error),
          didClose: () => void held.push(() => sink.didClose()),
        }),
    };
    for (const port of [7, 8]) {
      const socket = new AsyncSocket({ transport: slow });
      const request = socket.connect({ host: "both.test", port, attemptDelay: 100 });
      await world.pass(100);
      assert.equal(socket.state, port === 7 ? "open" : "connecting");
      socket.disconnect();
      await settled();
      assert.equal(socket.state, "closing");
      assert.equal(held.length, port === 7 ? 1 : 2);
      if (port === 8) await failure(request, "CLOSED");
      for (const close of held.splice(0)) {
        assert.equal(socket.state, "closing");
        close();
        await settled();
      }
      assert.equal(socket.state, "closed");
    }
  });
});

describe("connecting to a service", SAFETY, () => {
  const service = { service: "chat", host: "example.test" };

  it("tries the targets by priority, each with all of its addresses", async (t) => {
    const records = [srv("b.test", 2, 20), srv("four.test", 1, 10)];
    const world = new World(t, { services: { [SERVICE]: records } });
    await world.listen("192.0.2.20", 2);
    assert.equal(await world.reached(service), "192.0.2.20 2");
    await world.listen("192.0.2.2", 1);
    assert.equal(await world.reached(service), "192.0.2.2 1");
  });

  it("falls back to port where there are no records", async (t) => {
    const world = new World(t, { hosts: { "example.test": ["192.0.2.9"] } });
    await world.listen("192.0.2.9", 5222);
    assert.equal(await world.reached({ ...service, port: 5222 }), "192.0.2.9 5222");
  });

  it("without records and without a port it is DNS, and says what is missing", async (t) => {
    const error = await failure(new World(t).socket().connect(service), "DNS");
    assert.match(error.message, /_chat\._tcp\.example\.test: there is no SRV record.*no port to fall back on/);
  });

  it("a single dot is DNS: the domain does not offer it, whatever the port", async (t) => {
    const world = new World(t, { services: { [SERVICE]: [srv(".", 0, 0)] } });
    const error = await failure(world.socket().connect({ ...service, port: 5222 }), "DNS");
    assert.match(error.message, /example\.test says that it does not offer it/);
  });

  it("lists all that was tried, lookups included", async (t) => {
    const records = [srv("a.test", 1, 1), srv("none.test", 2, 2), srv("b.test", 3, 3)];
    const world = new World(t, { services: { [SERVICE]: records } });
    const error = await failure(world.socket().connect(service), "CONNECT");
    const parts = [
      /the service chat of example\.test/,
      /a\.test port 1 at 192\.0\.2\.10/,
      /"none\.test"/,
      /b\.test port 3 at 192\.0\.2\.20/,
    ];
    for (const part of parts) assert.match(error.message, part);
    assert.equal((error.cause as AggregateError).errors.length, 3);
  });

  for (const [name, stop] of Object.entries({
    "its timeout": (world: World) => world.pass(500),
    "disconnect()": (_world: World, socket: AsyncSocket) => socket.disconnect(),
  })) {
    it(`${name} gives up the question for the records`, async (t) => {
      let givenUp = 0;
      const resolveSrv: ResolveSrv = () => () => {
        givenUp++;
      };
      const world = new World(t);
      const { network } = world;
      const waiting: TransportFactory = {
        clock: world.clock,
        connect: (...args) => network.connect(...args),
        listen: (...args) => network.listen(...args),
        resolveSrv,
      };
      const socket = world.socket(waiting);
      const request = socket.connect({ ...service, timeout: 500 });
      await settled();
      await stop(world, socket);
      const error = await failure(request);
      if (error.code.endsWith("TIMEOUT")) assert.match(error.message, /lookup of _chat\._tcp\.example\.test/);
      await socket.closed;
      assert.equal(givenUp, 1);
      assert.equal(world.clock.size, 0);
    });
  }

  it("decision 3: records that come as the timeout passes give the lookup that follows its turns", async (t) => {
    const world = new World(t);
    await world.listen("192.0.2.10", 1);
    let tell: Parameters<ResolveSrv>[1] = () => assert.fail("nobody has asked");
    const { network } = world;
    const slow: TransportFactory = {
      clock: world.clock,
      connect: (...args) => network.connect(...args),
      listen: (...args) => network.listen(...args),
      resolveSrv: (_name, done) => {
        tell = done;
        return () => undefined;
      },
      lookup: (_host, _options, done) => void turns(3).then(() => done(null, [{ address: "192.0.2.10", family: 4 }])),
    };
    const socket = world.socket(slow);
    const request = socket.connect({ ...service, family: 4, timeout: 500 });
    await settled();
    world.clock.advance(500);
    await turns(2);
    tell(null, [srv("a.test", 1, 1)]);
    await turns(3);
    await world.pass(1);
    assert.equal(await request, socket);
  });

  it("is refused with a path, without a domain, for an address, and by a wrong name", (t) => {
    const socket = new World(t).socket();
    assert.throws(() => socket.connect({ service: "chat", path: "/tmp/x" }), TypeError);
    assert.throws(() => socket.connect({ service: "chat", port: 1 }), TypeError);
    assert.throws(() => socket.connect({ service: "chat", host: "127.0.0.1" }), RangeError);
    assert.throws(() => socket.connect({ service: "_chat._tcp", host: "example.test" }), RangeError);
    assert.equal(socket.state, "idle");
  });
});
