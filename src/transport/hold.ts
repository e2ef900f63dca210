/** Sockets that keep the process alive although no handle of theirs does. */

import * as timers from "node:timers";

// As they are when this is loaded: a user's test may replace them, and put them back, later.
const { setInterval, clearInterval } = timers;

const LONGEST_MS = 2 ** 31 - 1;

let count = 0;
/** One for all of the thread's sockets; it has nothing to do. */
let timer: NodeJS.Timeout | null = null;

/** One more socket is to keep the process alive. */
export function holdProcess(): void {
  if (count++ === 0) timer = setInterval(doNothing, LONGEST_MS);
}

export function releaseProcess(): void {
  if (--count > 0 || timer === null) return;
  clearInterval(timer);
  timer = null;
}

function doNothing(): void {
  // That the timer is there is all that counts.
}
