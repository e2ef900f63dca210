/**
 * Small pieces are joined in blocks of this size, so that the memory used depends on the bytes and not on the number of
 * pieces.
 */
const JOINED = 4096;

interface Segment {
  /** The bytes up to `length`; after them there may be free room. */
  block: Buffer;
  length: number;
  /** The time at which the bytes arrive. */
  readonly dueAt: number;
}

/** Bytes under way, first in, first out, each with the time at which it arrives. Linear, however they are cut. */
export class ByteQueue {
  length = 0;
  #segments: Segment[] = [];
  #head = 0;
  #offset = 0;

  /** The time at which the next byte arrives; `Infinity` if there is none. */
  get nextDueAt(): number {
    return this.#segments[this.#head]?.dueAt ?? Infinity;
  }

  /** The bytes are this queue's from then on. None arrives before its time: those that have arrived by now may be joined to earlier ones. */
  push(bytes: Buffer, dueAt: number, now: number): void {
    if (bytes.length === 0) return;
    this.length += bytes.length;
    const last = this.#segments.at(-1);
    const joined = last !== undefined && (last.dueAt === dueAt || dueAt <= now) ? last.length + bytes.length : Infinity;
    if (last === undefined || joined > JOINED) {
      this.#segments.push({ block: bytes, length: bytes.length, dueAt });
      return;
    }
    if (joined > last.block.length) {
      const block = Buffer.allocUnsafeSlow(Math.min(JOINED, 2 * joined));
      last.block.copy(block, 0, 0, last.length);
      last.block = block;
    }
    bytes.copy(last.block, last.length);
    last.length = joined;
  }

  /** How many bytes have arrived by now; counts no further than `most`. */
  due(now: number, most: number): number {
    let count = -this.#offset;
    for (let i = this.#head; count < most; i++) {
      const segment = this.#segments[i];
      if (segment === undefined || segment.dueAt > now) break;
      count += segment.length;
    }
    return Math.max(0, Math.min(count, most));
  }

  /** The next `count` bytes, of those that there are. */
  take(count: number): Buffer {
    const first = this.#segments[this.#head];
    const isInOne = first !== undefined && first.length - this.#offset >= count;
    if (isInOne) return this.#takePiece(count);
    const all = Buffer.allocUnsafe(count);
    for (let filled = 0; filled < count;) {
      const piece = this.#takePiece(count - filled);
      all.set(piece, filled);
      filled += piece.length;
    }
    return all;
  }

  /** As many of the next bytes as one segment has. */
  #takePiece(most: number): Buffer {
    const { block, length } = this.#segments[this.#head] as Segment;
    const piece = block.subarray(this.#offset, Math.min(length, this.#offset + most));
    this.length -= piece.length;
    this.#offset += piece.length;
    if (this.#offset === length) this.#next();
    return piece;
  }

  #next(): void {
    this.#offset = 0;
    this.#head++;
    // This is done only now and then, so that it costs little for each byte.
    if (this.#head * 2 < this.#segments.length) return;
    this.#segments = this.#segments.slice(this.#head);
    this.#head = 0;
  }

  clear(): void {
    this.#segments = [];
    this.length = this.#head = this.#offset = 0;
  }
}
