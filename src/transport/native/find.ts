/** Finds the addon: the one that was built from source in this package's own folder, else the one prebuilt for the platform. */

import { existsSync, readFileSync } from "node:fs";
import nodeModule from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { inWords } from "../../base/errno.js";
import { here } from "../../base/here.js";
import { packageOf, thisPlatform } from "./platforms.js";

const BUILT = "native/build/Release/asyncsocket.node";
const BUILD = "`npx asyncsocket build-native` builds it where there is a C++ compiler";
const INSTALL = "Install the optional dependencies too, on the platform that runs them";

/** @returns the addon, or why there is none: the platform, what was looked for, and what to do */
export function findAddon(): object | string {
  if (process.env["ASYNCSOCKET_NATIVE"] === "0") return "ASYNCSOCKET_NATIVE=0 turns it off";
  // On these runtimes loading an addon can crash the process, so it is not even tried.
  if ("bun" in process.versions || "deno" in process.versions) return "this runtime loads no addons safely";
  if (!["linux", "darwin"].includes(process.platform))
    return `it is for Linux and macOS, and this is ${process.platform}`;
  if (here === undefined) return "asyncsocket cannot find its addon in a CommonJS bundle: mark it as external";
  // Written so, webpack leaves it alone; an imported `createRequire` it replaces by its own.
  const load = nodeModule.createRequire(here);
  // Whoever checks another build says where it is.
  const given = process.env["ASYNCSOCKET_ADDON"];
  if (given !== undefined) return tryToLoad(load, given) ?? `ASYNCSOCKET_ADDON=${given} is not there`;
  return search(load, dirname(fileURLToPath(here)));
}

function search(load: NodeJS.Require, folder: string): object | string {
  const problems: string[] = [];
  const root = ownFolder(folder);
  const built = root === null ? undefined : join(root, BUILT);
  if (built !== undefined && existsSync(built)) {
    const found = tryToLoad(load, built);
    if (typeof found === "object") return found;
    problems.push(`${BUILT} does not load: ${found ?? "it is gone"}`);
  } else if (built !== undefined) problems.push(`${BUILT} was not built`);

  const platform = thisPlatform();
  if (platform === undefined)
    return inSum(`${process.platform}-${process.arch}`, [...problems, "none is prebuilt"], BUILD);
  const name = packageOf(platform);
  const found = tryToLoad(load, name);
  if (typeof found === "object") return found;
  problems.push(found === undefined ? `the package ${name} is not installed` : `${name} does not load: ${found}`);
  return inSum(platform.name, problems, `${INSTALL}; or ${BUILD}`);
}

function inSum(platform: string, problems: readonly string[], advice: string): string {
  return `there is no addon for ${platform}: ${problems.join(", and ")}. ${advice}`;
}

/** @returns the addon, why it does not load, or undefined where it is not there */
function tryToLoad(load: NodeJS.Require, place: string): object | string | undefined {
  try {
    return load(place) as object;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND") return undefined;
    return inWords(error).split("\n", 1)[0] ?? "";
  }
}

/** The folder of this package; null where this code is part of a bundle, beside which no build of ours is looked for. */
function ownFolder(from: string): string | null {
  for (let folder = from; ; folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest)) {
      const { name } = JSON.parse(readFileSync(manifest, "utf8")) as { name?: unknown };
      // A file without a name only says how a folder's modules are read.
      if (name !== undefined) return name === "asyncsocket" ? folder : null;
    }
    if (folder === dirname(folder)) return null;
  }
}
