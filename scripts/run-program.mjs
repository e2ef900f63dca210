// Runs a program, and keeps what it prints for whoever asked.

import { spawn } from "node:child_process";

/**
 * @param options those of `spawn`, beside where the output goes
 * @returns what the program printed; throws that where it fails
 */
export function runProgram([command, ...args], options) {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    child.on("error", fail);
    child.on("close", (status) =>
      status === 0 ? done(output) : fail(new Error(`${command} ${args.join(" ")}\n${output}`)),
    );
  });
}
