/**
 * Connections by the addon in `native/`: a batch of everything that happened to all sockets of the thread crosses from
 * it in one call, and what is asked for is done at once. TLS is the node transport's: `secure` hands the descriptor over.
 */

import cluster from "node:cluster";
import { Socket } from "node:net";
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { ipAddress, type Address } from "../address.js";
import { realClock } from "../clock.js";
import type { Endpoint, SocketSettings } from "../options.js";
import type { SecureSettings } from "../tls/settings.js";
import {
  ACCEPT_FAILED,
  ACCEPTED,
  addon,
  DATA,
  END,
  FAILED,
  KEEP_ALIVE,
  memory,
  NO_DELAY,
  OPENED,
  owners,
  REFERENCED,
  systemError,
  takeTicket,
  WRITABLE,
} from "./addon.js";
import { nodeTransports, secureStream } from "./node.js";
import { offer, PortListener, soleAddress, type AcceptSink, type Bound, type Place } from "./port-listener.js";
import { Surplus, type SurplusOwner } from "./surplus.js";
import type {
  AcceptedTransport,
  ConnectSink,
  SecureSink,
  Transport,
  TransportFactory,
  TransportSink,
} from "./transport.js";

/** After an accept that failed for want of descriptors or memory: at once, it would fail again. */
const ACCEPT_PAUSE_MS = 100;
const ROOM_MAX = 2 ** 31 - 1;
const PATH = -1;
/** What a transport has in place of a socket's number. No error has it. */
const CLOSED = -(2 ** 31);

/** A connection. */
export class NativeTransport implements AcceptedTransport, SurplusOwner {
  readonly holdsProcess = true;
  room = 0;
  #id: number;
  #sink: TransportSink | null = null;
  #connectSink: ConnectSink | null = null;
  #local: Address | undefined;
  #remote: Address | undefined;
  #toldRoom = 0;
  #isReceiving = false;
  #isReferenced = true;
  #surplus: Surplus | null = null;
  /** What is being written, how far it is, and how much is left. */
  #parts: readonly Uint8Array[] | null = null;
  #left = 0;
  #part = 0;
  #offset = 0;
  /** An error's number, and the call that met it: to be told. */
  #failed = 0;
  #call = "";

  /** @param id below 0: the error that it met at once */
  constructor(id: number, local: Address | undefined, remote: Address | undefined, sink: ConnectSink | null) {
    this.#id = id;
    this.#local = local;
    this.#remote = remote;
    this.#connectSink = sink;
    if (id >= 0) owners[id] = this;
    else this.#failSoon(id, "connect");
  }

  get isDestroyed(): boolean {
    return this.#id === CLOSED;
  }

  get local(): Address | undefined {
    return (this.#local ??= this.#addressOf(false));
  }

  get remote(): Address | undefined {
    return (this.#remote ??= this.#addressOf(true));
  }

  /** They are to be told of after the close, too. */
  #findAddresses(): void {
    this.#local ??= this.#addressOf(false);
    this.#remote ??= this.#addressOf(true);
  }

  #addressOf(ofPeer: boolean): Address | undefined {
    if (this.#id < 0) return undefined;
    const text = addon.addressOf(this.#id, ofPeer);
    if (text === undefined) return undefined;
    const space = text.indexOf(" ");
    return ipAddress(text.slice(space + 1), Number(text.slice(0, space)));
  }

  adopt(sink: TransportSink): void {
    const isFirst = this.#sink === null;
    this.#sink = sink;
    this.#connectSink = null;
    if (isFirst && this.room === 0) this.room = ROOM_MAX;
    this.#tellRoom();
  }

  // ------------------------------------------------------------------ told by the addon

  didHappen(what: number, a: number, b: number): void {
    if (what === DATA) this.#didReceive(a, b);
    else if (what === WRITABLE) this.#goOnWriting();
    else if (what === END) this.#didEnd();
    else if (what === OPENED) this.#connectSink?.didOpen();
    else if (what === FAILED) this.#didBreak(-a);
  }

  #didReceive(start: number, length: number): void {
    const isEasy = this.#surplus === null && length <= this.room;
    const fitting = isEasy ? length : (this.#surplus ??= new Surplus()).fit(memory.subarray(start), length, this.room);
    if (fitting > 0) this.give(memory, fitting, start);
    if (this.room !== this.#toldRoom) this.#tellRoom();
  }

  give(chunk: Buffer, length: number, start = 0): void {
    this.#isReceiving = true;
    try {
      this.#sink?.didReceive(chunk, start, length);
    } finally {
      this.#isReceiving = false;
    }
  }

  #didEnd(): void {
    if (this.#surplus !== null && !this.#surplus.isEmpty) this.#surplus.hasEnd = true;
    else this.#sink?.didEnd();
  }

  /** Nothing more is received: what there was no room for, before, is told first. */
  #didBreak(status: number): void {
    for (const chunk of this.#surplus?.takeAll() ?? []) this.give(chunk, chunk.length);
    if (this.#sink === null) this.#fail(status, "connect");
    else this.#fail(status, this.#parts === null ? "read" : "write");
  }

  giveSurplus(): void {
    this.#surplus?.giveTo(this);
  }

  didGiveSurplus(hasEnd: boolean): void {
    this.#surplus = null;
    if (hasEnd) this.#sink?.didEnd();
    else this.#tellRoom();
  }

  // ------------------------------------------------------------------ asked for

  setRoom(bytes: number): void {
    const wasPaused = this.room === 0;
    this.room = Math.min(bytes, ROOM_MAX);
    if (this.#isReceiving || this.#sink === null) return;
    if (this.#surplus !== null && !this.#surplus.isEmpty) {
      if (wasPaused) realClock.soon(giveSurplus, this);
    } else if (this.room !== this.#toldRoom) this.#tellRoom();
  }

  #tellRoom(): void {
    if (this.#id < 0) return;
    this.#toldRoom = this.#surplus !== null && !this.#surplus.isEmpty ? 0 : this.room;
    const status = addon.setRoom(this.#id, this.#toldRoom);
    if (status < 0) this.#failSoon(status, "read");
  }

  write(parts: readonly Uint8Array[]): boolean {
    this.#parts = parts;
    this.#part = this.#offset = this.#left = 0;
    for (const part of parts) this.#left += part.length;
    return this.#writeOn();
  }

  /** @returns whether all of it is out */
  #writeOn(): boolean {
    const parts = this.#parts ?? [];
    const only = parts.length === 1 ? parts[0] : undefined;
    const sent =
      only === undefined
        ? addon.writeAll(this.#id, parts, this.#part, this.#offset)
        : addon.write(this.#id, only, this.#offset);
    if (sent < 0) {
      this.#failSoon(sent, "write");
      return false;
    }
    this.#offset += sent;
    this.#left -= sent;
    for (let part = parts[this.#part]; part !== undefined && this.#offset >= part.length; part = parts[this.#part]) {
      this.#offset -= part.length;
      this.#part++;
    }
    if (this.#part < parts.length) return false;
    this.#parts = null;
    return true;
  }

  #goOnWriting(): void {
    // Whoever gave the memory finds that it has changed, and ends the connection.
    if (this.#parts !== null && (this.#hasChanged(this.#parts) || this.#writeOn())) this.#sink?.didWrite();
  }

  /** Whether what is being written is longer or shorter than it was: it was transferred, or resized. */
  #hasChanged(parts: readonly Uint8Array[]): boolean {
    let left = -this.#offset;
    for (let i = this.#part; i < parts.length; i++) left += (parts[i] as Uint8Array).length;
    return left !== this.#left;
  }

  end(): void {
    const status = addon.shutdown(this.#id);
    // Of a connection that was reset the reading side tells.
    if (status < 0 && getSystemErrorName(status) !== "ENOTCONN") this.#failSoon(status, "shutdown");
    else realClock.soon(tellFinished, this);
  }

  destroy(reset: boolean): void {
    if (this.#id === CLOSED) return;
    if (this.#id >= 0) {
      this.#findAddresses();
      owners[this.#id] = null;
      addon.close(this.#id, reset && this.#remote?.family !== "unix");
    }
    this.#id = CLOSED;
    realClock.soon(tellClosed, this);
  }

  secure(settings: SecureSettings, ahead: Buffer, sink: SecureSink): Transport {
    this.#findAddresses();
    owners[this.#id] = null;
    const fd = addon.detach(this.#id);
    this.#id = CLOSED;
    const socket = new Socket({ fd, allowHalfOpen: true, readable: true, writable: true, manualStart: true } as object);
    if (!this.#isReferenced) socket.unref();
    const all = this.#surplus === null ? ahead : Buffer.concat([ahead, ...this.#surplus.takeAll()]);
    return secureStream(socket, settings, all, sink, this);
  }

  /** A connection that another thread has parked. @throws the system's error, ENOENT where it is gone */
  static taken(ticket: number, local: Address | undefined, remote: Address | undefined): NativeTransport {
    return new NativeTransport(takeTicket(ticket), local, remote, null);
  }

  /** Parks the descriptor for another thread. Not from inside a batch that may still speak of it. @throws what has failed */
  park(): { ticket: number; surplus: readonly Buffer[] } {
    if (this.#failed !== 0) throw systemError(this.#failed, this.#call);
    if (this.#id < 0) throw systemError(-constants.errno.ENOTCONN, "move");
    this.#findAddresses();
    owners[this.#id] = null;
    const ticket = addon.park(this.#id);
    this.#id = CLOSED;
    return { ticket, surplus: this.#surplus?.takeAll() ?? [] };
  }

  setNoDelay(on: boolean): void {
    this.#set(NO_DELAY, on ? 1 : 0);
  }

  setKeepAlive(idleMs: number | false): void {
    this.#set(KEEP_ALIVE, keepAliveSeconds(idleMs));
  }

  ref(): void {
    this.#isReferenced = true;
    this.#set(REFERENCED, 1);
  }

  unref(): void {
    this.#isReferenced = false;
    this.#set(REFERENCED, 0);
  }

  #set(what: number, value: number): void {
    if (this.#id >= 0) addon.set(this.#id, what, value);
  }

  // ------------------------------------------------------------------ telling

  /** Not from inside what was asked for. */
  #failSoon(status: number, call: string): void {
    if (this.#failed !== 0) return;
    this.#failed = status;
    this.#call = call;
    realClock.soon(tellFailed, this);
  }

  tellFailed(): void {
    this.#fail(this.#failed, this.#call);
  }

  #fail(status: number, call: string): void {
    if (this.isDestroyed) return;
    const where = call === "connect" ? this.#remote : undefined;
    (this.#sink ?? this.#connectSink)?.didFail(systemError(status, call, where));
  }

  tellFinished(): void {
    if (!this.isDestroyed) this.#sink?.didFinish();
  }

  tellClosed(): void {
    (this.#sink ?? this.#connectSink)?.didClose();
  }
}

function giveSurplus(transport: NativeTransport): void {
  transport.giveSurplus();
}

function tellFailed(transport: NativeTransport): void {
  transport.tellFailed();
}

function tellFinished(transport: NativeTransport): void {
  transport.tellFinished();
}

function tellClosed(transport: NativeTransport): void {
  transport.tellClosed();
}

function keepAliveSeconds(idleMs: number | false): number {
  return idleMs === false ? -1 : Math.trunc(idleMs / 1000);
}

function connectNative(endpoint: Endpoint, settings: SocketSettings, sink: ConnectSink): NativeTransport {
  if (endpoint.path !== null) {
    const ends = [{ family: "unix", path: "" } as const, { family: "unix", path: endpoint.path } as const] as const;
    return new NativeTransport(addon.connect(endpoint.path, PATH, undefined, 0), ...ends, sink);
  }
  const { address, port, localAddress, localPort } = endpoint;
  const id = addon.connect(address, port, localAddress, localPort ?? 0);
  const transport = new NativeTransport(id, undefined, ipAddress(address, port), sink);
  transport.setNoDelay(settings.noDelay);
  if (settings.keepAliveMs !== false) transport.setKeepAlive(settings.keepAliveMs);
  return transport;
}

/** A listening descriptor. */
class NativeServer implements Bound {
  readonly address: Address | undefined;
  readonly #path: string | null;
  readonly #sole: Address | undefined;
  readonly #sink: AcceptSink;
  #id: number;
  #timer: object | null = null;

  constructor(id: number, path: string | null, { noDelay, keepAliveMs }: SocketSettings, sink: AcceptSink) {
    this.#id = id;
    this.#path = path;
    this.#sink = sink;
    owners[id] = this;
    if (path !== null) {
      this.address = this.#sole = { family: "unix", path };
      return;
    }
    const text = addon.addressOf(id, false) ?? "";
    const space = text.indexOf(" ");
    this.address = ipAddress(text.slice(space + 1), Number(text.slice(0, space)));
    this.#sole = soleAddress(this.address);
    addon.set(id, NO_DELAY, noDelay ? 1 : 0);
    if (keepAliveMs !== false) addon.set(id, KEEP_ALIVE, keepAliveSeconds(keepAliveMs));
  }

  didHappen(what: number, a: number): void {
    if (what === ACCEPTED) {
      const remote = this.#path === null ? undefined : ({ family: "unix", path: "" } as const);
      offer(this.#sink, new NativeTransport(a, this.#sole, remote, null));
    } else if (what === ACCEPT_FAILED) {
      this.#timer = realClock.setTimer(() => addon.setRoom(this.#id, 1), ACCEPT_PAUSE_MS, false);
      this.#sink.didFailAccept(systemError(-a, "accept"));
    }
  }

  close(): void {
    if (this.#timer !== null) realClock.clearTimer(this.#timer);
    owners[this.#id] = null;
    addon.close(this.#id, false);
  }

  ref(): void {
    addon.set(this.#id, REFERENCED, 1);
  }

  unref(): void {
    addon.set(this.#id, REFERENCED, 0);
  }
}

/** Every address of the machine: both families by one descriptor, or IPv4 alone where there is no other. */
function bindAll({ port, backlog, ipv6Only, reusePort }: Place): number {
  const id = addon.listen("::", port, backlog, ipv6Only, reusePort);
  const isAbsent = id < 0 && ["EAFNOSUPPORT", "EADDRNOTAVAIL", "EINVAL"].includes(getSystemErrorName(id));
  return isAbsent && !ipv6Only ? addon.listen("0.0.0.0", port, backlog, false, reusePort) : id;
}

function bindNative(place: Place, settings: SocketSettings, sink: AcceptSink): Promise<Bound> {
  const { path, boundPath, address, port, backlog, ipv6Only, reusePort } = place;
  let id: number;
  if (boundPath !== null) id = addon.listen(boundPath, PATH, backlog, false, false);
  else if (address === undefined) id = bindAll(place);
  else id = addon.listen(address, port, backlog, ipv6Only, reusePort);
  if (id >= 0) return Promise.resolve(new NativeServer(id, path, settings, sink));
  const where = path === null ? ipAddress(address ?? "::", port) : ({ family: "unix", path } as const);
  return Promise.reject(systemError(id, "listen", where));
}

/** Of a cluster's worker, the primary process listens, and hands on what it accepts: as the runtime's own servers have it. */
export const nativeTransports: TransportFactory = {
  clock: realClock,
  connect: connectNative,
  listen: (target, settings, sink) =>
    cluster.isWorker
      ? nodeTransports.listen(target, settings, sink)
      : new PortListener(target, settings, sink, bindNative),
};
