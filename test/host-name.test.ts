/** Names in other scripts and names with a final dot, from the call to what goes out. */

import assert from "node:assert/strict";
import type { LookupFunction } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type TLSOptions } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import { Belongings } from "./support/lifecycle-helpers.js";
import { SAFETY } from "./support/transports.js";
import { authority, identity, idle, listening } from "./tls/helpers.js";
import { asciiName, canonicalName, withoutFinalDot } from "#dist/base/host-name.js";
import { connectTarget } from "#dist/connect/options.js";
import { clientSettings, withHost } from "#dist/tls/settings.js";

describe("a name in ASCII", () => {
  for (const [name, expected] of [
    ["a.test", "a.test"],
    ["A.test.", "A.test."],
    ["1.2", "1.2"],
    ["a b", "a b"],
    ["bücher.example", "xn--bcher-kva.example"],
    ["BÜCHER.example.", "xn--bcher-kva.example."],
    ["*.bücher.example", "*.xn--bcher-kva.example"],
    ["日本。jp", "xn--wgv71a.jp"],
    ["ü/x", undefined],
    ["ü:80", undefined],
    ["ü\n", undefined],
    ["ü b", undefined],
  ] as const) {
    it(`is that of ${JSON.stringify(name)}`, () => {
      assert.equal(asciiName(name), expected);
    });
  }

  it("is compared without case and final dot", () => {
    assert.equal(canonicalName("BÜCHER.example."), "xn--bcher-kva.example");
    assert.equal(canonicalName("XN--bcher-kva.EXAMPLE"), "xn--bcher-kva.example");
    assert.deepEqual(["a.", "a..", "."].map(withoutFinalDot), ["a", "a.", "."]);
  });
});

describe("a host in another script", SAFETY, () => {
  it("is looked up, sent as SNI, verified and asked of proxies in ASCII", () => {
    const options = { host: "Bücher.example.", port: 1, proxy: "http://прокси.test" };
    const target = connectTarget(options);
    assert.ok(target.path === null);
    assert.equal(target.host, "xn--bcher-kva.example.");
    assert.equal(target.proxy?.host, "xn--h1adldfi.test");
    const settings = withHost(clientSettings(true), target.host);
    assert.deepEqual([settings?.servername, settings?.identity], ["xn--bcher-kva.example", "xn--bcher-kva.example"]);
    const { servername, identity } = clientSettings({ servername: "bücher.example." });
    assert.deepEqual([servername, identity], ["xn--bcher-kva.example", "xn--bcher-kva.example"]);
  });

  it("reaches lookups in ASCII, and finds the names of a network of one's own in either form", async (t) => {
    const asked: string[] = [];
    const lookup: LookupFunction = (host, _options, done) => {
      asked.push(host);
      done(null, [{ address: "127.0.0.1", family: 4 }]);
    };
    const transport = new MemoryNetwork({
      hosts: { "bücher.test": ["192.0.2.9"] },
      services: { "_chat._tcp.bücher.test": [{ name: "bücher.test", port: 1, priority: 0, weight: 0 }] },
    });
    const belongings = Belongings.of(t);
    belongings.add(await AsyncSocket.listen({ port: 1, transport }));
    await belongings.add(await AsyncSocket.connect({ host: "bücher.test", port: 1, transport, lookup })).disconnect();
    assert.deepEqual(asked, ["xn--bcher-kva.test"]);
    for (const options of [{ port: 1 }, { service: "chat" }]) {
      const socket = belongings.add(await AsyncSocket.connect({ host: "bücher.test", ...options, transport }));
      assert.ok(socket.remote?.family !== "unix" && socket.remote?.address === "192.0.2.9");
    }
  });

  it("that can be none is refused at the call", () => {
    const socket = new AsyncSocket({ transport: new MemoryNetwork() });
    const refused = {
      name: "RangeError",
      message: /^Expected (host|servername) to be a host name or an address, got /,
    };
    assert.throws(() => socket.connect({ host: "ü b", port: 1 }), refused);
    assert.throws(() => socket.listen({ host: "ü:80", port: 1 }), refused);
    assert.throws(() => socket.connect({ port: 1, tls: { servername: "ü/x" } }), refused);
  });
});

describe("a certificate by name", SAFETY, () => {
  /** The name that a server's certificate is for, to a client that connects to `host`, and trusts nothing else. */
  async function shownTo(t: TestContext, certificates: TLSOptions["certificates"], host: string): Promise<unknown> {
    const { target } = await listening(t, { ...identity, certificates });
    const lookup: LookupFunction = (_host, _options, done) => done(null, [{ address: target.host, family: 4 }]);
    const client = idle(t);
    await client.connect({ ...target, host, lookup, tls: { ca: authority.cert } });
    return client.tls?.peerCertificate?.subject.CN;
  }

  for (const [key, host] of [
    ["one.example", "one.example."],
    ["one.example.", "one.example"],
    ["bücher.example", "BÜCHER.example."],
    ["*.bücher.example", "www.bücher.example"],
    ["xn--bcher-kva.example", "bücher.example"],
    ["bücher.example", "xn--bcher-kva.example"],
  ] as const) {
    it(`is found and trusted: ${key} for ${host}`, async (t) => {
      const name = canonicalName(key);
      const own = await authority.issue([name]);
      assert.equal(await shownTo(t, { [key]: own }, host), name);
      const choose = (asked: string): TLSOptions | undefined => (asked === canonicalName(host) ? own : undefined);
      assert.equal(await shownTo(t, choose, host), name);
    });
  }
});
