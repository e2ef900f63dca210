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

/**
 * The runtime's own, as they are when the module is loaded. Tests of a user's put others in their place for a while, and
 * a timer that all sockets share must not be one of those.
 */
const { setTimeout, clearTimeout, setImmediate } = globalThis;
const now = performance.now.bind(performance);
const nextTick = process.nextTick.bind(process);

export const realClock: Clock = {
  now,
  setTimer(callback, delayMs, holdsProcess) {
    const timer = setTimeout(callback, Math.min(delayMs, LONGEST_TIMER_MS));
    if (!holdsProcess) timer.unref();
    return timer;
  },
  clearTimer: (timer) => clearTimeout(timer as NodeJS.Timeout),
  soon: (task, subject) => nextTick(task, subject),
  later: (task, subject) => void setImmediate(task, subject),
};

/** Behind the code that waits for promises settled by now; before `soon`, where that is asked for meanwhile. */
export const soonest = globalThis.queueMicrotask.bind(globalThis);
