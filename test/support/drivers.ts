/** Drivers of others, over the runtime's own sockets and over the streams of ours. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import net from "node:net";
import tls from "node:tls";
import { describe, type TestContext } from "node:test";
import { AsyncSocket, type AsyncSocketOptions } from "asyncsocket";
import { NO_NATIVE } from "./availability.js";
import { Belongings } from "./lifecycle-helpers.js";
import { portOf, SAFETY } from "./transports.js";

export const HOST = "127.0.0.1";

/** A module of a development dependency; null where it is not installed, so that its tests can be left out, loudly. */
export async function driver<Module>(name: string): Promise<Module | null> {
  try {
    return (await import(name)) as Module;
  } catch {
    console.error(`*** Tests of ${name} are skipped: it is not installed (npm ci)`);
    return null;
  }
}

/** A suite for a driver, which is skipped without it. */
export function describeDriver<Module>(name: string, module: Module | null, suite: (module: Module) => void): void {
  if (module === null) describe(name, { skip: `${name} is not installed` });
  else describe(name, SAFETY, () => suite(module));
}

/** On what a driver's connections run. */
export type Base = "node:net" | "node" | "native";

export const OURS: readonly Base[] = NO_NATIVE === false ? ["node", "native"] : ["node"];

/** A stream for a driver that connects it. */
export function idleStream(t: TestContext, base: Base): net.Socket {
  if (base === "node:net") return Belongings.of(t).addRaw(new net.Socket());
  const socket = Belongings.of(t).add(new AsyncSocket({ transport: base }));
  return socket.toDuplex() as unknown as net.Socket;
}

/** Whom a client of TLS trusts, and by what name. */
export interface Trust {
  readonly ca: string;
  readonly servername: string;
}

/** A stream that is being connected; with `trust` to a server that begins with TLS. */
export function connectingStream(t: TestContext, base: Base, port: number, trust?: Trust): net.Socket {
  const where = { host: HOST, port };
  if (base !== "node:net") return idleStream(t, base).connect({ ...where, tls: trust } as net.SocketConnectOpts);
  if (trust === undefined) return idleStream(t, base).connect(where);
  return Belongings.of(t).addRaw(tls.connect({ ...where, ...trust }));
}

/** The code of an error, or else its message: by these drivers' errors are compared. */
export async function failureOf(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
  }
  return assert.fail("Expected it to fail");
}

/** What bytes are, in a few characters. */
export function digest(data: Uint8Array): string {
  return `${data.length} ${createHash("sha256").update(data).digest("hex")}`;
}

/**
 * Lets whatever connects by `net.connect` get streams of ours, until the test is over or `restore` is called. With
 * `trust` they are encrypted, of which the driver knows nothing.
 */
export function connectOver(
  t: TestContext,
  base: Base,
  trust?: Trust,
): { readonly made: readonly AsyncSocket[]; readonly restore: () => void } {
  const made: AsyncSocket[] = [];
  if (base === "node:net") return { made, restore: () => undefined };
  const connect = (options: { host?: string; port: number | string }, connected?: () => void): unknown => {
    const socket = Belongings.of(t).add(new AsyncSocket({ transport: base }));
    made.push(socket);
    return socket.toDuplex().connect({ host: options.host ?? HOST, port: Number(options.port), tls: trust }, connected);
  };
  const mocks = (["connect", "createConnection"] as const).map((name) => t.mock.method(net, name, connect as never));
  const restore = (): void => {
    for (const one of mocks) one.mock.restore();
    assert.ok(made.length > 0, "the driver connected by a stream of ours");
  };
  return { made, restore };
}

/** Lets a server of the runtime get its connections from a listener of ours; gives the port. */
export async function acceptOver(t: TestContext, base: Base, server: net.Server): Promise<number> {
  if (base === "node:net") {
    Belongings.of(t).addRaw(server);
    await new Promise<void>((resolve) => void server.listen(0, HOST, resolve));
    return (server.address() as net.AddressInfo).port;
  }
  const options: AsyncSocketOptions = {
    transport: base,
    delegate: {
      didAccept(_, socket) {
        Belongings.of(t).add(socket);
        server.emit("connection", socket.toDuplex());
      },
    },
  };
  const listener = Belongings.of(t).add(new AsyncSocket(options));
  await listener.listen({ port: 0, host: HOST });
  return portOf(listener);
}
