import type { Connection } from "./connection.js";
import { socketError } from "./failures.js";
import { deadlinesOf, type Deadlines, type Sleeper } from "./pump/deadlines.js";
import { NO_TIMEOUT, type Entry, type Wait } from "./pump/entry.js";

/** All that can become too late for one connection, as one sleeper of the thread's deadlines. */
export class ConnectionTimer implements Sleeper {
  heapIndex = -1;
  wakeAt = Infinity;
  /** `connect` and its `timeout`. */
  connectDueAt = Infinity;
  #lingerDueAt = Infinity;
  /** When a byte went either way; kept only where `idleMs` asks for it. */
  #activeAt = 0;
  #armedIn: Deadlines | null = null;
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** While connecting, a name lookup of the caller's own may be all there is: the timeout has to come all the same. */
  #choose(): Deadlines {
    const { clock, transport, isReferenced } = this.#connection;
    return deadlinesOf(clock, transport === null ? isReferenced : !transport.holdsProcess);
  }

  markActive(): void {
    if (this.#connection.limits.idleMs !== Infinity) this.#activeAt = this.#connection.clock.now();
  }

  lingerFromNow(): void {
    this.#lingerDueAt = Math.min(this.#lingerDueAt, this.#connection.clock.now() + this.#connection.limits.lingerMs);
  }

  /** Sees to it that the connection is woken when the first of its deadlines passes. */
  arm(): void {
    const { reading, writing, limits, reason, phase, securing } = this.#connection;
    if (reason !== null) return;
    let dueAt = Math.min(this.connectDueAt, this.#lingerDueAt);
    dueAt = Math.min(dueAt, this.#start(reading.waiting, reading.wait), this.#start(writing.waiting, writing.wait));
    if (securing !== null) dueAt = Math.min(dueAt, securing.dueAt);
    if (phase === "open") dueAt = Math.min(dueAt, this.#activeAt + limits.idleMs);
    if (dueAt === Infinity) return;
    const deadlines = this.#choose();
    if (deadlines !== this.#armedIn) {
      this.disarm();
      this.#armedIn = deadlines;
    }
    deadlines.arm(this, dueAt);
  }

  disarm(): void {
    this.#armedIn?.disarm(this);
  }

  /** An entry's time runs from when it has to wait as the current one. */
  #start(entry: Entry | null, wait: Wait): number {
    if (entry === null || entry.timeoutMs === NO_TIMEOUT) return Infinity;
    if (wait.startedAt < 0) wait.startedAt = this.#connection.clock.now();
    return wait.dueAt(entry);
  }

  wake(now: number): void {
    const connection = this.#connection;
    if (now >= this.connectDueAt) {
      connection.expireConnect();
    } else if (now >= this.#lingerDueAt) {
      const message = `The peer did not end the connection within limits.lingerMs, ${connection.limits.lingerMs} ms`;
      connection.close("error", socketError("LINGER_TIMEOUT", "disconnect", message));
    } else {
      connection.securing?.expire(now);
      connection.reading.expire(now);
      connection.writing.expire(now);
      this.#expireIdle(now);
    }
    connection.drain();
  }

  #expireIdle(now: number): void {
    const { idleMs } = this.#connection.limits;
    if (this.#connection.phase !== "open" || now < this.#activeAt + idleMs) return;
    const message = `No byte went either way for limits.idleMs, ${idleMs} ms`;
    this.#connection.close("error", socketError("IDLE_TIMEOUT", "connection", message));
  }
}
