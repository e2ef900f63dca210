/**
 * Connections by the addon in `native/`: a batch of everything that happened to all sockets of the thread crosses from
 * it in one call, and what is asked for is done at once. TLS is the node transport's: `secure` hands the descriptor over.
 */

import { Socket } from "node:net";
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { type Address, ipAddress } from "../../base/address.js";
import { byteCount } from "../../base/byte-count.js";
import { realClock } from "../../base/clock.js";
import { systemError } from "../../base/errno.js";
import type { SecureSettings } from "../../tls/settings.js";
import { Inlet, type InletOwner } from "../inlet.js";
import { secureStream } from "../node/node-transport.js";
import type { AcceptedTransport, ConnectSink, SecureSink, Transport, TransportSink } from "../transport.js";
import {
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
  takeTicket,
  WRITABLE,
} from "./addon.js";

const ROOM_MAX = 2 ** 31 - 1;
export const PATH = -1;
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

export function keepAliveSeconds(idleMs: number | false): number {
  return idleMs === false ? -1 : Math.trunc(idleMs / 1000);
}
