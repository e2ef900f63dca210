/** mysql2 over our streams, against MariaDB: everything comes out as over the runtime's own sockets. */

import assert from "node:assert/strict";
import type { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { join } from "node:path";
import { before, describe, it, type TestContext } from "node:test";
import { Authority } from "../support/certificates.js";
import { pattern } from "../support/delegates.js";
import {
  type Base,
  connectingStream,
  describeDriver,
  digest,
  driver,
  failureOf,
  HOST,
  OURS,
} from "../support/drivers.js";
import {
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

type Rows = Record<string, unknown>[];

interface Connection extends EventEmitter {
  query(text: string, values?: unknown[]): Promise<[Rows, unknown]>;
  execute(text: string, values?: unknown[]): Promise<[Rows, unknown]>;
  end(): Promise<void>;
}

interface MySQL {
  readonly default: { readonly createConnection: (options: object) => Promise<Connection> };
}

const mysql = await driver<MySQL>("mysql2/promise");
const authority = await Authority.create();
const BULK = pattern(1_500_000);

/** Starts without tables of users, and without its largest engine, which would take seconds. */
async function startMariaDB(t: Owner): Promise<{ server: Program; port: number }> {
  const folder = unprivilegedFolder(t);
  const { key, cert } = await authority.issue(["localhost"]);
  const settings = {
    datadir: folder,
    socket: join(folder, "socket"),
    "bind-address": HOST,
    innodb: "OFF",
    "default-storage-engine": "Aria",
    "aria-log-file-size": "8M",
    "aria-pagecache-buffer-size": "1M",
    "performance-schema": "OFF",
    feedback: "OFF",
    "max-allowed-packet": "16M",
    "ssl-key": unprivilegedFile(folder, "key", key),
    "ssl-cert": unprivilegedFile(folder, "cert", cert),
  };
  const args = Object.entries(settings).map(([name, value]) => `--${name}=${value}`);
  const start = (port: number): Program =>
    new Program(t, "mariadbd", ["--no-defaults", "--skip-grant-tables", ...args, `--port=${port}`], UNPRIVILEGED);
  return await startOnFreePort(start, /ready for connections/);
}

describe("MariaDB, by a client that takes our streams for sockets", needs("mariadbd", "mariadb-server"), () => {
  describeDriver("mysql2", mysql, ({ default: { createConnection } }) => {
    const owner = suiteAsOwner();
    let mariadb: { server: Program; port: number };
    before(async () => {
      mariadb = await startMariaDB(owner);
      keepWhatIsOpen();
    });

    async function open(t: TestContext, base: Base, isSecure: boolean): Promise<Connection> {
      const { port } = mariadb;
      const stream = (): Socket => connectingStream(t, base, port);
      const ssl = isSecure ? { ca: authority.cert, verifyIdentity: false } : undefined;
      const connection = await createConnection({ host: HOST, port, user: "root", stream, ssl });
      connection.on("error", () => undefined);
      return connection;
    }

    /** Asks for much, and for many things at once. Gives all that came back. */
    async function talk(connection: Connection, isSecure: boolean): Promise<unknown[]> {
      const ask = async (text: string, ...values: unknown[]): Promise<unknown> =>
        Object.values((await connection.query(text, values))[0][0] ?? {})[0];
      assert.equal((await connection.query("show status like 'Ssl_cipher'"))[0][0]?.["Value"] !== "", isSecure);
      const seen: unknown[] = [digest((await ask("select ?", BULK)) as Buffer)];
      const [rows] = await connection.query("select seq, md5(seq) from (select 1 seq union select 2 union select 3) s");
      seen.push(rows);
      seen.push(String(await ask("select repeat('much ', 300000)")).length);
      seen.push(await Promise.all(Array.from({ length: 500 }, (_, i) => ask("select ? * 2", i))));
      const [[prepared]] = await connection.execute("select ? as a, length(?) as b", ["text", BULK]);
      seen.push(
        prepared,
        await failureOf(connection.query("select * from no.where")),
        await ask("select 'still here'"),
      );
      return seen;
    }

    for (const base of OURS) {
      for (const isSecure of [false, true]) {
        it(`sends and gets the same over ${base}, ${isSecure ? "the driver's TLS" : "in the clear"}`, async (t) => {
          const results = [];
          for (const one of ["node:net", base] as const) {
            const connection = await open(t, one, isSecure);
            results.push(await talk(connection, isSecure));
            await connection.end();
          }
          assert.equal((results[0] as unknown[])[0], digest(BULK));
          assert.deepEqual(results[1], results[0]);
        });
      }
    }

    it("fails alike over every transport when the server is killed", async (t) => {
      const connections: Connection[] = [];
      for (const base of ["node:net", ...OURS] as const) {
        for (const isSecure of [false, true]) connections.push(await open(t, base, isSecure));
      }
      const failures = connections.map((connection) => failureOf(connection.query("select sleep(600)")));
      const watcher = await open(t, "node:net", false);
      const asleep = "select id from information_schema.processlist where info like 'select sleep%'";
      while ((await watcher.query(asleep))[0].length < connections.length); // it has not read all of them yet
      await mariadb.server.kill();
      const all = await Promise.all(failures);
      assert.deepEqual(
        all,
        all.map(() => "PROTOCOL_CONNECTION_LOST"),
      );
    });
  });
});
