import type { FullLimits } from "../base/limits.js";
import type { Clock } from "../base/clock.js";
import type { ReadEntry } from "../pump/read-entry.js";
import type { ReadQueue } from "../pump/read-queue.js";
import type { Transport } from "../transport/transport.js";

/** How long a read or a write may take before its rate counts, in milliseconds. */
const GRACE_MS = 5_000;

/** What the floor sees of a connection. */
export interface RateFloorOwner {
  readonly clock: Clock;
  readonly limits: FullLimits;
  readonly bytesRead: number;
  readonly transport: Transport | null;
  readonly reading: { readonly waiting: ReadEntry | null; readonly queue: ReadQueue; expireSlow(): void };
  readonly isCarrying: boolean;
  readonly writing: { readonly isBusy: boolean; readonly bytesWritten: number; expireSlow(): void };
}

/**
 * `limits.bytesPerSecond`: the least rate of a read whose first byte has come, and of writes that wait for the peer. It
 * counts on average, so the deadline moves with each byte:
 *
 * ```
 * since ──────── grace ────────┬── bytes · 1000 / rate ──┬──> time
 * the first byte came,         │                         └ due: fewer bytes have come than the rate asks for
 * or the system took no more   └ due, if nothing follows
 * ```
 */
export class RateFloor {
  readonly #connection: RateFloorOwner;
  /** The read whose first byte has come, where in the stream it begins, and when its first byte was seen. */
  #read: ReadEntry | null = null;
  #readStart = 0;
  #readSince = 0;
  /** When writes began to wait, -1 if none waits; how many bytes the peer had taken then; and when they are due. */
  #writeSince = -1;
  #writeFrom = 0;
  #writeDueAt = Infinity;

  constructor(connection: RateFloorOwner) {
    this.#connection = connection;
  }

  /** When the read or the writes are too slow, unless more bytes come or go. */
  dueAt(): number {
    return Math.min(this.#dueAtOfRead(), this.#dueAtOfWrites());
  }

  #dueAtOfRead(): number {
    const { reading, bytesRead, clock } = this.#connection;
    const { waiting, queue } = reading;
    const count = waiting === null ? 0 : queue.bytesDone(waiting);
    if (count === 0) {
      this.#read = null;
      return Infinity;
    }
    const start = bytesRead - queue.buffer.length - queue.skipped;
    if (waiting !== this.#read || start !== this.#readStart) {
      this.#read = waiting;
      this.#readStart = start;
      this.#readSince = clock.now();
    }
    return this.#after(this.#readSince, count);
  }

  /** The system is not asked how many bytes the peer has taken before that matters: see `look`. */
  #dueAtOfWrites(): number {
    const { writing, isCarrying, clock } = this.#connection;
    if (!isCarrying || !writing.isBusy) {
      this.#writeSince = -1;
      this.#writeDueAt = Infinity;
    } else if (this.#writeSince < 0) {
      this.#writeSince = clock.now();
      this.#writeFrom = this.#acknowledged;
      this.#writeDueAt = this.#after(this.#writeSince, 0);
    }
    return this.#writeDueAt;
  }

  /**
   * Looks how many bytes the peer has taken, if the writes are due: that causes no event. Where nobody can tell which
   * part of a batch is out, as over TLS, all of it counts.
   */
  look(now: number): void {
    if (now < this.#writeDueAt) return;
    const { transport } = this.#connection;
    const inHand = transport?.countsInHand === true ? 0 : (transport?.inHandBytes ?? 0);
    this.#writeDueAt = this.#after(this.#writeSince, this.#acknowledged + inHand - this.#writeFrom);
  }

  /** Fails what is too slow. */
  expire(now: number): void {
    const { reading, writing } = this.#connection;
    this.look(now);
    if (now >= this.#dueAtOfRead()) {
      this.#read = null;
      reading.expireSlow();
    }
    if (now >= this.#dueAtOfWrites()) writing.expireSlow();
  }

  /** How many bytes the peer's system has taken; where that is not known, how many this system has. */
  get #acknowledged(): number {
    const { transport, writing } = this.#connection;
    return writing.bytesWritten - (transport?.underWayBytes ?? 0);
  }

  #after(since: number, bytes: number): number {
    return since + GRACE_MS + (bytes * 1000) / this.#connection.limits.bytesPerSecond;
  }
}
