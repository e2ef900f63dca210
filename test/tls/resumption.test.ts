/** Names of one listener that ask for different clients: no session of one of them opens another. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { createSecureContext } from "node:tls";
import { AsyncSocket, type TLSOptions } from "asyncsocket";
import { moduleOf, MOVABLE, poolOf } from "../loops/helpers.js";
import { Authority } from "../support/certificates.js";
import { settled, until } from "../support/delegates.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { needs, Program, temporaryFolder } from "../support/programs.js";
import { portOf, SAFETY } from "../support/transports.js";
import { authority, HOST, identity, idle, trusting } from "./helpers.js";

const friends = await Authority.create("CN=The friends of a");
const others = await Authority.create("CN=The friends of b");
const friend = await friends.issue(["a friend of a"]);
const one = await authority.issue(["a.test"]);
const two = await authority.issue(["b.test"]);
const ticketKeys = Buffer.alloc(48, 3);

const VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;
type Version = (typeof VERSIONS)[number];

const asking = { ...identity, requestCert: true, ca: others.cert, ticketKeys } as const;
const apart: TLSOptions = {
  ...asking,
  certificates: { "a.test": { ...one, ca: friends.cert }, "b.test": { ...two, ca: others.cert } },
};
/** All the ways of asking for different clients by name. */
const APART: Readonly<Record<string, () => TLSOptions>> = {
  "by a map": () => apart,
  "by a map with one name, the other being the listener's own": () => ({
    ...asking,
    certificates: { "a.test": { ...one, ca: friends.cert } },
  }),
  "by a map of contexts": () => ({
    ...asking,
    certificates: {
      "a.test": createSecureContext({ ...one, ca: friends.cert }),
      "b.test": createSecureContext({ ...two, ca: others.cert }),
    },
  }),
  "by a function": () => ({
    ...asking,
    certificates: (name) => (name === "a.test" ? { ...one, ca: friends.cert } : undefined),
  }),
  "with a context of the listener's own": () => ({
    requestCert: true,
    secureContext: createSecureContext({ ...identity, ca: others.cert, ticketKeys, sessionIdContext: "own" }),
    certificates: { "a.test": { ...one, ca: friends.cert } },
  }),
};

interface Server {
  readonly listener: AsyncSocket;
  readonly port: number;
  /** Who was let in, as `NAME`, or `NAME again` of a resumed session. */
  readonly letIn: string[];
  readonly turnedAway: string[];
}

async function serve(t: TestContext, tls: TLSOptions): Promise<Server> {
  const belongings = Belongings.of(t);
  const letIn: string[] = [];
  const turnedAway: string[] = [];
  const listener = belongings.add(new AsyncSocket());
  listener.delegate = {
    didAccept: (_listener, socket) => void belongings.add(socket).readLine(),
    didSecure(socket) {
      const name = String(socket.tls?.peerCertificate?.subject.CN ?? "nobody");
      letIn.push(socket.tls?.resumed === true ? `${name} again` : name);
      socket.write("welcome\n");
    },
    didReadText: (socket) => void socket.disconnectAfterWriting(),
    didDisconnect(socket, { error }) {
      if (socket !== listener && error !== null) turnedAway.push(error.message);
    },
  };
  await listener.listen({ port: 0, host: HOST, tls });
  return { listener, port: portOf(listener), letIn, turnedAway };
}

/** A visit by our own client. @returns the session that it was given, if any */
async function visit(t: TestContext, port: number, tls: TLSOptions): Promise<Buffer | undefined> {
  const client = idle(t);
  // As an intruder does: whom it speaks to is all the same to it.
  client.connect({ host: HOST, port, tls: { ...trusting, rejectUnauthorized: false, ...tls } }).catch(() => undefined);
  const answer = await client.readLine().catch(() => "");
  if (answer !== "") await settled();
  const session = client.tls?.session;
  await client.disconnect();
  return session;
}

for (const version of VERSIONS) {
  describe(`A session of one name, resumed at another that asks for other clients, ${version}`, SAFETY, () => {
    for (const [how, options] of Object.entries(APART)) {
      it(`opens nothing, ${how}`, async (t) => {
        const server = await serve(t, { ...options(), maxVersion: version });
        const session = await visit(t, server.port, { ...friend, servername: "a.test" });
        assert.deepEqual(server.letIn, ["a friend of a"]);
        for (const servername of ["b.test", "c.test"]) {
          await visit(t, server.port, { session, servername });
          await visit(t, server.port, { ...friend, session, servername });
        }
        await until(() => server.turnedAway.length === 4, "four are turned away");
        assert.deepEqual(server.letIn, ["a friend of a"]);
        // At its own name it is as good as none.
        await visit(t, server.port, { ...friend, session, servername: "a.test" });
        assert.deepEqual(server.letIn, ["a friend of a", "a friend of a"]);
      });
    }

    it("opens nothing after setTLS, with the ticket keys of before", async (t) => {
      const server = await serve(t, { ...asking, ca: friends.cert, maxVersion: version });
      const session = await visit(t, server.port, { ...friend, servername: "a.test" });
      assert.deepEqual(server.letIn, ["a friend of a"]);
      for (const next of [apart, { ...apart, ca: friends.cert }, asking]) {
        server.listener.setTLS({ ...next, maxVersion: version });
        await visit(t, server.port, { session, servername: "b.test" });
      }
      await until(() => server.turnedAway.length === 3, "three are turned away");
      assert.deepEqual(server.letIn, ["a friend of a"]);
    });

    it("is resumed where all names ask for the same clients, in whatever words", async (t) => {
      const certificates = { "a.test": { ...one, ca: friends.cert }, "b.test": two };
      const server = await serve(t, { ...asking, ca: friends.cert, certificates, maxVersion: version });
      const session = await visit(t, server.port, { ...friend, servername: "a.test" });
      await visit(t, server.port, { ...friend, session, servername: "a.test" });
      assert.deepEqual(server.letIn, ["a friend of a", "a friend of a again"]);
    });

    describe("as openssl s_client does it", needs("openssl", "openssl"), () => {
      for (const kind of ["a ticket", "a session id"]) {
        it(`opens nothing, by ${kind}`, async (t) => {
          await withOpenSSL(t, version, kind === "a ticket" ? [] : ["-no_ticket"]);
        });
      }
    });
  });
}

async function withOpenSSL(t: TestContext, version: Version, args: readonly string[]): Promise<void> {
  const folder = temporaryFolder(t);
  const [key, cert, session] = ["key.pem", "cert.pem", "session"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(key, friend.key);
  writeFileSync(cert, friend.cert);
  const server = await serve(t, apart);
  const say = async (servername: string, ...more: string[]): Promise<void> => {
    const where = ["-connect", `${HOST}:${server.port}`, "-servername", servername, "-ign_eof"];
    const of = version === "TLSv1.2" ? "-tls1_2" : "-tls1_3";
    const client = new Program(t, "openssl", ["s_client", ...where, of, ...args, ...more]);
    // A session of TLS 1.3 comes behind the handshake; it is written to the file when it has come.
    client.type("hello\n");
    await client.ended();
  };
  const shows = ["-cert", cert, "-key", key];
  await say("a.test", ...shows, "-sess_out", session);
  assert.deepEqual(server.letIn, ["a friend of a"]);
  await say("b.test", "-sess_in", session);
  await say("b.test", ...shows, "-sess_in", session);
  await until(() => server.turnedAway.length === 2, "two are turned away");
  await say("a.test", ...shows, "-sess_in", session);
  assert.deepEqual(server.letIn, ["a friend of a", "a friend of a"]);
}

/** Tells each client that is let in who it is. */
const PORTER = moduleOf(`RunLoop.current.onSocket((socket) => {
  socket.delegate = { didSecure: () => socket.write(String(socket.tls.peerCertificate?.subject.CN) + "\\n") };
});`);

for (const transport of MOVABLE) {
  describe(`A session of one name, on run loops on the ${transport} transport`, SAFETY, () => {
    for (const version of VERSIONS) {
      it(`opens no other name on another loop, ${version}`, async (t) => {
        const loops = await poolOf(t, 2, {}, PORTER);
        const listener = Belongings.of(t).add(new AsyncSocket({ transport }));
        await listener.listen({ port: 0, host: HOST, loops, tls: { ...apart, maxVersion: version } });
        const answerTo = async (tls: TLSOptions): Promise<[string, Buffer | undefined]> => {
          const client = idle(t);
          const all = { ...trusting, rejectUnauthorized: false, ...tls };
          client.connect({ host: HOST, port: portOf(listener), tls: all }).catch(() => undefined);
          const answer = await client.readLine().catch(() => "turned away");
          await settled();
          const session = client.tls?.session;
          await client.disconnect();
          return [answer, session];
        };
        const [welcome, session] = await answerTo({ ...friend, servername: "a.test" });
        assert.equal(welcome, "a friend of a");
        for (let i = 0; i < 4; i++) {
          assert.equal((await answerTo({ session, servername: "b.test" }))[0], "turned away");
          assert.equal((await answerTo({ ...friend, session, servername: "b.test" }))[0], "turned away");
        }
        assert.equal((await answerTo({ ...friend, session, servername: "a.test" }))[0], "a friend of a");
      });
    }
  });
}
