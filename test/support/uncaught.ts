import type { TestContext } from "node:test";

/**
 * Collects what surfaces as uncaught while a test runs.
 * @param note what to do with each of them besides
 */
export function uncaught(t: TestContext, note: (error: Error) => void = () => undefined): unknown[] {
  const seen: unknown[] = [];
  const before = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  const listen = (error: Error): void => {
    seen.push(error);
    note(error);
  };
  process.on("uncaughtException", listen);
  t.after(() => {
    process.removeListener("uncaughtException", listen);
    for (const listener of before) process.on("uncaughtException", listener);
  });
  return seen;
}
