/** What the fuzzed sockets are connected by, and their peers, which are streams of the runtime's own wherever they can be. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex, PassThrough, Transform } from "node:stream";
import * as nodeTLS from "node:tls";
import { AsyncSocket, type AsyncSocketOptions, type TLSOptions } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import { Lot } from "../simulation/lot.js";
import { NO_NATIVE } from "../support/availability.js";
import { turn } from "../support/transports.js";
import { authority, HOST, identity, streamPair } from "../tls/helpers.js";
import type { Ending } from "./read-program.js";

/** A socket to be tried, and who is at the other end. */
export interface Ends<P extends Duplex = Duplex> {
  readonly socket: AsyncSocket;
  readonly peer: P;
  /** Breaks the connection by a RST, where there is such a thing. */
  readonly reset: () => void;
}

export interface Wanted {
  readonly seed: number;
  readonly options: AsyncSocketOptions;
  readonly isAccepted: boolean;
  readonly chunkBytes: number;
}

export interface Wire {
  readonly name: string;
  /** The endings that break a connection, and so may cost bytes. */
  readonly breaks: readonly Ending[];
  /** Whether the kernel carries the bytes, as they are. */
  readonly isClear: boolean;
  /** Whether the peer is given the very memory that was written, which is to be left alone until it is read, then. */
  readonly sharesMemory?: boolean;
  readonly open: (wanted: Wanted) => Promise<Ends>;
  readonly close: () => void;
}

type RealTransport = "node" | "native";

/** A listener on `node:net` whose connections are taken one after the other. */
class Peers {
  readonly #server: Server = createServer({ allowHalfOpen: true });
  readonly #sockets: Socket[] = [];
  #before: Promise<unknown> = Promise.resolve();

  private constructor() {
    // No byte waits for an answer: a RST would throw it away.
    this.#server.on("connection", (socket) => this.#sockets.push(socket.setNoDelay(true)));
  }

  static async listen(path: string | null = null): Promise<Peers> {
    const peers = new Peers();
    if (path === null) peers.#server.listen(0, HOST);
    else peers.#server.listen(path);
    await once(peers.#server, "listening");
    return peers;
  }

  /** Connects, and gives the other end: one at a time, so that it is known whose that is. */
  async meet<T>(open: (target: Target) => Promise<T>): Promise<[T, Socket]> {
    const meeting = this.#before.then(() => this.#meet(open));
    this.#before = meeting.catch(() => undefined);
    return meeting;
  }

  async #meet<T>(open: (target: Target) => Promise<T>): Promise<[T, Socket]> {
    const address = this.#server.address();
    assert.ok(address !== null);
    const opening = open(typeof address === "string" ? { path: address } : { host: HOST, port: address.port });
    while (this.#sockets.length === 0) await turn();
    const [socket] = this.#sockets.splice(0) as [Socket];
    return [await opening, socket];
  }

  close(): void {
    this.#server.close();
  }
}

type Target = { readonly path: string } | { readonly host: string; readonly port: number };

/** A peer of ours that reports nothing: what becomes of it is seen at the other end. */
function silent<T extends Duplex>(stream: T): T {
  return stream.on("error", () => undefined);
}

async function accept(
  options: AsyncSocketOptions,
  listen: object,
  open: (target: Target) => Socket,
): Promise<Ends<Socket>> {
  const listener = new AsyncSocket(options);
  await listener.listen(listen);
  const { local } = listener;
  assert.ok(local !== undefined);
  const peer = silent(open(local.family === "unix" ? local : { host: HOST, port: local.port }));
  const { value } = await listener.connections().next();
  assert.ok(value !== undefined);
  await listener.disconnect();
  return { socket: value, peer, reset: () => broken(peer) };
}

/** By a RST; a Unix-domain socket has none. */
function broken(socket: Socket): void {
  if (socket.remoteAddress === undefined) socket.destroy();
  else socket.resetAndDestroy();
}

async function plain(name: string, transport: RealTransport, isUnix: boolean): Promise<Wire> {
  const folder = isUnix ? mkdtempSync(join(tmpdir(), "asyncsocket-")) : null;
  const peers = await Peers.listen(folder === null ? null : join(folder, "peers"));
  let count = 0;
  const listening = (): object =>
    folder === null ? { port: 0, host: HOST } : { path: join(folder, `listener${count++}`) };
  return {
    name,
    breaks: isUnix ? [] : ["reset"],
    isClear: true,
    open: async ({ options, isAccepted }) => {
      const all = { ...options, transport };
      const asPeer = { allowHalfOpen: true, noDelay: true };
      if (isAccepted) return accept(all, listening(), (target) => connect({ ...target, ...asPeer }));
      const socket = new AsyncSocket(all);
      const [, peer] = await peers.meet((target) => Promise.resolve(socket.connect(target)));
      return { socket, peer: silent(peer), reset: () => broken(peer) };
    },
    close: () => {
      peers.close();
      if (folder !== null) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The peer's end, encrypted. The RST is that of the socket beneath. */
function encrypted(raw: Socket, isServer: boolean, version: nodeTLS.SecureVersion): nodeTLS.TLSSocket {
  const versions = { minVersion: version, maxVersion: version };
  if (!isServer) {
    return silent(nodeTLS.connect({ socket: raw, ca: authority.cert, servername: "localhost", ...versions }));
  }
  const secureContext = nodeTLS.createSecureContext({ ...identity, ...versions });
  return silent(new nodeTLS.TLSSocket(raw, { isServer, secureContext }));
}

async function tls(name: string, version: nodeTLS.SecureVersion, transport: RealTransport): Promise<Wire> {
  const peers = await Peers.listen();
  const client: TLSOptions = { ca: authority.cert };
  return {
    name,
    breaks: ["reset"],
    isClear: false,
    open: async ({ options, isAccepted }) => {
      const all = { ...options, transport };
      if (!isAccepted) {
        const socket = new AsyncSocket(all);
        const [connecting, raw] = await peers.meet((target) =>
          Promise.resolve([socket.connect({ ...target, tls: client })]),
        );
        const peer = encrypted(raw, true, version);
        await Promise.all([...connecting, once(peer, "secure")]);
        return { socket, peer, reset: () => broken(raw) };
      }
      const listen = { port: 0, host: HOST, tls: { ...identity, minVersion: version, maxVersion: version } };
      const {
        socket,
        peer: raw,
        reset,
      } = await accept(all, listen, (target) => connect({ ...target, allowHalfOpen: true }));
      const peer = encrypted(raw, false, version);
      await once(peer, "secureConnect");
      while (!socket.isSecure && socket.state === "open") await turn();
      return { socket, peer, reset };
    },
    close: () => peers.close(),
  };
}

function inMemory(): Promise<Wire> {
  return Promise.resolve({
    name: "memory",
    breaks: ["reset"],
    isClear: true,
    open: async ({ seed, options, isAccepted, chunkBytes }) => {
      const lot = new Lot(seed);
      const transport = new MemoryNetwork({
        seed,
        chunkBytes: [1, Math.min(chunkBytes, 65_536)],
        writeBytes: lot.chance(0.5) ? Infinity : [0, lot.size(1, 70_000)],
        capacityBytes: lot.size(16, 300_000),
      });
      const listener = new AsyncSocket({ ...(isAccepted ? options : { allowHalfOpen: true }), transport });
      await listener.listen({ port: 7 });
      const client = new AsyncSocket({ ...(isAccepted ? { allowHalfOpen: true } : options), transport });
      const [, next] = await Promise.all([client.connect({ port: 7 }), listener.connections().next()]);
      assert.ok(next.value !== undefined);
      await listener.disconnect();
      const [socket, other] = isAccepted ? [next.value, client] : [client, next.value];
      return { socket, peer: silent(other.toDuplex()), reset: () => void other.reset() };
    },
    close: () => undefined,
  });
}

/** Two ends that know nothing of room: what is written comes in chunks of any size. */
function streams(): Promise<Wire> {
  return overStreams("streams that cut as they like", [], ({ seed, chunkBytes }) => {
    const lot = new Lot(seed);
    const size = chunkBytes === Infinity ? () => Infinity : (): number => lot.size(1, chunkBytes);
    return streamPair(size);
  });
}

/** What is written passes through others, which hand on each byte alone, or join what they have. */
function passing(): Promise<Wire> {
  return overStreams("PassThrough and Transform streams", ["drop", "reset"], ({ seed, chunkBytes }) => {
    const lot = new Lot(seed);
    const highWaterMark = lot.size(1, 70_000);
    const cutting = new Transform({
      highWaterMark,
      transform(chunk: Buffer, _encoding, done) {
        for (let at = 0, end = 0; at < chunk.length; at = end) {
          end = Math.min(chunk.length, at + lot.size(1, Math.min(chunkBytes, 70_000)));
          this.push(chunk.subarray(at, end));
        }
        done();
      },
    });
    const back = new PassThrough({ highWaterMark });
    // The peer is no Duplex.from(): when that destroys itself at its end, it takes along what the other has not read.
    const far = new Duplex({
      write: (chunk: Buffer, _encoding, done) => void cutting.write(chunk, done),
      final: (done) => void cutting.end(done),
      read: () => void back.resume(),
      destroy: (error, done) => {
        if (!cutting.writableFinished) cutting.destroy();
        back.destroy();
        done(error);
      },
    });
    back.on("data", (chunk: Buffer) => (far.push(chunk) ? undefined : back.pause()));
    back.on("end", () => void far.push(null));
    back.on("close", () => (back.readableEnded ? undefined : far.destroy()));
    back.pause();
    return [Duplex.from({ readable: cutting, writable: back }), far];
  });
}

function overStreams(name: string, breaks: Wire["breaks"], open: (wanted: Wanted) => [Duplex, Duplex]): Promise<Wire> {
  return Promise.resolve({
    name,
    breaks,
    isClear: false,
    sharesMemory: true,
    open: (wanted) => {
      const [near, far] = open(wanted);
      const socket = AsyncSocket.from(near, wanted.options);
      return Promise.resolve({ socket, peer: silent(far), reset: () => void far.destroy() });
    },
    close: () => undefined,
  });
}

/** A socket of the runtime's, handed over. */
async function adopted(): Promise<Wire> {
  const peers = await Peers.listen();
  return {
    name: "a net.Socket",
    breaks: ["reset"],
    isClear: false,
    open: async ({ options }) => {
      const [near, peer] = await peers.meet(async (target) => {
        const raw = connect({ ...target, allowHalfOpen: true });
        await once(raw, "connect");
        return raw;
      });
      const socket = AsyncSocket.from(near, options);
      return { socket, peer: silent(peer), reset: () => broken(peer) };
    },
    close: () => peers.close(),
  };
}

/** A stream of ours, as any other: one socket upon another. */
async function stacked(): Promise<Wire> {
  const below = await plain("", "node", false);
  return {
    ...below,
    name: "a stream of another AsyncSocket",
    isClear: false,
    open: async (wanted) => {
      const ends = await below.open({ ...wanted, options: { allowHalfOpen: true } });
      return { ...ends, socket: AsyncSocket.from(ends.socket.toDuplex(), wanted.options) };
    },
  };
}

const NATIVE: readonly (() => Promise<Wire>)[] = [
  (): Promise<Wire> => plain("native TCP", "native", false),
  (): Promise<Wire> => plain("a native Unix-domain socket", "native", true),
  (): Promise<Wire> => tls("TLSv1.2 begun natively", "TLSv1.2", "native"),
  (): Promise<Wire> => tls("TLSv1.3 begun natively", "TLSv1.3", "native"),
];

/** All of them; each is made, and closed, by who uses it. */
export const WIRES: readonly (() => Promise<Wire>)[] = [
  inMemory,
  (): Promise<Wire> => plain("TCP", "node", false),
  (): Promise<Wire> => plain("a Unix-domain socket", "node", true),
  (): Promise<Wire> => tls("TLSv1.2", "TLSv1.2", "node"),
  (): Promise<Wire> => tls("TLSv1.3", "TLSv1.3", "node"),
  streams,
  passing,
  adopted,
  stacked,
  ...(NO_NATIVE === false ? NATIVE : []),
];
