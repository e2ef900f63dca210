import { socketError } from "../base/errors.js";
import { type Deadlines, deadlinesOf, type Sleeper } from "../pump/deadlines.js";
import { type Entry, NO_TIMEOUT, type Wait } from "../pump/entry.js";
import { endLingering, isFlushing } from "./closing.js";
import type { TimerOwner } from "./owner.js";

/**
 * A passed deadline waits for a turn of the event loop in which nothing comes for the connection, so that bytes count which
 * came while the thread was busy. At most for so many: who sends on and on cannot put it off for ever.
 */
const TURNS_MAX = 100;
/** How often, in the time that a connection may be idle, the system is asked whether the peer takes what was sent. */
const LOOKS = 8;

/** All that can become too late for one connection, as one sleeper of the thread's deadlines. */
export class ConnectionTimer implements Sleeper {
  heapIndex = -1;
  wakeAt = Infinity;
  /** `connect` and its `timeout`. */
  connectDueAt = Infinity;
  #lingerDueAt = Infinity;
  /** When a byte went either way; kept only where `idleMs` asks for it. */
  #activeAt = 0;
  /** While a close waits for writes: when a byte last got out, or the wait began. -1: none does. */
  #flushedAt = -1;
  /** When to look next whether the peer takes what was sent, and how much was on its way at the last look. */
  #lookAt = Infinity;
  #outflow = 0;
  /** Something was told of the connection since a deadline passed. */
  wasHeard = false;
  /** A deadline has passed, and strikes after so many turns at the latest. 0: none has. */
  #turnsLeft = 0;
  #armedIn: Deadlines | null = null;
  readonly #connection: TimerOwner;

  constructor(connection: TimerOwner) {
    this.#connection = connection;
  }

  /** While connecting, a name lookup of the caller's own may be all there is: the timeout has to come all the same. */
  #choose(): Deadlines {
    const { clock, transport, isReferenced } = this.#connection;
    return deadlinesOf(clock, transport === null ? isReferenced : !transport.holdsProcess);
  }

  /** Bytes came. */
  markActive(): void {
    if (this.#connection.limits.idleMs !== Infinity) this.#activeAt = this.#connection.clock.now();
  }

  /** Bytes got out. */
  markSent(): void {
    const { limits, clock } = this.#connection;
    if (limits.idleMs === Infinity && this.#flushedAt < 0) return;
    this.#activeAt = clock.now();
    if (this.#flushedAt >= 0) this.#flushedAt = this.#activeAt;
    this.#outflow = 0;
    this.#lookAt = this.#activeAt + this.#lookEveryMs;
  }

  lingerFromNow(): void {
    this.#lingerDueAt = Math.min(this.#lingerDueAt, this.#connection.clock.now() + this.#connection.limits.lingerMs);
  }

  /** Sees to it that the connection is woken when the first of its deadlines passes. */
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
    const { reading, writing, limits, phase, upgrade } = this.#connection;
    let dueAt = Math.min(this.connectDueAt, this.#lingerDueAt, this.#flushDueAt());
    dueAt = Math.min(dueAt, this.#start(reading.waiting, reading.wait), this.#start(writing.waiting, writing.wait));
    if (upgrade !== null) dueAt = Math.min(dueAt, upgrade.dueAt);
    return phase === "open" ? Math.min(dueAt, this.#activeAt + limits.idleMs) : dueAt;
  }

  /** An entry's time runs from when it has to wait as the current one. */
  #start(entry: Entry | null, wait: Wait): number {
    if (entry === null || entry.timeoutMs === NO_TIMEOUT) return Infinity;
    if (wait.startedAt < 0) wait.startedAt = this.#connection.clock.now();
    return wait.dueAt(entry);
  }

  /** A flush's time runs from when it begins, and anew from each byte. */
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

  /** Looks whether the peer has taken anything of what the system has to send: that is traffic, and nobody tells of it. */
  #look(now: number): void {
    const { transport, writing } = this.#connection;
    writing.account();
    const outflow = transport === null ? 0 : transport.inHandBytes + transport.underWayBytes;
    if (outflow < this.#outflow) {
      this.#activeAt = now;
      if (this.#flushedAt >= 0) this.#flushedAt = now;
    }
    this.#outflow = outflow;
    this.#lookAt = outflow === 0 ? Infinity : now + this.#lookEveryMs;
  }

  wake(now: number): void {
    if (this.#turnsLeft > 0) return;
    if (now >= this.#lookAt) this.#look(now);
    if (now < this.#firstDueAt()) {
      this.arm();
      return;
    }
    this.#turnsLeft = TURNS_MAX;
    this.#askOnceMore();
  }

  /** Timers come first in a turn of the event loop: what came while the thread was busy comes behind them. */
  #askOnceMore(): void {
    this.wasHeard = false;
    this.#connection.clock.later(strike, this);
  }

  /** A turn has passed. What it brought may bring more: the answer of a name, an attempt to connect. */
  strike(): void {
    const connection = this.#connection;
    if (connection.reason !== null) return;
    const mayCome = this.wasHeard || connection.isPaused || connection.transport?.hasNews() === true;
    if (mayCome && --this.#turnsLeft > 0) {
      this.#askOnceMore();
      return;
    }
    this.#turnsLeft = 0;
    this.#expire(connection.clock.now());
    connection.drain();
  }

  #expire(now: number): void {
    const connection = this.#connection;
    if (now >= this.connectDueAt) connection.expireConnect();
    else if (now >= Math.min(this.#lingerDueAt, this.#flushDueAt())) endLingering(connection);
    else {
      connection.upgrade?.expire(now);
      connection.reading.expire(now);
      connection.writing.expire(now);
      this.#expireIdle(now);
    }
  }

  #expireIdle(now: number): void {
    const { idleMs } = this.#connection.limits;
    if (this.#connection.phase !== "open" || now < this.#activeAt + idleMs) return;
    const message = `No byte went either way for limits.idleMs, ${idleMs} ms`;
    this.#connection.closeLate(socketError("IDLE_TIMEOUT", "connection", message));
  }
}

function strike(timer: ConnectionTimer): void {
  timer.strike();
}
