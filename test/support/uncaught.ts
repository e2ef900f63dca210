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

/** What surfaces as uncaught while the test runs, in one log with what else it notes. */
export function logOfUncaught(t: TestContext): string[] {
  const log: string[] = [];
  uncaught(t, (error) => log.push(`uncaught ${error.message}`));
  return log;
}
