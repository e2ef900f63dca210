import { realClock } from "./clock.js";

/**
 * Throws an error in a later turn of the event loop, as an uncaught exception, so that the running code can go on. A tick
 * would not do: it may run while Node's TLS is at work, and an exception there makes Node send a record twice.
 */
export function surface(error: unknown): void {
  realClock.later(raise, error);
}

/** Calls a function of the application. What it throws surfaces, and is thrown on to the caller as well. */
export function surfacing<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    surface(error);
    throw error;
  }
}

function raise(error: unknown): never {
  throw error;
}
