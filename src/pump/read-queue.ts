import { UNKNOWN } from "../framing/framing.js";
import { EntryList } from "./entry.js";
import type { ReadEntry } from "./read-entry.js";
import { ReceiveBuffer } from "./receive-buffer.js";

/**
 * The result of an attempt at the current read. `"gone"` means that the user's framing has cancelled the read
 * meanwhile.
 */
export type ReadAttempt = "ready" | "wait" | "over-limit" | "bad-frame" | "gone";

/**
 * The pending reads and the received bytes, without any I/O or time. The first entry is the current one.
 *
 * `attempt` says whether the bytes that have come satisfy the current read, `draw` makes its value, and `take` removes
 * its bytes. The framing of a read knows where the read ends and what its value is. The outcome depends on the bytes
 * alone, never on the chunks in which they came.
 */
export class ReadQueue extends EntryList<ReadEntry> {
  readonly buffer = new ReceiveBuffer();
  /** Why the bytes are not a message, after `attempt` has returned "bad-frame". */
  problem: unknown = undefined;
  /** How many bytes the search of the current read has seen. */
  #searched = 0;
  /** The whole length of the current read's message, once that is known. */
  #total = UNKNOWN;
  /** How many bytes the current skip has dropped already. */
  #dropped = 0;

  override remove(entry: ReadEntry): void {
    if (entry === this.head) this.#forget();
    super.remove(entry);
  }

  /** Forgets what was found out about the message at the front. */
  #forget(): void {
    this.#searched = 0;
    this.#dropped = 0;
    this.#total = UNKNOWN;
  }

  /**
   * Tries whether the bytes that have come satisfy the current read.
   * @param hold how many bytes a skip keeps until it is done, so that they are still there if it fails
   */
  attempt(entry: ReadEntry, hold: number): ReadAttempt {
    const { buffer } = this;
    const { framing, limit, target } = entry;
    // What goes into the caller's memory is copied there from wherever it lies.
    const isContiguous = framing.isContiguous && (target === null || typeof target === "string");
    for (;;) {
      if (this.#total === UNKNOWN) {
        const failure = this.#search(entry);
        if (failure !== null) return failure;
      }
      if (this.#total !== UNKNOWN) {
        const here = isContiguous ? buffer.ready : buffer.length;
        if (here + this.#dropped >= this.#total) {
          if (!framing.confirmsLength || this.#searched >= this.#total) return "ready";
          // The framing is asked again now that the message seems complete, because its length may grow.
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

  /**
   * The length of the current read's message if all of it lies in the window, and the framing is a plain one: for most
   * messages the same as `attempt`, by the shortest way. UNKNOWN says nothing; `attempt` knows more.
   */
  find({ framing, limit }: ReadEntry): number {
    if (this.#total !== UNKNOWN) return UNKNOWN;
    const { buffer } = this;
    try {
      const total = framing.locate(buffer, this.#searched, limit);
      return total <= limit && total <= buffer.ready ? total : UNKNOWN;
    } catch {
      return UNKNOWN;
    }
  }

  /** Removes the bytes that `find` has found, and the read, unless it is a standing one. */
  takeFound(entry: ReadEntry, total: number): void {
    this.#searched = 0;
    if (entry.standing === null) {
      entry._bytesDone = total;
      super.remove(entry);
    } else entry.standing.lastBytes = total;
    this.buffer.drop(total);
  }

  /** Asks the framing for the length of the message, and compares the answer with the limit. */
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

  /** A message with an impossible length counts as its header alone. */
  #cannotBe(entry: ReadEntry, why: "bad-frame" | "over-limit", problem: unknown): ReadAttempt {
    this.problem = problem;
    if (entry.framing.headerBytes > 0) this.#total = entry.framing.headerBytes;
    return why;
  }

  /**
   * Returns the value of the current read after `attempt` has returned "ready". No bytes are taken yet, because the
   * user's framing, which runs here, may throw, cancel the read or close the socket.
   * @throws what the framing throws for bytes that are not a message
   */
  draw(entry: ReadEntry): unknown {
    return entry.framing.draw(this.buffer, this.#total - this.#dropped, entry.target);
  }

  /**
   * Removes the bytes of the current read, whose value was drawn, from the buffer, and the read from the queue. A
   * standing read stays, for the next message.
   */
  take(entry: ReadEntry): void {
    const count = this.#total - this.#dropped;
    if (entry.standing === null) {
      entry._bytesDone = this.#total;
      this.remove(entry);
    } else {
      entry.standing.lastBytes = this.#total;
      this.#forget();
    }
    if (!entry.framing.keepsBytes) this.buffer.drop(count);
  }

  /** Returns the bytes of a text that `draw` has returned. */
  textBytes(entry: ReadEntry): Buffer {
    return entry.framing.textBytes(this.buffer, this.#total - this.#dropped);
  }

  /** Whether no part of a message of the current read has come. */
  get isAtBoundary(): boolean {
    return this.buffer.length + this.#dropped === 0;
  }

  /** How many bytes the current skip has dropped already. */
  get skipped(): number {
    return this.#dropped;
  }

  /** How many bytes have come for the current read. */
  bytesDone(entry: ReadEntry): number {
    return this.#dropped + Math.min(this.buffer.length, this.#most(entry) - this.#dropped);
  }

  /** Returns a copy of what has come for an unfinished read; undefined for a skip, which drops its bytes. */
  partial(entry: ReadEntry): Buffer | undefined {
    return entry.framing.dropsBytes ? undefined : this.buffer.copyOut(this.bytesDone(entry));
  }

  /**
   * How many more bytes may be received: what the current read can use, plus the read-ahead.
   * @param mayServe whether the current read is served as soon as its bytes are there
   */
  room(readAhead: number, mayServe: boolean): number {
    const most = this.head === null || !mayServe ? 0 : this.#most(this.head) - this.#dropped;
    return Math.max(0, most + readAhead - this.buffer.length);
  }

  /** The most bytes that the current read can take. */
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
