import { markAsUntransferable } from "node:worker_threads";
import type { UnreadBytes } from "../framing/framing.js";

/** Messages share blocks of this size, and may pin as much. */
const SMALL = 8192;
/** Larger messages share larger blocks: one never pins more than so many times its own size. */
const SHARE = 16;
const LARGE = 65_536;
const EMPTY = Buffer.alloc(0);

type BufferConstructor = new (memory: ArrayBufferLike, offset: number, length: number) => Buffer;

/** What makes a Buffer from memory without further ado: `subarray` asks for it, too, and takes twice the time. */
const species = (Buffer as unknown as { [Symbol.species]?: BufferConstructor })[Symbol.species];
const View = isUsable(species) ? species : null;

function isUsable(make: BufferConstructor | undefined): make is BufferConstructor {
  return typeof make === "function" && Object.getPrototypeOf(new make(EMPTY.buffer, 0, 0)) === Buffer.prototype;
}

/**
 * Received bytes that nobody has taken yet.
 *
 * ```
 *            window (ours)                    chunk (the transport's, borrowed during one call)
 *   block: [ ….given away….|#####unread#####|   room ]     [ ..fed.. |######rest######| ]
 *                        start              end  block.length       chunkStart      chunkEnd
 * ```
 *
 * Reads look at the window only, which is contiguous. `feed` moves bytes from the chunk into it: all that a read of
 * known length lacks, else a step that doubles. So each byte is copied once on its way to the user, but for the few of a
 * message that straddles two blocks; and memory grows with what has come, never with what a peer announced.
 * A block is never written again where bytes were given away.
 */
export class ReceiveBuffer implements UnreadBytes {
  block: Buffer = EMPTY;
  /** The block's memory, once it is shared, and where it begins there: asking the block costs more than a field does. */
  #memory: ArrayBufferLike | null = null;
  #base = 0;
  start = 0;
  end = 0;
  #chunk: Buffer = EMPTY;
  #chunkStart = 0;
  #chunkEnd = 0;
  #lastTaken = 0;

  /** Bytes in the window: contiguous, to be searched. */
  get ready(): number {
    return this.end - this.start;
  }

  /** All unread bytes. */
  get length(): number {
    return this.end - this.start + this.#chunkEnd - this.#chunkStart;
  }

  /** Lends a chunk until `keep` is called. */
  borrow(chunk: Buffer, length: number, start = 0): void {
    this.#chunk = chunk;
    this.#chunkStart = start;
    this.#chunkEnd = start + length;
  }

  /** Ends the loan: what was not taken is copied, joined to what was there. */
  keep(): void {
    const rest = this.#chunkEnd - this.#chunkStart;
    if (rest > 0) this.#append(rest, 0);
    this.#chunk = EMPTY;
    this.#chunkStart = this.#chunkEnd = 0;
    this.trim();
  }

  /** Gives a large block back of which little is left. To be called when the reads at hand are through. */
  trim(): void {
    if (this.block.length > SMALL && this.ready * 4 < this.block.length && this.#chunkStart === this.#chunkEnd) {
      this.#move(this.ready);
    }
  }

  /**
   * Moves more of the chunk into the window.
   * @param wanted how long the window should become; 0 when the reader cannot know
   * @returns whether there was anything to move
   */
  feed(wanted: number): boolean {
    const rest = this.#chunkEnd - this.#chunkStart;
    if (rest === 0) return false;
    const { ready } = this;
    const target = wanted > SMALL / 2 ? wanted : Math.max(SMALL, Math.min(LARGE, SHARE * this.#lastTaken), 2 * ready);
    this.#append(Math.min(rest, target - ready), wanted);
    return true;
  }

  #append(count: number, wanted: number): void {
    const need = this.ready + count;
    if (this.end + count > this.block.length) {
      // Doubling keeps the copying linear, and a length that was only claimed from costing memory.
      const doubled = count >= this.ready ? need : need * 2;
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
    this.block = target;
    this.#memory = null;
    this.start = 0;
    this.end = ready;
  }

  /**
   * Bytes of the window, given away for good: they are to be dropped, and are never overwritten. `offset` is that of a
   * message's body.
   */
  give(offset: number, count: number): Buffer {
    const { block } = this;
    const from = this.start + offset;
    this.#lastTaken = count;
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
    if (View === null) return this.block.subarray(start, start + count);
    return new View(this.#memory, this.#base + start, count);
  }

  /** A copy of the first bytes, which stay. */
  copyOut(count: number): Buffer {
    const data = allocate(count);
    this.copyTo(data, count);
    return data;
  }

  /** Copies bytes, of window and chunk, into memory of the caller's. They stay. `offset` lies in the window. */
  copyTo(target: Uint8Array, count: number, offset = 0): void {
    const inWindow = Math.min(count, this.ready - offset);
    copy(this.block, this.start + offset, target, 0, inWindow);
    copy(this.#chunk, this.#chunkStart, target, inWindow, count - inWindow);
  }

  /** Drops the first bytes, of window and chunk, without copying any. */
  drop(count: number): void {
    const inWindow = Math.min(count, this.ready);
    this.start += inWindow;
    this.#chunkStart += count - inWindow;
    if (this.start === this.end) {
      this.block = EMPTY;
      this.#memory = null;
      this.start = this.end = 0;
    }
  }
}

/** Messages lie side by side in it: who sends one to another thread must not take the others along. */
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

/** Small ones share blocks of ours: those of `Buffer.allocUnsafe` are of 64 KiB in later versions of Node. */
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
  // A native call costs more than a few bytes do.
  if (count > 16) {
    source.copy(target, targetStart, sourceStart, sourceStart + count);
    return;
  }
  for (let i = 0; i < count; i++) target[targetStart + i] = source[sourceStart + i] ?? 0;
}
