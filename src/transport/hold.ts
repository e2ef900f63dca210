/** Keeps the process alive for sockets whose own handles do not. */

import * as timers from "node:timers";

// These are taken when the module is loaded, because users' tests may replace them by fake timers later.
const { setInterval, clearInterval } = timers;

const LONGEST_MS = 2 ** 31 - 1;

let count = 0;
/** One timer for all sockets of the thread. Only its existence matters. */
let timer: NodeJS.Timeout | null = null;

/** Counts one more socket that keeps the process alive. */
export function holdProcess(): void {
  if (count++ === 0) timer = setInterval(doNothing, LONGEST_MS);
}

export function releaseProcess(): void {
  if (--count > 0 || timer === null) return;
  clearInterval(timer);
  timer = null;
}

function doNothing(): void {
  // The timer serves only to keep the process alive.
}
