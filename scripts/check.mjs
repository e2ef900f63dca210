// `npm test` checks format and lint, and then runs all tests (one of them checks the package); the last lines are the test
// runner's own count. The build has checked the types before. The first check that fails ends the run. With files
// (`test/pump/text.test.ts`) only those files are run; with --watch they are run again whenever something changes. Other
// arguments are passed on to the test runner.

import { spawn, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";

const shell = process.platform === "win32";

function run(title, command, args) {
  console.error(`— ${title}`);
  const { status } = spawnSync(command, args, { stdio: "inherit", shell });
  if (status !== 0) process.exit(status ?? 1);
}

function testFiles(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith(".test.js"))
    .map((name) => join(folder, name))
    .sort();
}

/** A test file may be given by its source (.ts) or by its compiled file (.js). */
function compiled(given) {
  return given.endsWith(".ts") ? join("build", given.replace(/\.ts$/, ".js")) : given;
}

const given = process.argv.slice(2).filter((one) => one !== "--watch");
const watches = process.argv.includes("--watch");
const isFiles = given.some((one) => !one.startsWith("-"));
if (given.length === 0 && !watches) {
  run("format", "npx", ["prettier", "--check", "--log-level", "warn", "."]);
  run("lint", "npx", ["eslint", "."]);
}
// Three files run at a time on two cores, since many tests wait more than they work. Source maps make a failure name its line in
// TypeScript; they slow every file down, so the whole suite runs without them.
const runner = ["--test", "--test-concurrency=3", "--test-reporter=spec", ...(isFiles ? ["--enable-source-maps"] : [])];
const files = isFiles ? given.map(compiled) : [...given, ...testFiles("build/test")];
if (watches) {
  const compiler = spawn("npx", ["tsc", "-b", "--watch", "--preserveWatchOutput"], { stdio: "inherit", shell });
  process.on("exit", () => compiler.kill());
  run("tests", process.execPath, [...runner, "--watch", ...files]);
} else run("tests", process.execPath, [...runner, ...files]);
