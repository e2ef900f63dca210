import { realClock } from "./clock.js";

export function surface(error: unknown): void {
  realClock.soon(raise, error);
}

function raise(error: unknown): never {
  throw error;
}
