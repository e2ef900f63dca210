/** What `npm pack` makes is what users get: its exports, types and source maps are checked as they would meet them. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";

interface Manifest {
  exports: Record<string, string | { types: string; default: string }>;
  dependencies?: Record<string, string>;
  engines: { node: string };
}

describe("the package", () => {
  const folder = mkdtempSync(join(tmpdir(), "asyncsocket-package-"));
  let tarball = "";

  before(() => {
    const output = execFileSync("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", folder]);
    const [packed] = JSON.parse(output.toString()) as [{ filename: string }];
    tarball = join(folder, packed.filename);
    execFileSync("tar", ["xzf", tarball, "-C", folder]);
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  it("is clean in the eyes of publint", () => {
    const output = execFileSync("npx", ["publint", "--strict", tarball], { encoding: "utf8" });
    assert.match(output, /All good/);
  });

  it("has types that resolve as its code does", () => {
    execFileSync("npx", ["attw", tarball, "--profile", "esm-only", "--no-emoji"], { encoding: "utf8" });
  });

  it("has a source map with its source for each file, and needs no other package", () => {
    const root = join(folder, "package");
    const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
    assert.equal(manifest.dependencies, undefined);
    for (const entry of Object.values(manifest.exports)) {
      if (typeof entry === "string") continue;
      assert.ok(existsSync(join(root, entry.types)), entry.types);
      const map = JSON.parse(readFileSync(join(root, `${entry.default}.map`), "utf8")) as { sources: string[] };
      const [source] = map.sources;
      assert.ok(
        source !== undefined && existsSync(join(root, dirname(entry.default), source)),
        `the source of ${entry.default}`,
      );
    }
  });

  it("has types that stand without the leniency of skipLibCheck", () => {
    const consumer = join("build", "consumer.ts");
    writeFileSync(consumer, 'export * from "asyncsocket";\nexport * from "asyncsocket/testing";\n');
    const options = ["--noEmit", "--strict", "--skipLibCheck", "false", "--module", "nodenext", "--target", "es2022"];
    try {
      execFileSync("npx", ["tsc", "--ignoreConfig", ...options, "--types", "node", consumer], { encoding: "utf8" });
    } finally {
      rmSync(consumer);
    }
  });

  it("keeps its internals out of the types", () => {
    const types = readFileSync(join(folder, "package", "dist", "base", "request.d.ts"), "utf8");
    assert.doesNotMatch(types, /_owner|_outcome/);
  });
});
