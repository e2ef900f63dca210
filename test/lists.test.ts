// Lists that scripts and tools keep of files: a file that was moved or renamed would silently fall out of them.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { describe, it } from "node:test";

interface LeftOut {
  readonly filesNamed: () => string[];
}

interface Stryker {
  readonly tap: { readonly testFiles: readonly string[] };
  readonly mutate: readonly string[];
}

interface Manifest {
  readonly files: readonly string[];
}

/** Made by a build for other systems, or by TypeScript, and so not always there. */
const MADE = ["native/prebuilds", "dist/*.tsbuildinfo"];

function json(file: string): unknown {
  return JSON.parse(readFileSync(file, "utf8"));
}

function filesIn(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return names.map((name) => join(folder, name).split(sep).join("/"));
}

/** The names that `a/{b,c}.js` stands for; a name without braces stands for itself. */
function withoutBraces(pattern: string): string[] {
  const [, before, names, after] = /^(.*)\{(.*)\}(.*)$/.exec(pattern) ?? [];
  return names === undefined ? [pattern] : names.split(",").map((name) => `${before}${name}${after}`);
}

/** Whether a file is one of those that a pattern with stars stands for. */
function matches(pattern: string, file: string): boolean {
  const source = pattern.replaceAll(".", "\\.").replace(/\*\*\/|\*/g, (star) => (star === "*" ? "[^/]*" : "(.*/)?"));
  return new RegExp(`^${source}$`).test(file);
}

function unmatched(patterns: readonly string[]): string[] {
  return patterns.flatMap(withoutBraces).filter((pattern) => {
    const fixed = dirname(pattern.replace(/\*.*$/, "x"));
    return !existsSync(fixed) || !filesIn(fixed).some((file) => matches(pattern, file));
  });
}

describe("every file is there that is named by", () => {
  it("the list of what Bun and Deno leave out", async () => {
    const url = new URL("../../scripts/left-out.mjs", import.meta.url).href;
    const { filesNamed } = (await import(url)) as LeftOut;
    const tests = filesIn("build/test").filter((file) => file.endsWith(".test.js"));
    const parts = filesNamed();
    assert.ok(parts.length > 0);
    assert.deepEqual(
      parts.filter((part) => !tests.some((file) => file.slice("build/test/".length).includes(part))),
      [],
    );
  });

  it("the settings of the mutation tests", () => {
    const { tap, mutate } = json("stryker.config.json") as Stryker;
    assert.deepEqual(unmatched([...tap.testFiles, ...mutate]), []);
  });

  it("the list of what is published", () => {
    const { files } = json("package.json") as Manifest;
    const named = files.map((file) => file.replace(/^!/, "")).filter((file) => !MADE.includes(file));
    assert.deepEqual(
      named.filter((file) => !existsSync(file)),
      [],
    );
  });
});

it("every source of the addon is published, and told of in docs/architecture.md", () => {
  const { files } = json("package.json") as Manifest;
  const page = readFileSync("docs/architecture.md", "utf8");
  const sources = readdirSync("native").filter((name) => /\.(cc|h)$/.test(name));
  assert.ok(sources.length > 0);
  assert.deepEqual(
    sources.filter((name) => !files.includes(`native/${name}`) || !page.includes(`| \`${name}\``)),
    [],
  );
});
