// `npm run NAME` builds what has changed, and runs one of the tasks below. `npm run tasks` lists them.

import { spawnSync } from "node:child_process";

const C8 = ["npx", "c8", "--reporter=text", "--check-coverage", "--lines", "97", "--branches", "93"];

/** For each task: what it does, its options, the program that is run after the build, and the page that the task writes. */
const TASKS = {
  build: { about: "compiles what has changed", command: null },
  start: { about: "shows the library at work", command: ["node", "build/examples/start.js"] },
  test: {
    options: "FILE …, --watch, or options of the test runner of Node",
    about: "format, lint, and all tests; with FILES or --watch only those",
    command: ["node", "scripts/check.mjs"],
  },
  coverage: { about: "the tests, and the code that they do not reach", command: [...C8, "node", "scripts/check.mjs"] },
  mutate: { about: "faults put into the code, to find those that no test notices", command: ["npx", "stryker", "run"] },
  simulate: {
    options: "--runs N (20000), --seed N (1)",
    about: "random programs against the model",
    command: ["node", "build/test/simulation/simulate.js"],
  },
  fuzz: {
    options:
      "--runs N (1000), --seed N (1), --only reads|writes, --over NAME (every kind of connection), --most N (5), --patience MS",
    about: "random programs over real connections, against the model",
    command: ["node", "build/test/fuzz/fuzz.js"],
  },
  soak: {
    options:
      "--seconds N (60), --connections N (10000), --only NAME, --seed N, --transport auto|native|node, --leak WHAT",
    about: "hostile peers over real sockets",
    command: ["node", "build/soak/main.js"],
  },
  "soak:moves": {
    options: "--sockets N, --at-once N, --seed N, --nodes 22,24,26",
    about: "sockets that move to other threads",
    command: ["node", "build/soak/moves.js"],
  },
  sanitize: { about: "the addon under sanitizers and valgrind", command: ["node", "scripts/sanitize.mjs"] },
  "test:runtimes": {
    options: "22 24 26 bun deno (all of them)",
    about: "the tests on other runtimes",
    command: ["node", "scripts/runtimes.mjs"],
  },
  "test:install": {
    options: "22 24 26 besides this Node (none)",
    about: "the package, installed in several ways",
    command: ["node", "scripts/installs.mjs"],
  },
  addons: {
    options: "--only NAME,… (every platform)",
    about: "the addon, prebuilt for every platform, into build/addons",
    command: ["node", "scripts/addons.mjs"],
  },
  release: {
    options: "--dry-run, --provenance, --tag NAME (latest)",
    about: "makes, tries and publishes the packages: docs/releasing.md",
    command: ["node", "scripts/release.mjs"],
  },
  "test:bundlers": {
    options: "NAME (all of them)",
    about: "the package in bundlers, test runners and compilers",
    command: ["node", "scripts/bundlers.mjs"],
  },
  bench: {
    options:
      "--only NAME, --rounds N (5), --scale X (1), --growth, --promise, --peers NAME, --against REV, --check, --json FILE, --profile FOLDER, --list",
    about: "CPU time per operation, compared with code written by hand",
    command: ["node", "build/bench/main.js"],
  },
  http: {
    options: "--rounds N (3), --seconds N (3)",
    about: "CPU time for a request to http.Server over sockets of the library, under wrk",
    command: ["node", "build/bench/http/main.js"],
  },
  pages: {
    options: "FILE …, written by npm run bench with --json",
    about: "writes the figures of a benchmark into docs/performance.md",
    command: ["node", "build/bench/pages.js"],
    writes: "docs/performance.md",
  },
  audio: {
    options: "--runs N (5), --seconds N (4), --listeners N (8), --write",
    about: "how long audio listeners wait for frames (--write: into docs/audio.md)",
    command: ["node", "build/bench/audio.js"],
    writes: "docs/audio.md",
  },
  docs: { about: "a site of the guides and the API into docs/site", command: ["npx", "typedoc"] },
};

function run([command, ...args]) {
  const { status } = spawnSync(command, args, { stdio: "inherit", shell: process.platform === "win32" });
  if (status !== 0) process.exit(status ?? 1);
}

function list() {
  const width = Math.max(...Object.keys(TASKS).map((name) => name.length));
  for (const [name, { about }] of Object.entries(TASKS)) console.log(`npm run ${name.padEnd(width)}  ${about}`);
  console.log(
    "\nOptions follow two hyphens (npm run bench -- --help); npm test -- test/pump/text.test.ts runs one file.",
  );
}

const [name, ...args] = process.argv.slice(2);
const task = TASKS[name];
if (task === undefined) list();
else if (args.includes("--help")) console.log(`npm run ${name}: ${task.about}\nOptions: ${task.options ?? "none"}`);
else {
  run(["node", "scripts/setup.mjs"]);
  run(["node", "node_modules/typescript/bin/tsc", "-b"]);
  if (task.command !== null) run([...task.command, ...args]);
  if (task.writes !== undefined) run(["npx", "prettier", "--write", "--log-level", "warn", task.writes]);
}
