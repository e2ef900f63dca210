/**
 * The only file that touches anything undocumented of the runtime's. It probes for all it needs, and says so where a
 * runtime lacks any of it.
 *
 * Receiving into one buffer that all sockets of the thread share, instead of a new one for each chunk, is about half the
 * cost (docs/performance.md). `net.connect` offers it as `onread`. For accepted and for secured sockets Node has the same
 * machinery but no option, so it is reached through the symbols that the option sets; else 'data' events do.
 */

import { constants } from "node:crypto";
import { readSync } from "node:fs";
import { type OnReadOpts, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { SecureContext, TLSSocket } from "node:tls";
import { reasonOf } from "./errno.js";

/** More saves system calls, but copies of such size make malloc give its memory back each time (measured: twice the cost). */
const SIZE = 64 * 1024;

/** Where every chunk arrives. Whoever needs bytes for longer than the call has to copy them. */
const memory = Buffer.allocUnsafeSlow(SIZE);

/** What `nextBuffer` answers when it is asked next: undefined keeps the socket's present buffer. */
let next: Buffer | undefined = memory;

function nextBuffer(): Buffer {
  const buffer = next;
  next = memory;
  return buffer as Buffer;
}

/** After so many chunks the runtime is told what it may fill even if nothing has changed. */
const CHUNKS_UNTIL_TOLD_AGAIN = 64;

/** A view of `memory` per socket, no longer than what the socket may take. */
export class ReceiveWindow {
  #size = SIZE;
  /** 0: nothing has come yet. */
  #chunks = 0;

  /**
   * Before the first chunk. Later the window changes only by `adjust`: what the runtime is told out of turn it keeps until
   * the close, so this would cost memory for each chunk, and what exceeds the room is kept by the transport anyway.
   * @returns what is to be filled next; null: as before
   */
  narrow(room: number): Buffer | null {
    if (this.#chunks > 0 || room === 0 || room >= this.#size) return null;
    this.#size = room;
    return memory.subarray(0, room);
  }

  /** After a chunk: what the next one may fill. */
  adjust(room: number): void {
    const size = Math.min(room, SIZE);
    next = undefined;
    // Where something was thrown behind the last answer, the runtime has lost it, and still fills what it had before.
    const isKnown = ++this.#chunks % CHUNKS_UNTIL_TOLD_AGAIN !== 0;
    if (size === 0 || (size === this.#size && isKnown)) return;
    this.#size = size;
    next = size === SIZE ? memory : memory.subarray(0, size);
  }
}

/**
 * The memory that a chunk was received into. The view that the runtime hands out may be shorter than what it has filled:
 * its native side and its JavaScript side each have a view of their own, which part when something is thrown in the ticks
 * behind a chunk. Both begin where `memory` does.
 */
export function filledBy(chunk: Buffer): Buffer {
  return chunk.buffer === memory.buffer ? memory : chunk;
}

/**
 * Called with the socket as `this`; false stops reading. The chunk need not be in `memory`: Bun takes a buffer of its own
 * where `nextBuffer` names none.
 */
export type Receive = (this: Socket, length: number, chunk: Buffer) => boolean;

/** The public option, for sockets that connect. */
export function onreadOption(receive: Receive): OnReadOpts {
  return { buffer: nextBuffer, callback: receive };
}

interface Internals {
  [symbol: symbol]: unknown;
  _handle?: {
    fd?: number;
    /** Whether the runtime has it read. */
    reading?: boolean;
    useUserBuffer?: (buffer: Buffer) => void;
    writeQueueSize?: number;
    readStart?: () => number;
    /** Of a TLS engine: decrypts, and delivers. */
    receive?: (bytes: Buffer) => void;
    verifyError?: () => Error | null | undefined;
  } | null;
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

/** Has a socket that receives into `memory` fill no more than this with the next chunk, where the runtime can. */
export function refill(socket: Socket, buffer: Buffer): void {
  const handle = (socket as unknown as Internals)._handle;
  if (typeof handle?.useUserBuffer === "function") handle.useUserBuffer(buffer);
}

/** Has an accepted socket receive into `memory`. @returns false where the runtime cannot */
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

/** Who is asked to take what has come before a socket that has failed is destroyed. */
export interface Rescuer {
  /** @returns whether it is not there yet, but in the next turn */
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
 * The runtime destroys a socket as soon as a write of it fails, with all that the peer had sent before it reset the
 * connection: the kernel still has it. `rescuer` is asked first, and takes it by `readRest`.
 */
export function rescueBeforeFailure(socket: Socket, rescuer: Rescuer | null): void {
  (socket as RescuedSocket)[rescuerOf] = rescuer;
  if (rescuer !== null) socket.destroy = destroyRescued;
}

/** Gives what the kernel still holds of a socket, until there is nothing or the socket is destroyed. The chunk is only lent. */
export function readRest(socket: Socket, give: (chunk: Buffer, length: number) => void): void {
  while (!socket.destroyed) {
    const fd = descriptorOf(socket);
    const length = fd < 0 ? 0 : readNow(fd);
    if (length === 0) return;
    give(memory, length);
  }
}

/** Likewise of a connection with TLS. Its engine may be at work just now, and deliver when this has returned. */
export function decryptRest(secured: Socket, below: Socket): void {
  const handle = (secured as unknown as Internals)._handle;
  if (typeof handle?.receive !== "function") return;
  readRest(below, (chunk, length) => {
    if (!secured.destroyed) handle.receive?.(Buffer.from(chunk.subarray(0, length)));
  });
}

/** 0: nothing is there, or nothing can be had. */
function readNow(fd: number): number {
  try {
    return readSync(fd, memory, 0, SIZE, null);
  } catch {
    return 0;
  }
}

/** Turns of the event loop that a FIN may take to go out. */
const FIN_TURNS = 4;

/**
 * Closes with a RST. The runtime refuses that while a FIN is on its way out, and could never close the descriptor again:
 * then it has to wait until the FIN is out, and closes without a RST where that takes long.
 * @param writer the stream that is written to: over TLS it is the one that ends, and `socket` lies below
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

/** The descriptor of an open socket; -1 where there is none, or the runtime does not tell. */
export function descriptorOf(socket: Socket): number {
  return (socket as unknown as Internals)._handle?.fd ?? -1;
}

/** Bytes that were written, and that the operating system has not taken. Undefined where the runtime does not tell. */
export function writeQueueSize(socket: Socket): number | undefined {
  const handle = (socket as unknown as Internals)._handle;
  if (handle === null || handle === undefined || !isLive(handle)) return undefined;
  return handle.writeQueueSize;
}

/** On Node it is libuv's own number. Elsewhere it may be a field that nobody keeps up to date. */
function isLive(handle: object): boolean {
  return "writeQueueSize" in handle && !Object.hasOwn(handle, "writeQueueSize");
}

/**
 * Whether this runtime sends sockets to other threads (Node 24.20, 26.6). One that is not connected never goes; where
 * none does, the error is another.
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
 * Of a socket that TLS takes over. On Node the TLS engine gets the chunks by that alone; on Deno they would still go into
 * the buffer, and the handshake would wait for ever.
 */
export function receiveNowhere(socket: Socket): void {
  refill(socket, NOWHERE);
}

/**
 * Tells whether a secured stream is ended by a FIN alone, without close_notify. At the very moment: when 'end' comes, which
 * waits for a paused reader, the FIN behind a close_notify may have come, too.
 */
export function noteEnd(socket: TLSSocket, stream: Duplex, told: (isCutShort: boolean) => void): void {
  const push = socket.push.bind(socket);
  socket.push = (chunk: unknown, encoding) => {
    if (chunk === null) told(isCutShort(socket, stream));
    return push(chunk, encoding);
  };
}

/**
 * Both ends look the same from outside. But libuv has stopped reading the connection only if it met the FIN itself: then
 * reading can be started again, else it is under way already (UV_EALREADY).
 */
function isCutShort(socket: TLSSocket, stream: Duplex): boolean {
  if (!(stream instanceof Socket)) return stream.readableEnded;
  // Told to pause, and ended all the same: then the end came in one chunk with data, as close_notify.
  if ((socket as unknown as Internals)._handle?.reading !== true) return false;
  const handle = (stream as unknown as Internals)._handle;
  return typeof handle?.readStart === "function" && handle.readStart() === 0;
}

/** Why a client's certificate is not to be trusted; null if it is. A server's is told by the public interface. */
export function clientProblem(socket: TLSSocket): Error | null {
  const handle = (socket as unknown as Internals)._handle;
  if (typeof handle?.verifyError === "function") return handle.verifyError() ?? null;
  return new Error("this runtime does not tell whether the client's certificate is valid");
}

/** Has a context that somebody else has made give and take no session tickets any more, where the runtime can. */
export function stopTickets(context: SecureContext): void {
  const inner = context.context as { setOptions?: (options: number) => void } | undefined;
  inner?.setOptions?.(constants.SSL_OP_NO_TICKET);
}
