import { type AsyncSocketError, isCode } from "../base/errors.js";
import { onAbort, type RequestOwner } from "../base/request.js";
import { extendEntry, isPending, Wait } from "../pump/entry.js";
import { type WriteEntry, WriteQueue } from "../pump/write-queue.js";
import { writeError } from "./failures.js";
import { askForTime, hears, notify, tellWritten } from "./notify.js";
import type { WritingOwner } from "./owner.js";

/** Writes go out before the reads at hand are through, once so much has gathered. */
const FLUSH_BYTES = 64 * 1024;

/**
 * Where small writes are joined. When the operating system has taken them at once, as it nearly always does, the memory
 * is free again; when it has not, the memory goes with them.
 */
let scratch = Buffer.allocUnsafeSlow(FLUSH_BYTES);

/** The sending half of a connection: hands batches to the transport, one at a time, and the FIN behind the last. */
export class Writing implements RequestOwner {
  readonly queue = new WriteQueue();
  readonly wait = new Wait();
  /** Whether the transport has a batch in hand. */
  isBusy = false;
  #bytesWritten = 0;
  /** `end` was called, by this entry: no more writes. */
  endEntry: WriteEntry | null = null;
  finSent = false;
  /** The operating system has the FIN, too. */
  finDone = false;
  /** Whether the last batch was out at once: a socket that has to wait gets memory of its own. */
  #wasImmediate = true;
  readonly #connection: WritingOwner;

  constructor(connection: WritingOwner) {
    this.#connection = connection;
  }

  enqueue(entry: WriteEntry, signal: AbortSignal | undefined): void {
    const connection = this.#connection;
    if (connection.isEnding) {
      connection.failEntry(entry, writeError(entry, "CLOSED", connection.reason?.error ?? undefined));
    } else if (this.queue.cost + entry.cost > connection.limits.writeQueue && !entry.isMark) {
      // Without it the stream would have a hole, which is worse than an end.
      const error = writeError(entry, "QUEUE_FULL");
      connection.failEntry(entry, error);
      connection.close("error", error);
    } else {
      this.queue.push(entry);
      if (signal !== undefined) entry.stopListening = onAbort(signal, (cause) => this.#cancel(entry, cause));
    }
    connection.schedule();
  }

  /** Bytes that the operating system has. */
  get bytesWritten(): number {
    this.account();
    return this.#bytesWritten;
  }

  set bytesWritten(count: number) {
    this.#bytesWritten = count;
  }

  /** Bytes that it does not have yet. */
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

  /** Tells of a finished write, or hands on what waits. */
  step(): boolean {
    const { queue } = this;
    const { isCarrying } = this.#connection;
    // Without a connection not even an empty write is done.
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

  /** The head of the queue is no write. */
  #mark(entry: WriteEntry): boolean {
    this.wait.enter(entry);
    return entry.isEnd ? this.#end(entry) : this.#connection.upgrade?.writesReached() === true;
  }

  /**
   * Whether more may be written before the next turn: code that awaits its reads, of which more can be served, answers
   * one after the other, and a system call for each answer would cost more than all the rest.
   */
  get #mayGather(): boolean {
    const { servedAwaited, queue } = this.#connection.reading;
    return servedAwaited && queue.buffer.length > 0 && this.queue.unsentBytes < FLUSH_BYTES;
  }

  /** All that landed with a batch, in one step: what a callback does meanwhile cannot undo it. */
  #tell(first: WriteEntry): void {
    const connection = this.#connection;
    for (let entry: WriteEntry | null = first; entry !== null;) {
      connection.entriesLeft--;
      tellWritten(connection.socket, entry);
      entry = connection.isPaused ? null : this.queue.nextDone();
    }
    // More was handed on than is told of, where much gathered while reads were served.
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

  /** Hands on before the reads at hand are through, when much has gathered. */
  flushIfMuch(): void {
    if (this.queue.unsentBytes >= FLUSH_BYTES && !this.isBusy && this.#connection.isCarrying) this.flush();
  }

  /** Hands on what waits when the reads at hand take more than a turn. */
  flushWaiting(): void {
    if (this.queue.hasMore && !this.isBusy && this.#connection.isCarrying) this.flush();
  }

  /** Hands the next batch on. */
  flush(): void {
    const { queue } = this;
    const parts = queue.gather(this.#wasImmediate ? scratch : null);
    if (parts.length > 0) {
      const isImmediate = this.#connection.transport?.write(parts) === true;
      this.isBusy = !isImmediate;
      if (isImmediate) this.#land(queue.inFlight);
      else if (parts[0]?.buffer === scratch.buffer) scratch = Buffer.allocUnsafeSlow(FLUSH_BYTES);
      this.#wasImmediate = isImmediate;
      this.account();
    }
    if (queue.changed !== null) this.fail(queue.changed, writeError(queue.changed, "BAD_STATE"));
    const { head } = queue;
    if (head === null) return;
    this.wait.enter(head);
    if (head.timeoutMs === 0 && this.isBusy && !isOut(head)) this.fail(head, writeError(head, "WRITE_TIMEOUT"));
  }

  /** The batch in flight is out. */
  didWrite(): void {
    this.isBusy = false;
    if (!this.failChanged()) this.#land(this.queue.inFlight);
  }

  /** Takes into account what the operating system has taken by now of the batch in hand. */
  account(): void {
    const { transport, reason } = this.#connection;
    const { inFlight } = this.queue;
    if (!this.isBusy || transport === null || inFlight === 0 || reason !== null) return;
    this.#land(inFlight - transport.inHandBytes);
    // Who looks may be the first to see that a write is out: it is told of, and the time of the next one runs.
    const { head } = this.queue;
    if (head !== null && isOut(head)) this.#connection.schedule();
  }

  /** Where the memory of a write under way has changed, that ends the connection. @returns whether it has */
  failChanged(): boolean {
    const changed = this.queue.findChanged();
    if (changed !== null) this.fail(changed, writeError(changed, "BAD_STATE"));
    return changed !== null;
  }

  #land(count: number): void {
    if (count <= 0) return;
    this.#bytesWritten += count;
    this.queue.landed(count);
    this.#connection.timer.markSent();
  }

  sendFin(): void {
    if (this.finSent) return;
    this.finSent = true;
    this.#connection.transport?.end();
  }

  /** Takes a write off the queue. Once a byte of it is on its way, that takes the connection with it. */
  fail(entry: WriteEntry, error: AsyncSocketError): void {
    if (entry.kind === "startTLS") {
      // Its twin in the queue of reads is the one that fails.
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

  /** The write whose time is running. */
  get waiting(): WriteEntry | null {
    const { head } = this.queue;
    return head?._state === "current" && this.#connection.isCarrying && !isOut(head) ? head : null;
  }

  /** Its time is up, unless the delegate gives it more. It is asked again where the timer was so late that this, too, is over. */
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

  /** Tells the delegate what has gone of the current write since it was told last. */
  report(): boolean {
    const { socket, isCarrying } = this.#connection;
    const entry = this.queue.head;
    if (!isCarrying || entry === null || !hears(socket, "didWritePartial")) return false;
    this.account();
    if (isOut(entry)) return true; // told of in the next step
    const count = entry.sent - this.wait.reported;
    if (count <= 0) return false;
    this.wait.reported = entry.sent;
    notify(socket, "didWritePartial", count, entry.tag);
    return true;
  }
}

/** Whether it is done, and nobody was told yet. An empty write is so in its turn. */
function isOut(entry: WriteEntry): boolean {
  return entry.total > 0 && entry.sent === entry.total;
}
