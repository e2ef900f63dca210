import { BYTES, WRITE } from "../base/channels.js";
import { noteQueued } from "../base/entry-times.js";
import { type AsyncSocketError, isCode } from "../base/errors.js";
import { onAbort, type RequestOwner } from "../base/request.js";
import { extendEntry, isPending, NO_TIMEOUT, Wait } from "../pump/entry.js";
import { WriteEntry, WriteQueue } from "../pump/write-queue.js";
import { publishEnd, publishSent } from "./diagnostics.js";
import { writeError } from "./failures.js";
import { askForTime, hears, notify, tellWritten } from "./notify.js";
import type { Origin } from "./origin.js";
import type { WritingOwner } from "./owner.js";

/** Once this many bytes have gathered, writes are sent even while more reads can be served. */
const FLUSH_BYTES = 64 * 1024;

/**
 * The sending half of a connection: it hands batches of writes to the transport, one at a time, and the FIN after the
 * last.
 */
export class Writing implements RequestOwner {
  readonly queue = new WriteQueue();
  readonly wait = new Wait();
  /** Whether the transport has a batch in hand. */
  isBusy = false;
  #bytesWritten = 0;
  /** The entry of `end`, after which nothing can be written; null if `end` was not called. */
  endEntry: WriteEntry | null = null;
  finSent = false;
  /** Whether this side has cut the connection off by a RST. */
  wasReset = false;
  /** Whether the operating system has taken the FIN. */
  finDone = false;
  readonly #connection: WritingOwner;

  constructor(connection: WritingOwner) {
    this.#connection = connection;
  }

  enqueue(entry: WriteEntry, signal: AbortSignal | undefined): void {
    const connection = this.#connection;
    if (connection.isEnding) {
      connection.failEntry(entry, writeError(entry, "CLOSED", connection.reason?.error ?? undefined));
      entry.forget();
    } else if (this.queue.cost + entry.cost > connection.limits.writeQueue && !entry.isMark) {
      // The connection closes, since a stream with a missing write is worse than an end.
      const error = writeError(entry, "QUEUE_FULL");
      connection.failEntry(entry, error);
      entry.forget();
      connection.close("error", error);
    } else {
      if (WRITE.hasSubscribers) noteQueued(entry, connection.clock);
      this.queue.push(entry);
      if (signal !== undefined) entry.stopListening = onAbort(signal, (cause) => this.#cancel(entry, cause));
    }
    connection.schedule();
  }

  /** The number of bytes that the operating system has taken. */
  get bytesWritten(): number {
    this.#connection.passing?.account();
    this.account();
    return this.#bytesWritten;
  }

  /** Takes over what was written on the thread that the connection comes from. */
  goOnFrom({ bytesWritten, hasFinished }: Origin): void {
    this.#bytesWritten = bytesWritten;
    if (!hasFinished) return;
    const end = new WriteEntry("end", undefined, this, NO_TIMEOUT, []);
    end._state = "done";
    end._owner = null;
    this.endEntry = end;
    this.finSent = this.finDone = true;
  }

  /** The number of bytes that the operating system has not taken yet. */
  get unsentBytes(): number {
    this.account();
    return this.queue.unsentBytes;
  }

  cancelRequest(entry: WriteEntry): boolean {
    this.account();
    if (!isPending(entry) || (entry.isEnd && this.finSent) || isOut(entry)) return false;
    this.#cancel(entry, undefined);
    return true;
  }

  extendRequest(entry: WriteEntry, ms: number): boolean {
    return extendEntry(entry, ms);
  }

  bytesDoneOf(entry: WriteEntry): number {
    this.account();
    return entry.sent;
  }

  #cancel(entry: WriteEntry, cause: unknown): void {
    this.account();
    if (isOut(entry)) return;
    if (entry.isEnd) this.endEntry = null;
    this.fail(entry, writeError(entry, "CANCELED", cause));
    this.#connection.schedule();
  }

  /** Reports writes that are done, or hands waiting writes to the transport. */
  step(): boolean {
    const { queue } = this;
    const { isCarrying } = this.#connection;
    // Without a connection, not even an empty write is done.
    const done = isCarrying || queue.head?.total !== 0 ? queue.nextDone() : null;
    if (done !== null) {
      this.#tell(done);
      return true;
    }
    if (!isCarrying || this.isBusy) return false;
    if (queue.hasMore) {
      if (this.#mayGather) return false;
      this.flush();
      return true;
    }
    return queue.head !== null && this.#mark(queue.head);
  }

  /** Handles a head of the queue that is no write: `end` or `startTLS`. */
  #mark(entry: WriteEntry): boolean {
    this.wait.enter(entry);
    return entry.isEnd ? this.#end(entry) : this.#connection.upgrade?.writesReached() === true;
  }

  /**
   * Whether it is better to wait for more writes before the next turn. Code that awaits its reads answers one message
   * after the other while more messages can be served, and a system call for each answer would cost more than
   * everything else.
   */
  get #mayGather(): boolean {
    const { servedAwaited, queue } = this.#connection.reading;
    return servedAwaited && queue.buffer.length > 0 && this.queue.unsentBytes < FLUSH_BYTES;
  }

  /**
   * Reports all writes that were completed by a batch in one step, so that a call made by one callback cannot affect
   * the others.
   */
  #tell(first: WriteEntry): void {
    const connection = this.#connection;
    for (let entry: WriteEntry | null = first; entry !== null;) {
      connection.entriesLeft--;
      tellWritten(connection.socket, entry);
      entry = connection.isPaused ? null : this.queue.nextDone();
    }
    // More writes were handed on than are reported, if many gathered while reads were served.
    const { head } = this.queue;
    if (head?.handedOn === true) this.wait.enter(head);
  }

  #end(entry: WriteEntry): boolean {
    this.sendFin();
    if (!this.finDone) return false;
    this.queue.remove(entry);
    tellWritten(this.#connection.socket, entry);
    return true;
  }

  /** Hands waiting writes to the transport even while more reads can be served, if many bytes have gathered. */
  flushIfMuch(): void {
    if (this.hasMuch) this.flush();
  }

  /** Whether nothing that is written now can go out in this turn. */
  get hasToWait(): boolean {
    return this.isBusy || !this.#connection.isCarrying;
  }

  /** Whether so many bytes have gathered that they should go out before more reads are served. */
  get hasMuch(): boolean {
    return this.queue.unsentBytes >= FLUSH_BYTES && !this.isBusy && this.#connection.isCarrying;
  }

  /** Hands waiting writes to the transport when serving reads takes more than one turn. */
  flushWaiting(): void {
    if (this.queue.hasMore && !this.isBusy && this.#connection.isCarrying) this.flush();
  }

  /** Hands the next batch to the transport. */
  flush(): void {
    const { queue } = this;
    const parts = queue.gather();
    if (parts.length > 0) {
      const isTaken = this.#handOver(parts);
      queue.didHandOn(isTaken);
      if (isTaken) this.#land(queue.inFlight);
      else this.account();
    }
    if (queue.changed !== null) this.fail(queue.changed, writeError(queue.changed, "BAD_STATE"));
    const { head } = queue;
    if (head === null) return;
    this.wait.enter(head);
    if (head.timeoutMs === 0 && this.isBusy && !isOut(head)) this.fail(head, writeError(head, "WRITE_TIMEOUT"));
  }

  /**
   * A stream may bring the peer's answer inside this call. The batch is under way already then, so that the loop, which
   * the answer wakes, hands on no other one.
   * @returns whether the operating system has taken all of it
   */
  #handOver(parts: readonly Uint8Array[]): boolean {
    if (BYTES.hasSubscribers) {
      publishSent(this.#connection, parts);
      if (this.#connection.reason !== null) return false; // A subscriber has closed the socket.
    }
    let isImmediate = true;
    this.isBusy = true;
    try {
      isImmediate = this.#connection.transport?.write(parts) === true;
    } finally {
      this.isBusy = !isImmediate;
    }
    return isImmediate;
  }

  /** The operating system has taken the batch in flight. */
  didWrite(): void {
    this.isBusy = false;
    if (!this.failChanged()) this.#land(this.queue.inFlight);
  }

  /** Counts the bytes of the present batch that the operating system has taken by now. */
  account(): void {
    const { transport, reason } = this.#connection;
    const { inFlight } = this.queue;
    if (!this.isBusy || transport === null || inFlight === 0 || reason !== null) return;
    this.#land(inFlight - transport.inHandBytes);
    // Who looks may be the first to see that a write is out: it is told of, and the time of the next one runs.
    const { head } = this.queue;
    if (head !== null && isOut(head)) this.#connection.schedule();
  }

  /** Ends the connection if the memory of a write under way was transferred or resized. @returns whether it was */
  failChanged(): boolean {
    const changed = this.queue.findChanged();
    if (changed !== null) this.fail(changed, writeError(changed, "BAD_STATE"));
    return changed !== null;
  }

  #land(count: number): void {
    if (count <= 0) return;
    this.#bytesWritten += count;
    this.queue.landed(count);
    this.#connection.timer.markSent(0);
  }

  /** Counts bytes that have passed from another connection to this one's peer. */
  didPass(count: number, agoMs: number): void {
    this.#bytesWritten += count;
    this.#connection.timer.wasHeard = true;
    this.#connection.timer.markSent(agoMs);
  }

  sendFin(): void {
    if (this.finSent) return;
    this.finSent = true;
    this.#connection.transport?.end();
    publishEnd(this.#connection, "sent");
  }

  /**
   * Removes a write from the queue and fails it. If any of its bytes was handed to the system, the connection closes,
   * too.
   */
  fail(entry: WriteEntry, error: AsyncSocketError): void {
    if (entry.kind === "startTLS") {
      // The entry of the same startTLS in the read queue is the one that fails.
      this.queue.remove(entry);
      this.#connection.upgrade?.forgetGate();
      return;
    }
    if (entry.handedOn) {
      if (isCode(error, "WRITE_TIMEOUT")) this.#connection.closeLate(error);
      else this.#connection.close("error", error);
    }
    this.queue.remove(entry);
    this.#connection.failEntry(entry, error);
  }

  failAll(code: "CLOSED" | "CONNECTION_LOST", cause?: unknown): void {
    for (let entry = this.queue.head; entry !== null; entry = this.queue.head) {
      this.fail(entry, writeError(entry, code, cause));
    }
  }

  /** The write whose timeout is running. */
  get waiting(): WriteEntry | null {
    const { head } = this.queue;
    return head?._state === "current" && this.#connection.isCarrying && !isOut(head) ? head : null;
  }

  /**
   * Fails the current write because its timeout is over, unless the delegate extends it. If the timer was so late that
   * the extended timeout is over, too, the delegate is asked again.
   */
  expire(now: number): void {
    const { wait } = this;
    this.account();
    for (let entry = this.waiting; entry !== null && now >= wait.dueAt(entry); entry = this.waiting) {
      const asked = entry;
      const more = askForTime(this.#connection.socket, "shouldExtendWriteTimeout", asked, now - wait.startedAt);
      asked.timeoutMs += more;
      if (more > 0) continue;
      if (asked === this.waiting && now >= wait.dueAt(asked)) this.fail(asked, writeError(asked, "WRITE_TIMEOUT"));
      return;
    }
  }

  /** Fails the current write because the peer takes bytes more slowly than `limits.bytesPerSecond`. */
  expireSlow(): void {
    const { waiting } = this;
    const { bytesPerSecond } = this.#connection.limits;
    if (waiting !== null) this.fail(waiting, writeError(waiting, "WRITE_TIMEOUT", undefined, bytesPerSecond));
  }

  /** Tells the delegate how many bytes of the current write were sent since the last report. */
  report(): boolean {
    const { socket, isCarrying } = this.#connection;
    const entry = this.queue.head;
    if (!isCarrying || entry === null || !hears(socket, "didWritePartial")) return false;
    this.account();
    if (isOut(entry)) return true; // The next step reports the whole write.
    const count = entry.sent - this.wait.reported;
    if (count <= 0) return false;
    this.wait.reported = entry.sent;
    notify(socket, "didWritePartial", count, entry.tag);
    return true;
  }
}

/**
 * Whether all bytes of a write are sent, but it is not reported yet. An empty write counts as sent only when its turn
 * comes.
 */
function isOut(entry: WriteEntry): boolean {
  return entry.total > 0 && entry.sent === entry.total;
}
