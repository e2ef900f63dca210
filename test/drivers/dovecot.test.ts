/** ImapFlow over our streams, against Dovecot: everything comes out as over the runtime's own sockets. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { type EventEmitter, once } from "node:events";
import type { Socket } from "node:net";
import { userInfo } from "node:os";
import tls from "node:tls";
import { before, describe, it, type TestContext } from "node:test";
import { Authority } from "../support/certificates.js";
import { CommandLine } from "../support/cli.js";
import { pattern } from "../support/delegates.js";
import {
  type Base,
  connectingStream,
  describeDriver,
  digest,
  driver,
  HOST,
  OURS,
  type Trust,
} from "../support/drivers.js";
import {
  freePort,
  needs,
  type Owner,
  Program,
  startOnFreePort,
  suiteAsOwner,
  UNPRIVILEGED,
  unprivilegedFile,
  unprivilegedFolder,
} from "../support/programs.js";
import { keepWhatIsOpen } from "../support/transports.js";

interface Client extends EventEmitter {
  readonly secureConnection: boolean;
  connect(): Promise<void>;
  logout(): Promise<void>;
  append(path: string, content: Buffer): Promise<{ uid: number }>;
  mailboxCreate(path: string): Promise<unknown>;
  mailboxOpen(path: string): Promise<{ exists: number }>;
  mailboxDelete(path: string): Promise<unknown>;
  fetchAll(range: string, query: object): Promise<{ uid: number; source: Buffer }[]>;
  search(query: object): Promise<number[]>;
  idle(): Promise<unknown>;
}

interface Imap {
  readonly ImapFlow: new (options: object) => Client;
}

const imap = await driver<Imap>("imapflow");
const authority = await Authority.create();
const trust: Trust = { ca: authority.cert, servername: "localhost" };

/** In the clear, by the driver's own TLS after STARTTLS, or by ours from the beginning. */
type Security = "in the clear" | "after STARTTLS" | "over our TLS";
const SECURITIES: readonly Security[] = ["in the clear", "after STARTTLS", "over our TLS"];

function mail(length: number): Buffer {
  const lines = pattern(length).toString("base64").replace(/.{76}/g, "$&\r\n");
  return Buffer.from(`From: a@example.org\r\nSubject: ${length} bytes\r\n\r\n${lines}\r\n`);
}

const MAILS = [1_000_000, ...Array.from({ length: 20 }, (_, i) => i * 10)].map(mail);

/** Begins the driver's own TLS over a stream. */
function upgrade(socket: Socket, _options: object, done: () => void): Socket {
  return tls.connect({ socket, ...trust }, done);
}

interface Dovecot {
  readonly server: Program;
  readonly port: number;
  readonly securePort: number;
}

/** Everything runs as one user, who is not root. */
async function startDovecot(t: Owner): Promise<Dovecot> {
  const folder = unprivilegedFolder(t);
  const { key, cert } = await authority.issue(["localhost"]);
  const { uid = userInfo().uid, gid = userInfo().gid } = UNPRIVILEGED;
  const [user, group] = ["-nu", "-ng"].map((flag) =>
    execFileSync("id", [flag, ...(uid === userInfo().uid ? [] : ["nobody"])]),
  );
  const securePort = await freePort();
  const config = (port: number): string => `
    base_dir = ${folder}/run
    state_dir = ${folder}/state
    log_path = /dev/stderr
    protocols = imap
    listen = ${HOST}
    default_internal_user = ${String(user)}
    default_internal_group = ${String(group)}
    default_login_user = ${String(user)}
    mail_location = maildir:${folder}/mail
    disable_plaintext_auth = no
    mail_fsync = never
    mail_max_userip_connections = 0
    ssl = yes
    ssl_key = <${unprivilegedFile(folder, "key", key)}
    ssl_cert = <${unprivilegedFile(folder, "cert", cert)}
    passdb {
      driver = static
      args = password=secret
    }
    userdb {
      driver = static
      args = uid=${uid} gid=${gid} home=${folder}/home
    }
    service imap-login {
      chroot =
      inet_listener imap {
        port = ${port}
      }
      inet_listener imaps {
        port = ${securePort}
      }
    }
    service anvil {
      chroot =
    }
  `;
  const start = (port: number): Program =>
    new Program(t, "dovecot", ["-F", "-c", unprivilegedFile(folder, "config", config(port))], UNPRIVILEGED);
  return { ...(await startOnFreePort(start, /starting up for imap/)), securePort };
}

describe("Dovecot, by a client that takes our streams for sockets", needs("dovecot", "dovecot-imapd"), () => {
  describeDriver("imapflow", imap, ({ ImapFlow }) => {
    const owner = suiteAsOwner();
    let dovecot: Dovecot;
    before(async () => {
      dovecot = await startDovecot(owner);
      keepWhatIsOpen();
    });

    async function open(t: TestContext, base: Base, security: Security): Promise<Client> {
      const { port, securePort } = dovecot;
      const connect = ({ secure }: { secure: boolean }, connected: () => void): Socket =>
        connectingStream(t, base, secure ? securePort : port, secure ? trust : undefined).once(
          secure ? "secureConnect" : "connect",
          connected,
        );
      const client = new ImapFlow({
        host: HOST,
        port,
        secure: security === "over our TLS",
        doSTARTTLS: security === "after STARTTLS",
        auth: { user: "me", pass: "secret" },
        tls: trust,
        transport: { connect, upgrade },
        logger: false,
      });
      client.on("error", () => undefined);
      await client.connect();
      assert.equal(client.secureConnection, security !== "in the clear");
      return client;
    }

    /** Stores mails, and gets them again. */
    async function talk(client: Client): Promise<unknown[]> {
      await client.mailboxCreate("box");
      for (const one of MAILS) await client.append("box", one);
      const { exists } = await client.mailboxOpen("box");
      const all = await client.fetchAll("1:*", { uid: true, source: true });
      const found = await client.search({ subject: "bytes" });
      await client.mailboxDelete("box");
      return [exists, found, all.map(({ uid, source }) => `${uid} ${digest(source)}`)];
    }

    for (const security of SECURITIES) {
      it(`stores and gets the same over every transport, ${security}`, async (t) => {
        const results: Record<string, unknown[]> = {};
        for (const base of ["node:net", ...OURS] as const) {
          const client = await open(t, base, security);
          results[base] = await talk(client);
          await client.logout();
        }
        const wanted = results["node:net"];
        assert.equal(wanted?.[0], MAILS.length);
        for (const base of OURS) assert.deepEqual(results[base], wanted, base);
      });
    }

    it("is spoken to by the command line, after STARTTLS", async () => {
      const args = ["connect", HOST, String(dovecot.port), "--starttls", "imap", "-k", "--lines", "--crlf"];
      const { code, stdout, stderr } = await CommandLine.run(args, "a CAPABILITY\nb LOGOUT\n");
      assert.equal(code, 0, stderr);
      assert.match(stderr, /\nTLSv1\.3, [^]*subject {2}CN=localhost\n/);
      assert.match(stdout, /^\* CAPABILITY [^]*\r\na OK [^]*\r\nb OK .*\r\n$/);
    });

    it("fails alike over every transport when the server is killed", async (t) => {
      const clients: Client[] = [];
      for (const base of ["node:net", ...OURS] as const) {
        for (const security of SECURITIES) clients.push(await open(t, base, security));
      }
      const seen = clients.map(async (client) => {
        await client.mailboxOpen("INBOX");
        const events: unknown[] = [];
        client.on("error", (error: NodeJS.ErrnoException) => events.push(error.code));
        const closed = once(client, "close");
        return { idle: client.idle(), closed, events };
      });
      const all = await Promise.all(seen);
      await dovecot.server.kill();
      for (const { closed, events } of all) {
        await closed;
        assert.deepEqual(events, [], "no error, and no end but the close");
      }
    });
  });
});
