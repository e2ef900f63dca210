/** An opaque handle of a timer that a `Clock` has set. */
export type Timer = object;

/**
 * The time and the scheduling that sockets use. The real clock is the runtime's. A simulated network brings its own, so
 * that tests of timeouts take no real time.
 */
export interface Clock {
  /** The present time in milliseconds: monotonic, counted from any origin. */
  now(): number;
  /**
   * Calls `callback` once, after about `delayMs` milliseconds, however many these are. `Infinity` is never over.
   * @param holdsProcess whether the timer keeps the process alive
   */
  setTimer(callback: () => void, delayMs: number, holdsProcess: boolean): Timer;
  clearTimer(timer: Timer): void;
  /** Runs the task as soon as the running code has returned, before any further event. */
  soon<T>(task: (subject: T) => void, subject: T): void;
  /** Runs the task in a later turn of the event loop, after code that awaits something settled now. */
  later<T>(task: (subject: T) => void, subject: T): void;
}

/** `setTimeout` takes at most 2^31 - 1 ms, which is 24.8 days. Longer waits are made of several. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * The runtime's own functions, taken when the module is loaded. Users' tests replace them by fake timers for a while,
 * and the timer that all sockets share must never be a fake one.
 */
const { setTimeout, clearTimeout, setImmediate } = globalThis;
const now = performance.now.bind(performance);
const nextTick = process.nextTick.bind(process);

/** A wait that is longer than the runtime's timers can be: one of these after the other. */
class LongTimer {
  readonly #callback: () => void;
  readonly #holdsProcess: boolean;
  #leftMs: number;
  #part: NodeJS.Timeout;

  constructor(callback: () => void, delayMs: number, holdsProcess: boolean) {
    this.#callback = callback;
    this.#holdsProcess = holdsProcess;
    this.#leftMs = delayMs;
    this.#part = this.#waitOn();
  }

  #waitOn(): NodeJS.Timeout {
    const partMs = Math.min(this.#leftMs, LONGEST_TIMER_MS);
    this.#leftMs -= partMs;
    return timerOf(this.#leftMs > 0 ? this.#didWait : this.#callback, partMs, this.#holdsProcess);
  }

  readonly #didWait = (): void => {
    this.#part = this.#waitOn();
  };

  clear(): void {
    clearTimeout(this.#part);
  }
}

function timerOf(callback: () => void, delayMs: number, holdsProcess: boolean): NodeJS.Timeout {
  const timer = setTimeout(callback, delayMs);
  if (!holdsProcess) timer.unref();
  return timer;
}

export const realClock: Clock = {
  now,
  setTimer(callback, delayMs, holdsProcess) {
    const isLong = delayMs > LONGEST_TIMER_MS;
    return isLong ? new LongTimer(callback, delayMs, holdsProcess) : timerOf(callback, delayMs, holdsProcess);
  },
  clearTimer(timer) {
    if (timer instanceof LongTimer) timer.clear();
    else clearTimeout(timer as NodeJS.Timeout);
  },
  soon: (task, subject) => nextTick(task, subject),
  later: (task, subject) => void setImmediate(task, subject),
};

/**
 * While Deno has immediates or timers to run, it asks the system for news in one turn of about sixty only. It does ask
 * where it has to wait.
 */
const WAIT_MS = "deno" in process.versions ? 3 : 0;

/** Runs the task in a later turn of the event loop, before which the system is asked what has come. */
export function whenAsked<T>(clock: Clock, task: (subject: T) => void, subject: T): void {
  if (WAIT_MS > 0 && clock === realClock) setTimeout(task, WAIT_MS, subject);
  else clock.later(task, subject);
}

/**
 * Runs a task after the code that awaits promises settled by now, and before any `soon` task that such code schedules.
 */
export const soonest = globalThis.queueMicrotask.bind(globalThis);
