#!/usr/bin/env node
/** The program of the package: `npx asyncsocket`. */

import { run } from "./run.js";

// A reader of our output that has gone, such as `head`, is no failure, and nothing is left to be done.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

process.exitCode = await run(process.argv.slice(2), process);
