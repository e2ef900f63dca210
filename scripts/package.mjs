// Before `npm pack` in this folder, `dist` is made anew, and becomes the few files of `bundle.mjs`. Afterwards (--undo) it is removed,
// and the next build compiles the modules again. What is published is laid out elsewhere: `packages.mjs`.

import { spawnSync } from "node:child_process";
import { existsSync, renameSync, rmSync } from "node:fs";
import { bundle } from "./bundle.mjs";

async function swap() {
  rmSync("dist", { recursive: true, force: true });
  for (const script of [["scripts/setup.mjs"], ["node_modules/typescript/bin/tsc", "-b"]]) {
    const { status } = spawnSync(process.execPath, script, { stdio: ["ignore", 2, 2] });
    if (status !== 0) process.exit(status ?? 1);
  }
  await bundle("build/bundle");
  rmSync("dist", { recursive: true });
  renameSync("build/bundle", "dist");
}

if (!process.argv.includes("--undo")) await swap();
else if (existsSync("dist/index.cjs")) rmSync("dist", { recursive: true });
