/** Clients of Redis over our streams, against redis-server: everything comes out as over the runtime's own sockets. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { connectOver, describeDriver, driver, HOST, type Base, OURS } from "../support/drivers.js";
import { Authority } from "../support/certificates.js";
import { pattern } from "../support/delegates.js";
import { needs, Program, startOnFreePort, temporaryFolder } from "../support/programs.js";

interface IORedis {
  readonly Redis: new (options: object) => {
    call(command: string, ...rest: (string | Buffer)[]): Promise<unknown>;
    getBuffer(key: string): Promise<Buffer | null>;
    disconnect(): void;
    on(event: string, listener: (error: Error) => void): void;
  };
}

interface NodeRedis {
  readonly createClient: (options: object) => {
    connect(): Promise<unknown>;
    sendCommand(command: (string | Buffer)[]): Promise<unknown>;
    destroy(): void;
    on(event: string, listener: (error: Error) => void): void;
  };
}

const ioredis = await driver<IORedis>("ioredis");
const authority = await Authority.create();
const nodeRedis = await driver<NodeRedis>("redis");

/** With TLS, or in the clear. */
async function startRedis(t: TestContext, isSecure: boolean): Promise<{ server: Program; port: number }> {
  const folder = temporaryFolder(t);
  const options = ["--dir", folder, "--save", "", "--appendonly", "no", "--bind", HOST];
  if (isSecure) {
    const { key, cert } = await authority.issue([HOST]);
    writeFileSync(join(folder, "key"), key);
    writeFileSync(join(folder, "cert"), cert);
    options.push("--tls-key-file", join(folder, "key"), "--tls-cert-file", join(folder, "cert"));
    options.push("--tls-ca-cert-file", join(folder, "cert"), "--tls-auth-clients", "no");
  }
  const portOptions = (port: number): string[] =>
    isSecure ? ["--port", "0", "--tls-port", String(port)] : ["--port", String(port)];
  const start = (port: number): Program => new Program(t, "redis-server", [...options, ...portOptions(port)]);
  return await startOnFreePort(start, /ready to accept connections/i);
}

/** A client, reduced to what the test does with it. */
interface Client {
  send(...command: (string | Buffer)[]): Promise<unknown>;
  close(): void;
}

const MUCH = pattern(1_500_000).toString("hex");

/** Asks for much, and for many things at once; then the server goes in the middle. Gives all that came back. */
async function talk(client: Client, stop: () => Promise<void>): Promise<unknown[]> {
  const seen: unknown[] = [await client.send("PING"), await client.send("SET", "much", MUCH)];
  seen.push(await client.send("STRLEN", "much"));
  assert.ok(String(await client.send("GET", "much")) === MUCH);
  const many = await Promise.all(Array.from({ length: 2000 }, (_, i) => client.send("RPUSH", "list", String(i))));
  seen.push(many.at(-1), await client.send("LRANGE", "list", "5", "9"));
  seen.push(await client.send("INCR", "list").catch((error: unknown) => (error as Error).message));
  const waiting = client.send("BLPOP", "nothing", "0").catch((error: unknown) => (error as Error).name);
  await stop();
  seen.push(await waiting);
  client.close();
  return seen;
}

function withIORedis({ Redis }: IORedis, port: number): Promise<Client> {
  const client = new Redis({
    host: HOST,
    port,
    retryStrategy: null,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: true,
  });
  client.on("error", () => undefined);
  return Promise.resolve({
    send: (name, ...rest) => client.call(String(name), ...rest),
    close: () => client.disconnect(),
  });
}

async function withNodeRedis({ createClient }: NodeRedis, port: number): Promise<Client> {
  const client = createClient({ socket: { host: HOST, port, reconnectStrategy: false } });
  client.on("error", () => undefined);
  await client.connect();
  return { send: (...command) => client.sendCommand(command), close: () => client.destroy() };
}

describe("Redis, by clients that take our streams for sockets", needs("redis-server", "redis-server"), () => {
  async function run(
    t: TestContext,
    base: Base,
    open: (port: number) => Promise<Client>,
    isSecure = false,
  ): Promise<unknown[]> {
    const { server, port } = await startRedis(t, isSecure);
    const { made, restore } = connectOver(t, base, isSecure ? { ca: authority.cert, servername: HOST } : undefined);
    const client = await open(port);
    const seen = await talk(client, () => server.stop());
    restore();
    assert.equal(made.length, base === "node:net" ? 0 : 1);
    return seen;
  }

  const clients: Readonly<Record<string, ((port: number) => Promise<Client>) | null>> = {
    ioredis: ioredis && ((port) => withIORedis(ioredis, port)),
    redis: nodeRedis && ((port) => withNodeRedis(nodeRedis, port)),
  };
  for (const [name, open] of Object.entries(clients)) {
    describeDriver(name, open, (opened) => {
      for (const base of OURS) {
        it(`sends and gets the same over ${base}, and fails alike when the server goes`, async (t) => {
          const wanted = await run(t, "node:net", opened);
          assert.equal(wanted[2], MUCH.length);
          assert.deepEqual(await run(t, base, opened), wanted);
          assert.deepEqual(await run(t, base, opened, true), wanted, "over our TLS");
        });
      }
    });
  }
});
