// `npm run addons` compiles the addon for every platform that it is published for, into build/addons: with zig, which brings the C
// libraries of all of them, as a cross compiler. Each is compiled twice, in different folders, and has to come to the same bytes;
// what it needs and exports is looked at; and where this machine can run it, by itself or by an emulator, it is run.
// --only NAME,… takes only the platforms named.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { PLATFORMS, thisPlatform } from "#dist/transport/native/platforms.js";
import { compile } from "../native/compile.mjs";
import { problemOf } from "./addon-format.mjs";
import { layOut } from "./packages.mjs";
import { programOf } from "./runtime-programs.mjs";

const FOLDER = join("build", "addons");
/** The oldest glibc 2 that the addons work with: that of Node 20's own builds. */
const GLIBC = 28;
const COMPILE_MS = 15 * 60_000;
const RUN_MS = 120_000;
/** Where Debian's packages of arm64 libraries are, for programs under an emulator. */
const ARM64_LIBRARIES = "/usr/aarch64-linux-gnu";

function targetOf({ os, cpu, libc }) {
  const processor = cpu === "x64" ? "x86_64" : "aarch64";
  if (os === "darwin") return `${processor}-macos.11.0`;
  return `${processor}-linux-${libc === "glibc" ? `gnu.2.${GLIBC}` : "musl"}`;
}

/** Only what Node looks for is exported: the addon has a C++ library of its own, which must not mix with that of others. */
function linkingFlags({ os }, folder) {
  const sections = ["-s", "-ffunction-sections", "-fdata-sections"];
  // A library for macOS has its own path inside, unless it is given another name.
  if (os === "darwin") return [...sections, "-install_name", "@rpath/asyncsocket.node"];
  const list = join(folder, "exports.map");
  writeFileSync(list, "{ global: napi_register_module_v1; node_api_module_get_api_version_v1; local: *; };\n");
  return [...sections, "-Wl,--gc-sections", `-Wl,--version-script=${list}`];
}

/** Compiles a copy of the sources, in a folder of its own. @returns the bytes */
function build(zig, platform) {
  const folder = mkdtempSync(join(tmpdir(), "asyncsocket-addon-"));
  try {
    cpSync("native", folder, { recursive: true, filter: (from) => from !== join("native", "build") });
    const output = join(folder, "asyncsocket.node");
    const problem = compile([zig, "c++", "-target", targetOf(platform)], output, {
      from: folder,
      os: platform.os,
      extra: linkingFlags(platform, folder),
      timeoutMs: COMPILE_MS,
      // The libraries are kept for the next time, what is made of our sources is not.
      env: { ZIG_GLOBAL_CACHE_DIR: resolve("node_modules/.cache/zig"), ZIG_LOCAL_CACHE_DIR: join(folder, "cache") },
    });
    if (problem !== null) throw new Error(`${platform.name}: ${problem}`);
    return readFileSync(output);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @returns the file of the addon */
function make(zig, platform) {
  const bytes = build(zig, platform);
  if (!bytes.equals(build(zig, platform))) throw new Error(`${platform.name}: compiled twice, it has different bytes`);
  const file = join(FOLDER, platform.name, "asyncsocket.node");
  mkdirSync(join(FOLDER, platform.name), { recursive: true });
  writeFileSync(file, bytes);
  const problem = problemOf(file, platform, GLIBC);
  if (problem !== null) throw new Error(`${file}: ${problem}`);
  return file;
}

/** @returns the command that runs Node on a platform; a string that says why there is none */
function nodeFor({ name }) {
  if (name === thisPlatform()?.name) return [process.execPath];
  if (name !== "linux-arm64-gnu") return "no such Node is to be had here";
  const emulator = "qemu-aarch64-static";
  if (spawnSync(emulator, ["--version"]).status !== 0) return `${emulator} is not there (Debian: qemu-user-static)`;
  if (!existsSync(ARM64_LIBRARIES)) return `${ARM64_LIBRARIES} is not there (Debian: libstdc++6-arm64-cross)`;
  return [emulator, "-L", ARM64_LIBRARIES, programOf("node-arm64")];
}

/** Runs a program over the addon. @returns what came of it */
async function run(platform, file) {
  const node = nodeFor(platform);
  if (typeof node === "string") return `NOT RUN: ${node}`;
  const folder = mkdtempSync(join(tmpdir(), "asyncsocket-smoke-"));
  try {
    await layOut(new Map([[platform.name, file]]), join(folder, "node_modules"));
    cpSync("scripts/smoke.mjs", join(folder, "smoke.mjs"));
    const [command, ...args] = [...node, "smoke.mjs", "native"];
    const env = { ...process.env, ASYNCSOCKET_ADDON: undefined };
    const { status, stdout, stderr } = spawnSync(command, args, {
      cwd: folder,
      encoding: "utf8",
      timeout: RUN_MS,
      env,
    });
    if (status === 0 && stdout.includes("it works") && stdout.includes("it moves")) return "runs";
    throw new Error(`${platform.name} was expected to work and to move: ${stdout}${stderr}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const { values } = parseArgs({
  options: { only: { type: "string", default: PLATFORMS.map(({ name }) => name).join() } },
});
const names = values.only.split(",");
const unknown = names.find((name) => PLATFORMS.every((one) => one.name !== name));
if (unknown !== undefined) {
  throw new RangeError(`Expected one of ${PLATFORMS.map(({ name }) => name).join(", ")}, got ${unknown}`);
}
if (process.platform !== "linux" || process.arch !== "x64") {
  console.error("SKIPPED: the compiler is for linux-x64");
  process.exit(0);
}

rmSync(FOLDER, { recursive: true, force: true });
const zig = programOf("zig");
const sums = [];
for (const platform of PLATFORMS.filter(({ name }) => names.includes(name))) {
  const file = make(zig, platform);
  const sum = createHash("sha256").update(readFileSync(file)).digest("hex");
  sums.push(`${sum}  ${platform.name}/asyncsocket.node\n`);
  const size = `${Math.round(statSync(file).size / 1000)} kB`;
  console.log(`${platform.name.padEnd(18)} ${size.padStart(7)}  ${sum}  twice the same; ${await run(platform, file)}`);
}
writeFileSync(join(FOLDER, "SHA256SUMS"), sums.join(""));
