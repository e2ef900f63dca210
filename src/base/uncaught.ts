import { realClock } from "./clock.js";

/**
 * Throws an error in a later turn of the event loop, as an uncaught exception, so that the running code can go on. A tick
 * would not do: it may run while Node's TLS is at work, and an exception there makes Node send a record twice.
 */
export function surface(error: unknown): void {
  realClock.later(raise, error);
}

function raise(error: unknown): never {
  throw error;
}
