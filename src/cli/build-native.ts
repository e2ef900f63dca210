/** `asyncsocket build-native`: compiles the native transport, for platforms that it is not prebuilt for. */

import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Command } from "./command.js";
import { EXIT } from "./exit-code.js";
import { GENERAL, type OptionTable, parse, wholeNumber } from "./options.js";
import type { Terminal } from "./terminal.js";

const OPTIONS = {
  seconds: { type: "string", value: "N", about: "how long each step may take (300)" },
  help: GENERAL.help,
} as const satisfies OptionTable;

export const buildNative: Command = {
  usage: "",
  about: [
    "Compiles the native transport from the sources in the package, where nativeStatus() says that there is no addon.",
    "It takes a C++ compiler (c++, or what CXX names) and the headers of this Node, which node-gyp fetches.",
  ].join("\n"),
  options: OPTIONS,
  examples: [["--seconds 600", "gives a slow machine more time"]],
  run: (args, terminal) => Promise.resolve(run(args, terminal)),
};

function run(args: readonly string[], terminal: Terminal): number {
  const { values } = parse(args, OPTIONS);
  const seconds = wholeNumber("seconds", values.seconds) ?? 300;
  // The package knows itself by its name, wherever a bundle of it has put this file.
  const folder = dirname(createRequire(import.meta.url).resolve("asyncsocket/package.json"));
  const script = [join(folder, "native", "install.mjs"), "--seconds", String(seconds)];
  const { status, stdout } = spawnSync(process.execPath, script, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  terminal.stdout.write(stdout);
  return status === 0 ? EXIT.ok : EXIT.failed;
}
