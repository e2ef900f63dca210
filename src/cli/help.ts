/** The help, which is made from the same tables as the parser of the options. */

import type { Command } from "./command.js";
import type { Option } from "./options.js";
import { table } from "./table.js";

export function commandHelp(name: string, { usage, about, options, examples }: Command): string {
  const names = Object.entries(options).map(([long, option]) => [optionName(long, option), option.about] as const);
  return [
    `asyncsocket ${name} ${usage}`,
    "",
    about,
    "",
    "Options:",
    ...table(names),
    "",
    "Examples:",
    ...examples.map(([line, purpose]) => `  asyncsocket ${name} ${line}\n      ${purpose}`),
    "",
  ].join("\n");
}

export function generalHelp(commands: Readonly<Record<string, Command>>): string {
  const entries = Object.entries(commands);
  return [
    "asyncsocket COMMAND …",
    "",
    ...table(entries.map(([name, { usage, about }]) => [`${name} ${usage}`, about.split(".")[0] ?? ""] as const)),
    "",
    "Examples:",
    ...entries.map(([name, { examples }]) => `  asyncsocket ${name} ${examples[0]?.[0] ?? ""}`),
    "",
    "asyncsocket COMMAND --help shows the options of a command, with more examples; --version the version.",
    "",
    "Exit codes: 0 in order, 1 failed later on, 2 wrong arguments, 3 no connection, 4 no such name, 5 timed out,",
    "6 TLS failed or the peer is not trusted, 7 STARTTLS refused, 130 interrupted.",
    "",
  ].join("\n");
}

function optionName(long: string, { short, value }: Option): string {
  return `${short === undefined ? "    " : `-${short}, `}--${long}${value === undefined ? "" : ` ${value}`}`;
}
