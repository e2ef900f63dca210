import { type Clock, realClock, type Timer } from "../base/clock.js";

interface VirtualTimer {
  readonly dueAt: number;
  /** Of two that fall due together, the one that was set first comes first. */
  readonly number: number;
  readonly callback: () => void;
}

/**
 * Turns of the event loop in which nothing of the clock's happens before time goes on: what is not on the clock, such as
 * promises, TLS and streams of the runtime's, may take some.
 */
const QUIET_TURNS = 4;

/**
 * A clock that stands still until it is told to go on, so that tests of timeouts take no time. Turns of the event loop are
 * the runtime's own: promises, streams and TLS work as ever.
 *
 * `run` has a whole program run, from one thing that happens to the next; `advance` lets timers fall due at once.
 */
export class VirtualClock implements Clock {
  #now = 0;
  /** The last one falls due first. */
  readonly #timers: VirtualTimer[] = [];
  #lastNumber = 0;
  /** Tasks that wait for their turn. */
  #tasks = 0;
  readonly #quietTurns: number;

  /** @param options - `quietTurns`: how many turns of the event loop `run` sees pass in vain before time goes on. @default 4 */
  constructor(options: { quietTurns?: number | undefined } = {}) {
    this.#quietTurns = options.quietTurns ?? QUIET_TURNS;
  }

  /** Milliseconds since it was made. */
  now(): number {
    return this.#now;
  }

  /** Timers that are set. */
  get size(): number {
    return this.#timers.length;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    const timer: VirtualTimer = { dueAt: this.#now + delayMs, number: ++this.#lastNumber, callback };
    this.#timers.splice(this.#indexOf(timer), 0, timer);
    return timer;
  }

  clearTimer(timer: Timer): void {
    const index = this.#indexOf(timer as VirtualTimer);
    if (this.#timers[index] === timer) this.#timers.splice(index, 1);
  }

  soon<T>(task: (subject: T) => void, subject: T): void {
    realClock.soon(task, subject);
  }

  later<T>(task: (subject: T) => void, subject: T): void {
    this.#tasks++;
    realClock.later(() => {
      this.#tasks--;
      task(subject);
    }, undefined);
  }

  /** Settles when so much time has passed. */
  sleep(ms: number): Promise<void> {
    return new Promise((done) => void this.setTimer(done, ms));
  }

  /**
   * Lets `ms` milliseconds pass at once: the timers that fall due do so in their order, each at its time, and nothing else
   * happens in between, no promise either.
   */
  advance(ms: number): void {
    const end = this.#now + ms;
    while (this.#fireNext(end));
    this.#now = end;
  }

  /** Lets `ms` milliseconds pass, with all that happens in them, promises included. */
  async runFor(ms: number): Promise<void> {
    const end = this.#now + ms;
    await this.#run(() => false, end);
    this.#now = end;
  }

  /**
   * Lets time pass until something is so, or, without a condition, until there is nothing left to do, and no timer is set.
   * @throws Error when nothing is left that could bring it about
   */
  run(until?: () => boolean): Promise<void>;
  /** Lets time pass until a promise, or request, settles. @returns what it gives @throws Error when nothing is left to do */
  run<T>(program: PromiseLike<T>): Promise<T>;
  async run(goal?: PromiseLike<unknown> | (() => boolean)): Promise<unknown> {
    if (goal === undefined) await this.#run(() => false, Infinity);
    else if (typeof goal === "function") await this.#runTo(goal);
    else {
      let isSettled = false;
      const settled = (): void => void (isSettled = true);
      goal.then(settled, settled);
      await this.#runTo(() => isSettled);
      return goal;
    }
    return undefined;
  }

  async #runTo(isReached: () => boolean): Promise<void> {
    if (await this.#run(isReached, Infinity)) return;
    throw new Error(`Nothing is left to do after ${this.#now} ms, and what was waited for has not happened`);
  }

  /** @returns whether it came to what was wanted before there was nothing to do until `end` */
  async #run(isReached: () => boolean, end: number): Promise<boolean> {
    for (let quiet = 0; !isReached(); quiet = this.#tasks > 0 ? 0 : quiet + 1) {
      if (quiet > this.#quietTurns) {
        if (!this.#fireNext(end)) return false;
        quiet = 0;
      }
      await turn();
    }
    return true;
  }

  #fireNext(end: number): boolean {
    const timer = this.#timers.at(-1);
    if (timer === undefined || timer.dueAt > end) return false;
    this.#timers.pop();
    this.#now = Math.max(this.#now, timer.dueAt);
    timer.callback();
    return true;
  }

  /** Where a timer is, or belongs. */
  #indexOf({ dueAt, number }: VirtualTimer): number {
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#timers[middle] as VirtualTimer;
      if (other.dueAt > dueAt || (other.dueAt === dueAt && other.number > number)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function turn(): Promise<void> {
  return new Promise((done) => realClock.later(done, undefined));
}
