// Compiles the addon: for install.mjs on the machine of a user, and for the scripts that prebuild it and check it.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const folder = dirname(fileURLToPath(import.meta.url));

const COMMON = ["-std=c++17", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti"];
const DEFINES = ["-DNAPI_VERSION=8", "-DNODE_GYP_MODULE_NAME=asyncsocket"];

/** The options of a compiler like g++ or clang++ for an operating system. */
export function flagsFor(os) {
  return [...COMMON, ...DEFINES, ...(os === "darwin" ? ["-undefined", "dynamic_lookup"] : [])];
}

export function sources(from = folder) {
  const names = readdirSync(from).filter((name) => name.endsWith(".cc"));
  return names.sort().map((name) => join(from, name));
}

/** The folder with the headers of this Node: beside the program, where npm is told to look, or where node-gyp keeps them. */
export function headers() {
  const kept = process.platform === "darwin" ? "Library/Caches/node-gyp" : ".cache/node-gyp";
  const places = [
    dirname(dirname(process.execPath)),
    process.env.npm_config_nodedir ?? "",
    join(homedir(), kept, process.versions.node),
  ];
  return places.map((place) => join(place, "include", "node")).find((place) => existsSync(join(place, "node_api.h")));
}

/**
 * Compiles what is in the folder `from`. `env` and `extra` are added to the environment and to the flags.
 * @returns what went wrong, in a line; null if nothing did
 */
export function compile([command, ...args], output, options) {
  const { from, os = process.platform, timeoutMs, env, extra = [] } = options;
  const include = headers();
  if (include === undefined) return "the headers of this Node (node_api.h) are not there";
  const given = [...args, ...flagsFor(os), ...extra, `-I${include}`, ...sources(from), "-o", output];
  const child = {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    timeout: timeoutMs,
    env: { ...process.env, ...env },
  };
  const { status, stderr, error } = spawnSync(command, given, child);
  if (error?.code === "ETIMEDOUT") return `${command} took more than ${timeoutMs / 1000} seconds`;
  if (error !== undefined) return `${command} cannot be run (${error.code ?? error.message})`;
  if (status === 0) return null;
  const lines = stderr.split("\n");
  return (lines.find((line) => /error:/.test(line)) ?? lines[0] ?? "").trim() || `${command} ended with ${status}`;
}
