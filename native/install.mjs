// Run by `npm install`: compiles the native transport where there is a compiler, and says in one line what came of it.
// It never fails: without the addon all works on `node:net`, only slower.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = dirname(fileURLToPath(import.meta.url));
const prebuilt = join(folder, "prebuilds", `${process.platform}-${process.arch}.node`);
const built = join(folder, "build", "Release", "asyncsocket.node");

function loads(file) {
  try {
    return typeof createRequire(import.meta.url)(file).open === "function";
  } catch {
    return false;
  }
}

/** Node's own headers where they are installed with it; else node-gyp fetches them. */
function headers() {
  const prefix = dirname(dirname(process.execPath));
  return existsSync(join(prefix, "include", "node", "node_api.h")) ? [`--nodedir=${prefix}`] : [];
}

function compile() {
  const gyp = process.env.npm_config_node_gyp;
  if (gyp === undefined || !existsSync(gyp)) return "node-gyp is not there; npm brings it along";
  const args = [gyp, "rebuild", "--directory", folder, ...headers()];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  if (status === 0 && loads(built)) return null;
  const lines = (stderr ?? "").split("\n");
  const line = lines.find((one) => /error:|ERR! (stack|find)/.test(one)) ?? "it does not load";
  return line.replace(/^.*ERR! (stack )?/, "").trim();
}

function outcome() {
  if (process.env.ASYNCSOCKET_NATIVE === "0") return "not built: ASYNCSOCKET_NATIVE=0";
  if (!["linux", "darwin"].includes(process.platform)) return `not built: there is none for ${process.platform}`;
  if (loads(prebuilt)) return "prebuilt";
  const problem = compile();
  return problem === null ? "compiled" : `not built, node:net does its work: ${problem}`;
}

console.log(`asyncsocket: native transport ${outcome()}`);
