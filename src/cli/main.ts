#!/usr/bin/env node
/** The program of the package: `npx asyncsocket`. */

import { EXIT } from "./exit-code.js";
import { run } from "./run.js";

// A reader of our output that has gone, such as `head`, is no failure, and nothing is left to be done.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit();
  process.stderr.write(`Cannot write to stdout: ${error.message}\n`);
  process.exit(EXIT.failed);
});
// Nobody is left to be told that nobody can be told; the exit code still says how it went.
process.stderr.on("error", () => undefined);

// The first signal ends the program in order, the second one at once.
const interrupt = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (interrupt.signal.aborted) process.exit(EXIT.interrupted);
    interrupt.abort();
  });
}

const { stdin, stdout, stderr, env } = process;
process.exitCode = await run(process.argv.slice(2), { stdin, stdout, stderr, env, interrupted: interrupt.signal });
