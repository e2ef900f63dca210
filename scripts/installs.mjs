// `npm run test:install` installs the package as it is published, with its addon prebuilt for this platform, from a registry on
// loopback into empty folders: by several installers, whose install scripts are off. Then, with the registry gone, it runs a
// program there: on this Node, and for one of the installations on the versions given. Without the platform's package the program
// has to work too, and to say what to do; what it says to do is done then.

import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { packageOf, thisPlatform } from "#dist/transport/native/platforms.js";
import { commandOf, fetchInstallers, INSTALLERS } from "./installers.mjs";
import { serve } from "./local-registry.mjs";
import { packAll, prebuiltAddons } from "./packages.mjs";
import { runProgram } from "./run-program.mjs";
import { programOf } from "./runtime-programs.mjs";

const BUILT = "native/build/Release/asyncsocket.node";
/** Installers wait more than they work, and a small machine has two cores. */
const AT_ONCE = 3;

let failed = 0;

/** @returns what the command printed; throws that where it fails */
function run(command, cwd, env = {}) {
  // What npm has told this process about itself must not reach the installers.
  const own = Object.entries(process.env).filter(([name]) => !/^(npm_|ASYNCSOCKET_)/i.test(name));
  return runProgram(command, { cwd, env: { ...Object.fromEntries(own), CI: "1", ...env } });
}

async function check(name, task) {
  const from = performance.now();
  const problem = await task().then(
    () => null,
    (error) => error.message,
  );
  if (problem !== null) failed++;
  const seconds = ((performance.now() - from) / 1000).toFixed(1);
  console.log(
    `${problem === null ? "ok    " : "FAILED"} ${name} (${seconds} s)${problem === null ? "" : `: ${problem}`}`,
  );
}

/** Runs the program in an installation. @returns what it printed, which must have this in it */
async function works(
  folder,
  { node = process.execPath, runs = [], transport = "native", says = "native is available", env },
) {
  const output = await run([node, ...runs, "program.mjs", transport], folder, env);
  for (const words of [says, "it works", ...(transport === "native" ? ["it moves"] : [])]) {
    if (!output.includes(words)) throw new Error(`the program was expected to say "${words}": ${output}`);
  }
}

function emptyFolder(parent, name, version, files = {}) {
  const folder = join(parent, name.replace(/\W+/g, "-"));
  mkdirSync(folder);
  const manifest = { name: "user", type: "module", private: true, dependencies: { asyncsocket: version } };
  const all = { "package.json": JSON.stringify(manifest), ...files };
  for (const [file, content] of Object.entries(all)) writeFileSync(join(folder, file), content);
  cpSync("scripts/smoke.mjs", join(folder, "program.mjs"));
  return folder;
}

/** Takes from the queue until it is empty, so many at once. */
async function inParallel(queue, task) {
  const waiting = [...queue];
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await task(next);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** @returns the folder of each installation that succeeded, by its name */
async function installAll(parent, version, url) {
  const installed = new Map();
  const without = { ...INSTALLERS[0], name: "npm 10 without optional dependencies", more: ["--omit=optional"] };
  await inParallel([...INSTALLERS, without], async (installer) => {
    const place = { url, cache: join(parent, `cache of ${installer.name.split(",")[0]}`) };
    const folder = emptyFolder(parent, installer.name, version, installer.files?.(place));
    await check(`install: ${installer.name}`, async () => {
      await run([...commandOf(installer, place), ...(installer.more ?? [])], folder, { npm_config_registry: url });
      installed.set(installer.name, { folder, runs: installer.runs });
    });
  });
  return installed;
}

async function runAll(installed, versions) {
  await inParallel(INSTALLERS, async ({ name }) => {
    const { folder, runs } = installed.get(name) ?? {};
    if (folder !== undefined) await check(`native: ${name}`, () => works(folder, { runs }));
  });
  const { folder } = installed.get("npm 11") ?? {};
  if (folder === undefined) return;
  for (const version of versions) {
    await check(`native: Node ${version}`, () => works(folder, { node: resolve(programOf(`node-${version}`)) }));
  }
  const off = { says: "ASYNCSOCKET_NATIVE=0 turns it off", transport: "auto", env: { ASYNCSOCKET_NATIVE: "0" } };
  await check("ASYNCSOCKET_NATIVE=0", () => works(folder, off));
}

async function runWithout({ folder }, name) {
  const says = `the package ${name} is not installed`;
  await check("without the platform's package", () => works(folder, { says, transport: "auto" }));
  await check("built from source", async () => {
    await run([process.execPath, "node_modules/asyncsocket/dist/cli/main.js", "build-native"], folder);
    await works(folder, {});
  });
}

const { positionals } = parseArgs({ allowPositionals: true });
const platform = thisPlatform();
if (process.platform !== "linux" || platform === undefined || !existsSync(BUILT)) {
  console.error("SKIPPED: this takes Linux, and the addon, which is built where there is a C++ compiler");
  process.exit(0);
}
// npm run addons makes the real ones; without them the one of this machine stands in.
const addons = new Map([[platform.name, BUILT], ...prebuiltAddons()]);
const folder = mkdtempSync(join(tmpdir(), "asyncsocket-install-"));
try {
  fetchInstallers();
  const packages = await packAll(addons, join(folder, "packages"));
  const registry = await serve(packages);
  const installed = await installAll(folder, packages[0].manifest.version, registry.url);
  await registry.close();
  await runAll(installed, positionals);
  const without = installed.get("npm 10 without optional dependencies");
  if (without !== undefined) await runWithout(without, packageOf(platform));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failed === 0 ? 0 : 1;
