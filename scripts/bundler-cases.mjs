// What `bundlers.mjs` tries: bundlers, and how their programs are run; test runners; compilers of TypeScript.

import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { build } from "esbuild";
import { rollup } from "rollup";

const { execPath } = process;
/** The file of a run loop's thread is one more entry, which shares its chunks with the others. */
const WITH_THREADS = { app: "app.mjs", worker: "worker.mjs", "run-loop-thread": "asyncsocket/run-loop-thread" };
/** What a program is without that entry. */
const ALONE = { app: "app.mjs" };

function byEsbuild({ user }, folder, options) {
  const outdir = folderOfModules(user, folder, options.format);
  const common = { absWorkingDir: user, bundle: true, platform: "node", target: "node20", logLevel: "error", outdir };
  return build({ entryPoints: ALONE, ...common, ...options });
}

async function byRollup({ tools, user }, folder, entries) {
  const { default: nodeResolve } = await import(join(tools, "@rollup/plugin-node-resolve/dist/es/index.js"));
  const input = Object.entries(entries).map(([name, file]) => [name, file.endsWith(".mjs") ? join(user, file) : file]);
  const plugins = [nodeResolve({ rootDir: user })];
  const made = await rollup({ input: Object.fromEntries(input), plugins, external: /^node:/ });
  await made.write({ dir: folderOfModules(user, folder, "esm"), format: "es" });
}

function byWebpack(tools, user) {
  const webpack = createRequire(join(tools, "x.js"))("webpack");
  const output = { path: join(user, "webpack"), filename: "app.cjs" };
  const options = { context: user, mode: "production", target: "node20", entry: "./app.mjs", output };
  return new Promise((done, fail) =>
    webpack(options, (error, stats) => {
      if (error !== null || stats.hasErrors()) fail(error ?? new Error(stats.toString()));
      else done();
    }),
  );
}

/** Makes a folder whose .js files are of that format. */
function folderOfModules(user, name, format) {
  const folder = join(user, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), `{ "type": "${format === "esm" ? "module" : "commonjs"}" }`);
  return folder;
}

/** Node's single executable: a bundle of CommonJS inside of a copy of Node. */
async function makeExecutable(place) {
  const { tools, user, run } = place;
  await byEsbuild(place, "sea", { format: "cjs", logOverride: { "empty-import-meta": "silent" } });
  await run([execPath, "--experimental-sea-config", "sea.json"]);
  cpSync(execPath, join(user, "sea", "program"));
  const fuse = ["--sentinel-fuse", "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2"];
  await run([execPath, join(tools, "postject/dist/cli.js"), "sea/program", "NODE_SEA_BLOB", "sea/app.blob", ...fuse]);
}

/**
 * For each bundler: how it is run, and the program that it makes. `worker`: the module of a run loop, where it is bundled as well.
 * `isBound`: the bundler writes into the program where the package was, and there the program finds it.
 */
export const BUNDLES = [
  {
    name: "esbuild, ES modules",
    program: "esbuild-esm/app.js",
    make: (place) => byEsbuild(place, "esbuild-esm", { format: "esm" }),
  },
  {
    name: "esbuild, CommonJS",
    program: "esbuild-cjs/app.js",
    make: (place) => byEsbuild(place, "esbuild-cjs", { format: "cjs", logOverride: { "empty-import-meta": "silent" } }),
  },
  {
    name: "esbuild, minified",
    program: "esbuild-min/app.js",
    make: (place) => byEsbuild(place, "esbuild-min", { format: "esm", minify: true }),
  },
  {
    name: "esbuild, with run loops",
    program: "esbuild-loops/app.js",
    worker: "esbuild-loops/worker.js",
    make: (place) => byEsbuild(place, "esbuild-loops", { entryPoints: WITH_THREADS, format: "esm", splitting: true }),
  },
  { name: "rollup", program: "rollup/app.js", make: (place) => byRollup(place, "rollup", ALONE) },
  {
    name: "rollup, with run loops",
    program: "rollup-loops/app.js",
    worker: "rollup-loops/worker.js",
    make: (place) => byRollup(place, "rollup-loops", WITH_THREADS),
  },
  {
    name: "Vite, for servers",
    program: "vite/app.mjs",
    make: ({ tools, run }) => run([execPath, join(tools, "vite/bin/vite.js"), "build"]),
  },
  {
    name: "webpack",
    program: "webpack/app.cjs",
    isBound: true,
    make: ({ tools, user }) => byWebpack(tools, user),
  },
  {
    name: "ncc",
    program: "ncc/index.mjs",
    make: ({ tools, run }) =>
      run([execPath, join(tools, "@vercel/ncc/dist/ncc/cli.js"), "build", "app.mjs", "-o", "ncc"]),
  },
  { name: "single executable", program: "sea/program", isExecutable: true, make: makeExecutable },
];

export const RUNNERS = [
  {
    name: "Jest",
    command: ({ tools }) => [execPath, join(tools, "jest/bin/jest.js"), "jest.test.js"],
    says: /1 passed/,
  },
  {
    name: "Vitest",
    command: ({ tools }) => [execPath, join(tools, "vitest/vitest.mjs"), "run", "vitest.test.mjs"],
    says: /1 passed/,
  },
  {
    name: "tsx",
    command: ({ tools }) => [execPath, join(tools, "tsx/dist/cli.mjs"), "typed-app.ts"],
    says: /echo: hello/,
  },
  {
    name: "ts-node",
    command: ({ tools, user }) => [
      execPath,
      join(tools, "ts-node/dist/bin.js"),
      "--compiler",
      join(user, "node_modules/typescript54"),
      "typed-app.ts",
    ],
    says: /echo: hello/,
  },
];

const CHECK = ["--noEmit", "--strict", "--target", "es2022", "--lib", "es2022", "--types", "node"];
/** Every way in which TypeScript finds the types of a package; `--lib` leaves the types of browsers out. */
const RESOLUTIONS = [
  ["--module", "commonjs", "--moduleResolution", "node10", "types.ts"],
  ["--module", "esnext", "--moduleResolution", "bundler", "types.ts"],
  ["--module", "node16", "types.mts", "types.cts"],
  ["--module", "nodenext", "types.mts", "types.cts"],
];

function compilers(version, path, more = []) {
  return RESOLUTIONS.map((resolution) => ({
    name: `TypeScript ${version} ${resolution.slice(0, -1).join(" ")}`,
    command: (place) => [execPath, join(path(place), "bin/tsc"), ...CHECK, ...more, ...resolution],
  }));
}

export const TYPESCRIPTS = [
  ...compilers("5.4", ({ tools }) => join(tools, "typescript54")),
  ...compilers("5.6", ({ tools }) => join(tools, "typescript56")).slice(-1),
  ...compilers("6.0", ({ own }) => join(own, "typescript"), ["--ignoreConfig", "--ignoreDeprecations", "6.0"]).slice(
    -2,
  ),
];
