// `npm test`: format, lint and package checks, then all tests, which end in the runner's own count. Types were checked
// by the build. The first check that fails ends it. With files (`test/pump/text.test.ts`) only those are run, and with
// --watch again whenever something changes; other arguments are passed on to the test runner.

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

/** A test is named by its source or by what became of it. */
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
// Two files at a time: tests count handles and CPU, and a machine may have two cores. Source maps name the line in
// TypeScript where a test failed; all tests together would pay for them without need.
const runner = ["--test", "--test-concurrency=2", "--test-reporter=spec", ...(isFiles ? ["--enable-source-maps"] : [])];
const files = isFiles ? given.map(compiled) : [...given, ...testFiles("build/test")];
if (watches) {
  const compiler = spawn("npx", ["tsc", "-b", "--watch", "--preserveWatchOutput"], { stdio: "inherit", shell });
  process.on("exit", () => compiler.kill());
  run("tests", process.execPath, [...runner, "--watch", ...files]);
} else run("tests", process.execPath, [...runner, ...files]);
