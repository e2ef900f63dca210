import { realClock } from "./clock.js";

/** Throws an error outside of any call, as an uncaught exception, so that the running code can go on. */
export function surface(error: unknown): void {
  realClock.soon(raise, error);
}

function raise(error: unknown): never {
  throw error;
}
