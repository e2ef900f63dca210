/**
 * Connections by the addon in `native/`. The addon delivers the events of all sockets of the thread in batches, with
 * one call per batch; calls to the addon take effect at once. For TLS, `secure` hands the descriptor to the node
 * transport.
 */

import { Socket } from "node:net";
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { type Address, ipAddress } from "../../base/address.js";
import { byteCount } from "../../base/byte-count.js";
import { realClock } from "../../base/clock.js";
import { systemError } from "../../base/errno.js";
import type { SecureSettings } from "../../tls/settings.js";
import { FIRST_ROOM, Inlet, type InletOwner } from "../inlet.js";
import { type KernelSettings, setKernel } from "../kernel-settings.js";
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
/** Stands in place of the socket's number once the transport is closed. It differs from every error's number. */
const CLOSED = -(2 ** 31);

/** A connection by the addon. */
export class NativeTransport implements AcceptedTransport, InletOwner {
  readonly holdsProcess = true;
  #id: number;
  readonly #inlet = new Inlet(this, realClock, 0);
  #connectSink: ConnectSink | null = null;
  #local: Address | undefined;
  #remote: Address | undefined;
  #toldRoom = 0;
  #isReferenced = true;
  /** The batch that is being written, and below: how many bytes are left, and the part and offset that come next. */
  #parts: readonly Uint8Array[] | null = null;
  inHandBytes = 0;
  #part = 0;
  #offset = 0;
  /** The number of an error that the sink is still to be told of, and the system call that failed. */
  #failed = 0;
  #call = "";
  /** The error of a setting that the system has refused. */
  readonly #refusal: Error | null;

  /** @param id the socket's number; below 0 the number of the error with which the attempt failed at once */
  constructor(
    id: number,
    local: Address | undefined,
    remote: Address | undefined,
    sink: ConnectSink | null,
    refusal: Error | null = null,
  ) {
    this.#id = id;
    this.#refusal = refusal;
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

  /** Remembers both addresses, because they can be asked for after the close as well. */
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
    if (isFirst && this.#inlet.room === 0) this.#inlet.room = FIRST_ROOM;
    this.#tellRoom();
  }

  // ------------------------------------------------------------------ called by the addon

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

  /** The connection has failed, and nothing more is received. */
  #didBreak(status: number): void {
    if (this.#inlet.sink === null) this.#fail(status, "connect");
    else this.#fail(status, this.#parts === null ? "read" : "write");
  }

  // ------------------------------------------------------------------ called by the connection

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

  /** @returns whether the operating system has taken all of the batch */
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
    // If the memory has changed its length, `didWrite` lets the write queue find that and close the connection.
    if (this.#parts !== null && (this.#hasChanged(this.#parts) || this.#writeOn())) this.#inlet.sink?.didWrite();
  }

  /** Whether the memory of the batch has changed its length, because the user has transferred or resized it. */
  #hasChanged(parts: readonly Uint8Array[]): boolean {
    let left = -this.#offset;
    for (let i = this.#part; i < parts.length; i++) left += (parts[i] as Uint8Array).length;
    return left !== this.inHandBytes;
  }

  get countsInHand(): boolean {
    return true;
  }

  get underWayBytes(): number {
    return this.#id < 0 ? 0 : addon.sendQueue(this.#id);
  }

  /** When very many sockets have events, one turn of the event loop delivers only those of some. */
  hasNews(): boolean {
    return this.#id >= 0 && addon.hasNews(this.#id);
  }

  end(): void {
    const status = addon.shutdown(this.#id);
    // ENOTCONN means that the connection was reset, which receiving reports.
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

  /** Takes a connection that another thread has parked. @throws the system's error; ENOENT where the ticket is void */
  static taken(ticket: number, local: Address | undefined, remote: Address | undefined): NativeTransport {
    return new NativeTransport(takeTicket(ticket), local, remote, null);
  }

  /**
   * Parks the descriptor for another thread. Not to be called while a batch of events is being delivered, which may
   * still hold events of this socket. `surplus` are the bytes that the sink had no room for.
   * @throws the error of the connection, if it has failed
   */
  park(): { ticket: number; surplus: readonly Buffer[] } {
    if (this.#failed !== 0) throw systemError(this.#failed, this.#call);
    if (this.#id < 0) throw systemError(-constants.errno.ENOTCONN, "move");
    this.#findAddresses();
    owners[this.#id] = null;
    const ticket = addon.park(this.#id);
    return { ticket, surplus: [this.#leave()] };
  }

  /** Stops telling the sink anything. @returns the bytes that the sink had no room for */
  #leave(): Buffer {
    this.#id = CLOSED;
    const kept = this.#inlet.takeAll();
    this.#inlet.stop();
    return kept;
  }

  passTo(other: Transport, isTimed: boolean): boolean {
    if (!(other instanceof NativeTransport) || this.#id < 0 || other.#id < 0) return false;
    if (!this.#inlet.isEmpty || other.#parts !== null || this.#failed !== 0 || other.#failed !== 0) return false;
    return addon.join?.(this.#id, other.#id, isTimed) === 0;
  }

  part(): Buffer | undefined {
    return this.#id < 0 ? undefined : addon.part?.(this.#id);
  }

  takePassed(): number {
    return this.#id < 0 ? 0 : (addon.passed?.(this.#id) ?? 0);
  }

  get passedAgoMs(): number {
    return this.#id < 0 ? 0 : (addon.passedAgo?.(this.#id) ?? 0);
  }

  setNoDelay(on: boolean): void {
    this.#set(NO_DELAY, on ? 1 : 0);
  }

  setKeepAlive(idleMs: number | false): void {
    this.#set(KEEP_ALIVE, keepAliveSeconds(idleMs));
  }

  setKernel(operation: string, settings: KernelSettings): void {
    if (this.#id >= 0) setKernel(operation, this.descriptor, settings);
  }

  /** The descriptor; -1 where there is none any more, or the addon is of an older version. */
  get descriptor(): number {
    return this.#id < 0 ? -1 : (addon.descriptorOf?.(this.#id) ?? -1);
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

  // ------------------------------------------------------------------ telling the sink

  /** Reports a failure as soon as the running code has returned, since a sink is never called from inside a method. */
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
    const error = this.#refusal ?? systemError(status, call, call === "connect" ? this.#remote : undefined);
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
