// `npm run sanitize` tests the native transport under AddressSanitizer and UndefinedBehaviorSanitizer (its own tests, those of run
// loops and the conformance suite), and under valgrind (the tests of the addon). It builds copies of the addon; the one in
// use stays as it is. It needs Linux and g++.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const FOLDER = "node_modules/.cache/sanitize";
const FLAGS = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"];
const WARNINGS = ["-Wall", "-Wextra", "-Werror"];
/** The transports of the conformance tests in which the addon has no part. */
const WITHOUT_ADDON = [
  "memory",
  "memory, one byte a chunk",
  "TCP over IPv6",
  "streams, on the accepted side",
  "TLSv1.2",
  "TLSv1.3",
];
/** The tests of the addon alone. */
const ADDON = "build/test/native/addon.test.js";

function there(command) {
  return spawnSync("which", [command]).status === 0;
}

function skip(why) {
  console.error(`SKIPPED: ${why}`);
  process.exit(0);
}

function run(title, command, args, env) {
  console.error(`— ${title}`);
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: "utf8",
    env: { ...process.env, ...env },
    maxBuffer: 2 ** 28,
  });
  const counts = [...stdout.matchAll(/^# (tests|pass|fail|skipped) (\d+)$/gm)].map(([, what, n]) => `${what} ${n}`);
  console.error(counts.join(", "));
  if (status === 0) return;
  const failures = stdout.split("\n").filter((line) => /^ *not ok/.test(line));
  console.error([...failures, stderr, stdout.split("\n").slice(-40).join("\n")].join("\n"));
  process.exit(1);
}

/** The folder with the headers of this Node: beside the program, or where npm is configured to look. */
function headers() {
  const places = [dirname(dirname(process.execPath)), process.env.npm_config_nodedir ?? ""];
  return places.map((place) => join(place, "include", "node")).find((place) => existsSync(join(place, "node_api.h")));
}

function build(name, flags) {
  mkdirSync(FOLDER, { recursive: true });
  const output = join(FOLDER, `${name}.node`);
  const common = ["-std=c++17", "-fPIC", "-shared", "-DNAPI_VERSION=8", "-DNODE_GYP_MODULE_NAME=asyncsocket"];
  const args = [...common, ...WARNINGS, ...flags, `-I${headers()}`, "native/asyncsocket.cc", "-o", output];
  const { status, stderr } = spawnSync("g++", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return resolve(output);
}

function testFiles(folder) {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".test.js"))
    .map((name) => join(folder, name));
}

if (process.platform !== "linux") skip("this is for Linux");
if (!there("g++")) skip("there is no g++");
if (headers() === undefined) skip("the headers of this Node are not installed");

const asan = spawnSync("g++", ["-print-file-name=libasan.so"], { encoding: "utf8" }).stdout.trim();
const ubsan = spawnSync("g++", ["-print-file-name=libubsan.so"], { encoding: "utf8" }).stdout.trim();
const sanitized = {
  ASYNCSOCKET_ADDON: build("sanitized", FLAGS),
  LD_PRELOAD: `${asan} ${ubsan}`,
  // Node itself leaks memory when it exits, and allocates more at once than the sanitizer accepts by default.
  ASAN_OPTIONS: "detect_leaks=0:allocator_may_return_null=1",
  UBSAN_OPTIONS: "print_stacktrace=1",
  ASYNCSOCKET_LEFT_OUT: JSON.stringify(
    Object.fromEntries(WITHOUT_ADDON.map((kind) => [kind, "the addon has no part in it"])),
  ),
};
const runner = ["--test", "--test-concurrency=3", "--test-timeout=300000", "--test-reporter=tap"];
const all = ["native", "loops", "conformance"].flatMap((folder) => testFiles(`build/test/${folder}`));
run("AddressSanitizer, UndefinedBehaviorSanitizer", process.execPath, [...runner, ...all], sanitized);

if (!there("valgrind")) skip("there is no valgrind");
const checked = { ASYNCSOCKET_ADDON: build("valgrind", ["-g", "-O1"]) };
const options = ["--error-exitcode=9", "--leak-check=no", "--num-callers=30", "--quiet"];
// Node's own use of undefined values is not reported, because only the addon is tested.
const suppress = ["--undef-value-errors=no"];
run("valgrind", "valgrind", [...options, ...suppress, process.execPath, ...["--test-reporter=tap"], ADDON], checked);
rmSync(FOLDER, { recursive: true });
