/**
 * The only file that uses undocumented parts of the runtime. It probes for everything it needs, and its functions say
 * where a runtime lacks something.
 *
 * Receiving into one buffer that all sockets of the thread share, instead of into a new buffer for each chunk, halves
 * the cost (docs/performance.md). `net.connect` offers this as the option `onread`. Node has no such option for
 * accepted and for TLS sockets, but the same machinery, which is reached through the symbols that the option sets.
 * Where those are missing, 'data' events are used.
 */

import { constants } from "node:crypto";
import { readSync } from "node:fs";
import { type OnReadOpts, type Server, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { SecureContext, TLSSocket } from "node:tls";
import { reasonOf } from "./errno.js";

/**
 * A larger buffer would save system calls, but copies of such a size make malloc return memory each time (twice the
 * cost).
 */
const SIZE = 64 * 1024;

/** Every chunk arrives in this memory, so bytes that are needed after the callback has returned must be copied. */
const memory = Buffer.allocUnsafeSlow(SIZE);

/** What the next call of `nextBuffer` returns; undefined keeps the socket's present buffer. */
let next: Buffer | undefined = memory;

function nextBuffer(): Buffer {
  const buffer = next;
  next = memory;
  return buffer as Buffer;
}

/** After so many chunks the runtime is given the buffer again, even if the size has not changed. */
const CHUNKS_UNTIL_TOLD_AGAIN = 64;

/** The part of `memory` that one socket may fill with a chunk. */
export class ReceiveWindow {
  #size = SIZE;
  /** How many chunks have been received. */
  #chunks = 0;

  /**
   * Makes the window smaller before the first chunk. Later only `adjust` changes it: the runtime keeps a buffer that is
   * set outside of its own callback until the socket closes, so setting one for each chunk would pile up memory.
   * @returns the buffer to fill next; null to leave the buffer as it is
   */
  narrow(room: number): Buffer | null {
    if (this.#chunks > 0 || room === 0 || room >= this.#size) return null;
    this.#size = room;
    return memory.subarray(0, room);
  }

  /** Called from inside the receive callback: says how much of `memory` the next chunk may fill. */
  adjust(room: number): void {
    const size = Math.min(room, SIZE);
    next = undefined;
    // When a callback throws, the runtime loses the last buffer it was given and goes on with the one before.
    const isKnown = ++this.#chunks % CHUNKS_UNTIL_TOLD_AGAIN !== 0;
    if (size === 0 || (size === this.#size && isKnown)) return;
    this.#size = size;
    next = size === SIZE ? memory : memory.subarray(0, size);
  }
}

/**
 * The memory that a chunk was received into. The view that the runtime hands out may be shorter than the chunk, because
 * its native side and its JavaScript side each remember a view, and they differ once a callback has thrown. Both views
 * begin at the start of `memory`.
 */
export function filledBy(chunk: Buffer): Buffer {
  return chunk.buffer === memory.buffer ? memory : chunk;
}

/**
 * Called with the socket as `this`; returning false stops reading. The chunk need not lie in `memory`: Bun uses a
 * buffer of its own when `nextBuffer` returns undefined.
 */
export type Receive = (this: Socket, length: number, chunk: Buffer) => boolean;

/** The public option `onread`, for sockets that connect. */
export function onreadOption(receive: Receive): OnReadOpts {
  return { buffer: nextBuffer, callback: receive };
}

interface Internals {
  [symbol: symbol]: unknown;
  _handle?: {
    fd?: number;
    /** Whether the runtime means the handle to read. */
    reading?: boolean;
    useUserBuffer?: (buffer: Buffer) => void;
    writeQueueSize?: number;
    readStart?: () => number;
    /** Only a TLS handle has this method, which decrypts bytes and delivers the result. */
    receive?: (bytes: Buffer) => void;
    verifyError?: () => unknown;
  } | null;
  ssl?: { verifyError?: () => unknown } | null;
}

const NAMES = ["kBuffer", "kBufferCb", "kBufferGen"] as const;

function findSymbols(): readonly [symbol, symbol, symbol] | null {
  const probe = new Socket({ onread: { buffer: Buffer.alloc(1), callback: () => true } } as object);
  const symbols = Object.getOwnPropertySymbols(probe);
  const [buffer, callback, generator] = NAMES.map((name) => symbols.find((symbol) => symbol.description === name));
  probe.destroy();
  if (buffer === undefined || callback === undefined || generator === undefined) return null;
  return [buffer, callback, generator];
}

const found = findSymbols();

/** Makes a socket that receives into `memory` fill this buffer with the next chunk, where the runtime supports that. */
export function refill(socket: Socket, buffer: Buffer): void {
  const handle = (socket as unknown as Internals)._handle;
  if (typeof handle?.useUserBuffer === "function") handle.useUserBuffer(buffer);
}

/** Makes an accepted or a TLS socket receive into `memory`. @returns false where the runtime does not support that */
export function receiveInto(socket: Socket, receive: Receive): boolean {
  const internals = socket as unknown as Internals;
  const handle = internals._handle;
  if (found === null || typeof handle?.useUserBuffer !== "function") return false;
  const [buffer, callback, generator] = found;
  internals[buffer] = memory;
  internals[callback] = receive;
  internals[generator] = nextBuffer;
  handle.useUserBuffer(memory);
  return true;
}

/** Takes the bytes that were received before a failed socket is destroyed. */
export interface Rescuer {
  /** @returns true if the bytes come only in the next turn of the event loop, so that the destruction must wait */
  rescue(): boolean;
}

const rescuerOf = Symbol("asyncsocket rescuer");

interface RescuedSocket extends Socket {
  [rescuerOf]?: Rescuer | null;
}

function destroy(socket: Socket, error?: Error): Socket {
  return Socket.prototype.destroy.call(socket, error);
}

function destroyRescued(this: RescuedSocket, error?: Error): Socket {
  const rescuer = this[rescuerOf] ?? null;
  if (rescuer === null || (error ?? null) === null || this.destroyed) return destroy(this, error);
  this[rescuerOf] = null;
  let isLater = false;
  try {
    isLater = rescuer.rescue();
  } finally {
    if (isLater) setImmediate(destroy, this, error);
    else destroy(this, error);
  }
  return this;
}

/**
 * The runtime destroys a socket as soon as one of its writes fails. What the peer had sent before it reset the
 * connection is then lost, although the kernel still holds it. So the rescuer is called first, and can take those bytes
 * by `readRest`.
 */
export function rescueBeforeFailure(socket: Socket, rescuer: Rescuer | null): void {
  (socket as RescuedSocket)[rescuerOf] = rescuer;
  if (rescuer !== null) socket.destroy = destroyRescued;
}

/** Reads everything that the kernel still holds for a socket. Each chunk is valid only during the call of `give`. */
export function readRest(socket: Socket, give: (chunk: Buffer, length: number) => void): void {
  while (!socket.destroyed) {
    const fd = descriptorOf(socket);
    const length = fd < 0 ? 0 : readNow(fd);
    if (length === 0) return;
    give(memory, length);
  }
}

/** The same for a TLS connection. If TLS is busy when this is called, it delivers the bytes after this has returned. */
export function decryptRest(secured: Socket, below: Socket): void {
  const handle = (secured as unknown as Internals)._handle;
  if (typeof handle?.receive !== "function") return;
  readRest(below, (chunk, length) => {
    if (!secured.destroyed) handle.receive?.(Buffer.from(chunk.subarray(0, length)));
  });
}

/** @returns how many bytes were read; 0 also if the read has failed */
function readNow(fd: number): number {
  try {
    return readSync(fd, memory, 0, SIZE, null);
  } catch {
    return 0;
  }
}

/** How many turns of the event loop a FIN may take to be sent. */
const FIN_TURNS = 4;

/**
 * Closes with a RST. The runtime refuses a reset while a FIN is being sent, and then never closes the descriptor. So
 * the reset waits until the FIN is out; if that takes too long, the socket is closed without a RST.
 * @param writer the stream that is written to: the TLS stream over `socket`, or `socket` itself
 */
export function resetNow(socket: Socket, writer: Socket, turns = FIN_TURNS): void {
  const finIsUnderWay = writer.writableEnded && writer.writableLength === 0 && !writer.writableFinished;
  if (!finIsUnderWay || writer.destroyed) {
    if (!socket.destroyed) socket.resetAndDestroy();
  } else if (turns > 0) {
    setImmediate(resetNow, socket, writer, turns - 1);
    return;
  }
  socket.destroy();
  writer.destroy();
}

/** The file descriptor of an open socket or server; -1 where there is none or the runtime does not reveal it. */
export function descriptorOf(socket: Socket | Server): number {
  return (socket as unknown as Internals)._handle?.fd ?? -1;
}

/** How many written bytes the operating system has not taken yet. Undefined where the runtime does not reveal that. */
export function writeQueueSize(socket: Socket): number | undefined {
  const handle = (socket as unknown as Internals)._handle;
  if (handle === null || handle === undefined || !isLive(handle)) return undefined;
  return handle.writeQueueSize;
}

/** On Node `writeQueueSize` is a getter of libuv's number. Elsewhere it may be a plain field that is never updated. */
function isLive(handle: object): boolean {
  return "writeQueueSize" in handle && !Object.hasOwn(handle, "writeQueueSize");
}

/**
 * Whether this runtime can transfer sockets to other threads (Node 24.20, 26.6). A socket that is not connected can
 * never be transferred, but only a runtime with this ability refuses it with `ERR_WORKER_HANDLE_NOT_TRANSFERABLE`.
 */
export const canTransfer = findTransfer();

function findTransfer(): boolean {
  const { port1, port2 } = new MessageChannel();
  const probe = new Socket();
  try {
    port1.postMessage(probe, [probe as unknown as ArrayBuffer]);
    return true;
  } catch (error) {
    return reasonOf(error) === "ERR_WORKER_HANDLE_NOT_TRANSFERABLE";
  } finally {
    probe.destroy();
    port1.close();
    port2.close();
  }
}

const NOWHERE = Buffer.alloc(0);

/**
 * Stops a socket from receiving into `memory` when TLS takes the socket over. Node does so by itself; on Deno the
 * chunks would still go into `memory`, and the handshake would wait for ever.
 */
export function receiveNowhere(socket: Socket): void {
  refill(socket, NOWHERE);
}

/**
 * Tells, at the moment a TLS stream ends, whether a FIN without close_notify ended it. The event 'end' would be too
 * late: it waits for a paused reader, and by then the FIN that follows a close_notify may have come as well.
 */
export function noteEnd(socket: TLSSocket, stream: Duplex, told: (isCutShort: boolean) => void): void {
  const push = socket.push.bind(socket);
  socket.push = (chunk: unknown, encoding) => {
    if (chunk === null) told(isCutShort(socket, stream));
    return push(chunk, encoding);
  };
}

/**
 * A FIN and a close_notify look the same from outside. But libuv stops reading a connection only when it meets the FIN:
 * then `readStart` succeeds, and otherwise it fails with UV_EALREADY.
 */
function isCutShort(socket: TLSSocket, stream: Duplex): boolean {
  if (!(stream instanceof Socket)) return stream.readableEnded;
  // A paused stream that ends nevertheless got its end in one chunk with data, so the end is a close_notify.
  if ((socket as unknown as Internals)._handle?.reading !== true) return false;
  const handle = (stream as unknown as Internals)._handle;
  return typeof handle?.readStart === "function" && handle.readStart() === 0;
}

/**
 * Why a client's certificate is not trusted; null if it is. For a server's certificate there is a public property. Bun
 * has the method elsewhere, and Deno gives the code of the problem, which is empty where there is none.
 */
export function clientProblem(socket: TLSSocket): Error | null {
  const { _handle, ssl } = socket as unknown as Internals;
  const handle = typeof _handle?.verifyError === "function" ? _handle : ssl;
  const found = typeof handle?.verifyError === "function" ? handle.verifyError() : undefined;
  if (found === null || found === "") return null;
  if (found instanceof Error) return found;
  if (typeof found === "string") return Object.assign(new Error(found), { code: found });
  return new Error("this runtime does not tell whether the client's certificate is valid");
}

/** Turns off session tickets in a context that the user has made, where the runtime supports that. */
export function stopTickets(context: SecureContext): void {
  const inner = context.context as { setOptions?: (options: number) => void } | undefined;
  inner?.setOptions?.(constants.SSL_OP_NO_TICKET);
}
