import { measureSome } from "../framing/available.js";
import { type DelimiterSet, findEnd, LINE_FEED } from "../framing/delimiter.js";
import { type FrameHeader, readLength } from "../framing/length-prefixed.js";
import { takeLine } from "../framing/line.js";
import { EntryList } from "./entry.js";
import type { ReadEntry } from "./read-entry.js";
import { ReceiveBuffer } from "./receive-buffer.js";

/** What came of an attempt to satisfy the current read. */
export type Attempt = "ready" | "wait" | "over-limit" | "bad-frame";

/** Answers of a rule besides a length. */
export const MORE = -1;
export const OVER_LIMIT = -2;
const BAD_FRAME = -3;

/**
 * Reads that wait, and the bytes they wait for: pure state. The first entry is the current one.
 *
 * `attempt` says whether the current read can be satisfied by what is here, `take` satisfies it. The outcome depends
 * on the bytes alone, never on how they were cut into chunks.
 */
export class ReadQueue extends EntryList<ReadEntry> {
  readonly buffer = new ReceiveBuffer();
  /** Of the current read: how far its search has come. */
  #searched = 0;
  /** Of the current skip: bytes dropped already. */
  #skipped = 0;
  /** Of the current frame: header and body, once the header has come. */
  #frameTotal = -1;
  /** What the current read takes, once that is known. */
  #count = 0;

  override remove(entry: ReadEntry): void {
    if (entry === this.head) {
      this.#searched = 0;
      this.#skipped = 0;
      this.#frameTotal = -1;
    }
    super.remove(entry);
  }

  /** Looks whether the current read can be satisfied. `hold`: how much a skip keeps, to give it back if it fails. */
  attempt(entry: ReadEntry, hold: number): Attempt {
    const { buffer } = this;
    for (;;) {
      const count = this.#measure(entry);
      if (count >= 0) {
        this.#count = count;
        return "ready";
      }
      if (count !== MORE) return count === OVER_LIMIT ? "over-limit" : "bad-frame";
      if (entry.kind === "skip" && buffer.length > hold) this.#dropSkipped();
      if (!buffer.feed(this.#wanted(entry))) return "wait";
    }
  }

  /**
   * Satisfies the current read, for which `attempt` was "ready": takes its bytes, and the entry off the queue.
   * @throws what the runtime does where they cannot be given; then nothing has changed
   */
  take(entry: ReadEntry): unknown {
    const count = this.#count;
    const value = this.#takeValue(entry, count);
    entry._bytesDone = count + this.#skipped;
    this.remove(entry);
    return value;
  }

  #takeValue(entry: ReadEntry, count: number): unknown {
    const { buffer } = this;
    switch (entry.kind) {
      case "readLine":
        return takeLine(entry, buffer, count);
      case "readFrame":
        return takeData(entry, buffer, (entry.mark as FrameHeader).lengthBytes, count);
      case "skip":
        buffer.drop(count);
        return undefined;
      default:
        return takeData(entry, buffer, 0, count);
    }
  }

  /** Bytes that the current skip has dropped already. */
  get skipped(): number {
    return this.#skipped;
  }

  /** A copy of the bytes that `take` makes a text of: so it is to be called before. */
  textBytes(entry: ReadEntry): Buffer {
    const { block, start } = this.buffer;
    const end = start + this.#count;
    if (entry.kind === "readLine") return Buffer.from(block.subarray(start, endOfLine(block, start, end)));
    const header = entry.kind === "readFrame" ? (entry.mark as FrameHeader).lengthBytes : 0;
    return Buffer.from(block.subarray(start + header, end));
  }

  /** Bytes that have come for the current read. */
  bytesDone(entry: ReadEntry): number {
    return this.#skipped + Math.min(this.buffer.length, this.#most(entry) - this.#skipped);
  }

  /** A copy of what has come for an unfinished read. A skip does not say, its bytes are not wanted. */
  partial(entry: ReadEntry): Buffer | undefined {
    return entry.kind === "skip" ? undefined : this.buffer.copyOut(this.bytesDone(entry));
  }

  /** How many more bytes may be taken from the kernel: what the current read can use, and the read-ahead. */
  room(readAhead: number): number {
    const most = this.head === null ? 0 : this.#most(this.head) - this.#skipped;
    return Math.max(0, most + readAhead - this.buffer.length);
  }

  /** The most that the current read can take. */
  #most(entry: ReadEntry): number {
    if (entry.kind !== "readFrame") return entry.length;
    return this.#frameTotal === -1 ? (entry.mark as FrameHeader).lengthBytes + entry.length : this.#frameTotal;
  }

  #dropSkipped(): void {
    this.#skipped += this.buffer.length;
    this.buffer.drop(this.buffer.length);
  }

  /** The whole length of what the read takes, or one of the answers above. */
  #measure(entry: ReadEntry): number {
    const { buffer } = this;
    switch (entry.kind) {
      case "read":
        return measureSome(entry, buffer);
      case "readUntil":
        return this.#measureDelimited(entry, entry.mark as DelimiterSet);
      case "readLine":
        return this.#measureDelimited(entry, LINE_FEED);
      case "readFrame":
        return this.#measureFrame(entry, entry.mark as FrameHeader);
      case "readExactly":
      case "peek":
        return buffer.ready >= entry.length ? entry.length : MORE;
      case "skip": {
        const rest = entry.length - this.#skipped;
        return buffer.length >= rest ? rest : MORE;
      }
      case "startTLS":
        return MORE;
    }
  }

  #measureDelimited(entry: ReadEntry, delimiters: DelimiterSet): number {
    const { block, start, ready } = this.buffer;
    const limited = Math.min(ready, entry.length);
    const from = Math.max(0, this.#searched - delimiters.longest + 1);
    const end = findEnd(block, start + from, start + limited, delimiters);
    if (end !== -1) return end - start;
    this.#searched = limited;
    return limited === entry.length ? OVER_LIMIT : MORE;
  }

  #measureFrame(entry: ReadEntry, header: FrameHeader): number {
    const { buffer } = this;
    if (this.#frameTotal === -1) {
      if (buffer.ready < header.lengthBytes) return MORE;
      const claimed = readLength(buffer.block, buffer.start, header);
      const body = header.lengthIncludesHeader ? claimed - header.lengthBytes : claimed;
      this.#frameTotal = header.lengthBytes; // all there is of a frame that cannot be
      if (body < 0) return BAD_FRAME;
      if (body > entry.length) return OVER_LIMIT;
      if (!Number.isSafeInteger(claimed)) return BAD_FRAME;
      this.#frameTotal += body;
    }
    return buffer.ready >= this.#frameTotal ? this.#frameTotal : MORE;
  }

  /** How long the window must become for the read to get further; 0: the read cannot know. */
  #wanted(entry: ReadEntry): number {
    switch (entry.kind) {
      case "readExactly":
      case "peek":
        return entry.length;
      case "read":
        return Math.min(entry.length, this.buffer.length);
      case "readFrame":
        return Math.max(this.#frameTotal, 0);
      default:
        return 0;
    }
  }
}

/** @param from where the data begins, behind a header; all of it, up to `count`, is in the window */
function takeData(entry: ReadEntry, buffer: ReceiveBuffer, from: number, count: number): Buffer | string {
  const { target, kind } = entry;
  if (target === null) {
    if (kind === "peek") return buffer.copyOut(count);
    if (from > 0) buffer.drop(from);
    return buffer.take(count - from);
  }
  const { block, start } = buffer;
  let data: Buffer | string;
  if (typeof target === "string") data = block.toString(target, start + from, start + count);
  else {
    if (target.length < count - from) throw new RangeError("the memory given as into was transferred or resized");
    block.copy(target, 0, start + from, start + count);
    data = Buffer.from(target.buffer, target.byteOffset, count - from);
  }
  if (kind !== "peek") buffer.drop(count);
  return data;
}

/** Where the text of a line ends, whose ending, LF or CRLF, ends at `end`. */
export function endOfLine(block: Buffer, start: number, end: number): number {
  const hasReturn = end - start > 1 && block[end - 2] === 0x0d;
  return hasReturn ? end - 2 : end - 1;
}
