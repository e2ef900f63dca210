import { apart } from "../base/apart.js";
import type { Clock, Timer } from "../base/clock.js";
import { surface } from "../base/uncaught.js";

/**
 * What wants to be woken at a deadline. A sleeper holds its own index in the heap, so that arming allocates nothing.
 */
export interface Sleeper {
  /** The sleeper's index in the heap; -1 when it is not in the heap. */
  heapIndex: number;
  /** The clock time at which the sleeper will be woken: its deadline, or earlier. */
  wakeAt: number;
  wake(now: number): void;
}

/**
 * A binary heap that serves all deadlines of a thread with one timer. A sleeper whose deadline moves to a later time
 * stays where it is in the heap; it is woken too early, and arms itself again. So a timeout on each of a million reads
 * costs two assignments per read, and the heap is touched only about once per length of the timeout.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #holdsProcess: boolean;
  readonly #heap: Sleeper[] = [];
  #timer: Timer | null = null;
  #timerAt = Infinity;

  /** @param holdsProcess whether the timer keeps the process alive, which is not needed where a descriptor does so */
  constructor(clock: Clock, holdsProcess: boolean) {
    this.#clock = clock;
    this.#holdsProcess = holdsProcess;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Makes sure that the sleeper is woken at the clock time `at`, or earlier. */
  arm(sleeper: Sleeper, at: number): void {
    if (sleeper.heapIndex !== -1) {
      if (sleeper.wakeAt <= at) return;
      sleeper.wakeAt = at;
      this.#rise(sleeper, sleeper.heapIndex);
    } else {
      sleeper.wakeAt = at;
      this.#heap.push(sleeper);
      this.#rise(sleeper, this.#heap.length - 1);
    }
    if (at < this.#timerAt) this.#setTimer();
  }

  disarm(sleeper: Sleeper): void {
    const index = sleeper.heapIndex;
    if (index === -1) return;
    sleeper.heapIndex = -1;
    const last = this.#heap.pop();
    if (last !== undefined && last !== sleeper) {
      this.#rise(last, index);
      this.#sink(last, last.heapIndex);
    }
    if (this.#heap.length === 0) this.#clearTimer();
  }

  #setTimer(): void {
    this.#clearTimer();
    const first = this.#heap[0];
    if (first === undefined) return;
    this.#timerAt = first.wakeAt;
    const delayMs = Math.max(1, Math.ceil(first.wakeAt - this.#clock.now()));
    this.#timer = this.#clock.setTimer(this.#expire, delayMs, this.#holdsProcess);
  }

  #clearTimer(): void {
    if (this.#timer !== null) this.#clock.clearTimer(this.#timer);
    this.#timer = null;
    this.#timerAt = Infinity;
  }

  readonly #expire = (): void => {
    this.#timer = null;
    this.#timerAt = Infinity;
    const now = this.#clock.now();
    for (let first = this.#heap[0]; first !== undefined && first.wakeAt <= now; first = this.#heap[0]) {
      this.disarm(first);
      apart(wake, first, now);
    }
    this.#setTimer();
  };

  #rise(sleeper: Sleeper, from: number): void {
    let index = from;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = this.#heap[parentIndex];
      if (parent === undefined || parent.wakeAt <= sleeper.wakeAt) break;
      this.#put(parent, index);
      index = parentIndex;
    }
    this.#put(sleeper, index);
  }

  #sink(sleeper: Sleeper, from: number): void {
    let index = from;
    for (;;) {
      let childIndex = 2 * index + 1;
      let child = this.#heap[childIndex];
      const right = this.#heap[childIndex + 1];
      if (child !== undefined && right !== undefined && right.wakeAt < child.wakeAt) {
        child = right;
        childIndex++;
      }
      if (child === undefined || child.wakeAt >= sleeper.wakeAt) break;
      this.#put(child, index);
      index = childIndex;
    }
    this.#put(sleeper, index);
  }

  #put(sleeper: Sleeper, index: number): void {
    this.#heap[index] = sleeper;
    sleeper.heapIndex = index;
  }
}

/** An exception of one sleeper must not keep the others from being woken. */
function wake(sleeper: Sleeper, now: number): void {
  try {
    sleeper.wake(now);
  } catch (error) {
    surface(error);
  }
}

const perClock = new WeakMap<Clock, { holding: Deadlines; other: Deadlines }>();

/** The deadlines that all sockets with this clock share. */
export function deadlinesOf(clock: Clock, holdsProcess: boolean): Deadlines {
  let both = perClock.get(clock);
  if (both === undefined) {
    both = { holding: new Deadlines(clock, true), other: new Deadlines(clock, false) };
    perClock.set(clock, both);
  }
  return holdsProcess ? both.holding : both.other;
}
