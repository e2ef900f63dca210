// `npm run test:install` installs the package, as npm packs it, into empty folders: with a compiler, without one, with
// ASYNCSOCKET_NATIVE=0, and with a prebuilt addon; on this Node, and on the versions given. It fails where an installation does
// not come to the expected transport.

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { programOf } from "./runtime-programs.mjs";

const SYSTEM = ["/usr/local/bin", "/usr/bin", "/bin"];
/** The programs that npm needs to run a script. */
const BARE = ["sh", "env", "uname", "dirname", "sed"];

const PROGRAM = `
import { AsyncSocket } from "asyncsocket";
const listener = new AsyncSocket({ transport: process.argv[2] });
await listener.listen({ port: 0, host: "127.0.0.1" });
const client = await AsyncSocket.connect({ host: "127.0.0.1", port: listener.local.port, transport: process.argv[2] });
client.write("it works\\n");
const { value } = await listener.connections().next();
console.log(await value.readLine());
for (const socket of [client, value, listener]) socket.disconnect();
`;

const CASES = [
  { name: "with a compiler", says: /native transport compiled/, isNative: true },
  { name: "without a compiler", says: /not built, node:net does its work/, isNative: false, bare: true },
  { name: "with ASYNCSOCKET_NATIVE=0", says: /not built: ASYNCSOCKET_NATIVE=0/, isNative: false, env: "0" },
  {
    name: "without a compiler, prebuilt",
    says: /native transport prebuilt/,
    isNative: true,
    bare: true,
    prebuilt: true,
  },
];

function run(command, args, options) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8", ...options });
  return { isRight: status === 0, output: `${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}` };
}

function must(result) {
  if (!result.isRight) throw new Error(result.output);
  return result.output;
}

/** Packs a copy of the package, so that no prebuilt addon stays in this folder. */
function pack(folder, prebuilt) {
  const copy = join(folder, prebuilt ? "with" : "without");
  for (const name of ["package.json", "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "dist", "src", "native"]) {
    cpSync(name, join(copy, name), { recursive: true });
  }
  rmSync(join(copy, "native", "prebuilds"), { recursive: true, force: true });
  if (prebuilt) must(run(process.execPath, ["native/prebuild.mjs"], { cwd: copy }));
  const packed = must(run("npm", ["pack", "--ignore-scripts", "--silent"], { cwd: copy }));
  return join(copy, packed.trim().split("\n").at(-1));
}

/** Makes a folder of programs that has this Node, and no compiler. */
function bareFolder(folder, node) {
  mkdirSync(folder);
  symlinkSync(node, join(folder, "node"));
  for (const name of BARE) symlinkSync(must(run("which", [name])).trim(), join(folder, name));
  return folder;
}

/** @returns what is wrong, or null */
function problemOf(node, npm, { says, isNative, bare, env, prebuilt }, folder, packages) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(join(folder, "program.mjs"), PROGRAM);
  const programs = bare ? [bareFolder(join(folder, "bin"), node)] : [dirname(node), ...SYSTEM];
  const PATH = programs.join(delimiter);
  const environment = { ...process.env, PATH, ...(env === undefined ? {} : { ASYNCSOCKET_NATIVE: env }) };
  const options = { cwd: folder, env: environment };
  const tarball = prebuilt ? packages.prebuilt : packages.plain;
  const installed = run(node, [npm, "install", "--foreground-scripts", "--no-audit", "--no-fund", tarball], options);
  if (!installed.isRight || !says.test(installed.output)) return `npm install said: ${installed.output}`;
  const auto = run(node, ["program.mjs", "auto"], options);
  if (!auto.output.includes("it works")) return `transport "auto": ${auto.output}`;
  const native = run(node, ["program.mjs", "native"], options);
  if (native.output.includes("it works") === isNative) return null;
  return `transport "native" was expected to be ${isNative ? "there" : "missing"}: ${native.output}`;
}

const { positionals } = parseArgs({ allowPositionals: true });
const folder = mkdtempSync(join(tmpdir(), "asyncsocket-install-"));
const npm = must(run("npm", ["root", "--global", "--silent"])).trim();
const cli = join(npm, "npm", "bin", "npm-cli.js");
let failed = 0;
try {
  const packages = { plain: pack(folder, false), prebuilt: pack(folder, true) };
  for (const version of ["", ...positionals]) {
    const node = version === "" ? process.execPath : resolve(programOf(`node-${version}`));
    for (const one of CASES) {
      const problem = problemOf(node, cli, one, join(folder, "install"), packages);
      const release = run(node, ["--version"]).output.trim();
      console.log(
        `${problem === null ? "ok    " : "FAILED"} ${release} ${one.name}${problem === null ? "" : `: ${problem}`}`,
      );
      if (problem !== null) failed++;
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(failed === 0 ? 0 : 1);
