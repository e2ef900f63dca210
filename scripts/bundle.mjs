// `node scripts/bundle.mjs FOLDER` puts into FOLDER what `npm pack` packs as `dist`: few files in place of one for each module, so
// that loading takes a third of the CPU time. Its entries are those that "exports" and "bin" of package.json name.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { transform } from "esbuild";
import { rollup } from "rollup";
import { dts } from "rollup-plugin-dts";
import { commonJsTypes } from "./commonjs-types.mjs";

/** Entries as paths without ending, below dist: "index", "testing/index". Programs have no types. */
const { bin, exports } = JSON.parse(readFileSync("package.json", "utf8"));
const described = Object.values(exports).filter((one) => one.default !== undefined);
const nameOf = (file) => file.replace(/^\.\/dist\/|\.js$/g, "");
const nameOfEntry = (entry) => nameOf(entry.default.default ?? entry.default);
const entries = described.map(nameOfEntry);
const required = described.filter((entry) => entry.require !== undefined).map(nameOfEntry);
const programs = Object.values(bin).map(nameOf);

const external = (id) => isBuiltin(id);

/** Reads a compiled module together with its source map, and its source in there: the package has no other copy of it. */
const sources = {
  name: "sources",
  load(file) {
    const map = JSON.parse(readFileSync(`${file}.map`, "utf8"));
    const sourcesContent = map.sources.map((one) => readFileSync(resolve(dirname(file), one), "utf8"));
    return { code: readFileSync(file, "utf8"), map: { ...map, sourcesContent } };
  },
  resolveImportMeta(property, { format }) {
    return format === "cjs" && property === "url" ? `require("node:url").pathToFileURL(__filename).href` : null;
  },
};

/** Takes comments and white space out. Names stay, so that stacks can be read. */
const small = {
  name: "small",
  renderChunk: (code, _chunk, { sourcemap }) =>
    transform(code, { target: "node20", minifyWhitespace: true, minifySyntax: true, sourcemap }),
};

/** The chunks stand beside the file of a run loop's thread, which the library looks for in its own folder. */
async function writeCode(folder, names, { format, ending, sourcemap }) {
  const input = Object.fromEntries(names.map((name) => [name, `dist/${name}.js`]));
  const code = await rollup({ input, plugins: [sources, small], external });
  const [entryFileNames, chunkFileNames] = [`[name].${ending}`, `threads/asyncsocket-[hash].${ending}`];
  await code.write({ dir: folder, format, entryFileNames, chunkFileNames, sourcemap });
}

/** That a public type uses one which is not exported is meant: nobody has to name it. One entry has no types at all. */
function onLog(_level, { code, message }) {
  if (code !== "EMPTY_BUNDLE" && !message.includes("private shared type")) console.error(message);
}

async function writeTypes(folder) {
  const input = Object.fromEntries(entries.map((name) => [name, resolve(`dist/${name}.d.ts`)]));
  const types = await rollup({ input, plugins: [dts()], external, onLog });
  await types.write({ dir: folder, format: "es", entryFileNames: "[name].d.ts", chunkFileNames: "types-[hash].d.ts" });
  for (const name of required) {
    const file = join(folder, `${name}.d.ts`);
    const values = Object.keys(await import(pathToFileURL(resolve(folder, `${name}.js`)).href));
    writeFileSync(file.replace(/ts$/, "cts"), commonJsTypes(file, values));
  }
}

export async function bundle(folder) {
  rmSync(folder, { recursive: true, force: true });
  await writeCode(folder, [...entries, ...programs], { format: "es", ending: "js", sourcemap: true });
  // For programs that have a `require` of their own, such as Jest, and cannot load ES modules by it, as Node can.
  await writeCode(folder, required, { format: "cjs", ending: "cjs", sourcemap: false });
  await writeTypes(folder);
}

const [folder] = process.argv.slice(2);
if (import.meta.filename === resolve(process.argv[1] ?? "") && folder !== undefined) await bundle(folder);
