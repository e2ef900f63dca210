// `npm test`: format, lint and package checks, then all tests, which end in the runner's own count. Types were checked
// by the build. The first check that fails ends it. Arguments are passed on to the test runner: files, or its options.

import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";

function run(title, command, args) {
  console.error(`— ${title}`);
  const { status } = spawnSync(command, args, { stdio: "inherit", shell: process.platform === "win32" });
  if (status !== 0) process.exit(status ?? 1);
}

function testFiles(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith(".test.js"))
    .map((name) => join(folder, name))
    .sort();
}

const given = process.argv.slice(2);
if (given.length === 0) {
  run("format", "npx", ["prettier", "--check", "--log-level", "warn", "."]);
  run("lint", "npx", ["eslint", "."]);
}
// One file at a time: tests count handles and CPU, and a machine may have two cores.
const runner = ["--test", "--test-concurrency=2", "--test-reporter=spec"];
run("tests", process.execPath, [...runner, ...(given.length === 0 ? testFiles("build/test") : given)]);
