/**
 * Connections by the addon in `native/`: a batch of everything that happened to all sockets of the thread crosses from
 * it in one call, and what is asked for is done at once. TLS is the node transport's: `secure` hands the descriptor over.
 */

import cluster from "node:cluster";
import { Socket } from "node:net";
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { ipAddress, type Address } from "../address.js";
import { byteCount } from "../byte-count.js";
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
import { Inlet, type InletOwner } from "./inlet.js";
import { nodeTransports, secureStream } from "./node.js";
import { offer, PortListener, soleAddress, type AcceptSink, type Bound, type Place } from "./port-listener.js";
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
export class NativeTransport implements AcceptedTransport, InletOwner {
  readonly holdsProcess = true;
  #id: number;
  readonly #inlet = new Inlet(this, realClock, 0);
  #connectSink: ConnectSink | null = null;
  #local: Address | undefined;
  #remote: Address | undefined;
  #toldRoom = 0;
  #isReferenced = true;
  /** What is being written, how far it is, and how much is left. */
  #parts: readonly Uint8Array[] | null = null;
  inHandBytes = 0;
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
    const isFirst = this.#inlet.sink === null;
    this.#inlet.sink = sink;
    this.#connectSink = null;
    if (isFirst && this.#inlet.room === 0) this.#inlet.room = ROOM_MAX;
    this.#tellRoom();
  }

  // ------------------------------------------------------------------ told by the addon

  didHappen(what: number, a: number, b: number): void {
    if (what === DATA) this.#didReceive(a, b);
    else if (what === WRITABLE) this.#goOnWriting();
    else if (what === END) this.#inlet.end();
    else if (what === OPENED) this.#connectSink?.didOpen();
    else if (what === FAILED) this.#didBreak(-a);
  }

  #didReceive(start: number, length: number): void {
    this.#inlet.receive(memory, start, length);
    if (this.#inlet.openRoom !== this.#toldRoom) this.#tellRoom();
  }

  didChangeOpenRoom(bytes: number): void {
    if (bytes !== this.#toldRoom && this.#inlet.sink !== null) this.#tellRoom();
  }

  /** Nothing more is received. */
  #didBreak(status: number): void {
    if (this.#inlet.sink === null) this.#fail(status, "connect");
    else this.#fail(status, this.#parts === null ? "read" : "write");
  }

  // ------------------------------------------------------------------ asked for

  setRoom(bytes: number): void {
    this.#inlet.setRoom(Math.min(bytes, ROOM_MAX));
  }

  #tellRoom(): void {
    if (this.#id < 0) return;
    this.#toldRoom = this.#inlet.openRoom;
    const status = addon.setRoom(this.#id, this.#toldRoom);
    if (status < 0) this.#failSoon(status, "read");
  }

  write(parts: readonly Uint8Array[]): boolean {
    this.#parts = parts;
    this.#part = this.#offset = 0;
    this.inHandBytes = byteCount(parts);
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
    this.inHandBytes -= sent;
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
    if (this.#parts !== null && (this.#hasChanged(this.#parts) || this.#writeOn())) this.#inlet.sink?.didWrite();
  }

  /** Whether what is being written is longer or shorter than it was: it was transferred, or resized. */
  #hasChanged(parts: readonly Uint8Array[]): boolean {
    let left = -this.#offset;
    for (let i = this.#part; i < parts.length; i++) left += (parts[i] as Uint8Array).length;
    return left !== this.inHandBytes;
  }

  get underWayBytes(): number {
    return this.#id < 0 ? 0 : addon.sendQueue(this.#id);
  }

  /** Of a thousand sockets that have news, a turn of the event loop may bring those of some. */
  hasNews(): boolean {
    return this.#id >= 0 && addon.hasNews(this.#id);
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
    this.#inlet.stop();
    realClock.soon(tellClosed, this);
  }

  secure(settings: SecureSettings, ahead: Buffer, sink: SecureSink): Transport {
    this.#findAddresses();
    owners[this.#id] = null;
    const fd = addon.detach(this.#id);
    const all = Buffer.concat([ahead, this.#leave()]);
    const socket = new Socket({ fd, allowHalfOpen: true, readable: true, writable: true, manualStart: true } as object);
    if (!this.#isReferenced) socket.unref();
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
    return { ticket, surplus: [this.#leave()] };
  }

  /** Nothing more is told. @returns what was received beyond the room that there was */
  #leave(): Buffer {
    this.#id = CLOSED;
    const kept = this.#inlet.takeAll();
    this.#inlet.stop();
    return kept;
  }

  setNoDelay(on: boolean): void {
    this.#set(NO_DELAY, on ? 1 : 0);
  }

  setKeepAlive(idleMs: number | false): void {
    this.#set(KEEP_ALIVE, keepAliveSeconds(idleMs));
  }

  get isReferenced(): boolean {
    return this.#isReferenced;
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
    const error = systemError(status, call, call === "connect" ? this.#remote : undefined);
    if (this.#inlet.sink === null) this.#connectSink?.didFail(error);
    else this.#inlet.fail(error);
  }

  tellFinished(): void {
    if (!this.isDestroyed) this.#inlet.sink?.didFinish();
  }

  tellClosed(): void {
    if (this.#inlet.sink === null) this.#connectSink?.didClose();
    else this.#inlet.close();
  }
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
