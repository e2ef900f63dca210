import type { TestContext } from "node:test";

/** Collects what surfaces as uncaught while a test runs. */
export function uncaught(t: TestContext): unknown[] {
  const seen: unknown[] = [];
  const before = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  const note = (error: unknown): number => seen.push(error);
  process.on("uncaughtException", note);
  t.after(() => {
    process.removeListener("uncaughtException", note);
    for (const listener of before) process.on("uncaughtException", listener);
  });
  return seen;
}
