import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { checkServerIdentity } from "node:tls";
import type { AsyncSocket, TLSOptions } from "asyncsocket";
import { failure, readToEnd } from "../support/delegates.js";
import { SAFETY } from "../support/transports.js";
import {
  assertWords,
  authority,
  CLEAR,
  HOST,
  identity,
  idle,
  listening,
  nodeServer,
  overMemory,
  secured,
  SecureRecorder,
  type Sides,
  stranger,
  trusting,
} from "./helpers.js";

interface Case {
  readonly name: string;
  /** What the server shows. @default `identity` */
  readonly server?: TLSOptions;
  readonly client: TLSOptions;
  /** What is wrong, in the words of the error; null: nothing. */
  readonly wrong: RegExp | null;
  readonly authorized?: boolean;
}

const expired = await authority.issue([HOST], { from: -3, until: -2 });
const early = await authority.issue([HOST], { from: 2, until: 3 });
const named = await authority.issue(["one.example", "*.two.example"]);
const strange = await stranger.issue([HOST]);

const CASES: readonly Case[] = [
  { name: "an address among the names", client: trusting, wrong: null },
  { name: "a name, by servername", client: { ...trusting, servername: "localhost" }, wrong: null },
  { name: "a name by wildcard", server: named, client: { ...trusting, servername: "a.two.example" }, wrong: null },
  { name: "an unknown authority", server: strange, client: trusting, wrong: /issuer|authority|certificate/ },
  { name: "no authority of the test's", client: {}, wrong: /issuer|authority|certificate/ },
  { name: "another name", server: named, client: trusting, wrong: /IP: 127\.0\.0\.1|altnames/ },
  {
    name: "another servername",
    client: { ...trusting, servername: "evil.example" },
    wrong: /evil\.example/,
  },
  {
    name: "a wildcard for one label alone",
    server: named,
    client: { ...trusting, servername: "a.b.two.example" },
    wrong: /a\.b\.two\.example/,
  },
  { name: "an expired certificate", server: expired, client: trusting, wrong: /expired/ },
  { name: "a certificate of the future", server: early, client: trusting, wrong: /not valid yet/ },
  {
    name: "anything, with rejectUnauthorized: false",
    server: strange,
    client: { rejectUnauthorized: false },
    wrong: null,
    authorized: false,
  },
  {
    name: "what checkServerIdentity accepts",
    server: named,
    client: { ...trusting, checkServerIdentity: () => undefined },
    wrong: null,
  },
  {
    name: "what checkServerIdentity refuses",
    client: { ...trusting, checkServerIdentity: (host) => new Error(`I do not like ${host}`) },
    wrong: /I do not like 127\.0\.0\.1/,
  },
];

function assertRefused(client: AsyncSocket, wrong: RegExp): void {
  const reason = client.closeReason;
  assert.ok(reason?.error);
  assertWords(reason.error, wrong);
  assert.equal(client.isSecure, false);
  assert.ok(client.tls?.peerCertificate, "the certificate can be looked at");
  assert.equal(client.tls.authorized, false);
  assert.ok(client.tls.authorizationError instanceof Error);
}

function assertTrusted(client: AsyncSocket, authorized: boolean): void {
  assert.equal(client.isSecure, true);
  assert.equal(client.tls?.authorized, authorized);
  assert.equal(client.tls.authorizationError === null, authorized);
}

async function exchange(client: AsyncSocket, server: AsyncSocket): Promise<void> {
  server.write("hello\n");
  assert.equal(await client.readLine(), "hello");
}

describe("A server's certificate is verified by default, of connect({ tls })", SAFETY, () => {
  for (const { name, server: shown, client: tls, wrong, authorized = true } of CASES) {
    it(`${wrong === null ? "trusts" : "refuses"} ${name}`, async (t) => {
      const { target, accepted } = await listening(t, shown ?? identity);
      const recorder = new SecureRecorder();
      const client = idle(t, { delegate: recorder });
      const connecting = client.connect({ ...target, tls });
      if (wrong === null) {
        await connecting;
        assert.deepEqual(recorder.names.slice(0, 2), ["didConnect", "didSecure"]);
        assertTrusted(client, authorized);
        await exchange(client, await accepted());
      } else {
        const error = await failure(connecting, "TLS");
        await client.closed;
        assert.equal(client.closeReason?.error, error);
        assert.equal(error.operation, "connect");
        assertRefused(client, wrong);
        assert.deepEqual(recorder.names, ["didDisconnect"]);
        const server = await accepted();
        assert.equal((await readToEnd(server)).length, 0);
      }
    });
  }

  it("refuses the same certificates of a server on node:tls", async (t) => {
    const { target } = await nodeServer(t, strange);
    const client = idle(t);
    await failure(client.connect({ ...target, tls: trusting }), "TLS");
    assertRefused(client, /issuer|authority|certificate/);
  });

  it("takes the host's name for the check and for SNI, by default", async (t) => {
    const { target, accepted } = await listening(t, identity);
    const client = idle(t);
    await client.connect({ ...target, host: "localhost", family: 4, tls: trusting });
    const server = await accepted();
    await secured(server);
    assert.equal(client.tls?.servername, "localhost");
    assert.equal(server.tls?.servername, "localhost");
  });

  it("sends no SNI for an address", async (t) => {
    const { target, accepted } = await listening(t, identity);
    const client = idle(t);
    await client.connect({ ...target, tls: trusting });
    const server = await accepted();
    await secured(server);
    assert.deepEqual([client.tls?.servername, server.tls?.servername], [null, null]);
  });

  it("gives checkServerIdentity the name and the certificate, and only after the chain was found good", async (t) => {
    const asked: string[] = [];
    const { target } = await listening(t, identity);
    const check: TLSOptions["checkServerIdentity"] = (host, certificate) => {
      asked.push(`${host} ${String(certificate.subject.CN)}`);
      return checkServerIdentity(host, certificate);
    };
    await idle(t).connect({ ...target, tls: { ...trusting, checkServerIdentity: check } });
    assert.deepEqual(asked, ["127.0.0.1 localhost"]);
    await failure(idle(t).connect({ ...target, tls: { checkServerIdentity: check } }), "TLS");
    assert.equal(asked.length, 1);
  });

  it("takes `true` for all the defaults", async (t) => {
    const { target } = await listening(t, identity);
    const client = idle(t);
    assertWords(await failure(client.connect({ ...target, tls: true }), "TLS"), /issuer|authority/);
  });
});

/** What startTLS is told besides, where no host is known. */
function withName(tls: TLSOptions): TLSOptions {
  return { servername: HOST, ...tls };
}

for (const [kind, connected] of Object.entries(CLEAR)) {
  describe(`A server's certificate is verified by default, of startTLS over ${kind}`, SAFETY, () => {
    for (const { name, server: shown, client: tls, wrong, authorized = true } of CASES) {
      it(`${wrong === null ? "trusts" : "refuses"} ${name}`, async (t) => {
        const recorder = new SecureRecorder();
        const { client, server } = await connected(t, { delegate: recorder });
        server.startTLS({ ...(shown ?? identity), isServer: true });
        const upgrade = client.startTLS(withName(tls));
        const behind = client.write("a secret", { tag: "secret" });
        if (wrong === null) {
          assert.equal(await upgrade, client.tls);
          assertTrusted(client, authorized);
          assert.equal(String(await server.readExactly(8)), "a secret");
        } else {
          const error = await failure(upgrade, "TLS");
          await failure(behind, "CLOSED");
          await client.closed;
          assert.equal(client.closeReason?.error, error);
          assertRefused(client, wrong);
          assert.equal(recorder.names.includes("didSecure"), false);
          assert.equal((await readToEnd(server)).length, 0);
        }
      });
    }
  });
}

const overStreams = CLEAR["two streams"] as (typeof CLEAR)[string];
const overLoopback = CLEAR["the loopback interface"] as (typeof CLEAR)[string];

describe("A client of startTLS that knows no name", SAFETY, () => {
  const nameless: Record<string, (t: TestContext) => Promise<Sides>> = {
    "from a stream": (t) => overStreams(t),
    "accepted, with the roles swapped": async (t) => {
      const { client, server } = await overLoopback(t);
      return { client: server, server: client };
    },
  };
  for (const [name, connected] of Object.entries(nameless)) {
    it(`fails in words, and closes: ${name}`, async (t) => {
      const { client, server } = await connected(t);
      server.startTLS({ ...identity, isServer: true });
      const upgrade = client.startTLS({ ...trusting, isServer: false });
      assertWords(await failure(upgrade, "TLS"), /servername/);
      assert.equal((await client.closed).by, "error");
    });
  }

  it("needs no name where nothing is checked by name", async (t) => {
    const { client, server } = await overStreams(t);
    server.startTLS({ ...identity, isServer: true });
    const info = await client.startTLS({ rejectUnauthorized: false });
    assert.equal(info.servername, null);
  });

  it("has the name of the host that it connected to", async (t) => {
    const { client, server } = await overMemory(t);
    server.startTLS({ ...identity, isServer: true });
    assert.equal((await client.startTLS(trusting)).servername, "localhost");
  });
});
