/** The transports that the conformance tests run over, and the few things that every one of those tests does. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type AsyncSocketOptions, type ConnectOptions, type ListenOptions } from "asyncsocket";
import { MemoryNetwork, type MemoryNetworkOptions } from "asyncsocket/testing";
import { LEFT_OUT, NO_NATIVE } from "./availability.js";
import { Authority } from "./certificates.js";
import { duplexTransports } from "./duplex-listener.js";
import { assertInvariants } from "./invariants.js";
import { openSockets } from "./open-sockets.js";

/** One kind of connection. A new one is made for every test. */
export interface Wire {
  /** For the constructor. */
  readonly options: AsyncSocketOptions;
  readonly listen: ListenOptions;
  connect(listener: AsyncSocket): ConnectOptions;
  dispose(): void;
}

export interface Kind {
  readonly name: string;
  /** Whether the bytes go through the kernel. */
  readonly isReal: boolean;
  readonly isSecure: boolean;
  /** Whether a connection can end by a RST. */
  readonly hasReset: boolean;
  /** How many bytes come at once, at most. */
  readonly chunkBytes: number;
  open(): Wire;
}

type RealTransport = "node" | "native";

function tcp(name: string, host: string, transport: RealTransport): Kind {
  return {
    name,
    isReal: true,
    isSecure: false,
    hasReset: true,
    chunkBytes: Infinity,
    open: () => ({
      options: { transport },
      listen: { port: 0, host },
      connect: (listener) => ({ host, port: portOf(listener) }),
      dispose: () => undefined,
    }),
  };
}

/** A network in memory, for what one transport alone can show: with a virtual clock, with chunks of one's own. */
export function memory(name: string, options: MemoryNetworkOptions = {}): Kind {
  const { chunkBytes = Infinity } = options;
  return {
    name,
    isReal: false,
    isSecure: false,
    hasReset: true,
    chunkBytes: typeof chunkBytes === "number" ? chunkBytes : 1,
    open: () => ({
      options: { transport: new MemoryNetwork(options) },
      listen: { port: 7 },
      connect: () => ({ port: 7 }),
      dispose: () => undefined,
    }),
  };
}

function unix(name: string, transport: RealTransport): Kind {
  return {
    name,
    isReal: true,
    isSecure: false,
    hasReset: false,
    chunkBytes: Infinity,
    open: () => {
      const folder = mkdtempSync(join(tmpdir(), "asyncsocket-"));
      const path = join(folder, "s");
      return {
        options: { transport },
        listen: { path },
        connect: () => ({ path }),
        dispose: () => rmSync(folder, { recursive: true, force: true }),
      };
    },
  };
}

function openStreams(): Wire {
  return { ...tcp("", "127.0.0.1", "node").open(), options: { transport: duplexTransports } };
}

async function hasIPv6(): Promise<boolean> {
  const probe = createServer().listen(0, "::1");
  try {
    await once(probe, "listening");
    probe.close();
    return true;
  } catch {
    return false;
  }
}

const authority = await Authority.create();
const identity = await authority.issue(["localhost", "127.0.0.1"]);

function tls(name: string, version: "TLSv1.2" | "TLSv1.3", transport: RealTransport): Kind {
  return {
    name,
    isReal: true,
    isSecure: true,
    hasReset: true,
    chunkBytes: Infinity,
    open: () => ({
      options: { transport },
      listen: { port: 0, host: "127.0.0.1", tls: { ...identity, maxVersion: version } },
      connect: (listener) => ({ host: "127.0.0.1", port: portOf(listener), tls: { ca: authority.cert } }),
      dispose: () => undefined,
    }),
  };
}

const ipv6 = await hasIPv6();

const NATIVE: readonly Kind[] = [
  tcp("native TCP over IPv4", "127.0.0.1", "native"),
  ...(ipv6 ? [tcp("native TCP over IPv6", "::1", "native")] : []),
  unix("a native Unix-domain socket", "native"),
  tls("TLSv1.3 begun natively", "TLSv1.3", "native"),
];

const ALL_KINDS: readonly Kind[] = [
  memory("memory"),
  memory("memory, one byte a chunk", { chunkBytes: 1, capacityBytes: 4096 }),
  tcp("TCP over IPv4", "127.0.0.1", "node"),
  ...(ipv6 ? [tcp("TCP over IPv6", "::1", "node")] : []),
  unix("a Unix-domain socket", "node"),
  { ...tcp("streams, on the accepted side", "127.0.0.1", "node"), open: openStreams },
  tls("TLSv1.2", "TLSv1.2", "node"),
  tls("TLSv1.3", "TLSv1.3", "node"),
  ...(NO_NATIVE === false ? NATIVE : []),
];

export const KINDS = ALL_KINDS.filter(({ name }) => !LEFT_OUT.has(name));

export function portOf(socket: AsyncSocket): number {
  const { local } = socket;
  assert.ok(local !== undefined && local.family !== "unix", "a socket with a port");
  return local.port;
}

/** For suites: a safety net only, so that a test that waits in vain fails alone. Wide, for machines that are busy. */
export const SAFETY = { timeout: 180_000 };

/** Runs a suite over every transport. */
export function overEveryTransport(suite: (kind: Kind) => void): void {
  for (const kind of KINDS) {
    describe(`over ${kind.name}`, SAFETY, () => suite(kind));
  }
  for (const { name } of ALL_KINDS) {
    const reason = LEFT_OUT.get(name);
    if (reason !== undefined) it(`over ${name}`, { skip: reason });
  }
  if (NO_NATIVE !== false) it("over the native transport", { skip: NO_NATIVE });
}

// The test runner's own pipes to its parent are there from the beginning.
await turn();
await turn();
let socketsBefore = openSockets().length;

/** Lets what is open now count as there from the beginning: the pipes to a program that the tests of a suite share. */
export function keepWhatIsOpen(): void {
  socketsBefore = openSockets().length;
}

/** To be called at the end of a test, when all is closed. Closing takes the event loop a few turns. */
export async function assertNothingLeft(): Promise<void> {
  for (let turns = 0; turns < 200 && openSockets().length > socketsBefore; turns++) await turn();
  assert.ok(openSockets().length <= socketsBefore, `sockets left behind: ${openSockets().join(", ")}`);
}

/** One turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export interface Pair {
  readonly listener: AsyncSocket;
  /** The side that connected. */
  readonly client: AsyncSocket;
  /** The side that was accepted. */
  readonly server: AsyncSocket;
}

/** A connected pair. `options` go to the client, `accepting` to the listener, and so to the server's side. */
export async function connectedPair(
  t: TestContext,
  kind: Kind,
  options: AsyncSocketOptions = {},
  accepting: AsyncSocketOptions = {},
): Promise<Pair> {
  const wire = kind.open();
  // Nothing in memory keeps the process alive, and a test that waits in vain is to fail by its timeout.
  const alive = setTimeout(() => undefined, 2 * SAFETY.timeout);
  t.after(() => clearTimeout(alive));
  const listener = new AsyncSocket({ ...wire.options, ...accepting });
  await listener.listen(wire.listen);
  const accepted = listener.connections();
  const client = new AsyncSocket({ ...wire.options, ...options });
  const [, next] = await Promise.all([client.connect(wire.connect(listener)), accepted.next()]);
  assert.ok(next.value !== undefined);
  const server = next.value;
  // A TLS client is through with the handshake before its server is.
  while (server.isSecure !== client.isSecure) await turn();
  t.after(async () => {
    for (const socket of [client, server]) assertInvariants(socket);
    await Promise.all([client.disconnect(), server.disconnect(), listener.disconnect()]);
    for (const socket of [client, server]) assertInvariants(socket);
    wire.dispose();
    await assertNothingLeft();
  });
  return { listener, client, server };
}
