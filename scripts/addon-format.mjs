// What is inside a compiled addon, of whatever platform: what it needs of the system, and what it exports.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

const MACHINES = { x64: "Advanced Micro Devices X86-64", arm64: "AArch64" };

function readelf(option, file) {
  const { status, stdout, error } = spawnSync("readelf", [option, "--wide", file], { encoding: "utf8" });
  if (error !== undefined) throw new Error("readelf is needed to look at the addons; on Debian it is in binutils");
  if (status !== 0) throw new Error(`${file} is no ELF file`);
  return stdout;
}

function describeElf(file) {
  const symbols = [...readelf("--dyn-syms", file).matchAll(/ (?:GLOBAL|WEAK) +\S+ +(\S+) (\S+)$/gm)];
  const machine = /Machine: +(.*)/.exec(readelf("--file-header", file))?.[1].trim();
  return {
    cpu: Object.keys(MACHINES).find((cpu) => MACHINES[cpu] === machine),
    needs: [...readelf("--dynamic", file).matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, name]) => name),
    exports: symbols.filter(([, section]) => section !== "UND").map(([, , name]) => name),
    imports: symbols.filter(([, section]) => section === "UND").map(([, , name]) => name),
    isSigned: false,
  };
}

const CPU_OF_MACH_O = { 0x01000007: "x64", 0x0100000c: "arm64" };
const MACH_O_64 = 0xfeedfacf;
const SYMBOLS = 0x2;
const DYLIB = 0xc;
const SIGNATURE = 0x1d;

function textAt(bytes, at) {
  return bytes.toString("latin1", at, bytes.indexOf(0, at));
}

/** The global symbols of a symbol table, which its load command at `at` tells of. */
function machOSymbols(bytes, at) {
  const [first, count, names] = [8, 12, 16].map((offset) => bytes.readUInt32LE(at + offset));
  const symbols = Array.from({ length: count }, (_, index) => {
    const entry = first + 16 * index;
    // Names in C have an underscore in front there.
    const name = textAt(bytes, names + bytes.readUInt32LE(entry)).replace(/^_/, "");
    return { name, isGlobal: (bytes[entry + 4] & 1) !== 0, isDefined: (bytes[entry + 4] & 0xe) !== 0 };
  });
  return symbols.filter(({ isGlobal }) => isGlobal);
}

function describeMachO(file) {
  const bytes = readFileSync(file);
  if (bytes.readUInt32LE(0) !== MACH_O_64) throw new Error(`${file} is no Mach-O file`);
  const found = { cpu: CPU_OF_MACH_O[bytes.readUInt32LE(4)], needs: [], exports: [], imports: [], isSigned: false };
  for (let at = 32, left = bytes.readUInt32LE(16); left > 0; left--) {
    const command = bytes.readUInt32LE(at);
    if (command === DYLIB) found.needs.push(textAt(bytes, at + bytes.readUInt32LE(at + 8)));
    else if (command === SIGNATURE) found.isSigned = true;
    else if (command === SYMBOLS) {
      for (const { name, isDefined } of machOSymbols(bytes, at)) (isDefined ? found.exports : found.imports).push(name);
    }
    at += bytes.readUInt32LE(at + 4);
  }
  return found;
}

/** What a platform's system has. */
function allowedNeeds({ os, libc }) {
  if (os === "darwin") return /^\/usr\/lib\/libSystem\.B\.dylib$/;
  return libc === "musl" ? /^libc\.so$/ : /^(lib(c|m|pthread|dl)\.so\.\d|ld-linux-.*)$/;
}

/** @returns what is wrong with the addon of a platform; null if nothing is */
export function problemOf(file, platform, glibc) {
  const { cpu, needs, exports, imports, isSigned } = platform.os === "darwin" ? describeMachO(file) : describeElf(file);
  if (cpu !== platform.cpu) return `it is for ${cpu}`;
  const foreign = needs.find((name) => !allowedNeeds(platform).test(name));
  if (foreign !== undefined) return `it needs ${foreign}`;
  if (!exports.includes("napi_register_module_v1")) return "Node would not find its beginning";
  const newest = Math.max(0, ...imports.map((name) => Number(/@+GLIBC_2\.(\d+)/.exec(name)?.[1] ?? 0)));
  if (newest > (platform.libc === "glibc" ? glibc : 0)) return `it needs glibc 2.${newest}`;
  if (platform.os === "darwin" && platform.cpu === "arm64" && !isSigned) return "macOS loads nothing unsigned";
  return null;
}
