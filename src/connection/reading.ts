import { reasonOf } from "../base/errno.js";
import type { AsyncSocketError } from "../base/errors.js";
import type { FullLimits } from "../base/limits.js";
import { onAbort, type RequestOwner } from "../base/request.js";
import { surface } from "../base/uncaught.js";
import { extendEntry, isPending, Wait } from "../pump/entry.js";
import type { ReadEntry } from "../pump/read-entry.js";
import { type ReadAttempt, ReadQueue } from "../pump/read-queue.js";
import { readError, type ReadFailure } from "./failures.js";
import { askForTime, hears, notify, tellRead, wantsBytes } from "./notify.js";
import type { ReadingOwner } from "./owner.js";

/** The receiving half of a connection: serves the reads, and knows how the peer's FIN takes effect. */
export class Reading implements RequestOwner {
  readonly queue = new ReadQueue();
  readonly wait = new Wait();
  /** The peer's FIN has come; it takes effect in its turn. */
  peerEnded = false;
  /** The peer's FIN has taken effect. */
  ended = false;
  /** Reads wait for the next turn: after a failure that leaves the connection open, and before the FIN takes effect. */
  held = false;
  /** In this drain a read was served that code awaits: it goes on when the drain is through. */
  servedAwaited = false;
  /** The FIN has come, or bytes before it were given, since code that awaits them had a turn. */
  #owesTurn = false;
  readonly #connection: ReadingOwner;

  constructor(connection: ReadingOwner) {
    this.#connection = connection;
  }

  get limits(): FullLimits {
    return this.#connection.limits;
  }

  enqueue(entry: ReadEntry, signal: AbortSignal | undefined): void {
    const { isEnding, reason } = this.#connection;
    if (isEnding) {
      this.#connection.failEntry(entry, readError(this.queue, entry, "CLOSED", reason?.error ?? undefined));
    } else {
      this.queue.push(entry);
      if (signal !== undefined) entry.stopListening = onAbort(signal, (cause) => this.#cancel(entry, cause));
    }
    this.#connection.schedule();
  }

  /**
   * Serves an iterator by what is here already: where nobody is before it, nothing is to be told, and no signal is asked.
   * @returns whether it did; else the entry is as it was
   */
  takeNow(entry: ReadEntry): boolean {
    const { queue } = this;
    const connection = this.#connection;
    if (queue.head !== null || queue.buffer.length === 0 || this.held) return false;
    if (!connection.isServing || this.#isHeard) return false;
    queue.push(entry);
    this.wait.enter(entry);
    if (!this.#takeIfReady(entry)) {
      queue.remove(entry);
      entry._state = "queued";
      return false;
    }
    if (this.peerEnded) this.#owesTurn = true;
    entry._state = "done";
    connection.entriesLeft--;
    connection.schedule();
    return true;
  }

  /** Whether the delegate is told of reads. */
  get #isHeard(): boolean {
    const { socket } = this.#connection;
    return hears(socket, "didRead") || hears(socket, "didReadText") || hears(socket, "didReadMessage");
  }

  #takeIfReady(entry: ReadEntry): boolean {
    const { queue } = this;
    if (queue.attempt(entry, this.limits.readAhead) !== "ready") return false;
    try {
      entry._outcome = queue.draw(entry);
    } catch {
      return false; // The loop finds the same, and says so.
    }
    if (!this.#isWanted(entry)) return false;
    queue.take(entry);
    return true;
  }

  /** Whether a framing of the user's, which was just asked, has left the read and the connection as they were. */
  #isWanted(entry: ReadEntry): boolean {
    return entry === this.queue.head && this.#connection.phase === "open";
  }

  cancelRequest(entry: ReadEntry): boolean {
    if (!isPending(entry)) return false;
    this.#cancel(entry, undefined);
    return true;
  }

  extendRequest(entry: ReadEntry, ms: number): boolean {
    return extendEntry(entry, ms);
  }

  bytesDoneOf(entry: ReadEntry): number {
    const isCurrent = entry === this.queue.head && entry._state === "current";
    return isCurrent ? this.queue.bytesDone(entry) : entry._bytesDone;
  }

  #cancel(entry: ReadEntry, cause: unknown): void {
    this.fail(entry, readError(this.queue, entry, "CANCELED", cause));
    this.#connection.schedule();
  }

  /** Satisfies reads while that can be done now, or fails the current one. */
  step(): boolean {
    const connection = this.#connection;
    const { queue } = this;
    for (let hasServed = false; ; hasServed = true) {
      if (connection.phase !== "open" || this.held || connection.hasUntold) return hasServed;
      if (connection.isHeld || connection.isPaused) return hasServed;
      const entry = queue.head;
      if (entry === null) return (queue.buffer.length === 0 && this.#end()) || hasServed;
      this.wait.enter(entry);
      if (entry.kind === "startTLS") return this.#upgrade() || hasServed;
      const attempt = queue.attempt(entry, connection.limits.readAhead);
      if (!this.#isWanted(entry)) return true;
      if (attempt !== "ready") return this.#cannot(entry, attempt) || hasServed;
      this.#serve(entry);
    }
  }

  /** Gives a read what there is for it. */
  #serve(entry: ReadEntry): void {
    const connection = this.#connection;
    const { queue } = this;
    let value: unknown;
    let bytes: Buffer | null = null;
    try {
      value = queue.draw(entry);
      if (typeof value === "string" && wantsBytes(connection.socket)) bytes = queue.textBytes(entry);
    } catch (error) {
      if (this.#isWanted(entry)) this.#lose(entry, whyNotDrawn(entry, error), error);
      else surface(error);
      return;
    }
    if (!this.#isWanted(entry)) return;
    queue.take(entry);
    if (this.peerEnded) this.#owesTurn = true;
    if (entry._settlers !== null) this.servedAwaited = true;
    connection.entriesLeft--;
    tellRead(connection.socket, entry, value, bytes ?? value);
    connection.writing.flushIfMuch();
  }

  #upgrade(): boolean {
    return this.peerEnded ? this.#end() : this.#connection.upgrade?.readsReached() === true;
  }

  /** The current read cannot be satisfied: it waits, unless it may not. */
  #cannot(entry: ReadEntry, attempt: ReadAttempt): boolean {
    if (attempt === "wait") {
      if (this.peerEnded) return this.#end();
      if (entry.timeoutMs !== 0) return false;
      this.#lose(entry, "READ_TIMEOUT");
    } else this.#lose(entry, attempt === "over-limit" ? "READ_LIMIT" : "BAD_FRAME", this.queue.problem);
    return true;
  }

  /** The peer's FIN takes effect; where it has already, it does so for reads queued since. */
  #end(): boolean {
    if (!this.peerEnded || (this.ended && this.queue.head === null)) return false;
    if (this.#owesTurn) {
      this.#owesTurn = false;
      this.hold();
      return false;
    }
    const isFirst = !this.ended;
    this.ended = true;
    this.failAll("END_OF_STREAM");
    this.#connection.upgrade?.didEnd();
    if (isFirst) notify(this.#connection.socket, "didEndReading");
    return true;
  }

  /** The FIN has come. Code that awaited the last bytes gets its turn before they become the last. */
  peerDidEnd(): void {
    this.peerEnded = true;
    this.#owesTurn = true;
  }

  hold(): void {
    if (this.held) return;
    this.held = true;
    this.#connection.clock.later(release, this);
  }

  release(): void {
    this.held = false;
    this.#connection.drain();
  }

  /** Takes a read off the queue; no byte goes with it. */
  fail(entry: ReadEntry, error: AsyncSocketError): void {
    this.queue.remove(entry);
    this.#connection.failEntry(entry, error);
  }

  /** Every read, but not an upgrade: what is queued behind that must not go in the clear. */
  cancelAll(): number {
    let count = 0;
    for (let entry = this.queue.head; entry !== null;) {
      const { next } = entry;
      if (entry.kind !== "startTLS") {
        this.fail(entry, readError(this.queue, entry, "CANCELED"));
        count++;
      }
      entry = next;
    }
    return count;
  }

  failAll(code: "END_OF_STREAM" | "CLOSED" | "CONNECTION_LOST", cause?: unknown): void {
    for (let entry = this.queue.head; entry !== null; entry = this.queue.head) {
      this.fail(entry, readError(this.queue, entry, code, cause));
    }
  }

  /** A read fails by itself: that closes the connection, unless it is to fail alone. */
  #lose(entry: ReadEntry, code: ReadFailure, cause?: unknown): void {
    const error = readError(this.queue, entry, code, cause);
    this.fail(entry, error);
    if (entry.failsAlone) this.hold();
    else if (code === "READ_TIMEOUT") this.#connection.closeLate(error);
    else this.#connection.close("error", error);
  }

  /** The read whose time is running. */
  get waiting(): ReadEntry | null {
    const { head } = this.queue;
    const isWaiting = head?._state === "current" && head.kind !== "startTLS" && this.#connection.phase === "open";
    return isWaiting ? head : null;
  }

  /** Its time is up, unless the delegate gives it more. It is asked again where the timer was so late that this, too, is over. */
  expire(now: number): void {
    const { wait } = this;
    for (let entry = this.waiting; entry !== null && now >= wait.dueAt(entry); entry = this.waiting) {
      const asked = entry;
      const more = askForTime(this.#connection.socket, "shouldExtendReadTimeout", asked, now - wait.startedAt);
      asked.timeoutMs += more;
      if (more > 0) continue;
      if (asked === this.waiting && now >= wait.dueAt(asked)) this.#lose(asked, "READ_TIMEOUT");
      return;
    }
  }

  /** Tells the delegate what has come for the current read since it was told last. */
  report(): boolean {
    const { socket, phase } = this.#connection;
    const entry = this.queue.head;
    if (phase !== "open" || entry?._state !== "current" || !hears(socket, "didReadPartial")) return false;
    const count = this.queue.bytesDone(entry) - this.wait.reported;
    if (count <= 0) return false;
    this.wait.reported += count;
    notify(socket, "didReadPartial", count, entry.tag);
    return true;
  }
}

function release(side: Reading): void {
  side.release();
}

/** Text can be too long for the runtime, the caller's memory gone, and what seemed a message none. */
function whyNotDrawn(entry: ReadEntry, error: unknown): ReadFailure {
  if (reasonOf(error) === "ERR_STRING_TOO_LONG") return "READ_LIMIT";
  return entry.kind === "readMessage" ? "BAD_FRAME" : "BAD_STATE";
}
