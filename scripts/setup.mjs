// Installs the npm packages if they are missing or older than the lock file, so that `npm start` and `npm test` work on a fresh
// clone, and compiles the addon if its sources have changed. Where nothing has changed this costs almost nothing.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

const LOCK = "package-lock.json";
const INSTALLED = "node_modules/.package-lock.json";

const isInstalled = existsSync(INSTALLED) && statSync(INSTALLED).mtimeMs >= statSync(LOCK).mtimeMs;
if (!isInstalled) {
  console.error("Installing the npm packages (once) …");
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const { status } = spawnSync(npm, ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

const ADDON = "native/build/Release/asyncsocket.node";
const sources = readdirSync("native").filter((name) => /\.(cc|h)$/.test(name));
const builtAt = existsSync(ADDON) ? statSync(ADDON).mtimeMs : 0;
const isStale = sources.some((name) => builtAt < statSync(join("native", name)).mtimeMs);
if (isStale && process.env.ASYNCSOCKET_NATIVE !== "0") {
  spawnSync(process.execPath, ["native/install.mjs"], { stdio: "inherit" });
}
