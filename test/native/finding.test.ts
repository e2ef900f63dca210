/** Where the addon is looked for, what is said where there is none, and how it is built. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { type NativeStatus, nativeStatus } from "asyncsocket";
import { packageOf, thisPlatform } from "#dist/transport/native/platforms.js";
import { SAFETY } from "../support/transports.js";

const BUILT = "native/build/Release/asyncsocket.node";
const NO_BUILD = existsSync(BUILT) ? false : "the addon was not built here";
const NO_PLATFORM = thisPlatform() === undefined ? "no addon is prebuilt for this platform" : false;
const NO_ADDONS = "bun" in process.versions || "deno" in process.versions ? "this runtime loads no addons" : false;

const ASK = `
  const { nativeStatus, AsyncSocket } = await import("./node_modules/asyncsocket/dist/index.js");
  const listener = await AsyncSocket.listen({ port: 0, host: "127.0.0.1" });
  await listener.disconnect();
  console.log(JSON.stringify(nativeStatus()));
`;

/** An installation of the package in a folder of its own. */
class Installation {
  readonly #folder = mkdtempSync(join(tmpdir(), "asyncsocket-finding-"));

  constructor(t: TestContext, name = "asyncsocket") {
    t.after(() => rmSync(this.#folder, { recursive: true, force: true }));
    const own = join(this.#folder, "node_modules", "asyncsocket");
    cpSync("dist", join(own, "dist"), { recursive: true });
    writeFileSync(join(own, "package.json"), JSON.stringify({ name, type: "module" }));
  }

  /** Puts the addon that was built here, or a file with these words, where a build from source is. */
  addBuilt(words?: string): void {
    this.#add(join("node_modules", "asyncsocket", BUILT), words);
  }

  addPackage(words?: string): void {
    const name = PACKAGE;
    this.#add(join("node_modules", name, "asyncsocket.node"), words);
    const manifest = JSON.stringify({ name, main: "asyncsocket.node" });
    writeFileSync(join(this.#folder, "node_modules", name, "package.json"), manifest);
  }

  #add(file: string, words: string | undefined): void {
    const path = join(this.#folder, file);
    mkdirSync(dirname(path), { recursive: true });
    if (words === undefined) cpSync(BUILT, path);
    else writeFileSync(path, words);
  }

  status(): NativeStatus {
    const env: NodeJS.ProcessEnv = { ...process.env };
    delete env["ASYNCSOCKET_ADDON"];
    const options = { encoding: "utf8", cwd: this.#folder, env } as const;
    const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", ASK], options);
    assert.equal(stderr, "");
    return JSON.parse(stdout) as NativeStatus;
  }
}

const platform = thisPlatform();
const PACKAGE = platform === undefined ? "" : packageOf(platform);
const AVAILABLE: NativeStatus = { available: true, reason: null };

it("nativeStatus tells whether the native transport is there, and otherwise why it is not", () => {
  const { available, reason } = nativeStatus();
  assert.equal(available, reason === null);
});

describe("the addon is", { ...SAFETY, skip: NO_PLATFORM || NO_ADDONS }, () => {
  it("found in the package of the platform", { skip: NO_BUILD }, (t) => {
    const installation = new Installation(t);
    installation.addPackage();
    assert.deepEqual(installation.status(), AVAILABLE);
  });

  it("the one built from source where there are both", { skip: NO_BUILD }, (t) => {
    const installation = new Installation(t);
    installation.addBuilt();
    installation.addPackage("damaged");
    assert.deepEqual(installation.status(), AVAILABLE);
  });

  it("the one of the platform where the one built from source is of no use", { skip: NO_BUILD }, (t) => {
    const installation = new Installation(t);
    installation.addBuilt("damaged");
    installation.addPackage();
    assert.deepEqual(installation.status(), AVAILABLE);
  });

  it("not there: the platform, what was looked for, and what to do are said", (t) => {
    const { available, reason } = new Installation(t).status();
    assert.equal(available, false);
    assert.equal(
      reason,
      `there is no addon for ${platform?.name ?? ""}: ${BUILT} was not built, and the package ${PACKAGE} is not installed. Install the optional dependencies too, on the platform that runs them; or \`npx asyncsocket build-native\` builds it where there is a C++ compiler`,
    );
  });

  it("damaged: both places are named", (t) => {
    const installation = new Installation(t);
    installation.addBuilt("damaged");
    installation.addPackage("damaged");
    const { reason } = installation.status();
    assert.match(reason ?? "", new RegExp(`${BUILT} does not load: .*, and ${PACKAGE} does not load: .*damaged|short`));
  });

  it("not looked for beside a bundle, whose folder is not this package's", { skip: NO_BUILD }, (t) => {
    const installation = new Installation(t, "somebody-elses");
    installation.addBuilt();
    const { reason } = installation.status();
    assert.match(reason ?? "", new RegExp(`^there is no addon for [^:]*: the package ${PACKAGE} is not installed`));
  });
});

it("build-native says in one line why there is no addon, and ends with 1", { skip: NO_PLATFORM || NO_ADDONS }, (t) => {
  const nodedir = mkdtempSync(join(tmpdir(), "asyncsocket-headers-"));
  t.after(() => rmSync(nodedir, { recursive: true, force: true }));
  mkdirSync(join(nodedir, "include", "node"), { recursive: true });
  writeFileSync(join(nodedir, "include", "node", "node_api.h"), "");
  for (const [env, expected] of [
    [{ ASYNCSOCKET_NATIVE: "0" }, /: ASYNCSOCKET_NATIVE=0 turns it off\n$/],
    [{ CXX: "no-such-compiler" }, /: no-such-compiler cannot be run \(ENOENT\)\n$/],
  ] as const) {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["dist/cli/main.js", "build-native", "--seconds", "60"],
      {
        encoding: "utf8",
        env: { ...process.env, npm_config_nodedir: nodedir, ...env },
      },
    );
    assert.equal(status, 1);
    assert.equal(stderr, "");
    assert.match(stdout, /^asyncsocket: native transport not built, node:net does its work: /);
    assert.match(stdout, expected);
  }
});
