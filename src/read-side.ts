import type { Connection } from "./connection.js";
import { AsyncSocketError } from "./errors.js";
import { readError } from "./failures.js";
import { askForTime, notify, tellRead } from "./notices.js";
import type { FullLimits } from "./options.js";
import { extendEntry, isPending, Wait } from "./pump/entry.js";
import type { ReadEntry } from "./pump/read-entry.js";
import { ReadQueue, type Attempt } from "./pump/read-queue.js";
import { onAbort, type RequestOwner } from "./request.js";

type ReadFailure = "READ_TIMEOUT" | "READ_LIMIT" | "BAD_FRAME";

/** The receiving half of a connection: serves the reads, and knows how the peer's FIN takes effect. */
export class ReadSide implements RequestOwner {
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
  readonly #connection: Connection;

  constructor(connection: Connection) {
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
    const { delegate } = connection.socket;
    if (queue.head !== null || queue.buffer.length === 0 || this.held || this.peerEnded) return false;
    if (!connection.isServing || delegate?.didRead !== undefined || delegate?.didReadText !== undefined) return false;
    queue.push(entry);
    this.wait.enter(entry);
    if (queue.attempt(entry, connection.limits.readAhead) !== "ready") {
      queue.remove(entry);
      entry._state = "queued";
      return false;
    }
    entry._outcome = queue.take(entry);
    entry._state = "done";
    connection.schedule();
    return true;
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

  /** Satisfies reads while that can be done now, at most `budget`, or fails the current one. */
  step(budget: number): boolean {
    const connection = this.#connection;
    const { queue } = this;
    for (let served = 0; served < budget; served++) {
      if (connection.phase !== "open" || this.held || connection.hasUntold || connection.isHeld) return served > 0;
      const entry = queue.head;
      if (entry === null) return (queue.buffer.length === 0 && this.#end()) || served > 0;
      this.wait.enter(entry);
      if (entry.kind === "startTLS") return this.#upgrade() || served > 0;
      const attempt = queue.attempt(entry, connection.limits.readAhead);
      if (attempt !== "ready") return this.#cannot(entry, attempt) || served > 0;
      const value = queue.take(entry);
      if (this.peerEnded) this.hold();
      if (entry._settlers !== null) this.servedAwaited = true;
      tellRead(connection.socket, entry, value);
      connection.writing.flushIfMuch();
    }
    return true;
  }

  #upgrade(): boolean {
    return this.peerEnded ? this.#end() : this.#connection.securing?.readsReached() === true;
  }

  /** The current read cannot be satisfied: it waits, unless it may not. */
  #cannot(entry: ReadEntry, attempt: Attempt): boolean {
    if (attempt === "wait") {
      if (this.peerEnded) return this.#end();
      if (entry.timeoutMs !== 0) return false;
      this.#lose(entry, "READ_TIMEOUT");
    } else this.#lose(entry, attempt === "over-limit" ? "READ_LIMIT" : "BAD_FRAME");
    return true;
  }

  /** The peer's FIN takes effect; where it has already, it does so for reads queued since. */
  #end(): boolean {
    if (!this.peerEnded || (this.ended && this.queue.head === null)) return false;
    const isFirst = !this.ended;
    this.ended = true;
    this.failAll("END_OF_STREAM");
    this.#connection.securing?.didEnd();
    if (isFirst) notify(this.#connection.socket, "didEndReading");
    return true;
  }

  /** The FIN has come. Code that awaited the last bytes gets its turn before they become the last. */
  peerDidEnd(): void {
    this.peerEnded = true;
    this.hold();
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
  #lose(entry: ReadEntry, code: ReadFailure): void {
    const error = readError(this.queue, entry, code);
    this.fail(entry, error);
    if (entry.failsAlone) this.hold();
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
    if (socket.delegate?.didReadPartial === undefined || phase !== "open" || entry?._state !== "current") return false;
    const count = this.queue.bytesDone(entry) - this.wait.reported;
    if (count <= 0) return false;
    this.wait.reported += count;
    notify(socket, "didReadPartial", count, entry.tag);
    return true;
  }
}

function release(side: ReadSide): void {
  side.release();
}
