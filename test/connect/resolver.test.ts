/** `connect({ resolver, resolverTimeout })`: who is asked for addresses, and how long. */

import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import dns, { getServers, setServers } from "node:dns";
import { once } from "node:events";
import { after, afterEach, before, describe, it, mock, type TestContext } from "node:test";
import { AsyncSocket, type ConnectOptions, type ResolverFunction } from "asyncsocket";
import { MemoryNetwork, VirtualClock } from "asyncsocket/testing";
import { failure } from "../support/delegates.js";
import { nameBytes, questionOf, u16 } from "../support/dns-messages.js";
import { assertNothingLeft, portOf, turn } from "../support/transports.js";
import { ipv4Bytes, ipv6Bytes } from "#dist/base/ip-bytes.js";

after(assertNothingLeft);

interface Stage {
  readonly clock: VirtualClock;
  readonly socket: AsyncSocket;
  readonly connect: (options: Partial<ConnectOptions>) => PromiseLike<AsyncSocket>;
}

async function stage(t: TestContext): Promise<Stage> {
  const clock = new VirtualClock();
  const transport = new MemoryNetwork({ clock, hosts: { "known.test": ["192.0.2.9"] } });
  const listener = await AsyncSocket.listen({ port: 7, transport });
  const socket = new AsyncSocket({ transport });
  t.after(() => Promise.all([socket.disconnect(), listener.shutdown({ graceMs: 0 })]));
  return { clock, socket, connect: (options) => socket.connect({ host: "a.test", port: 7, ...options }) };
}

function addressOf({ remote }: AsyncSocket): string | undefined {
  return remote?.family === "unix" ? undefined : remote?.address;
}

describe("a resolver of the caller's", () => {
  for (const [name, found] of [
    ["text", ["192.0.2.1"]],
    ["what dns gives", [{ address: "192.0.2.1", family: 4 }]],
    ["a promise", Promise.resolve(["192.0.2.1", "192.0.2.2"])],
    ["what is no address among them", ["x", { address: "y" }, null as never, "192.0.2.1"]],
  ] as const) {
    it(`gives addresses as ${name}, and is asked in place of the network`, async (t) => {
      const { connect, socket } = await stage(t);
      const asked: string[] = [];
      const resolver: ResolverFunction = (host) => {
        asked.push(host);
        return found;
      };
      await connect({ resolver, host: "bücher.test" });
      assert.equal(addressOf(socket), "192.0.2.1");
      assert.deepEqual(asked, ["xn--bcher-kva.test"]);
    });
  }

  it("is asked for localhost, too", async (t) => {
    const { connect, socket } = await stage(t);
    await connect({ host: "localhost", resolver: () => ["192.0.2.1"] });
    assert.equal(addressOf(socket), "192.0.2.1");
  });

  it("is not asked for an address", async (t) => {
    const { connect, socket } = await stage(t);
    await connect({ host: "192.0.2.5", resolver: () => assert.fail("nobody is to be asked") });
    assert.equal(addressOf(socket), "192.0.2.5");
  });

  it("is asked once, and only addresses of the family that is wanted are tried", async (t) => {
    const { connect, socket } = await stage(t);
    await connect({ family: 4, resolver: () => ["2001:db8::1", "192.0.2.1"] });
    assert.equal(addressOf(socket), "192.0.2.1");
    await socket.disconnect();
    const error = await failure(connect({ family: 6, resolver: () => ["192.0.2.1"] }), "DNS");
    assert.match(error.message, /an IPv6 address of the host "a\.test": the name exists but has other addresses only/);
  });

  for (const [name, resolver] of [
    ["throws", () => assert.fail("no such luck")],
    ["rejects", () => Promise.reject(new Error("no such luck"))],
  ] as readonly (readonly [string, ResolverFunction])[]) {
    it(`that ${name} fails the connect with DNS, and is the cause`, async (t) => {
      const { connect } = await stage(t);
      const error = await failure(connect({ resolver }), "DNS");
      assert.match(error.message, /^Cannot find an address of the host "a\.test": no such luck/);
      assert.match((error.cause as Error).message, /no such luck/);
    });
  }

  it("that gives nothing fails the connect with DNS", async (t) => {
    const { connect } = await stage(t);
    const error = await failure(connect({ resolver: () => [] }), "DNS");
    assert.match(error.message, /the name exists but has no address/);
  });

  for (const [got, found] of [
    ["undefined", undefined],
    ["null", null],
    ["42", 42],
    ['"192.0.2.1"', "192.0.2.1"],
    ["an instance of Object", { address: "192.0.2.1" }],
    ['"x"', ["x", 5, {}]],
    ['"y"', [{ address: "y" }]],
    ["null", [null]],
  ] as const) {
    it(`that gives ${JSON.stringify(found)} fails the connect with DNS, which says what was got`, async (t) => {
      const { connect } = await stage(t);
      const error = await failure(connect({ resolver: () => found as never }), "DNS");
      const words = `Expected the result of resolver to be a list of addresses, got ${got}`;
      assert.equal(error.message, `Cannot find an address of the host "a.test": ${words}`);
      assert.ok(error.cause instanceof TypeError);
    });
  }

  it("is told when its answer is not wanted any more, and not when it was", async (t) => {
    const { connect, socket } = await stage(t);
    const signals: AbortSignal[] = [];
    const answered: ResolverFunction = (_host, { signal }) => {
      signals.push(signal);
      return ["192.0.2.1"];
    };
    const silent: ResolverFunction = (_host, { signal }) => {
      signals.push(signal);
      return new Promise(() => undefined);
    };
    await connect({ resolver: answered });
    await socket.disconnect();
    const connecting = failure(connect({ resolver: silent }), "CLOSED");
    await socket.disconnect();
    await connecting;
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [false, true],
    );
  });

  it("finds the address that a SOCKS5 proxy is asked for, and that of the proxy", async (t) => {
    const { connect, socket } = await stage(t);
    const asked: string[] = [];
    const resolver: ResolverFunction = (host) => {
      asked.push(host);
      return ["192.0.2.1"];
    };
    const connecting = failure(connect({ resolver, proxy: "socks5://proxy.test:7" }), "CLOSED");
    while (asked.length < 2) await turn();
    await socket.disconnect();
    await connecting;
    assert.deepEqual(asked, ["a.test", "proxy.test"]);
  });
});

describe("resolverTimeout", () => {
  for (const proxy of [undefined, "socks5://192.0.2.1:7"]) {
    it(`ends a lookup without an answer, ${proxy === undefined ? "directly" : "before a proxy"}`, async (t) => {
      const { connect, clock, socket } = await stage(t);
      let signal: AbortSignal | undefined;
      const resolver: ResolverFunction = (_host, options) => {
        ({ signal } = options);
        return new Promise(() => undefined);
      };
      const connecting = failure(connect({ resolver, proxy, resolverTimeout: 300, timeout: 5_000 }), "DNS");
      clock.advance(299);
      assert.equal(socket.state, "connecting");
      clock.advance(1);
      const error = await connecting;
      assert.match(error.message, /^Cannot find an address of the host "a\.test": there was no answer within 300 ms$/);
      assert.equal(signal?.aborted, true);
      await socket.closed;
      assert.equal(clock.size, 0);
    });
  }

  it("is for lookup, too, and leaves no timer behind an answer or a disconnect", async (t) => {
    const { connect, clock, socket } = await stage(t);
    const slow = failure(connect({ lookup: () => undefined, resolverTimeout: 300 }), "DNS");
    clock.advance(300);
    await slow;
    await socket.closed;
    assert.equal(clock.size, 0);
    const connecting = failure(connect({ lookup: () => undefined, resolverTimeout: 300 }), "CLOSED");
    await socket.disconnect();
    await connecting;
    assert.equal(clock.size, 0);
    await connect({ host: "known.test", resolverTimeout: 300 });
    assert.equal(clock.size, 0);
  });

  it("is not for the attempts behind the lookup", async (t) => {
    const { connect, clock } = await stage(t);
    await connect({ resolver: () => ["192.0.2.1"], resolverTimeout: 300 });
    assert.equal(clock.size, 0);
  });
});

describe('resolver: "system"', () => {
  afterEach(() => mock.restoreAll());

  it("asks the system, also where the network has names of its own", async (t) => {
    const { connect, socket } = await stage(t);
    const asked: string[] = [];
    mock.method(dns, "lookup", (host: string, _options: unknown, done: (error: null, found: unknown) => void) => {
      asked.push(host);
      done(null, [{ address: "192.0.2.3", family: 4 }]);
    });
    await connect({ host: "known.test", resolver: "system" });
    assert.equal(addressOf(socket), "192.0.2.3");
    assert.deepEqual(asked, ["known.test"]);
  });
});

describe('resolver: "c-ares"', () => {
  const systemServers = getServers();
  const zone = new Map<string, readonly string[]>();
  const A = 1;
  const AAAA = 28;
  let server: Socket;
  let asked: string[] = [];

  function answerTo(message: Buffer): Buffer {
    const { name, type, end } = questionOf(message);
    const bytes = type === A ? 4 : 16;
    const all = (zone.get(name) ?? []).map((one) => (one.includes(":") ? ipv6Bytes(one) : ipv4Bytes(one)));
    const answers = all
      .filter(({ length }) => length === bytes)
      .map((data) => Buffer.concat([nameBytes(name), u16(type, 1, 0, 60, bytes), data]));
    const code = zone.has(name) ? 0 : 3;
    const header = Buffer.concat([message.subarray(0, 2), u16(0x8180 | code, 1, answers.length, 0, 0)]);
    return Buffer.concat([header, message.subarray(12, end), ...answers]);
  }

  before(async () => {
    server = createSocket("udp4", (message, { port, address }) => {
      const { name, type } = questionOf(message);
      asked.push(`${name} ${type === A ? "A" : type === AAAA ? "AAAA" : type}`);
      if (!name.includes("silent")) server.send(answerTo(message), port, address);
    });
    server.bind(0, "127.0.0.1");
    await once(server, "listening");
    setServers([`127.0.0.1:${server.address().port}`]);
  });

  after(() => {
    setServers(systemServers);
    server.close();
  });

  async function listening(t: TestContext): Promise<{ socket: AsyncSocket; port: number }> {
    asked = [];
    const listener = await AsyncSocket.listen({ host: "127.0.0.1", port: 0 });
    const socket = new AsyncSocket();
    t.after(() => Promise.all([socket.disconnect(), listener.shutdown({ graceMs: 0 })]));
    return { socket, port: portOf(listener) };
  }

  it("asks the name servers for both families", async (t) => {
    const { socket, port } = await listening(t);
    zone.set("both.test", ["::1", "127.0.0.1"]);
    await socket.connect({ host: "both.test", port, resolver: "c-ares" });
    assert.equal(addressOf(socket), "127.0.0.1");
    assert.deepEqual(asked.sort(), ["both.test A", "both.test AAAA"]);
  });

  it("asks for one family where one is wanted", async (t) => {
    const { socket, port } = await listening(t);
    zone.set("four.test", ["127.0.0.1"]);
    await socket.connect({ host: "four.test", port, resolver: "c-ares", family: 4 });
    assert.deepEqual(asked, ["four.test A"]);
  });

  it("asks nobody for localhost", async (t) => {
    const { socket, port } = await listening(t);
    await socket.connect({ host: "localhost", port, resolver: "c-ares" });
    assert.deepEqual(asked, []);
  });

  it("fails with DNS where there is no such name, and none of the family", async (t) => {
    const { socket, port } = await listening(t);
    const missing = await failure(socket.connect({ host: "missing.test", port, resolver: "c-ares" }), "DNS");
    assert.match(missing.message, /"missing\.test": no such host name/);
    await socket.closed;
    zone.set("four.test", ["127.0.0.1"]);
    const four = await failure(socket.connect({ host: "four.test", port, resolver: "c-ares", family: 6 }), "DNS");
    assert.match(four.message, /an IPv6 address of the host "four\.test": .*other addresses only: 127\.0\.0\.1/);
  });

  it("is given up with the connect", async (t) => {
    const { socket, port } = await listening(t);
    const given = mock.method(dns.Resolver.prototype, "cancel");
    t.after(() => given.mock.restore());
    const connecting = failure(socket.connect({ host: "silent.test", port, resolver: "c-ares" }), "CLOSED");
    while (asked.length < 2) await turn();
    await socket.disconnect();
    await connecting;
    assert.equal(given.mock.callCount(), 2, "one for each family");
  });
});

describe("wrong resolvers", () => {
  for (const [name, options, message] of [
    ["a name that there is not", { resolver: "dns" }, /^Expected resolver to be "system" or "c-ares", got "dns"$/],
    ["an object", { resolver: {} }, /^Expected resolver to be "system", "c-ares" or a function, got /],
    ["null", { resolver: null }, /^Expected resolver to be .*, got null$/],
    [
      "a lookup as well",
      { resolver: "system", lookup: () => undefined },
      /^Expected either lookup or resolver, got both$/,
    ],
    [
      "a negative time",
      { resolverTimeout: -1 },
      /^Expected resolverTimeout to be a non-negative number of milliseconds, got -1$/,
    ],
    ["a time in text", { resolverTimeout: "1" }, /^Expected resolverTimeout to be a number of milliseconds, got "1"$/],
  ] as const) {
    it(`throw at once: ${name}`, async (t) => {
      const { connect, socket } = await stage(t);
      assert.throws(() => void connect(options as Partial<ConnectOptions>), { message });
      assert.equal(socket.state, "idle");
    });
  }
});
