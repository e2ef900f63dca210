import { findEnd, LINE_FEED } from "./delimiter.js";
import { EntryList } from "./entry.js";
import type { ReadEntry, ReadRule } from "./read-entry.js";
import { ReceiveBuffer } from "./receive-buffer.js";
import { completeCharacters } from "./text.js";

/** What came of an attempt to satisfy the current read. */
export type Attempt = "ready" | "wait" | "over-limit" | "bad-frame";

/** Answers of a rule besides a length. */
const MORE = -1;
const OVER_LIMIT = -2;
const BAD_FRAME = -3;

/**
 * Reads that wait, and the bytes they wait for: pure state. The first entry is the current one.
 *
 * `attempt` says whether the current read can be satisfied by what is here, `take` satisfies it. The outcome depends
 * on the bytes alone, never on how they were cut into chunks.
 */
export class ReadQueue extends EntryList<ReadEntry> {
  readonly buffer = new ReceiveBuffer();
  /** How far the current read's search has come. */
  #searched = 0;
  /** Bytes that the current skip has dropped already. */
  #skipped = 0;
  #count = 0;

  override remove(entry: ReadEntry): void {
    if (entry === this.head) {
      this.#searched = 0;
      this.#skipped = 0;
    }
    super.remove(entry);
  }

  /** Looks whether the current read can be satisfied. `hold`: how much a skip keeps, to give it back if it fails. */
  attempt(entry: ReadEntry, hold: number): Attempt {
    const { buffer } = this;
    for (;;) {
      const count = RULES[entry.rule](entry, buffer, this);
      if (count >= 0) {
        this.#count = count;
        return "ready";
      }
      if (count !== MORE) return count === OVER_LIMIT ? "over-limit" : "bad-frame";
      if (entry.rule === "skip" && buffer.length > hold) this.#skip(buffer.length);
      if (!buffer.feed(wanted(entry, buffer))) return "wait";
    }
  }

  /** Satisfies the current read, for which `attempt` was "ready": takes its bytes, and the entry off the queue. */
  take(entry: ReadEntry): unknown {
    const { buffer } = this;
    const count = this.#count;
    entry._bytesDone = count + this.#skipped;
    this.remove(entry);
    if (entry.rule === "skip") return void buffer.drop(count);
    if (entry.rule === "line") return takeLine(entry, buffer, count);
    if (entry.frame === null) return takeData(entry, buffer, count);
    buffer.drop(entry.frame.lengthBytes);
    return takeData(entry, buffer, count - entry.frame.lengthBytes);
  }

  /** Bytes that have come for the current read. */
  bytesDone(entry: ReadEntry): number {
    return this.#skipped + Math.min(this.buffer.length, Math.max(0, entry.most - this.#skipped));
  }

  /** A copy of what has come for an unfinished read. A skip does not say, its bytes are not wanted. */
  partial(entry: ReadEntry): Buffer | undefined {
    if (entry.rule === "skip") return undefined;
    return this.buffer.copyOut(this.bytesDone(entry));
  }

  /** How many more bytes may be taken from the kernel: what the current read can use, and the read-ahead. */
  room(readAhead: number): number {
    const most = this.head === null ? 0 : this.head.most;
    return Math.max(0, most + readAhead - this.buffer.length);
  }

  /** Where the current read's search goes on. */
  get searched(): number {
    return this.#searched;
  }

  set searched(offset: number) {
    this.#searched = offset;
  }

  get skipped(): number {
    return this.#skipped;
  }

  #skip(count: number): void {
    this.buffer.drop(count);
    this.#skipped += count;
  }
}

/** The whole length of what the read takes, or one of the answers above. */
type Rule = (entry: ReadEntry, buffer: ReceiveBuffer, queue: ReadQueue) => number;

const RULES: Readonly<Record<ReadRule, Rule>> = {
  exactly: (entry, buffer) => (buffer.ready >= entry.length ? entry.length : MORE),
  peek: (entry, buffer) => (buffer.ready >= entry.length ? entry.length : MORE),
  skip: (entry, buffer, queue) => {
    const rest = entry.length - queue.skipped;
    return buffer.length >= rest ? rest : MORE;
  },
  some: measureSome,
  until: (entry, buffer, queue) => measureDelimited(entry, buffer, queue),
  line: (entry, buffer, queue) => measureDelimited(entry, buffer, queue),
  frame: measureFrame,
};

function measureSome(entry: ReadEntry, buffer: ReceiveBuffer): number {
  const { ready } = buffer;
  if (ready === 0 || (ready < entry.length && ready < buffer.length)) return MORE;
  const count = Math.min(ready, entry.length);
  if (entry.encoding === null) return count;
  const whole = completeCharacters(buffer.block, buffer.start, buffer.start + count, entry.encoding);
  if (whole > 0) return whole;
  return count === entry.length ? OVER_LIMIT : MORE;
}

function measureDelimited(entry: ReadEntry, buffer: ReceiveBuffer, queue: ReadQueue): number {
  const { block, start, ready } = buffer;
  const delimiters = entry.delimiters ?? LINE_FEED;
  const limited = Math.min(ready, entry.length);
  const from = Math.max(0, queue.searched - delimiters.longest + 1);
  const end = findEnd(block, start + from, start + limited, delimiters);
  if (end !== -1) return end - start;
  queue.searched = limited;
  return limited === entry.length ? OVER_LIMIT : MORE;
}

function measureFrame(entry: ReadEntry, buffer: ReceiveBuffer): number {
  if (entry.total === -1) {
    const header = entry.frame;
    if (header === null || buffer.ready < header.lengthBytes) return MORE;
    const claimed = readLength(buffer.block, buffer.start, header.lengthBytes, header.littleEndian);
    const body = header.lengthIncludesHeader ? claimed - header.lengthBytes : claimed;
    if (body < 0) return BAD_FRAME;
    if (body > entry.length) return OVER_LIMIT;
    entry.total = header.lengthBytes + body;
  }
  return buffer.ready >= entry.total ? entry.total : MORE;
}

function readLength(block: Buffer, offset: number, bytes: number, littleEndian: boolean): number {
  if (bytes === 8) {
    return Number(littleEndian ? block.readBigUInt64LE(offset) : block.readBigUInt64BE(offset));
  }
  return littleEndian ? block.readUIntLE(offset, bytes) : block.readUIntBE(offset, bytes);
}

/** How long the window must become for the read to get further; 0: the read cannot know. */
function wanted(entry: ReadEntry, buffer: ReceiveBuffer): number {
  switch (entry.rule) {
    case "exactly":
    case "peek":
      return entry.length;
    case "some":
      return Math.min(entry.length, buffer.length);
    case "frame":
      return Math.max(entry.total, 0);
    default:
      return 0;
  }
}

function takeData(entry: ReadEntry, buffer: ReceiveBuffer, count: number): Buffer | string {
  const { into, encoding, rule } = entry;
  let data: Buffer | string;
  if (encoding !== null) data = buffer.block.toString(encoding, buffer.start, buffer.start + count);
  else if (into !== null) {
    buffer.copyTo(into, count);
    data = Buffer.from(into.buffer, into.byteOffset, count);
  } else if (rule === "peek") return buffer.copyOut(count);
  else return buffer.take(count);
  if (rule !== "peek") buffer.drop(count);
  return data;
}

function takeLine(entry: ReadEntry, buffer: ReceiveBuffer, count: number): string {
  const { block, start } = buffer;
  const end = start + count - 1;
  const hasReturn = count > 1 && block[end - 1] === 0x0d;
  const text = block.toString(entry.encoding ?? "utf8", start, hasReturn ? end - 1 : end);
  buffer.drop(count);
  return text;
}
