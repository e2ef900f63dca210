import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { describe, it, type TestContext } from "node:test";
import { createSecureContext } from "node:tls";
import type { AsyncSocket, TLSOptions } from "asyncsocket";
import { failure, readToEnd, settled } from "../support/delegates.js";
import { SAFETY } from "../support/transports.js";
import {
  assertWords,
  authority,
  CLEAR,
  closedBy,
  HOST,
  identity,
  idle,
  listening,
  nodeClient,
  nodeServer,
  secured,
  securePair,
  stranger,
  trusting,
} from "./helpers.js";

const one = await authority.issue(["one.example"]);
const wild = await authority.issue(["*.wild.example"]);
const member = await authority.issue(["a member"]);
const outsider = await stranger.issue(["an outsider"]);

function fingerprint(cert: string): string {
  return new X509Certificate(cert).fingerprint256;
}

/** The common name that a server shows to a client that asks for `servername`. */
async function shownTo(t: TestContext, server: TLSOptions, servername: string): Promise<unknown> {
  const { target } = await listening(t, server);
  const client = idle(t);
  await client.connect({ ...target, tls: { ...trusting, servername, checkServerIdentity: () => undefined } });
  return client.tls?.peerCertificate?.subject.CN;
}

const later = <T>(value: T): Promise<T> => new Promise((resolve) => setImmediate(resolve, value));

/** A promise of another library's. */
function thenable<T>(value: T): PromiseLike<T> {
  const real = later(value);
  return { then: (done, failed) => real.then(done, failed) };
}

describe("A server with several certificates", SAFETY, () => {
  const map = { "one.example": one, "*.wild.example": createSecureContext(wild) };
  const choose = (name: string): TLSOptions | undefined => (name === "one.example" ? one : undefined);
  const cases: readonly [how: string, certificates: TLSOptions["certificates"], name: string, shown: string][] = [
    ["by name", map, "one.example", "one.example"],
    ["by name, whatever its case", map, "ONE.example", "one.example"],
    ["by a wildcard", map, "any.wild.example", "*.wild.example"],
    ["never by a wildcard for two labels", map, "a.b.wild.example", "localhost"],
    ["never by a wildcard for the bare domain", map, "wild.example", "localhost"],
    ["its own for other names", map, "other.example", "localhost"],
    ["by a function", choose, "one.example", "one.example"],
    ["its own where the function says nothing", choose, "two.example", "localhost"],
    ["by a function that answers later", (name) => later(choose(name)), "one.example", "one.example"],
    ["by a function that gives a thenable", (name) => thenable(choose(name)), "one.example", "one.example"],
    ["by a function that gives a context", () => Promise.resolve(createSecureContext(wild)), "a.b", "*.wild.example"],
  ];
  for (const [how, certificates, name, shown] of cases) {
    it(`chooses ${how}`, async (t) => {
      assert.equal(await shownTo(t, { ...identity, certificates }, name), shown);
    });
  }

  const failing: Record<string, () => undefined | Promise<undefined>> = {
    throws: () => {
      throw new Error("no such customer");
    },
    rejects: () => Promise.reject(new Error("no such customer")),
    "throws what is no error": () => {
      const nothing: unknown = undefined;
      throw nothing;
    },
  };
  for (const [how, certificates] of Object.entries(failing)) {
    it(`refuses the connection when the function ${how}, and goes on`, async (t) => {
      const { target, accepted, listener } = await listening(t, { ...identity, certificates });
      const servername = "localhost";
      await failure(idle(t).connect({ ...target, tls: { ...trusting, servername } }), "TLS");
      const error = await closedBy(await accepted(), "TLS");
      if (how !== "throws what is no error") assertWords(error, /no such customer/);
      assert.equal(listener.state, "listening");
      // Without a name it is not asked.
      await idle(t).connect({ ...target, tls: trusting });
    });
  }

  it("needs none of its own, but then cannot answer clients that name nobody", async (t) => {
    const { target, accepted } = await listening(t, { certificates: { "one.example": one } });
    await idle(t).connect({ ...target, tls: { ...trusting, servername: "one.example" } });
    await accepted();
    await failure(idle(t).connect({ ...target, tls: trusting }), "TLS");
    await closedBy(await accepted(), "TLS");
  });
});

describe("A protocol is agreed on by ALPN", SAFETY, () => {
  const cases: readonly [server: string[] | undefined, client: string[] | undefined, chosen: string | null][] = [
    [["h2", "http/1.1"], ["http/1.1", "h2"], "h2"],
    [["imap"], ["pop3", "imap"], "imap"],
    [undefined, ["imap"], null],
    [["imap"], undefined, null],
    [undefined, undefined, null],
  ];
  for (const [ours, theirs, chosen] of cases) {
    it(`server ${String(ours)}, client ${String(theirs)}: ${String(chosen)}`, async (t) => {
      const { client, server } = await securePair(t, { ALPNProtocols: ours }, { ALPNProtocols: theirs });
      assert.deepEqual([client.tls?.alpn, server.tls?.alpn], [chosen, chosen]);
    });
  }

  it("ends the handshake when none is shared", async (t) => {
    const { target, accepted } = await listening(t, { ...identity, ALPNProtocols: ["imap"] });
    const error = await failure(idle(t).connect({ ...target, tls: { ...trusting, ALPNProtocols: ["h2"] } }), "TLS");
    assertWords(error, /./);
    await closedBy(await accepted(), "TLS");
  });

  it("is understood by node:tls, either side", async (t) => {
    const theirs = await nodeServer(t, { ALPNProtocols: ["b"] });
    const client = idle(t);
    await client.connect({ ...theirs.target, tls: { ...trusting, ALPNProtocols: ["a", "b"] } });
    assert.equal(client.tls?.alpn, "b");
    const { target } = await listening(t, { ...identity, ALPNProtocols: ["b"] });
    const peer = nodeClient(t, target.port, { ALPNProtocols: ["a", "b"] });
    await once(peer, "secureConnect");
    assert.equal(peer.alpnProtocol, "b");
  });
});

describe("A server may ask its clients for certificates", SAFETY, () => {
  const required: TLSOptions = { requestCert: true, ca: authority.cert };
  const asked: TLSOptions = { ...required, rejectUnauthorized: false };
  interface Case {
    readonly name: string;
    readonly server: TLSOptions;
    readonly client: TLSOptions;
    /** Whether it is let in, and then whether it is authorized. */
    readonly isLetIn: boolean;
    readonly authorized?: boolean;
    readonly shown?: string | null;
  }
  const cases: readonly Case[] = [
    { name: "required, shown", server: required, client: member, isLetIn: true, authorized: true, shown: "a member" },
    { name: "required, none", server: required, client: {}, isLetIn: false },
    { name: "required, of an unknown authority", server: required, client: outsider, isLetIn: false },
    { name: "asked for, shown", server: asked, client: member, isLetIn: true, authorized: true, shown: "a member" },
    { name: "asked for, none", server: asked, client: {}, isLetIn: true, authorized: false, shown: null },
    {
      name: "asked for, of an unknown authority",
      server: asked,
      client: outsider,
      isLetIn: true,
      authorized: false,
      shown: "an outsider",
    },
    { name: "not asked for, there", server: {}, client: member, isLetIn: true, authorized: false, shown: null },
  ];
  for (const { name, server: asking, client: showing, isLetIn, authorized, shown } of cases) {
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      it(`${name}, by ${maxVersion}`, async (t) => {
        const { target, accepted } = await listening(t, { ...identity, ...asking, maxVersion });
        const client = idle(t);
        const connecting = client.connect({ ...target, tls: { ...trusting, ...showing } });
        const server = await accepted();
        if (isLetIn) {
          await connecting;
          await secured(server);
          assert.equal(server.isSecure, true);
          assert.equal(server.tls?.authorized, authorized);
          assert.equal(server.tls?.peerCertificate?.subject.CN ?? null, shown);
          client.write("in");
          assert.equal(String(await server.readExactly(2)), "in");
        } else {
          // By TLS 1.3 a client is through before the server has seen its certificate.
          connecting.catch(() => undefined);
          assertWords(await closedBy(server, "TLS"), /certificate|CERTIFICATE/);
          assert.equal(server.isSecure, false);
          await client.closed;
          assert.equal(client.bytesRead, 0);
        }
      });
    }
  }

  const names: Record<string, TLSOptions["certificates"]> = {
    "by a map": { "one.example": one },
    "by a function": () => one,
  };
  for (const [how, certificates] of Object.entries(names)) {
    it(`lets in the same clients under every name, ${how}`, async (t) => {
      const tls = { ...trusting, servername: "one.example" };
      for (const [showing, isLetIn] of [[member, true] as const, [outsider, false] as const]) {
        const { target, accepted } = await listening(t, { ...identity, ...required, certificates });
        idle(t).connect({ ...target, tls: { ...tls, ...showing } });
        const server = await accepted();
        if (isLetIn) await secured(server);
        else await closedBy(server, "TLS");
        assert.equal(server.tls?.authorized, isLetIn);
      }
    });

    const mayResume = typeof certificates !== "function";
    it(`${mayResume ? "resumes" : "resumes no"} sessions of clients with certificates under every name, ${how}`, async (t) => {
      const { target, accepted } = await listening(t, { ...identity, ...required, certificates });
      const tls = { ...trusting, ...member, servername: "one.example", maxVersion: "TLSv1.2" } as const;
      const first = idle(t);
      await first.connect({ ...target, tls });
      await secured(await accepted());
      const again = idle(t);
      await again.connect({ ...target, tls: { ...tls, session: first.tls?.session } });
      // Whom else a function would let in, nobody knows.
      assert.equal(again.tls?.resumed, mayResume);
      await secured(await accepted());
    });
  }

  it("asks for a certificate by startTLS, too", async (t) => {
    for (const connected of Object.values(CLEAR)) {
      const { client, server } = await connected(t);
      const upgrade = server.startTLS({ ...identity, ...required, isServer: true });
      client.startTLS({ ...trusting, ...member, servername: HOST });
      assert.equal((await upgrade).peerCertificate?.subject.CN, "a member");
    }
  });
});

describe("A fingerprint stands for the checks of chain and name", SAFETY, () => {
  const self = fingerprint(identity.cert);
  it("of a server, with colons or without, in any case, of several", async (t) => {
    for (const given of [self, self.replaceAll(":", ""), self.toLowerCase()]) {
      const fingerprints = [fingerprint(member.cert), given];
      const { client } = await securePair(t, {}, { ca: undefined, servername: "whatever.example", fingerprints });
      assert.equal(client.tls?.authorized, true);
    }
  });

  it("refuses any other certificate, trusted or not, and says which it is", async (t) => {
    const { target } = await listening(t, identity);
    for (const rejectUnauthorized of [undefined, false]) {
      const tls = { ...trusting, rejectUnauthorized, fingerprints: [fingerprint(member.cert)] };
      const error = await failure(idle(t).connect({ ...target, tls }), "TLS");
      assertWords(error, new RegExp(self.replaceAll(":", "").toLowerCase()));
    }
  });

  it("of a client: it is asked for its certificate", async (t) => {
    const fingerprints = [fingerprint(outsider.cert)];
    const { server } = await securePair(t, { fingerprints }, outsider);
    assert.equal(server.tls?.authorized, true);
    for (const other of [member, {}]) {
      const { target, accepted } = await listening(t, { ...identity, fingerprints });
      const client = idle(t);
      client.connect({ ...target, tls: { ...trusting, ...other } });
      await closedBy(await accepted(), "TLS");
      await client.closed;
    }
  });
});

/** The session of a connection, once the server has given one. */
async function sessionOf(client: AsyncSocket, server: AsyncSocket): Promise<Buffer> {
  server.write("x");
  await client.readExactly(1);
  await settled();
  assert.ok(client.tls?.session instanceof Buffer, "a session");
  return client.tls.session;
}

describe("A session is resumed", SAFETY, () => {
  const ticketKeys = Buffer.alloc(48, 7);
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    it(`by ${maxVersion}, with the same listener`, async (t) => {
      const { target, accepted } = await listening(t, { ...identity, maxVersion });
      const first = idle(t);
      await first.connect({ ...target, tls: trusting });
      assert.equal(first.tls?.resumed, false);
      const server = await accepted();
      await secured(server);
      const session = await sessionOf(first, server);
      const second = idle(t);
      await second.connect({ ...target, tls: { ...trusting, session } });
      const again = await accepted();
      await secured(again);
      assert.deepEqual([second.tls?.resumed, again.tls?.resumed], [true, true]);
      assert.deepEqual([second.tls?.authorized, second.tls?.version], [true, maxVersion]);
      assert.equal(second.tls?.peerCertificate?.subject.CN, "localhost");
    });

    it(`by ${maxVersion}, with another listener that has the same ticket keys, and none else`, async (t) => {
      const { client, server } = await securePair(t, { maxVersion, ticketKeys });
      const session = await sessionOf(client, server);
      const resumed = await securePair(t, { maxVersion, ticketKeys }, { session });
      assert.equal(resumed.client.tls?.resumed, true);
      const anew = await securePair(t, { maxVersion }, { session });
      assert.deepEqual([anew.client.tls?.resumed, anew.client.tls?.authorized], [false, true]);
    });

    it(`by ${maxVersion}, with a client's certificate`, async (t) => {
      const asking = { maxVersion, ticketKeys, requestCert: true, ca: authority.cert };
      const { client, server } = await securePair(t, asking, member);
      const session = await sessionOf(client, server);
      const resumed = await securePair(t, asking, { ...member, session });
      assert.deepEqual([resumed.client.tls?.resumed, resumed.server.tls?.resumed], [true, true]);
      assert.equal(resumed.server.tls?.peerCertificate?.subject.CN, "a member");
      assert.equal(resumed.server.tls.authorized, true);
    });

    it(`by ${maxVersion}, never where clients are asked for other certificates, or for any at all`, async (t) => {
      const asking = { maxVersion, ticketKeys, requestCert: true, ca: authority.cert };
      for (const other of [{}, { requestCert: true, ca: stranger.cert }]) {
        const showing = other.ca === undefined ? {} : outsider;
        const { client, server } = await securePair(t, { maxVersion, ticketKeys, ...other }, showing);
        const session = await sessionOf(client, server);
        const { target, accepted } = await listening(t, { ...identity, ...asking });
        const intruder = idle(t);
        intruder.connect({ ...target, tls: { ...trusting, session } });
        const refusing = await accepted();
        await closedBy(refusing, "TLS");
        assert.equal(refusing.isSecure, false);
      }
    });

    it(`by ${maxVersion}, and is still verified`, async (t) => {
      const { target, accepted } = await listening(t, { ...identity, maxVersion });
      const careless = idle(t);
      await careless.connect({ ...target, tls: { rejectUnauthorized: false } });
      const server = await accepted();
      await secured(server);
      const session = await sessionOf(careless, server);
      await failure(idle(t).connect({ ...target, tls: { session } }), "TLS");
      await failure(idle(t).connect({ ...target, tls: { ...trusting, session, servername: "evil.example" } }), "TLS");
    });
  }

  it("never in place of a certificate, even where the contexts are made to look the same", async (t) => {
    const same = { ticketKeys, sessionIdContext: "same" };
    const { client, server } = await securePair(t, same);
    const session = await sessionOf(client, server);
    const { target, accepted } = await listening(t, { ...identity, ...same, requestCert: true, ca: authority.cert });
    idle(t).connect({ ...target, tls: { ...trusting, session } });
    assertWords(await closedBy(await accepted(), "TLS"), /certificate/);
  });

  it("by a server on node:tls", async (t) => {
    const theirs = await nodeServer(t);
    const first = idle(t);
    await first.connect({ ...theirs.target, tls: trusting });
    const peer = await theirs.secured();
    peer.write("x");
    await first.readExactly(1);
    const second = idle(t);
    await second.connect({ ...theirs.target, tls: { ...trusting, session: first.tls?.session } });
    assert.equal(second.tls?.resumed, true);
  });
});

describe("A version is agreed on", SAFETY, () => {
  type Version = "TLSv1.2" | "TLSv1.3";
  const cases: readonly [server: TLSOptions, client: TLSOptions, version: Version | null][] = [
    [{}, {}, "TLSv1.3"],
    [{ maxVersion: "TLSv1.2" }, {}, "TLSv1.2"],
    [{}, { maxVersion: "TLSv1.2" }, "TLSv1.2"],
    [{ minVersion: "TLSv1.3" }, { maxVersion: "TLSv1.2" }, null],
    [{ maxVersion: "TLSv1.2" }, { minVersion: "TLSv1.3" }, null],
  ];
  for (const [ours, theirs, version] of cases) {
    it(`server ${JSON.stringify(ours)}, client ${JSON.stringify(theirs)}: ${version ?? "none"}`, async (t) => {
      if (version !== null) {
        const { client, server } = await securePair(t, ours, theirs);
        assert.deepEqual([client.tls?.version, server.tls?.version], [version, version]);
        assert.ok(client.tls?.cipher);
        assert.equal(client.tls.cipher, server.tls?.cipher);
        return;
      }
      const { target, accepted } = await listening(t, { ...identity, ...ours });
      const error = await failure(idle(t).connect({ ...target, tls: { ...trusting, ...theirs } }), "TLS");
      assertWords(error, /version|VERSION|PROTOCOL/);
      const server = await accepted();
      assertWords(await closedBy(server, "TLS"), /version|VERSION|PROTOCOL/);
      assert.equal((await readToEnd(server)).length, 0);
    });
  }

  it("is TLS 1.2 at least: an older client of node:tls gets nowhere", async (t) => {
    const { target, accepted } = await listening(t, identity);
    const ciphers = "DEFAULT:@SECLEVEL=0";
    nodeClient(t, target.port, { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers });
    await closedBy(await accepted(), "TLS");
  });

  it("is TLS 1.2 at least: an older server of node:tls is left", async (t) => {
    const { target } = await nodeServer(t, {
      minVersion: "TLSv1",
      maxVersion: "TLSv1.1",
      ciphers: "DEFAULT:@SECLEVEL=0",
    });
    await failure(idle(t).connect({ ...target, tls: trusting }), "TLS");
  });
});
