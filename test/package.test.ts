/** What `npm pack` makes is what users get: its exports, types and source maps are checked as they would meet them. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";

interface Manifest {
  dependencies?: Record<string, string>;
}

interface Packer {
  readonly packOwn: (folder: string) => Promise<{ tarball: string }>;
}

describe("the package", () => {
  const folder = mkdtempSync(join(tmpdir(), "asyncsocket-package-"));
  let tarball = "";

  before(async () => {
    const url = new URL("../../scripts/packages.mjs", import.meta.url).href;
    ({ tarball } = await ((await import(url)) as Packer).packOwn(folder));
    execFileSync("tar", ["xzf", tarball, "-C", folder]);
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  it("is clean in the eyes of publint", () => {
    const output = execFileSync("npx", ["publint", "--strict", tarball], { encoding: "utf8" });
    assert.match(output, /All good/);
  });

  it("has types that resolve as its code does", () => {
    const alone = ["--exclude-entrypoints", "run-loop-thread"];
    execFileSync("npx", ["attw", tarball, "--no-emoji", ...alone], { encoding: "utf8" });
  });

  it("has few files, with source maps that hold their sources, and needs no other package", () => {
    const root = join(folder, "package");
    const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
    assert.equal(manifest.dependencies, undefined);
    const files = readdirSync(root, { recursive: true, encoding: "utf8" });
    assert.ok(files.length < 80, files.join("\n"));
    const maps = files.filter((file) => file.endsWith(".map"));
    assert.deepEqual(
      maps.map((file) => file.replace(/\.map$/, "")),
      files.filter((file) => file.startsWith("dist") && file.endsWith(".js")),
    );
    for (const file of maps) {
      const map = JSON.parse(readFileSync(join(root, file), "utf8")) as { sources: string[]; sourcesContent: string[] };
      // An entry that only hands on what another file has is made of no source.
      assert.equal(map.sourcesContent.filter((one) => one.length > 0).length, map.sources.length, file);
    }
  });

  it("gives the same classes to import and require, and keeps their names", () => {
    const program = `
      const { AsyncSocket } = require("asyncsocket");
      import("asyncsocket").then((all) => console.log(all.AsyncSocket === AsyncSocket, AsyncSocket.name));
      console.log(Object.keys(require(require.resolve("asyncsocket").replace(/js$/, "cjs"))).includes("RunLoop"));`;
    const output = execFileSync(process.execPath, ["-e", program], { cwd: join(folder, "package"), encoding: "utf8" });
    assert.equal(output, "true\ntrue AsyncSocket\n");
  });

  it("starts run loops, and its program", () => {
    const cwd = join(folder, "package");
    const program = `
      import { RunLoop } from "asyncsocket";
      const loop = await RunLoop.spawn("data:text/javascript,");
      console.log(loop.state);
      await loop.close();`;
    const options = { cwd, encoding: "utf8" } as const;
    assert.equal(execFileSync(process.execPath, ["--input-type=module", "-e", program], options), "running\n");
    assert.match(execFileSync(process.execPath, ["dist/cli/main.js", "--help"], options), /asyncsocket/);
  });

  it("has types that stand without the leniency of skipLibCheck, for import and for require", () => {
    const cwd = join(folder, "package");
    const entries = ["asyncsocket", "asyncsocket/testing", "asyncsocket/capture", "asyncsocket/inspector"];
    writeFileSync(join(cwd, "consumer.mts"), entries.map((entry) => `export * from "${entry}";\n`).join(""));
    writeFileSync(
      join(cwd, "consumer.cts"),
      'import { AsyncSocket } from "asyncsocket";\nexport class Mine extends AsyncSocket<string> {}\n',
    );
    const options = ["--noEmit", "--strict", "--skipLibCheck", "false", "--module", "node16", "--target", "es2022"];
    const roots = ["--types", "node", "--typeRoots", resolve("node_modules/@types")];
    const tsc = resolve("node_modules/typescript/bin/tsc");
    const files = ["consumer.mts", "consumer.cts"];
    execFileSync(process.execPath, [tsc, "--ignoreConfig", ...options, ...roots, ...files], { cwd, encoding: "utf8" });
  });

  it("keeps its internals out of the types", () => {
    const dist = join(folder, "package", "dist");
    const files = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".d.ts"));
    const types = files.map((file) => readFileSync(join(dist, file), "utf8")).join("\n");
    assert.match(types, /class SocketRequest/);
    assert.doesNotMatch(types, /_owner|_outcome/);
  });
});
