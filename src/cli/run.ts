/** Chooses the command, and turns what it throws into words and an exit code. */

import { readFileSync } from "node:fs";
import type { Command } from "./command.js";
import { bench } from "./bench.js";
import { buildNative } from "./build-native.js";
import { check } from "./check.js";
import { connect } from "./connect.js";
import { EXIT, exitCodeOf, UsageError } from "./exit-code.js";
import { commandHelp, generalHelp } from "./help.js";
import { listen } from "./listen.js";
import { relay } from "./relay.js";
import { Report } from "./report.js";
import type { Terminal } from "./terminal.js";

const COMMANDS: Readonly<Record<string, Command>> = {
  connect,
  check,
  listen,
  relay,
  bench,
  "build-native": buildNative,
};

/** @returns the exit code */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const [name = "", ...rest] = args;
  if (name === "--version") {
    terminal.stdout.write(`${version()}\n`);
    return EXIT.ok;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  const isKnown = command !== undefined || name === "help" || name.startsWith("-") || name === "";
  if (isKnown && asksForHelp(args)) {
    terminal.stdout.write(command === undefined ? generalHelp(COMMANDS) : commandHelp(name, command));
    return EXIT.ok;
  }
  try {
    if (command === undefined) throw new UsageError(unknownCommand(name));
    return await command.run(rest, terminal);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (terminal.interrupted.aborted) return EXIT.interrupted;
    // Of wrong arguments is told on stderr, where people look.
    const isWrongUse = error instanceof UsageError;
    new Report(terminal, { json: !isWrongUse && rest.includes("--json") }).didFail(error);
    if (isWrongUse) terminal.stderr.write(`Try: asyncsocket ${command === undefined ? "" : `${name} `}--help\n`);
    return exitCodeOf(error);
  }
}

function version(): string {
  const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

/** What stands behind `--` is no option. */
function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  const options = end === -1 ? args : args.slice(0, end);
  return args.length === 0 || args[0] === "help" || options.includes("--help") || options.includes("-h");
}

function unknownCommand(name: string): string {
  return `Expected a command out of ${Object.keys(COMMANDS).join(", ")}, got "${name}"`;
}
