// The installers that `npm run test:install` tries, which come from the npm registry and stay in the cache of this folder. Each
// installs the package from the registry given, with install scripts off.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { programOf } from "./runtime-programs.mjs";

const CACHE = resolve("node_modules", ".cache", "installers");
const PACKAGES = [
  "npm10@npm:npm@10",
  "npm11@npm:npm@11",
  "npm12@npm:npm@12",
  "pnpm@10",
  "yarn1@npm:yarn@1.22",
  "@yarnpkg/cli-dist@4",
];

function npm(version) {
  return {
    name: `npm ${version}`,
    // npm 12 does not run on Node 20.
    node: version === 12 ? "node-22" : undefined,
    program: `npm${version}/bin/npm-cli.js`,
    args: ({ url, cache }) => [
      "install",
      "--registry",
      url,
      "--cache",
      cache,
      "--ignore-scripts",
      "--no-audit",
      "--no-fund",
    ],
  };
}

function yarn4(linker) {
  return {
    name: `yarn 4, ${linker}`,
    program: "@yarnpkg/cli-dist/bin/yarn.js",
    args: () => ["install"],
    files: ({ url, cache }) => ({
      "yarn.lock": "",
      ".yarnrc.yml": [
        `nodeLinker: ${linker}`,
        `npmRegistryServer: "${url}"`,
        `globalFolder: "${cache}"`,
        'unsafeHttpWhitelist: ["127.0.0.1"]',
        "enableScripts: false",
        "enableTelemetry: false",
        "enableImmutableInstalls: false",
      ].join("\n"),
    }),
    runs: linker === "pnp" ? ["--require", "./.pnp.cjs", "--loader", "./.pnp.loader.mjs"] : [],
  };
}

/** `program`: a script for Node, or a file to run. `runs`: what Node needs to run a program there. */
export const INSTALLERS = [
  npm(10),
  npm(11),
  npm(12),
  {
    name: "pnpm 10",
    program: "pnpm/bin/pnpm.cjs",
    args: ({ url, cache }) => ["install", "--registry", url, "--store-dir", cache, "--ignore-scripts"],
  },
  {
    name: "yarn 1",
    program: "yarn1/bin/yarn.js",
    args: ({ url, cache }) => [
      "install",
      "--registry",
      url,
      "--cache-folder",
      cache,
      "--ignore-scripts",
      "--non-interactive",
    ],
  },
  yarn4("node-modules"),
  yarn4("pnp"),
  {
    name: "Bun",
    args: ({ url, cache }) => ["install", "--registry", url, "--cache-dir", cache, "--ignore-scripts"],
  },
];

/** Installs the installers, if they are missing. */
export function fetchInstallers() {
  if (existsSync(join(CACHE, "node_modules", "@yarnpkg"))) return;
  mkdirSync(CACHE, { recursive: true });
  // Another Node than npm 12 wants only stores it here.
  const options = [
    "--prefix",
    CACHE,
    "--no-save",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    "--loglevel",
    "error",
  ];
  spawnSync("npm", ["install", ...options, ...PACKAGES], { stdio: "inherit" });
}

/** @returns the command that runs an installer */
export function commandOf({ program, node, args }, place) {
  if (program === undefined) return [resolve(programOf("bun")), ...args(place)];
  const runner = node === undefined ? process.execPath : resolve(programOf(node));
  return [runner, join(CACHE, "node_modules", program), ...args(place)];
}
