import { markAsUntransferable } from "node:worker_threads";
import { byteCount } from "../base/byte-count.js";
import { viewOf } from "../base/view.js";

/** Text and bytes from this length on are not copied. A list is copied if so little of it stands before its last part. */
const SMALL = 4096;
/** Up to this length a loop encodes text faster than a native call. */
const SHORT_TEXT = 16;
/** How much room is kept behind writes of a socket, the first time and after that, while others write as well. */
const KEPT = 2048;
const KEPT_MAX = 8192;
/** So many full blocks are watched for bytes that are given back, and so many are kept to be used again. */
const FULL_MAX = 16;
const SPARE_MAX = 8;
/** How large memory for the waiting writes of one queue is, the first time and at most. */
const APART = 256;
const APART_MAX = 16 * 1024;
/** How many bytes a character of a JavaScript string has at most in UTF-8. */
const CHARACTER_BYTES = 3;
/** The most that one write can have in the block: a header, a list, and a text as its last part. */
const ROOM = 16 + SMALL + CHARACTER_BYTES * SMALL;
/** A batch of small writes, which has 64 KiB, lies in one block if the block has nothing else. */
const BLOCK_BYTES = 64 * 1024 + ROOM;

/** A length field, which stands before the bytes of a frame. */
export interface LengthHeader {
  readonly headerBytes: number;
  /** @throws RangeError for so many bytes that the length field cannot express their number */
  checkBody(name: string, bodyBytes: number): void;
  /** Writes the header of a body with so many bytes. */
  putHeader(target: Buffer, at: number, bodyBytes: number): void;
}

/** What can be written: text, bytes, or a list of both. */
export type Writable = string | Uint8Array | readonly (string | Uint8Array)[];

/** Where a write was copied to. */
interface Copied {
  /** The block with the bytes, if they were copied. */
  readonly data: unknown;
  readonly start: number;
  readonly total: number;
  /** Where the room that is kept behind them ends; 0 if there is none. */
  readonly roomEnd: number;
  readonly handed: number;
}

/** Memory for copies, which lie in it one behind the other. */
class Block {
  readonly bytes = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  /** Asking the bytes for their memory takes longer. */
  readonly memory = this.bytes.buffer;
  /** Where the room begins. */
  used = 0;
  /** How many bytes are still needed. */
  needed = 0;

  constructor() {
    markAsUntransferable(this.memory);
  }
}

/**
 * Memory into which the small writes of all sockets of the thread are copied by the calls that queue them. Writes that
 * follow each other lie side by side, so a batch of them is one piece, whatever they were made of.
 *
 * ```
 *   block: [ socket 7's writes | socket 9's | socket 7's |   room   ]
 *                                                       used
 * ```
 *
 * The operating system nearly always takes a batch at once. Then its bytes are given back, and once no byte of a block
 * is needed, the block is used again from its start. A transport that takes its time keeps the bytes: they are never
 * given back, and the block is gone when nothing refers to it any more.
 */
class BatchMemory {
  #block = new Block();
  /** Full blocks, of which bytes may be given back. */
  readonly #full: Block[] = [];
  /** Blocks of which all bytes were given back. */
  readonly #spare: Block[] = [];

  /** The memory of the last copy, where it begins there, and where the room that is kept behind it ends. */
  target: Buffer = this.#block.bytes;
  start = 0;
  roomEnd = 0;

  /**
   * Copies a write that is small, with its header before it. It begins at `start`.
   * @param last the last write in the same queue, behind which it goes if there is room
   * @returns how many bytes were copied; -1 if the write is too large to be copied
   * @throws RangeError if the header cannot express the length
   */
  copy(data: Writable, header: LengthHeader | null, last: Copied | null): number {
    const block = this.#roomy();
    this.target = block.bytes;
    const lastEnd = last !== null && last.handed === 0 && last.data === block.bytes ? last.start + last.total : 0;
    const headerBytes = header === null ? 0 : header.headerBytes;
    const fits = lastEnd > 0 && headerBytes + mostBytes(data) <= (last as Copied).roomEnd - lastEnd;
    const start = fits ? lastEnd : block.used;
    const count = fill(block.bytes, start, data, header);
    if (count < 0) return count;
    block.needed += count;
    this.start = start;
    if (fits) {
      this.roomEnd = (last as Copied).roomEnd;
      return count;
    }
    // Other sockets write in between: room is kept for more, or each write would be a piece of its own.
    const isElsewhere = lastEnd > 0 && lastEnd !== start;
    const room = isElsewhere
      ? Math.min((last as Copied).roomEnd > 0 ? KEPT_MAX : KEPT, BLOCK_BYTES - start - count)
      : 0;
    block.used = start + count + room;
    this.roomEnd = room > 0 ? block.used : 0;
    return count;
  }

  /**
   * Copies a write that has to wait into memory for its queue alone, which has little more than the waiting bytes: a
   * block would be kept for as long as a single byte in it waits.
   */
  copyApart(data: Writable, header: LengthHeader | null, last: Copied | null): number {
    // How long it is, is known once it is encoded, so it goes by way of the block, of which it takes nothing.
    const block = this.#roomy();
    const count = fill(block.bytes, block.used, data, header);
    if (count <= 0) return count;
    const before = last !== null && last.handed === 0 && isApart(last) ? last : null;
    const end = before === null ? 0 : before.start + before.total;
    const fits = before !== null && end + count <= before.roomEnd;
    const size = Math.max(count, Math.min(APART_MAX, before === null ? APART : 2 * before.roomEnd));
    this.target = fits ? (before.data as Buffer) : Buffer.allocUnsafeSlow(size);
    this.start = fits ? end : 0;
    this.roomEnd = fits ? before.roomEnd : size;
    if (!fits) markAsUntransferable(this.target.buffer);
    block.bytes.copy(this.target, this.start, block.used, block.used + count);
    return count;
  }

  /** A block with room for any write that is small. */
  #roomy(): Block {
    if (this.#block.used + ROOM > BLOCK_BYTES) this.#replace();
    return this.#block;
  }

  #replace(): void {
    if (this.#full.push(this.#block) > FULL_MAX) this.#full.shift();
    this.#block = this.#spare.pop() ?? new Block();
  }

  /** A part of a block, as a piece of a batch. */
  piece(bytes: Buffer, start: number, count: number): Buffer {
    const { memory } = this.#block;
    return bytes === this.#block.bytes ? viewOf(memory, start, count) : bytes.subarray(start, start + count);
  }

  /** Nobody needs these bytes any more. Those of a batch that lie in no block are left alone. */
  giveBack({ buffer, length }: Uint8Array): void {
    const block = this.#block;
    if (buffer === block.memory) {
      block.needed -= length;
      if (block.needed === 0) block.used = 0;
      return;
    }
    const index = this.#full.findIndex(({ memory }) => memory === buffer);
    const full = this.#full[index];
    if (full === undefined) return;
    full.needed -= length;
    if (full.needed > 0) return;
    full.used = 0;
    this.#full.splice(index, 1);
    if (this.#spare.length < SPARE_MAX) this.#spare.push(full);
  }
}

export const batchMemory = new BatchMemory();

/** Whether a write was copied into memory for its queue alone, all of which is room for more. */
function isApart({ data, start, roomEnd }: Copied): boolean {
  return start >= 0 && roomEnd > 0 && roomEnd <= APART_MAX + ROOM && (data as Uint8Array).length === roomEnd;
}

export function isList<T>(data: string | Uint8Array | readonly T[]): data is readonly T[] {
  return Array.isArray(data);
}

/** The most bytes that a write can have. */
function mostBytes(data: Writable): number {
  if (typeof data === "string") return CHARACTER_BYTES * data.length;
  if (!isList(data)) return data.length;
  let most = 0;
  for (const part of data) most += typeof part === "string" ? CHARACTER_BYTES * part.length : part.length;
  return most;
}

/**
 * Puts a write into memory, with its header before it.
 * @returns how many bytes there are; -1 if they are too many to be copied
 * @throws RangeError if the header cannot express the length
 */
function fill(target: Buffer, start: number, data: Writable, header: LengthHeader | null): number {
  const headerBytes = header === null ? 0 : header.headerBytes;
  const bodyBytes = put(target, start + headerBytes, data);
  if (bodyBytes < 0 || header === null) return bodyBytes;
  header.checkBody("body", bodyBytes);
  header.putHeader(target, start, bodyBytes);
  return headerBytes + bodyBytes;
}

/** @returns how many bytes there are; -1 if they are too many to be copied */
function put(target: Buffer, at: number, data: Writable): number {
  if (typeof data === "string") return data.length >= SMALL ? -1 : putText(target, at, data);
  if (isList(data)) return putAll(target, at, data);
  const { length } = data;
  if (length >= SMALL) return -1;
  if (length > 0) target.set(data, at);
  return length;
}

function putAll(target: Buffer, start: number, parts: readonly (string | Uint8Array)[]): number {
  let at = start;
  for (const part of parts) {
    const count = at - start < SMALL ? put(target, at, part) : -1;
    if (count < 0) return -1;
    at += count;
  }
  return at - start;
}

/** Encodes text. There is room for the most that it can be. */
function putText(target: Buffer, at: number, text: string): number {
  const { length } = text;
  if (length > SHORT_TEXT) return target.write(text, at);
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x80) return target.write(text, at);
    target[at + i] = code;
  }
  return length;
}

/**
 * The pieces of a write that is too large to be copied as a whole: what is large in it stays as it is, and what is small
 * is copied together with its neighbours, because a system call with fewer pieces is faster.
 */
export function piecesOf(data: Writable, header: LengthHeader | null): Uint8Array | readonly Uint8Array[] {
  const body = typeof data === "string" ? Buffer.from(data) : data;
  if (header === null && !isList(body)) return body;
  const parts = (isList(body) ? body : [body]).map((part) => (typeof part === "string" ? Buffer.from(part) : part));
  if (header !== null) parts.unshift(headerOf(header, byteCount(parts)));
  return joined(parts);
}

function headerOf(header: LengthHeader, bodyBytes: number): Buffer {
  header.checkBody("body", bodyBytes);
  const bytes = Buffer.allocUnsafe(header.headerBytes);
  header.putHeader(bytes, 0, bodyBytes);
  return bytes;
}

/** Joins small neighbours. No piece that is made here is longer than a block. */
function joined(parts: readonly Uint8Array[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let small: Uint8Array[] = [];
  let bytes = 0;
  const join = (): void => {
    if (small.length > 0) pieces.push(small.length === 1 ? (small[0] as Uint8Array) : Buffer.concat(small, bytes));
    small = [];
    bytes = 0;
  };
  for (const part of parts) {
    if (part.length >= SMALL || bytes + part.length > BLOCK_BYTES) join();
    if (part.length >= SMALL) pieces.push(part);
    else {
      small.push(part);
      bytes += part.length;
    }
  }
  join();
  return pieces;
}
