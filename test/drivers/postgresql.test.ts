/** pg over our streams, against PostgreSQL: everything comes out as over the runtime's own sockets. */

import assert from "node:assert/strict";
import type { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { join } from "node:path";
import { before, describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { Authority } from "../support/certificates.js";
import { CommandLine } from "../support/cli.js";
import { pattern } from "../support/delegates.js";
import {
  type Base,
  describeDriver,
  digest,
  driver,
  failureOf,
  HOST,
  idleStream,
  OURS,
  type Trust,
} from "../support/drivers.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import {
  killOne,
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
  connect(): Promise<unknown>;
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
  end(): Promise<void>;
}

interface PG {
  readonly default: { readonly Client: new (options: object) => Client };
}

const pg = await driver<PG>("pg");
const authority = await Authority.create();
const trust: Trust = { ca: authority.cert, servername: "localhost" };
const BULK = pattern(1_500_000);
/** The request for TLS that a client begins with: its length and a code. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

/** In the clear, by the driver's own TLS over the stream, or by ours beneath it. */
type Security = "in the clear" | "the driver's TLS" | "our TLS";

async function startPostgres(t: Owner): Promise<number> {
  const folder = unprivilegedFolder(t);
  const data = join(folder, "data");
  const options = ["-D", data, "-U", "postgres", "-A", "trust", "--locale=C", "-E", "UTF8", "--no-sync"];
  const made = await new Program(t, "initdb", options, UNPRIVILEGED).ended();
  assert.equal(made.code, 0, made.stderr);
  const { key, cert } = await authority.issue(["localhost"]);
  const settings = {
    listen_addresses: HOST,
    unix_socket_directories: "",
    fsync: "off",
    ssl: "on",
    ssl_key_file: unprivilegedFile(folder, "key", key),
    ssl_cert_file: unprivilegedFile(folder, "cert", cert),
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const start = (port: number): Program =>
    new Program(t, "postgres", ["-D", data, "-p", String(port), ...args], UNPRIVILEGED);
  const { server, port } = await startOnFreePort(start, /ready to accept connections/);
  t.after(() => server.stop("SIGQUIT")); // it would wait for its clients otherwise
  return port;
}

/** A stream that a socket of ours has secured before the driver gets it, which then has nothing to connect. */
async function securedStream(t: TestContext, transport: "node" | "native", port: number): Promise<Socket> {
  const socket = Belongings.of(t).add(new AsyncSocket({ transport }));
  await socket.connect({ host: HOST, port });
  socket.write(SSL_REQUEST);
  socket.expect("S");
  await socket.startTLS(trust);
  const stream = socket.toDuplex();
  return Object.assign(stream, { connect: () => process.nextTick(() => stream.emit("connect")) }) as unknown as Socket;
}

describe("PostgreSQL, by a client that takes our streams for sockets", needs("initdb", "postgresql"), () => {
  describeDriver("pg", pg, ({ default: { Client } }) => {
    const owner = suiteAsOwner();
    let port = 0;
    before(async () => {
      port = await startPostgres(owner);
      keepWhatIsOpen();
    });

    async function open(t: TestContext, base: Base, security: Security): Promise<Client> {
      const isOurs = base !== "node:net" && security === "our TLS";
      const stream = isOurs ? await securedStream(t, base, port) : idleStream(t, base);
      const ssl = security !== "in the clear" && !isOurs && trust;
      const client = new Client({
        host: HOST,
        port,
        user: "postgres",
        database: "postgres",
        stream: () => stream,
        ssl,
      });
      client.on("error", () => undefined);
      await client.connect();
      return client;
    }

    /** Asks for much, and for many things at once. Gives all that came back. */
    async function talk(client: Client): Promise<unknown[]> {
      const ask = async (text: string, ...values: unknown[]): Promise<unknown> =>
        Object.values((await client.query(text, values)).rows[0] ?? {})[0];
      const seen: unknown[] = [await ask("select ssl from pg_stat_ssl where pid = pg_backend_pid()")];
      seen.push(digest((await ask("select $1::bytea", BULK)) as Buffer));
      const { rows } = await client.query("select i, md5(i::text) from generate_series(1, 20000) i");
      seen.push(digest(Buffer.from(JSON.stringify(rows))));
      for (let i = 0; i < 100; i++) seen.push(await ask("select $1::int * 2", i));
      seen.push(await failureOf(client.query("select * from nothing")), await ask("select 'still here'"));
      return seen;
    }

    for (const base of OURS) {
      for (const security of ["in the clear", "the driver's TLS", "our TLS"] as const) {
        it(`sends and gets the same over ${base}, ${security}`, async (t) => {
          const results = [];
          for (const one of ["node:net", base] as const) {
            const client = await open(t, one, security);
            results.push(await talk(client));
            await client.end();
          }
          assert.equal((results[0] as unknown[])[1], digest(BULK));
          assert.deepEqual(results[1], results[0]);
        });
      }
    }

    it("is found to be well by the command line, behind the protocol's own way to TLS", async () => {
      const args = ["check", HOST, String(port), "--starttls", "postgres", "--servername", "localhost", "--json"];
      const { code, stdout } = await CommandLine.run(args);
      assert.equal(code, 6, "an authority that nobody knows");
      const { tls } = JSON.parse(stdout) as { tls: { version: string; code: string | null }[] };
      assert.deepEqual(
        tls.map((one) => [one.version, one.code]),
        [
          ["1.2", null],
          ["1.3", null],
        ],
      );
    });

    it("fails alike over every transport when the server's processes are killed", async (t) => {
      const clients: Client[] = [];
      for (const base of ["node:net", ...OURS] as const) {
        for (const security of ["in the clear", "the driver's TLS", "our TLS"] as const)
          clients.push(await open(t, base, security));
      }
      const ends = clients.map((client) => new Promise((resolve) => client.once("end", () => resolve("end"))));
      const pids = await Promise.all(clients.map((client) => client.query("select pg_backend_pid() pid")));
      const failures = clients.map((client) => failureOf(client.query("select pg_sleep(600)")));
      const asleep = `select pid from pg_stat_activity where wait_event = 'PgSleep'`;
      const watcher = await open(t, "node:net", "in the clear");
      while ((await watcher.query(asleep)).rows.length < clients.length); // it has not read all of them yet
      for (const { rows } of pids) killOne(Number(rows[0]?.["pid"]));
      const seen = new Set(await Promise.all(failures));
      await Promise.all(ends);
      assert.deepEqual([...seen], ["Connection terminated unexpectedly"]);
    });
  });
});
