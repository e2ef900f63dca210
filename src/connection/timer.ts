import { whenAsked } from "../base/clock.js";
import { socketError } from "../base/errors.js";
import { type Deadlines, deadlinesOf, type Sleeper } from "../pump/deadlines.js";
import { type Entry, NO_TIMEOUT, type Wait } from "../pump/entry.js";
import { endLingering, isFlushing } from "./closing.js";
import type { TimerOwner } from "./owner.js";
import { RateFloor } from "./rate-floor.js";

/**
 * After a deadline has passed, the timer waits until nothing arrives for the connection in several turns of the event
 * loop, so that bytes count that arrived while the thread was busy. One quiet turn is enough on Node; Bun and Deno may
 * report a FIN, a connect and the rest of many bytes some turns later.
 */
const QUIET_TURNS = 4;
/** It waits at most this many turns, so that a peer that never stops sending cannot postpone the deadline for ever. */
const TURNS_MAX = 100;
/** How many times within the idle or linger time the system is asked whether the peer has taken bytes. */
const LOOKS = 8;

/** All deadlines of one connection, as one sleeper of the thread's deadlines. */
export class ConnectionTimer implements Sleeper {
  heapIndex = -1;
  wakeAt = Infinity;
  /** When the `timeout` of `connect` is over. */
  connectDueAt = Infinity;
  #lingerDueAt = Infinity;
  /** When the connection became open; -1 before that. */
  #openedAt = -1;
  /** When a byte last went in either direction; kept only if `idleMs` is set. */
  #activeAt = 0;
  /**
   * While a close waits for writes: when a byte was last sent, or when the wait began. -1 if no close waits for writes.
   */
  #flushedAt = -1;
  /** When to check next whether the peer takes bytes, and how many bytes were on their way at the last check. */
  #lookAt = Infinity;
  #outflow = 0;
  /** Whether an event of the connection has come since a deadline passed. */
  wasHeard = false;
  /** After a deadline has passed: the number of turns after which it strikes at the latest. 0 if none has passed. */
  #turnsLeft = 0;
  /** How many turns without an event have passed since then, one after the other. */
  #quietTurns = 0;
  /** What to do as soon as a deadline from outside strikes; null if none has passed. */
  #onStrike: (() => void) | null = null;
  #armedIn: Deadlines | null = null;
  /** Made when `limits.bytesPerSecond` is set. */
  #floor: RateFloor | null = null;
  readonly #connection: TimerOwner;

  constructor(connection: TimerOwner) {
    this.#connection = connection;
  }

  /**
   * Chooses deadlines that keep the process alive, or not. While a connect waits only for the caller's own `lookup`, no
   * descriptor keeps the process alive, so the timer must.
   */
  #choose(): Deadlines {
    const { clock, transport, isReferenced } = this.#connection;
    return deadlinesOf(clock, transport === null ? isReferenced : !transport.holdsProcess);
  }

  /** Notes that the connection has become open. */
  markOpen(): void {
    this.#openedAt = this.#connection.clock.now();
    this.#activeAt = this.#openedAt;
  }

  /** How long the connection has been open; undefined if it never was. */
  get openMs(): number | undefined {
    return this.#openedAt < 0 ? undefined : this.#connection.clock.now() - this.#openedAt;
  }

  /** Notes that bytes have arrived, so many milliseconds ago. */
  markActive(agoMs: number): void {
    const { limits, clock } = this.#connection;
    if (limits.idleMs !== Infinity) this.#activeAt = Math.max(this.#activeAt, clock.now() - agoMs);
  }

  /** Notes that bytes were sent, so many milliseconds ago. */
  markSent(agoMs: number): void {
    const { limits, clock } = this.#connection;
    if (limits.idleMs === Infinity && this.#flushedAt < 0) return;
    const now = clock.now();
    this.#activeAt = Math.max(this.#activeAt, now - agoMs);
    if (this.#flushedAt >= 0) this.#flushedAt = this.#activeAt;
    this.#outflow = 0;
    this.#lookAt = now + this.#lookEveryMs;
  }

  /** Bytes may pass from now on without being noted, so they are looked for. */
  watchPassing(): void {
    this.#lookAt = Math.min(this.#lookAt, this.#connection.clock.now() + this.#lookEveryMs);
    this.arm();
  }

  lingerFromNow(): void {
    this.#lingerDueAt = Math.min(this.#lingerDueAt, this.#connection.clock.now() + this.#connection.limits.lingerMs);
  }

  /** Sets the timer so that it wakes the connection when the first of its deadlines passes. */
  arm(): void {
    if (this.#connection.reason !== null || this.#turnsLeft > 0) return;
    const dueAt = Math.min(this.#firstDueAt(), this.#lookAt);
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

  #firstDueAt(): number {
    const { reading, writing, limits, isOpen, upgrade } = this.#connection;
    let dueAt = Math.min(this.connectDueAt, this.#lingerDueAt, this.#flushDueAt());
    dueAt = Math.min(dueAt, this.#start(reading.waiting, reading.wait), this.#start(writing.waiting, writing.wait));
    if (upgrade !== null) dueAt = Math.min(dueAt, upgrade.dueAt);
    if (limits.bytesPerSecond !== Infinity) {
      this.#floor ??= new RateFloor(this.#connection);
      dueAt = Math.min(dueAt, this.#floor.dueAt());
    }
    return isOpen ? Math.min(dueAt, this.#activeAt + limits.idleMs) : dueAt;
  }

  /**
   * Starts the timeout of an entry, which runs from the moment when it has to wait as the current one.
   * @returns when it is over
   */
  #start(entry: Entry | null, wait: Wait): number {
    if (entry === null || entry.timeoutMs === NO_TIMEOUT) return Infinity;
    if (wait.startedAt < 0) wait.startedAt = this.#connection.clock.now();
    return wait.dueAt(entry);
  }

  /**
   * The deadline of a close that waits for writes. It runs from when that wait begins, and starts anew with each byte
   * sent.
   */
  #flushDueAt(): number {
    const { clock, limits, writing } = this.#connection;
    if (!isFlushing(this.#connection)) this.#flushedAt = -1;
    else if (this.#flushedAt < 0) {
      writing.account();
      this.#flushedAt = clock.now();
      this.#lookAt = Math.min(this.#lookAt, this.#flushedAt + this.#lookEveryMs);
    }
    return this.#flushedAt < 0 ? Infinity : this.#flushedAt + limits.lingerMs;
  }

  get #lookEveryMs(): number {
    const { idleMs, lingerMs } = this.#connection.limits;
    return (this.#flushedAt < 0 ? idleMs : Math.min(idleMs, lingerMs)) / LOOKS;
  }

  /**
   * Checks whether the peer has taken bytes that the system had still to send. That counts as activity, but causes no
   * event.
   */
  #look(now: number): void {
    const { transport, writing, passing } = this.#connection;
    writing.account();
    const outflow = transport === null ? 0 : transport.inHandBytes + transport.underWayBytes;
    if (outflow < this.#outflow) {
      this.#activeAt = now;
      if (this.#flushedAt >= 0) this.#flushedAt = now;
    }
    this.#outflow = outflow;
    this.#lookAt = outflow === 0 && passing?.isUsed !== true ? Infinity : now + this.#lookEveryMs;
  }

  wake(now: number): void {
    if (this.#turnsLeft > 0) return;
    this.#connection.passing?.account();
    if (now >= this.#lookAt) this.#look(now);
    this.#floor?.look(now);
    if (now < this.#firstDueAt()) {
      this.arm();
      return;
    }
    this.#waitToStrike();
  }

  /**
   * Treats a deadline from outside, such as the end of a listener's grace, as one that has passed now. `onStrike` is not
   * called if the connection ends by itself before the system has nothing more to report.
   */
  strikeSoon(onStrike: () => void): void {
    this.#onStrike = onStrike;
    if (this.#turnsLeft === 0) this.#waitToStrike();
    // This may be called among the events of a turn, and then only the next turn asks the system.
    this.wasHeard = true;
  }

  /** A deadline has passed: it strikes once nothing more is reported. */
  #waitToStrike(): void {
    this.#turnsLeft = TURNS_MAX;
    this.#quietTurns = 0;
    this.#askOnceMore();
  }

  /**
   * Waits for another turn. Timers come first in a turn of the event loop, so bytes that arrived while the thread was
   * busy are reported after this timer.
   */
  #askOnceMore(): void {
    this.wasHeard = false;
    whenAsked(this.#connection.clock, strike, this);
  }

  /**
   * A turn has passed since a deadline did. If it brought events, it may soon bring more, such as the answer to a name
   * lookup.
   */
  strike(): void {
    const connection = this.#connection;
    if (connection.reason !== null) return;
    connection.passing?.account();
    const mayCome = this.wasHeard || connection.isPaused || connection.hasNews();
    this.#quietTurns = mayCome ? 0 : this.#quietTurns + 1;
    if (this.#quietTurns < QUIET_TURNS && --this.#turnsLeft > 0) {
      this.#askOnceMore();
      return;
    }
    this.#turnsLeft = 0;
    this.#expire(connection.clock.now());
    connection.drain();
  }

  #expire(now: number): void {
    const connection = this.#connection;
    if (this.#onStrike !== null) this.#onStrike();
    else if (now >= this.connectDueAt) connection.expireConnect();
    else if (now >= Math.min(this.#lingerDueAt, this.#flushDueAt())) endLingering(connection);
    else {
      connection.upgrade?.expire(now);
      connection.reading.expire(now);
      connection.writing.expire(now);
      this.#floor?.expire(now);
      this.#expireIdle(now);
    }
  }

  #expireIdle(now: number): void {
    const { idleMs } = this.#connection.limits;
    if (!this.#connection.isOpen || now < this.#activeAt + idleMs) return;
    const message = `No byte went either way for limits.idleMs, ${idleMs} ms`;
    this.#connection.closeLate(socketError("IDLE_TIMEOUT", "connection", message));
  }
}

function strike(timer: ConnectionTimer): void {
  timer.strike();
}
