import { Buffer, isAscii } from "node:buffer";
import { markAsUntransferable } from "node:worker_threads";
import { viewOf } from "../base/view.js";
import type { UnreadBytes } from "../framing/framing.js";

/** Small messages share blocks of this size. A message that the user keeps may keep so much memory alive. */
const SMALL = 8192;
/** Larger messages share larger blocks, but a message keeps at most so many times its own size alive. */
const SHARE = 16;
const LARGE = 65_536;
const EMPTY = Buffer.alloc(0);
/** Encodings in which an ASCII character is one byte, and always the same one. */
const ASCII_BASED: readonly BufferEncoding[] = ["utf8", "utf-8", "latin1", "binary", "ascii"];

/**
 * Received bytes that nobody has taken yet.
 *
 * ```
 *            window (of this buffer)          chunk (of the transport, borrowed during one call)
 *   block: [ ….given away….|#####unread#####|   room ]     [ ..fed.. |######rest######| ]
 *                        start              end  block.length       chunkStart      chunkEnd
 * ```
 *
 * Reads look only at the window, which is contiguous. `feed` moves bytes from the chunk into the window: all that a
 * read of known length lacks, or steps that double in size. So each byte is copied once on its way to the user, except
 * the few bytes of a message that lies across two blocks. Memory grows with the bytes that have come, never with a
 * length that a peer has announced. A part of a block that was given to the user is never overwritten.
 */
export class ReceiveBuffer implements UnreadBytes {
  block: Buffer = EMPTY;
  /** The memory of a shared block and the block's offset there. Reading a field is cheaper than asking the block. */
  #memory: ArrayBufferLike | null = null;
  #base = 0;
  /** Whether the user may have a part of the block, which must then never be overwritten. */
  #isGiven = false;
  start = 0;
  end = 0;
  /** What the bytes of the block from `textStart` to `textEnd` are in this encoding, if all of them are ASCII. */
  #text = "";
  #textEncoding: BufferEncoding | null = null;
  #textStart = 0;
  #textEnd = 0;
  #chunk: Buffer = EMPTY;
  #chunkStart = 0;
  #chunkEnd = 0;
  #lastTaken = 0;

  /** How many unread bytes lie in the window, side by side. */
  get ready(): number {
    return this.end - this.start;
  }

  /** How many bytes are unread in all. */
  get length(): number {
    return this.end - this.start + this.#chunkEnd - this.#chunkStart;
  }

  /** Lends a chunk until `keep` is called. */
  borrow(chunk: Buffer, length: number, start = 0): void {
    this.#chunk = chunk;
    this.#chunkStart = start;
    this.#chunkEnd = start + length;
  }

  /** Ends the loan: what was not taken from the chunk is copied into the window. */
  keep(): void {
    const rest = this.#chunkEnd - this.#chunkStart;
    if (rest > 0) this.#append(rest, 0);
    this.#chunk = EMPTY;
    this.#chunkStart = this.#chunkEnd = 0;
    this.trim();
  }

  /** Replaces a large block that is mostly used up by a small one. Called when no read can go on for now. */
  trim(): void {
    if (this.ready === 0 && this.block !== EMPTY && this.#chunkStart === this.#chunkEnd) this.#replace(EMPTY);
    else if (this.block.length > SMALL && this.ready * 4 < this.block.length && this.#chunkStart === this.#chunkEnd) {
      this.#move(this.ready);
    }
  }

  /**
   * Moves more of the chunk into the window.
   * @param wanted how long the window should become; 0 when the reader cannot know that
   * @returns whether there was anything to move
   */
  feed(wanted: number): boolean {
    const rest = this.#chunkEnd - this.#chunkStart;
    if (rest === 0) return false;
    const { ready } = this;
    this.#append(Math.min(rest, this.#ahead(wanted) - ready), wanted);
    return true;
  }

  /** How long the window becomes for a read that wants so much, or cannot know how much it wants. */
  #ahead(wanted: number): number {
    // Behind a large message the next one is probably as large, and gets a block of its own once its length is known:
    // what is taken with its header would be copied once more.
    const isBetweenLarge = wanted > this.ready && this.#lastTaken > LARGE / SHARE;
    if (wanted > SMALL / 2 || isBetweenLarge) return wanted;
    return Math.max(SMALL, Math.min(LARGE, SHARE * this.#lastTaken), 2 * this.ready);
  }

  #append(count: number, wanted: number): void {
    const { ready } = this;
    const need = ready + count;
    if (this.end + count > this.block.length && !this.#isGiven && this.start >= ready && need <= this.block.length) {
      // Nobody has seen the bytes before these. As many as are moved were read, so the cost of copying stays linear.
      copy(this.block, this.start, this.block, 0, ready);
      this.#begin(ready);
    } else if (this.end + count > this.block.length) {
      // Doubling keeps the cost of copying linear. Only a wanted length close to what is there is allocated at once, so
      // a large length that the peer merely announces costs no memory.
      const doubled = count >= ready ? need : need * 2;
      this.#move(wanted >= need && wanted <= need * 4 ? wanted : doubled);
    }
    copy(this.#chunk, this.#chunkStart, this.block, this.end, count);
    this.#chunkStart += count;
    this.end += count;
  }

  #move(capacity: number): void {
    const target = allocate(capacity);
    const { ready } = this;
    copy(this.block, this.start, target, 0, ready);
    this.#replace(target);
    this.#begin(ready);
  }

  #replace(block: Buffer): void {
    this.block = block;
    this.#memory = null;
    this.#isGiven = false;
  }

  /** The unread bytes are the first of the block now. */
  #begin(ready: number): void {
    this.start = 0;
    this.end = ready;
    this.#text = "";
    this.#textEncoding = null;
    this.#textStart = this.#textEnd = 0;
  }

  /**
   * Returns bytes of the window that the user may keep; they are never overwritten. The caller drops them afterwards.
   * @param offset where the bytes begin, counted from the first unread byte
   */
  give(offset: number, count: number): Buffer {
    const { block } = this;
    const from = this.start + offset;
    this.#lastTaken = count;
    this.#isGiven = true;
    if (count === block.length) return block;
    if (block.length <= SMALL || count * SHARE >= block.length) return this.#share(from, count);
    const data = allocate(count);
    copy(block, from, data, 0, count);
    return data;
  }

  #share(start: number, count: number): Buffer {
    if (this.#memory === null) {
      this.#memory = this.block.buffer;
      this.#base = this.block.byteOffset;
      keepHere(this.#memory);
    }
    return viewOf(this.#memory, this.#base + start, count);
  }

  /**
   * Returns bytes of the window as text.
   *
   * Many short texts in a row, such as lines, are parts of one: decoding takes much longer than cutting does. They keep
   * it alive, as messages keep their block.
   */
  text(encoding: BufferEncoding, offset: number, count: number): string {
    const from = this.start + offset;
    const to = from + count;
    if (to > this.#textEnd) this.#decode(from, count, encoding);
    const start = this.#textStart;
    if (encoding !== this.#textEncoding || from < start) return this.block.toString(encoding, from, to);
    return this.#text.slice(from - start, to - start);
  }

  /** Decodes ahead, unless what is asked for is most of what is there. */
  #decode(from: number, count: number, encoding: BufferEncoding): void {
    const end = Math.min(this.end, from + SMALL);
    const isWorthIt = end - from >= 2 * count && ASCII_BASED.includes(encoding);
    const isText = isWorthIt && isAscii(this.block.subarray(from, end));
    this.#text = isText ? this.block.toString("latin1", from, end) : "";
    this.#textEncoding = isText ? encoding : null;
    this.#textStart = from;
    this.#textEnd = isWorthIt ? end : from + count;
  }

  /** Returns a copy of the first bytes, which stay unread. */
  copyOut(count: number): Buffer {
    const data = allocate(count);
    this.copyTo(data, count);
    return data;
  }

  /**
   * Copies bytes of the window and the chunk into the caller's memory. They stay unread. `offset` lies in the window.
   */
  copyTo(target: Uint8Array, count: number, offset = 0): void {
    const inWindow = Math.min(count, this.ready - offset);
    copy(this.block, this.start + offset, target, 0, inWindow);
    copy(this.#chunk, this.#chunkStart, target, inWindow, count - inWindow);
  }

  /** Drops the first bytes of the window and the chunk, without copying any. */
  drop(count: number): void {
    const inWindow = Math.min(count, this.ready);
    this.start += inWindow;
    this.#chunkStart += count - inWindow;
    if (this.start < this.end) return;
    // A block that nobody has seen takes the rest of the chunk.
    if (this.#isGiven || this.#chunkStart === this.#chunkEnd) this.#replace(EMPTY);
    this.#begin(0);
  }
}

/** Messages share this memory, so transferring one message to another thread must not take the others along. */
function keepHere(memory: ArrayBufferLike): void {
  markAsUntransferable(memory);
}

let pool = newPool();
let pooled = 0;

function newPool(): Buffer {
  const block = Buffer.allocUnsafeSlow(SMALL);
  keepHere(block.buffer);
  return block;
}

/** Small buffers share blocks of 8 KiB. The pool of `Buffer.allocUnsafe` has 64 KiB in later versions of Node. */
function allocate(size: number): Buffer {
  if (size >= SMALL / 2) return Buffer.allocUnsafeSlow(size);
  if (size > SMALL - pooled) {
    pool = newPool();
    pooled = 0;
  }
  const start = pooled;
  pooled += (size + 7) & ~7;
  return pool.subarray(start, start + size);
}

function copy(source: Buffer, sourceStart: number, target: Uint8Array, targetStart: number, count: number): void {
  // For a few bytes a loop is faster than a native call.
  if (count > 16) {
    source.copy(target, targetStart, sourceStart, sourceStart + count);
    return;
  }
  for (let i = 0; i < count; i++) target[targetStart + i] = source[sourceStart + i] ?? 0;
}
