import { UNKNOWN } from "../framing/framing.js";
import { EntryList } from "./entry.js";
import type { ReadEntry } from "./read-entry.js";
import { ReceiveBuffer } from "./receive-buffer.js";

/** What came of an attempt to satisfy the current read. `"gone"`: code of the user's, asked meanwhile, has taken it back. */
export type ReadAttempt = "ready" | "wait" | "over-limit" | "bad-frame" | "gone";

/**
 * Reads that wait, and the bytes they wait for: pure state. The first entry is the current one.
 *
 * `attempt` says whether the current read can be satisfied by what is here, `draw` makes its value, `take` takes its bytes.
 * Where a read ends, and what it gives, its framing knows. The outcome depends on the bytes alone, never on how they were cut into chunks.
 */
export class ReadQueue extends EntryList<ReadEntry> {
  readonly buffer = new ReceiveBuffer();
  /** What kept the current read from being a message, where `attempt` has said so. */
  problem: unknown = undefined;
  /** Of the current read: how far its search has come. */
  #searched = 0;
  /** Of the current read: the whole length of its message, once that is known. */
  #total = UNKNOWN;
  /** Of the current skip: bytes dropped already. */
  #dropped = 0;

  override remove(entry: ReadEntry): void {
    if (entry === this.head) {
      this.#searched = 0;
      this.#dropped = 0;
      this.#total = UNKNOWN;
    }
    super.remove(entry);
  }

  /** Looks whether the current read can be satisfied. `hold`: how much a skip keeps, to give it back if it fails. */
  attempt(entry: ReadEntry, hold: number): ReadAttempt {
    const { buffer } = this;
    const { framing, limit } = entry;
    for (;;) {
      if (this.#total === UNKNOWN) {
        const failure = this.#search(entry);
        if (failure !== null) return failure;
      }
      if (this.#total !== UNKNOWN) {
        const here = framing.isContiguous ? buffer.ready : buffer.length;
        if (here + this.#dropped >= this.#total) {
          if (!framing.confirmsLength || this.#searched >= this.#total) return "ready";
          // Asked again, now that all of it is here, the framing may find that it is longer.
          const failure = this.#search(entry);
          if (failure !== null) return failure;
          continue;
        }
        if (framing.dropsBytes && buffer.length > hold) this.#dropAhead();
      }
      const wanted = this.#total === UNKNOWN ? (framing.wanted?.(buffer, limit) ?? 0) : this.#total;
      if (!buffer.feed(wanted)) return "wait";
    }
  }

  /** Asks the framing for the length of the message, and holds the answer against the limit. */
  #search(entry: ReadEntry): ReadAttempt | null {
    const { framing, limit } = entry;
    const { ready } = this.buffer;
    let total: number;
    try {
      total = framing.locate(this.buffer, this.#searched, limit);
    } catch (error) {
      if (this.head !== entry) return "gone";
      return this.#cannotBe(entry, "bad-frame", error);
    }
    if (this.head !== entry) return "gone";
    if (total < this.#total) return this.#cannotBe(entry, "bad-frame", shrunk(this.#total, total));
    if (total > limit) return this.#cannotBe(entry, "over-limit", undefined);
    this.#searched = Math.min(ready, limit);
    this.#total = total;
    return total === UNKNOWN && this.#searched === limit ? "over-limit" : null;
  }

  /** Of a message whose length cannot be there is nothing but its header. */
  #cannotBe(entry: ReadEntry, why: "bad-frame" | "over-limit", problem: unknown): ReadAttempt {
    this.problem = problem;
    if (entry.framing.headerBytes > 0) this.#total = entry.framing.headerBytes;
    return why;
  }

  /**
   * The value of the current read, for which `attempt` was "ready". Nothing is taken yet: a framing of the user's, which
   * is asked for it, may take the read back or close the socket.
   * @throws what the framing throws for bytes that are no message
   */
  draw(entry: ReadEntry): unknown {
    return entry.framing.draw(this.buffer, this.#total - this.#dropped, entry.target);
  }

  /** Takes the bytes of the current read, whose value was drawn, and takes it off the queue. */
  take(entry: ReadEntry): void {
    const count = this.#total - this.#dropped;
    entry._bytesDone = this.#total;
    this.remove(entry);
    if (!entry.framing.keepsBytes) this.buffer.drop(count);
  }

  /** The bytes of a text that `draw` has given. */
  textBytes(entry: ReadEntry): Buffer {
    return entry.framing.textBytes(this.buffer, this.#total - this.#dropped);
  }

  /** Bytes that the current skip has dropped already. */
  get skipped(): number {
    return this.#dropped;
  }

  /** Bytes that have come for the current read. */
  bytesDone(entry: ReadEntry): number {
    return this.#dropped + Math.min(this.buffer.length, this.#most(entry) - this.#dropped);
  }

  /** A copy of what has come for an unfinished read. A skip does not say, its bytes are not wanted. */
  partial(entry: ReadEntry): Buffer | undefined {
    return entry.framing.dropsBytes ? undefined : this.buffer.copyOut(this.bytesDone(entry));
  }

  /** How many more bytes may be taken from the kernel: what the current read can use, and the read-ahead. */
  room(readAhead: number): number {
    const most = this.head === null ? 0 : this.#most(this.head) - this.#dropped;
    return Math.max(0, most + readAhead - this.buffer.length);
  }

  /** The most that the current read can take. */
  #most(entry: ReadEntry): number {
    return this.#total === UNKNOWN ? entry.limit : this.#total;
  }

  #dropAhead(): void {
    this.#dropped += this.buffer.length;
    this.buffer.drop(this.buffer.length);
  }
}

function shrunk(before: number, now: number): RangeError {
  const words = now === UNKNOWN ? "none" : `${now} bytes`;
  return new RangeError(`Expected measure to give a length that does not shrink, got ${words} after ${before} bytes`);
}
