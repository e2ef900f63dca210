/** `connect({ proxy: "env" })`: which proxy the environment names, and for which hosts. */

import assert from "node:assert/strict";
import { after, describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import { assertNothingLeft } from "../support/transports.js";
import { assertInStep, play } from "./scripted-proxy.js";
import { environmentProxy } from "#dist/connect/proxy/environment.js";

after(assertNothingLeft);

type Environment = Readonly<Record<string, string | undefined>>;

/** The name and port of the proxy; undefined if there is none. */
function proxyOf(env: Environment, host = "example.org", port = 443): string | undefined {
  const proxy = environmentProxy(host, port, env);
  return proxy === undefined ? undefined : `${proxy.host}:${proxy.port}`;
}

describe("the proxy of the environment", () => {
  for (const [name, env, expected] of [
    ["is none without any variable", {}, undefined],
    ["is HTTPS_PROXY", { HTTPS_PROXY: "http://a:1" }, "a:1"],
    ["is https_proxy", { https_proxy: "socks5://a" }, "a:1080"],
    ["is the name in small letters before the other", { HTTPS_PROXY: "http://a:1", https_proxy: "http://b:1" }, "b:1"],
    ["is ALL_PROXY where nothing else is set", { ALL_PROXY: "socks5h://a:1" }, "a:1"],
    ["is all_proxy before the other", { ALL_PROXY: "http://a:1", all_proxy: "http://b:1" }, "b:1"],
    ["is HTTPS_PROXY before ALL_PROXY", { HTTPS_PROXY: "http://a:1", all_proxy: "http://b:1" }, "a:1"],
    ["is not a variable that is empty", { https_proxy: "", HTTPS_PROXY: "", ALL_PROXY: "http://b:1" }, "b:1"],
    [
      "is not HTTP_PROXY, which is for requests in the clear",
      { HTTP_PROXY: "http://a:1", http_proxy: "http://a:1" },
      undefined,
    ],
    ["speaks HTTP where there is no scheme", { HTTPS_PROXY: "a:3128" }, "a:3128"],
    ["has a login where there is no scheme, too", { HTTPS_PROXY: "user:pass@a:3128" }, "a:3128"],
    ["is none for an exception", { HTTPS_PROXY: "http://a:1", NO_PROXY: "example.org" }, undefined],
    ["is there in spite of no_proxy that is empty", { HTTPS_PROXY: "http://a:1", no_proxy: "", NO_PROXY: "x" }, "a:1"],
    ["has its exceptions in no_proxy before NO_PROXY", { HTTPS_PROXY: "a:1", no_proxy: "x", NO_PROXY: "*" }, "a:1"],
    ["has no exceptions for itself", { NO_PROXY: "example.org" }, undefined],
  ] as readonly (readonly [string, Environment, string | undefined])[]) {
    it(name, () => assert.equal(proxyOf(env), expected));
  }

  it("may have a user name and a password", () => {
    const { username, password, kind } = environmentProxy("x", 1, { HTTPS_PROXY: "us%40er:pass@a:1" }) ?? {};
    assert.deepEqual([username, password, kind], ["us@er", "pass", "http"]);
  });

  for (const value of ["http://", "http://user:hunter2@", "http://:3128", "socks5://"]) {
    it(`is refused where it is ${value}, which has no host, and says so`, () => {
      const scheme = value.replace(/\/\/.*/, "//");
      const message = `Expected process.env.https_proxy to have a host after ${scheme}, got none`;
      assert.throws(() => proxyOf({ https_proxy: value }), { name: "RangeError", message });
    });
  }

  for (const value of ["gopher://user:hunter2@a", "a:port", "user:hunter2@", "http://user:hunter2@a/path"]) {
    it(`is refused where it is ${value}, and shown neither`, () => {
      assert.throws(
        () => proxyOf({ HTTPS_PROXY: value }),
        (error) => {
          assert.ok(error instanceof RangeError);
          assert.match(error.message, /^Expected .*(proxy|PROXY).*, got /);
          assert.doesNotMatch(error.message, /hunter2/);
          return true;
        },
      );
    });
  }
});

describe("an exception of the environment", () => {
  for (const [entry, means, meansNot] of [
    ["*", ["example.org", "192.0.2.1", "::1"], []],
    [
      "example.org",
      ["example.org", "EXAMPLE.ORG", "example.org.", "a.b.example.org"],
      ["notexample.org", "example.or", "org"],
    ],
    [".example.org", ["example.org", "a.example.org"], ["notexample.org"]],
    ["*.example.org", ["example.org", "a.example.org"], ["notexample.org"]],
    ["Example.Org.", ["example.org"], ["org"]],
    ["bücher.example", ["bücher.example", "a.xn--bcher-kva.example"], ["example"]],
    ["a, example.org\tb", ["a", "example.org", "b"], ["c"]],
    [",,", [], ["example.org", "192.0.2.1"]],
    [".", [], ["example.org"]],
    ["localhost", ["localhost", "a.localhost"], ["127.0.0.1"]],
    ["192.0.2.1", ["192.0.2.1"], ["192.0.2.10", "example.org", "::ffff:c000:201"]],
    ["192.0.2.0/24", ["192.0.2.0", "192.0.2.255"], ["192.0.3.0", "example.org", "::1"]],
    ["192.0.2.128/25", ["192.0.2.128", "192.0.2.255"], ["192.0.2.127"]],
    ["0.0.0.0/0", ["192.0.2.1"], ["::1", "example.org"]],
    ["192.0.2.0/33", [], ["192.0.2.0"]],
    ["192.0.2.0/x", [], ["192.0.2.0"]],
    ["::1", ["::1", "0:0::1"], ["::2", "127.0.0.1"]],
    ["[::1]", ["::1"], ["::2"]],
    ["fd00::/8", ["fd12::1"], ["fe80::1", "10.0.0.1"]],
    ["192.0.2", [], ["192.0.2.1"]],
  ] as readonly (readonly [string, readonly string[], readonly string[]])[]) {
    it(`means what it says: ${entry}`, () => {
      const env = { HTTPS_PROXY: "http://a:1", NO_PROXY: entry };
      for (const host of means) assert.equal(proxyOf(env, host), undefined, host);
      for (const host of meansNot) assert.equal(proxyOf(env, host), "a:1", host);
    });
  }

  for (const [entry, host] of [
    ["example.org:443", "a.example.org"],
    ["192.0.2.1:443", "192.0.2.1"],
    ["192.0.2.0/24:443", "192.0.2.1"],
    ["[::1]:443", "::1"],
  ] as const) {
    it(`may be for one port: ${entry}`, () => {
      const env = { HTTPS_PROXY: "http://a:1", NO_PROXY: entry };
      assert.equal(proxyOf(env, host, 443), undefined);
      assert.equal(proxyOf(env, host, 80), "a:1");
    });
  }
});

describe('connect({ proxy: "env" })', () => {
  const NAMES = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"];

  /** Sets the variables of this process for the time of a test. */
  function setEnvironment(t: TestContext, env: Environment): void {
    const before = NAMES.map((name) => [name, process.env[name]] as const);
    const set = (name: string, value: string | undefined): void => {
      if (value === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = value;
    };
    for (const name of NAMES) set(name, env[name]);
    t.after(() => {
      for (const [name, value] of before) set(name, value);
    });
  }

  async function stage(t: TestContext) {
    const hosts = { "target.test": ["192.0.2.7"], "proxy.test": ["192.0.2.1"] };
    const transport = new MemoryNetwork({ hosts });
    const listener = await AsyncSocket.listen({ port: 80, transport });
    const socket = new AsyncSocket({ transport });
    t.after(() => Promise.all([socket.disconnect(), listener.shutdown({ graceMs: 0 })]));
    const accept = async (): Promise<AsyncSocket> => {
      const { value } = await listener.connections().next();
      assert.ok(value !== undefined);
      return value;
    };
    return { socket, accept, target: { host: "target.test", port: 80, proxy: "env" } };
  }

  const TALK = ["CONNECT target.test:80 HTTP/1.1\r\nHost: target.test:80\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] as const;

  it("goes through the proxy that is there at the call", async (t) => {
    const { socket, accept, target } = await stage(t);
    setEnvironment(t, { HTTPS_PROXY: "http://proxy.test:80" });
    const connecting = socket.connect(target);
    setEnvironment(t, {});
    const peer = await accept();
    await Promise.all([play(peer, [TALK]), connecting]);
    await assertInStep(socket, peer);
  });

  for (const [name, env] of [
    ["no proxy", {}],
    ["an exception for the host", { ALL_PROXY: "http://proxy.test", NO_PROXY: "test" }],
  ] as const) {
    it(`goes straight there with ${name}, and its PROXY header names its own ends`, async (t) => {
      const { socket, accept, target } = await stage(t);
      setEnvironment(t, env);
      const [peer] = await Promise.all([accept(), socket.connect({ ...target, proxyProtocol: { version: 1 } })]);
      assert.match(await peer.readLine(), /^PROXY TCP4 \S+ 192\.0\.2\.7 \d+ 80$/);
      await assertInStep(socket, peer);
    });
  }

  it("throws at once where the environment names no proxy that there could be", async (t) => {
    const { socket, target } = await stage(t);
    setEnvironment(t, { HTTPS_PROXY: "ftp://user:hunter2@proxy.test" });
    assert.throws(
      () => void socket.connect(target),
      /^RangeError: Expected process\.env\.HTTPS_PROXY to be a URL .*"ftp:\/\/"$/,
    );
    assert.equal(socket.state, "idle");
    setEnvironment(t, {});
  });

  it("cannot be combined with a path or a service, whatever the environment", async (t) => {
    const { socket } = await stage(t);
    setEnvironment(t, {});
    assert.throws(() => void socket.connect({ path: "/x", proxy: "env" }), /either proxy or path/);
    assert.throws(() => void socket.connect({ service: "imap", host: "x", proxy: "env" }), /either proxy or service/);
  });
});
