// `npm run test:bundlers` packs the package, installs it into a folder, and makes programs of it by each bundler, test runner and
// compiler of TypeScript. Each program has to echo, to say whether it has the native transport, and to serve on a run loop or say
// what to configure. The tools are installed once, into the cache of this folder.

import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { packageOf, thisPlatform } from "#dist/transport/native/platforms.js";
import { BUNDLES, RUNNERS, TYPESCRIPTS } from "./bundler-cases.mjs";
import { FILES } from "./bundler-files.mjs";
import { packOwn } from "./packages.mjs";
import { runProgram } from "./run-program.mjs";

const BUILT = "native/build/Release/asyncsocket.node";
const TOOLS = {
  "@rollup/plugin-node-resolve": "16",
  "@vercel/ncc": "0.45",
  jest: "30",
  postject: "1.0.0-alpha.6",
  "ts-node": "10",
  tsx: "4",
  typescript54: "npm:typescript@5.4",
  typescript56: "npm:typescript@5.6",
  vite: "8",
  vitest: "4",
  webpack: "5",
};
/** They wait for each other's output more than they work, and a small machine has two cores. */
const AT_ONCE = 3;

const ADVICE = /asyncsocket is part of a bundle that lacks its file for threads/;
const hasAddon = existsSync(BUILT) && thisPlatform() !== undefined;

/** @returns what the command printed; throws that where it fails */
function run(command, cwd) {
  return runProgram(command, { cwd, env: { ...process.env, CI: "1" }, timeout: 120_000 });
}

/** @returns the folder of the tools' packages */
async function installTools() {
  const folder = resolve("node_modules", ".cache", "bundlers");
  const manifest = JSON.stringify({ private: true, dependencies: TOOLS }, null, 2);
  const file = join(folder, "package.json");
  const done = join(folder, "installed.json");
  if (existsSync(done) && readFileSync(done, "utf8") === manifest) return join(folder, "node_modules");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, manifest);
  await run(["npm", "install", "--no-audit", "--no-fund", "--loglevel", "error"], folder);
  writeFileSync(done, manifest);
  return join(folder, "node_modules");
}

/** Lays out a user's folder: the package, the addon's package, and the user's own files. */
async function layOut(folder, tools) {
  const { tarball } = await packOwn(join(folder, "packed"));
  const user = join(folder, "user");
  const own = join(user, "node_modules", "asyncsocket");
  mkdirSync(own, { recursive: true });
  await run(["tar", "xzf", tarball, "-C", own, "--strip-components", "1"], folder);
  if (hasAddon) {
    const native = join(user, "node_modules", packageOf(thisPlatform()));
    mkdirSync(native, { recursive: true });
    writeFileSync(join(native, "package.json"), '{ "version": "0.1.0", "main": "asyncsocket.node" }');
    cpSync(BUILT, join(native, "asyncsocket.node"));
  }
  mkdirSync(join(user, "node_modules", "@types"));
  symlinkSync(resolve("node_modules/@types/node"), join(user, "node_modules", "@types", "node"));
  for (const name of ["typescript54", "vitest"]) symlinkSync(join(tools, name), join(user, "node_modules", name));
  for (const [name, content] of Object.entries(FILES)) writeFileSync(join(user, name), content);
  return user;
}

function expect(output, pattern) {
  if (!pattern.test(output)) throw new Error(`expected ${pattern}, got:\n${output}`);
}

/** Runs what a bundler has made. Taken away from the user's packages, it has to do without the addon. */
async function tryBundle(user, { program, worker, isExecutable, isBound }) {
  const start = (file) => (isExecutable ? [file] : [process.execPath, file]);
  const file = join(user, program);
  const output = await run([...start(file), join(user, worker ?? "worker.mjs")], user);
  expect(output, /^echo: hello$/m);
  expect(output, hasAddon ? /^native: yes$/m : /^native: there is no addon for /m);
  expect(output, worker !== undefined || isBound ? /^loop: hello$/m : ADVICE);
  if (isBound) return;
  const alone = mkdtempSync(join(tmpdir(), "asyncsocket-alone-"));
  try {
    cpSync(dirname(file), alone, { recursive: true });
    const lonely = await run([...start(join(alone, basename(file))), "/nowhere.mjs"], alone);
    expect(lonely, /^echo: hello$/m);
    expect(lonely, /^native: there is no addon for .* is not installed/m);
  } finally {
    rmSync(alone, { recursive: true, force: true });
  }
}

async function check({ name, task }) {
  const from = performance.now();
  const problem = await task().then(
    () => null,
    (error) => error.message,
  );
  if (problem !== null) process.exitCode = 1;
  const seconds = ((performance.now() - from) / 1000).toFixed(1);
  console.log(
    `${problem === null ? "ok    " : "FAILED"} ${name} (${seconds} s)${problem === null ? "" : `: ${problem}`}`,
  );
}

const folder = mkdtempSync(join(tmpdir(), "asyncsocket-bundlers-"));
try {
  const tools = await installTools();
  const user = await layOut(folder, tools);
  const place = { tools, user, own: resolve("node_modules"), run: (command) => run(command, user) };
  const bundles = BUNDLES.map((one) => ({
    name: one.name,
    task: async () => {
      await one.make(place);
      await tryBundle(user, one);
    },
  }));
  const runners = [...RUNNERS, ...TYPESCRIPTS].map((one) => ({
    name: one.name,
    task: async () => expect(await place.run(one.command(place)), one.says ?? /^/),
  }));
  const only = process.argv[2];
  const waiting = [...bundles, ...runners].filter(({ name }) => only === undefined || name.includes(only));
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await check(next);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
