// `npx asyncsocket build-native` runs this: it compiles the native transport, for platforms that it is not prebuilt for, and
// says in one line what came of it. --seconds N limits the time of each step (300). Nothing runs this by itself in the package of
// a user; in a clone of the project `npm start` and `npm test` do.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { compile, folder, headers } from "./compile.mjs";

const { values } = parseArgs({ options: { seconds: { type: "string", default: "300" } } });
const timeoutMs = Number(values.seconds) * 1000;
if (!(timeoutMs > 0)) throw new RangeError(`Expected --seconds to be a number above 0, got ${values.seconds}`);

const output = join(folder, "build", "Release", "asyncsocket.node");
const partial = join(dirname(output), `building-${process.pid}.node`);

function problemOfLoading(file) {
  try {
    return typeof createRequire(import.meta.url)(file).open === "function" ? null : "what was built is no addon";
  } catch (error) {
    return `what was built does not load: ${error.message}`;
  }
}

/** node-gyp, which npm brings along, fetches the headers of a Node that was installed without them. */
function fetchHeaders() {
  const npm = join(dirname(dirname(process.execPath)), "lib", "node_modules", "npm");
  const places = [process.env.npm_config_node_gyp ?? "", join(npm, "node_modules", "node-gyp", "bin", "node-gyp.js")];
  const gyp = places.find((place) => existsSync(place));
  if (gyp !== undefined) spawnSync(process.execPath, [gyp, "install"], { stdio: "ignore", timeout: timeoutMs });
}

function build() {
  if (headers() === undefined) fetchHeaders();
  mkdirSync(dirname(output), { recursive: true });
  // A file of its own is renamed at the end: other processes may have the old one loaded.
  const problem = compile([process.env.CXX ?? "c++"], partial, { timeoutMs }) ?? problemOfLoading(partial);
  if (problem === null) renameSync(partial, output);
  else rmSync(partial, { force: true });
  return problem;
}

function outcome() {
  if (process.env.ASYNCSOCKET_NATIVE === "0") return "ASYNCSOCKET_NATIVE=0 turns it off";
  if (!["linux", "darwin"].includes(process.platform)) return `there is none for ${process.platform}`;
  return build();
}

const problem = outcome();
console.log(
  `asyncsocket: native transport ${problem === null ? "built" : `not built, node:net does its work: ${problem}`}`,
);
process.exitCode = problem === null ? 0 : 1;
