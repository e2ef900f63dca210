import { realClock, type Clock, type Timer } from "./clock.js";

interface VirtualTimer {
  readonly dueAt: number;
  readonly callback: () => void;
}

/** A clock that stands still until it is told to go on. Turns are the runtime's own, so promises work as ever. */
export class VirtualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<VirtualTimer>();

  now(): number {
    return this.#now;
  }

  /** Timers that are set. */
  get size(): number {
    return this.#timers.size;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    const timer: VirtualTimer = { dueAt: this.#now + delayMs, callback };
    this.#timers.add(timer);
    return timer;
  }

  clearTimer(timer: Timer): void {
    this.#timers.delete(timer as VirtualTimer);
  }

  soon<T>(task: (subject: T) => void, subject: T): void {
    realClock.soon(task, subject);
  }

  later<T>(task: (subject: T) => void, subject: T): void {
    realClock.later(task, subject);
  }

  /** Lets `ms` milliseconds pass; the timers that fall due do so in their order, each at its time. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (let timer = this.#first(end); timer !== undefined; timer = this.#first(end)) {
      this.#timers.delete(timer);
      this.#now = Math.max(this.#now, timer.dueAt);
      timer.callback();
    }
    this.#now = end;
  }

  #first(end: number): VirtualTimer | undefined {
    let first: VirtualTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueAt <= end && (first === undefined || timer.dueAt < first.dueAt)) first = timer;
    }
    return first;
  }
}
