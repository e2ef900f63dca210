/** What the tests of TLS share: identities, our own sockets secured or in the clear, and peers on plain node:tls. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { Duplex } from "node:stream";
import type { TestContext } from "node:test";
import * as nodeTLS from "node:tls";
import {
  AsyncSocket,
  type AsyncSocketError,
  type AsyncSocketOptions,
  type ConnectOptions,
  type ListenOptions,
  type TLSOptions,
} from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import { Authority } from "../support/certificates.js";
import { Recorder, shortCode, thrown, until } from "../support/delegates.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { portOf } from "../support/transports.js";

export const HOST = "127.0.0.1";
export const authority = await Authority.create();
export const stranger = await Authority.create("CN=An authority nobody knows");
/** Valid for both names of this machine. */
export const identity = await authority.issue(["localhost", HOST]);
/** What a client of ours needs to trust it. */
export const trusting: TLSOptions = { ca: authority.cert };

/** Notes what concerns TLS, too. */
export class SecureRecorder extends Recorder {
  didSecure(): void {
    this.calls.push(["didSecure"]);
  }
}

export interface Listening {
  readonly listener: AsyncSocket;
  readonly target: ConnectOptions & { readonly host: string; readonly port: number };
  readonly accepted: () => Promise<AsyncSocket>;
}

/** A listener on the loopback interface; in the clear unless `tls` is there. */
export async function listening(
  t: TestContext,
  tls?: TLSOptions,
  options: AsyncSocketOptions = {},
  listen: ListenOptions = {},
): Promise<Listening> {
  const belongings = Belongings.of(t);
  const listener = belongings.add(new AsyncSocket(options));
  await listener.listen({ port: 0, host: HOST, ...listen, tls });
  const connections = listener.connections();
  return {
    listener,
    target: { host: HOST, port: portOf(listener) },
    async accepted() {
      const { value } = await connections.next();
      assert.ok(value !== undefined, "a connection");
      return belongings.add(value);
    },
  };
}

/** A socket of ours, closed with the test. */
export function idle(t: TestContext, options: AsyncSocketOptions = {}): AsyncSocket {
  return Belongings.of(t).add(new AsyncSocket(options));
}

/** A server is through with the handshake a little later than its client. */
export function secured(...sockets: AsyncSocket[]): Promise<void> {
  return until(() => sockets.every((socket) => socket.isSecure || socket.state !== "open"), "the handshake");
}

export interface Sides {
  readonly client: AsyncSocket;
  readonly server: AsyncSocket;
}

/** Both sides ours, secured from the start, over the loopback interface. */
export async function securePair(
  t: TestContext,
  serverTLS: TLSOptions = {},
  clientTLS: TLSOptions = {},
  options: AsyncSocketOptions = {},
): Promise<Sides> {
  const { target, accepted } = await listening(t, { ...identity, ...serverTLS }, options);
  const client = idle(t, options);
  const [, server] = await Promise.all([client.connect({ ...target, tls: { ...trusting, ...clientTLS } }), accepted()]);
  await secured(client, server);
  return { client, server };
}

/** One end of a pair of streams: what is written to one is read from the other. */
export class End extends Duplex {
  other: End | null = null;
  /** How the bytes written are cut up. */
  readonly #size: () => number;
  #resume: (() => void) | null = null;
  #hasEnded = false;

  constructor(size: () => number) {
    super();
    this.#size = size;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    let wantsMore = true;
    for (let at = 0; at < chunk.length;) {
      const end = at + Math.max(1, this.#size());
      wantsMore = this.other?.push(chunk.subarray(at, end)) === true;
      at = end;
    }
    if (wantsMore) done();
    else if (this.other !== null) this.other.#resume = done;
  }

  override _final(done: () => void): void {
    this.#end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#end();
    done(error);
  }

  #end(): void {
    const { other } = this;
    if (!this.#hasEnded && other?.destroyed === false) other.push(null);
    this.#hasEnded = true;
  }

  override _read(): void {
    const resume = this.#resume;
    this.#resume = null;
    if (resume !== null) setImmediate(resume);
  }
}

export function streamPair(size: () => number = () => Infinity): [End, End] {
  const ends: [End, End] = [new End(size), new End(size)];
  [ends[0].other, ends[1].other] = [ends[1], ends[0]];
  return ends;
}

/** Ways to be connected in the clear, for what begins with startTLS. The client's side knows no host. */
export const CLEAR: Readonly<
  Record<string, (t: TestContext, client?: AsyncSocketOptions, server?: AsyncSocketOptions) => Promise<Sides>>
> = {
  "the loopback interface": async (t, clientOptions = {}, serverOptions = {}) => {
    const { target, accepted } = await listening(t, undefined, serverOptions);
    const client = idle(t, clientOptions);
    const [, server] = await Promise.all([client.connect(target), accepted()]);
    return { client, server };
  },
  "a network in memory": (t, clientOptions, serverOptions) => overMemory(t, {}, clientOptions, serverOptions),
  "two streams": (t, clientOptions = {}, serverOptions = {}) => {
    const belongings = Belongings.of(t);
    const [near, far] = streamPair();
    const client = belongings.add(AsyncSocket.from(near, clientOptions));
    return Promise.resolve({ client, server: belongings.add(AsyncSocket.from(far, serverOptions)) });
  },
};

export async function overMemory(
  t: TestContext,
  network: ConstructorParameters<typeof MemoryNetwork>[0] = {},
  clientOptions: AsyncSocketOptions = {},
  serverOptions: AsyncSocketOptions = {},
): Promise<Sides> {
  const belongings = Belongings.of(t);
  const transport = new MemoryNetwork(network);
  const listener = belongings.add(new AsyncSocket({ ...serverOptions, transport }));
  await listener.listen({ port: 7 });
  const client = belongings.add(new AsyncSocket({ ...clientOptions, transport }));
  const [, next] = await Promise.all([client.connect({ port: 7 }), listener.connections().next()]);
  assert.ok(next.value !== undefined);
  return { client, server: belongings.add(next.value) };
}

// ------------------------------------------------------------------ peers on node:tls and node:net

export interface NodeServer {
  readonly target: { readonly host: string; readonly port: number };
  /** The next connection that is through with its handshake. */
  readonly secured: () => Promise<nodeTLS.TLSSocket>;
}

export async function nodeServer(t: TestContext, options: nodeTLS.TlsOptions = {}): Promise<NodeServer> {
  const belongings = Belongings.of(t);
  const server = belongings.addRaw(nodeTLS.createServer({ ...identity, allowHalfOpen: true, ...options }));
  server.on("connection", (socket: Socket) => belongings.addRaw(socket));
  server.on("tlsClientError", () => undefined);
  const sockets: nodeTLS.TLSSocket[] = [];
  server.on("secureConnection", (socket) => sockets.push(belongings.addRaw(socket)));
  server.listen(0, HOST);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    target: { host: HOST, port },
    async secured() {
      await until(() => sockets.length > 0, "a secured connection");
      return sockets.shift() as nodeTLS.TLSSocket;
    },
  };
}

/** Connected by node:tls, not waited for. */
export function nodeClient(t: TestContext, port: number, options: nodeTLS.ConnectionOptions = {}): nodeTLS.TLSSocket {
  const given = { host: HOST, port, ca: authority.cert, allowHalfOpen: true, ...options };
  return Belongings.of(t).addRaw(nodeTLS.connect(given));
}

export interface RawServer {
  readonly target: { readonly host: string; readonly port: number };
  readonly connection: () => Promise<Socket>;
}

/** A listener on node:net that says nothing by itself. */
export async function rawServer(t: TestContext): Promise<RawServer> {
  const belongings = Belongings.of(t);
  const sockets: Socket[] = [];
  const server = belongings.addRaw(createServer({ allowHalfOpen: true }));
  server.on("connection", (socket) => {
    sockets.push(belongings.addRaw(socket));
    socket.resume();
  });
  server.listen(0, HOST);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    target: { host: HOST, port },
    async connection() {
      await until(() => sockets.length > 0, "a connection");
      return sockets.shift() as Socket;
    },
  };
}

/** The error that a socket was closed by, checked by its code. */
export async function closedBy(socket: AsyncSocket, code: string): Promise<AsyncSocketError> {
  const { by, error } = await socket.closed;
  assert.equal(by, "error");
  return thrown(error, code);
}

/** Checks an error's words: readable, and no secrets. */
export function assertWords(error: AsyncSocketError, words: RegExp): void {
  assert.equal(shortCode(error), "TLS");
  assert.match(error.message, words);
  assert.doesNotMatch(error.message, /PRIVATE|BEGIN|undefined|\[object/);
}
