import { READ } from "../base/channels.js";
import { noteQueued } from "../base/entry-times.js";
import { reasonOf } from "../base/errno.js";
import type { AsyncSocketError } from "../base/errors.js";
import type { FullLimits } from "../base/limits.js";
import { onAbort, type RequestOwner } from "../base/request.js";
import { surface } from "../base/uncaught.js";
import { UNKNOWN } from "../framing/framing.js";
import { extendEntry, isPending, Wait } from "../pump/entry.js";
import type { ReadEntry, Standing } from "../pump/read-entry.js";
import { type ReadAttempt, ReadQueue } from "../pump/read-queue.js";
import { publishRead } from "./diagnostics.js";
import { readError, type ReadFailure } from "./failures.js";
import { askForTime, hears, hearsText, markDone, notify, tellRead, wantsBytes } from "./notify.js";
import type { ReadingOwner } from "./owner.js";

const NOW = Promise.resolve();

/** The receiving half of a connection: it serves the reads, and decides when the peer's FIN takes effect. */
export class Reading implements RequestOwner {
  readonly queue = new ReadQueue();
  readonly wait = new Wait();
  /** The peer's FIN has arrived. It takes effect only after the bytes before it. */
  peerEnded = false;
  /** The peer's FIN has taken effect. */
  ended = false;
  /**
   * Whether reads wait for the next turn: after a failure that leaves the connection open, and before the FIN takes
   * effect.
   */
  held = false;
  /** Whether a read that code awaits was served in this run of the loop. That code continues when the loop is done. */
  servedAwaited = false;
  /**
   * Whether the FIN has arrived, or bytes before it were given to a read, and code that awaits those bytes has not run
   * since.
   */
  #owesTurn = false;
  #afterCall: (() => void) | null = null;
  /** A read that is served inside a call. A framing of the application, which runs meanwhile, cannot cancel it. */
  #taking: ReadEntry | null = null;
  readonly #connection: ReadingOwner;

  constructor(connection: ReadingOwner) {
    this.#connection = connection;
  }

  get limits(): FullLimits {
    return this.#connection.limits;
  }

  enqueue(entry: ReadEntry, signal: AbortSignal | undefined): void {
    const connection = this.#connection;
    if (connection.isEnding) {
      const cause = connection.reason?.error ?? undefined;
      connection.failEntry(entry, readError(this.queue, entry, "CLOSED", cause));
    } else {
      if (READ.hasSubscribers) noteQueued(entry, connection.clock);
      this.queue.push(entry);
      if (signal !== undefined) entry.stopListening = onAbort(signal, (cause) => this.#cancel(entry, cause));
      if (entry === this.queue.head && entry.framing.isPlain && this.#mayTake(entry)) {
        // Sooner than in a tick, and at less cost.
        void NOW.then((this.#afterCall ??= () => this.#serveAwaited()));
        return;
      }
    }
    connection.schedule();
  }

  /**
   * Serves reads that code awaits from bytes that have arrived, right after the code that asked for them. The loop runs
   * once for all of them, when no code goes on any more.
   */
  #serveAwaited(): void {
    const connection = this.#connection;
    const { queue } = this;
    for (let entry = queue.head; entry !== null && this.#mayTake(entry); entry = queue.head) {
      this.wait.enter(entry);
      // An attempt remembers that a message is too long, and only the loop makes the read fail.
      if (!entry.framing.isPlain || !this.#takeFound(entry)) break;
      this.#didTake();
      markDone(entry, entry._outcome);
      if (READ.hasSubscribers) publishRead(connection.socket, entry);
      entry._tell();
    }
    connection.schedule();
  }

  /** Whether bytes are here for the current read, and nothing has to be told before it, or of it but to its promise. */
  #mayTake(entry: ReadEntry): boolean {
    const { socket, isServing, writing } = this.#connection;
    if (this.queue.buffer.length === 0 || this.held || !isServing || socket._isStream) return false;
    // Answers that have gathered go out first, which the loop sees to.
    if (writing.hasMuch) return false;
    return entry.standing === null && entry.kind !== "startTLS" && !this.#isHeard;
  }

  /**
   * Serves a read of an iterator at once from bytes that have arrived. This is possible only if no other read is
   * queued, nothing has to be reported first, and the delegate has no method for reads.
   * @returns whether the read was served; if not, the entry is unchanged. If it was, its outcome is the value, and the
   * entry may be queued again, unless the diagnostics channels have shown it to somebody: then its state is "done".
   */
  takeNow(entry: ReadEntry): boolean {
    return this.queue.head === null && this.#mayTake(entry) && this.#serveNow(entry);
  }

  /**
   * The same for a caller that wants a message only if it is here, and alone hears of it. The delegate may have methods
   * for reads, and one of them may be the caller.
   */
  take(entry: ReadEntry): boolean {
    const { head, buffer } = this.queue;
    const { writing } = this.#connection;
    return head === null && buffer.length > 0 && this.mayServe && !writing.hasMuch && this.#serveNow(entry);
  }

  #serveNow(entry: ReadEntry): boolean {
    const { queue } = this;
    const connection = this.#connection;
    if (READ.hasSubscribers) noteQueued(entry, connection.clock);
    queue.push(entry);
    this.wait.enter(entry);
    this.#taking = entry;
    const isTaken = this.#takeIfReady(entry);
    this.#taking = null;
    if (!isTaken) {
      if (queue.head === entry) queue.remove(entry);
      entry._state = "queued";
      return false;
    }
    this.#didTake();
    connection.schedule();
    if (READ.hasSubscribers) {
      entry._state = "done";
      publishRead(connection.socket, entry);
    } else entry._state = "queued";
    return true;
  }

  /** Counts a message that was taken, wherever a read was served. */
  #didTake(): void {
    if (this.peerEnded) this.#owesTurn = true;
    this.#connection.entriesLeft--;
  }

  /** Whether the delegate has a method for reads. */
  get #isHeard(): boolean {
    const { socket } = this.#connection;
    return hears(socket, "didRead") || hears(socket, "didReadText") || hears(socket, "didReadMessage");
  }

  #takeIfReady(entry: ReadEntry): boolean {
    const { queue } = this;
    if (entry.framing.isPlain && this.#takeFound(entry)) return true;
    if (queue.attempt(entry, this.limits.readAhead) !== "ready") return false;
    let value: unknown;
    try {
      value = queue.draw(entry);
    } catch {
      return false; // The loop meets the same error, and reports it.
    }
    if (!this.#isWanted(entry)) return false;
    entry._outcome = value;
    queue.take(entry);
    return true;
  }

  /** Serves the current read where its framing is plain, on the shortest way. */
  #takeFound(entry: ReadEntry): boolean {
    const { queue } = this;
    const total = queue.find(entry);
    if (total === UNKNOWN) return false;
    try {
      entry._outcome = entry.framing.draw(queue.buffer, total, entry.target);
    } catch {
      return false;
    }
    queue.takeFound(entry, total);
    return true;
  }

  /**
   * Whether the entry is still the current read of an open connection. A framing of the application, which was just
   * called, may have changed that.
   */
  #isWanted(entry: ReadEntry): boolean {
    return entry === this.queue.head && this.#connection.isOpen;
  }

  cancelRequest(entry: ReadEntry): boolean {
    if (!isPending(entry) || entry === this.#taking) return false;
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

  /** Whether a read is served as soon as its bytes are here. If not, the current read needs no bytes for now. */
  get mayServe(): boolean {
    const connection = this.#connection;
    if (!connection.isOpen || this.held || connection.hasUntold) return false;
    return !connection.isHeld && !connection.isPaused;
  }

  /** Serves reads as long as bytes for them have arrived, or fails the current one. */
  step(): boolean {
    const connection = this.#connection;
    const { queue } = this;
    for (let hasServed = false; ; hasServed = true) {
      while (this.mayServe && queue.head?.framing.isPlain === true && this.#serveFound(queue.head)) hasServed = true;
      if (!this.mayServe) return hasServed;
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

  /**
   * Serves a read whose message can be found and made without running anything of the user's. Nearly all messages of
   * pipelined protocols are served here; every case that is not that simple is left to `attempt` and `#serve`.
   * @returns whether the read was served; if not, nothing has changed
   */
  #serveFound(entry: ReadEntry): boolean {
    const connection = this.#connection;
    const { queue } = this;
    const total = queue.find(entry);
    if (total === UNKNOWN) return false;
    let value: unknown;
    try {
      value = entry.framing.draw(queue.buffer, total, entry.target);
    } catch {
      return false;
    }
    if (typeof value === "string" && !(hearsText(connection.socket) && this.#isWanted(entry))) return false;
    queue.takeFound(entry, total);
    this.#didTake();
    if (entry.standing !== null) this.#awaitNext(entry, entry.standing);
    else if (entry._settlers !== null) this.servedAwaited = true;
    tellRead(connection.socket, entry, value, value);
    connection.writing.flushIfMuch();
    return true;
  }

  /** Serves a read from the bytes that have arrived. */
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
    this.#didTake();
    if (entry.standing !== null) this.#awaitNext(entry, entry.standing);
    else if (entry._settlers !== null) this.servedAwaited = true;
    tellRead(connection.socket, entry, value, bytes ?? value);
    connection.writing.flushIfMuch();
  }

  /** Makes a standing read wait for its next message, with its whole timeout. */
  #awaitNext(entry: ReadEntry, standing: Standing): void {
    standing.messages++;
    entry._state = "current";
    entry.timeoutMs = standing.timeoutMs;
    this.wait.restart();
  }

  #upgrade(): boolean {
    return this.peerEnded ? this.#end() : this.#connection.upgrade?.readsReached() === true;
  }

  /** Handles a current read that cannot be served: it waits, unless it must fail. */
  #cannot(entry: ReadEntry, attempt: ReadAttempt): boolean {
    if (attempt === "wait") {
      if (this.peerEnded) return this.#end();
      if (entry.timeoutMs !== 0) return false;
      this.#lose(entry, "READ_TIMEOUT");
    } else this.#lose(entry, attempt === "over-limit" ? "READ_LIMIT" : "BAD_FRAME", this.queue.problem);
    return true;
  }

  /**
   * Lets the peer's FIN take effect: all queued reads fail with END_OF_STREAM. Reads queued later fail in the same way.
   * For a standing read that has no part of a message, the FIN is the end that it waited for.
   */
  #end(): boolean {
    if (!this.peerEnded || (this.ended && this.queue.head === null)) return false;
    if (this.#owesTurn) {
      this.#owesTurn = false;
      this.hold();
      return false;
    }
    const isFirst = !this.ended;
    this.ended = true;
    const { head, isAtBoundary } = this.queue;
    if (head !== null && head.standing !== null && isAtBoundary) {
      this.queue.remove(head);
      this.#connection.endStanding(head);
    }
    this.failAll("END_OF_STREAM");
    this.#connection.upgrade?.didEnd();
    if (isFirst) notify(this.#connection.socket, "didEndReading");
    return true;
  }

  /** The FIN has arrived. Code that awaits bytes before it has its turn before the FIN takes effect. */
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

  /** Removes a read from the queue and fails it. It consumes no bytes. */
  fail(entry: ReadEntry, error: AsyncSocketError): void {
    this.queue.remove(entry);
    this.#connection.failEntry(entry, error);
  }

  /** Cancels every read, but not a startTLS: operations queued after that must not be carried out unencrypted. */
  cancelAll(): number {
    let count = 0;
    for (let entry = this.queue.head; entry !== null;) {
      const { next } = entry;
      if (entry.kind !== "startTLS" && entry !== this.#taking) {
        this.fail(entry, readError(this.queue, entry, "CANCELED"));
        count++;
      }
      entry = next;
    }
    this.#connection.schedule();
    return count;
  }

  failAll(code: "END_OF_STREAM" | "CLOSED" | "CONNECTION_LOST", cause?: unknown): void {
    for (let entry = this.queue.head; entry !== null; entry = this.queue.head) {
      this.fail(entry, readError(this.queue, entry, code, cause));
    }
  }

  /**
   * Fails a read because of a timeout or limit. That closes the connection, unless the read has `onFailure:
   * "continue"`.
   */
  #lose(entry: ReadEntry, code: ReadFailure, cause?: unknown, leastRate?: number): void {
    const error = readError(this.queue, entry, code, cause, leastRate);
    this.fail(entry, error);
    if (entry.failsAlone) this.hold();
    else if (code === "READ_TIMEOUT") this.#connection.closeLate(error);
    else this.#connection.close("error", error);
  }

  /** The read whose timeout is running. */
  get waiting(): ReadEntry | null {
    const { head } = this.queue;
    const isWaiting = head?._state === "current" && head.kind !== "startTLS" && this.#connection.isOpen;
    return isWaiting ? head : null;
  }

  /**
   * Fails the current read because its timeout is over, unless the delegate extends it. If the timer was so late that
   * the extended timeout is over, too, the delegate is asked again.
   */
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

  /** Fails the current read because its bytes come more slowly than `limits.bytesPerSecond`. */
  expireSlow(): void {
    if (this.waiting !== null) this.#lose(this.waiting, "READ_TIMEOUT", undefined, this.limits.bytesPerSecond);
  }

  /** Tells the delegate how many bytes have arrived for the current read since the last report. */
  report(): boolean {
    const { socket, isOpen } = this.#connection;
    const entry = this.queue.head;
    if (!isOpen || entry?._state !== "current" || !hears(socket, "didReadPartial")) return false;
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

/**
 * Says why bytes could not be turned into a value: the text is too long for the runtime, the framing threw, or the
 * caller's memory is gone.
 */
function whyNotDrawn(entry: ReadEntry, error: unknown): ReadFailure {
  if (reasonOf(error) === "ERR_STRING_TOO_LONG") return "READ_LIMIT";
  return entry.kind === "readMessage" ? "BAD_FRAME" : "BAD_STATE";
}
