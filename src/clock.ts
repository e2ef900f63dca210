/** An opaque handle. */
export type Timer = object;

/**
 * Time and turns, as a socket sees them. The real one is the runtime's; a simulated network brings its own, so that
 * tests of timeouts take no time.
 */
export interface Clock {
  /** Milliseconds, monotonic, from any origin. */
  now(): number;
  /** `holdsProcess`: whether the process stays alive for it. */
  setTimer(callback: () => void, delayMs: number, holdsProcess: boolean): Timer;
  clearTimer(timer: Timer): void;
  /** As soon as the running code has returned: before any further event. */
  soon<T>(task: (subject: T) => void, subject: T): void;
  /** In a later turn of the event loop: code that awaited something settled now has run by then. */
  later<T>(task: (subject: T) => void, subject: T): void;
}

/** `setTimeout` takes no more than 2^31 - 1 ms; a longer wait is cut, and begun again by who asked for it. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const realClock: Clock = {
  now: () => performance.now(),
  setTimer(callback, delayMs, holdsProcess) {
    const timer = setTimeout(callback, Math.min(delayMs, LONGEST_TIMER_MS));
    if (!holdsProcess) timer.unref();
    return timer;
  },
  clearTimer: (timer) => clearTimeout(timer as NodeJS.Timeout),
  soon: (task, subject) => process.nextTick(task, subject),
  later: (task, subject) => void setImmediate(task, subject),
};
