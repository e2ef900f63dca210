// Lists that scripts and tools keep of files: a file that was moved or renamed would silently fall out of them.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { describe, it } from "node:test";
import { packageOf, PLATFORMS } from "#dist/transport/native/platforms.js";

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

interface Packages {
  readonly publishedManifest: () => {
    readonly version: string;
    readonly optionalDependencies: Readonly<Record<string, string>>;
  };
}

/** Made by TypeScript, and so not always there. */
const MADE = ["dist/*.tsbuildinfo"];

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
    const plain = named.filter((file) => !file.includes("*"));
    assert.deepEqual(
      [...plain.filter((file) => !existsSync(file)), ...unmatched(named.filter((file) => file.includes("*")))],
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
    sources.filter((name) => {
      const isPublished = files.some((pattern) => matches(pattern, `native/${name}`));
      return !isPublished || !page.includes(`| \`${name}\``);
    }),
    [],
  );
});

describe("the list of platforms that the addon is prebuilt for is that of", () => {
  const names = PLATFORMS.map(packageOf).sort();

  it("docs/runtimes.md", () => {
    const told = readFileSync("docs/runtimes.md", "utf8").matchAll(/^\| `(@asyncsocket\/[^`]+)`/gm);
    assert.deepEqual([...told].map(([, name]) => name).sort(), names);
  });

  it("the published package's optional dependencies, all of its own version", async () => {
    const url = new URL("../../scripts/packages.mjs", import.meta.url).href;
    const { publishedManifest } = (await import(url)) as Packages;
    const { optionalDependencies, version } = publishedManifest();
    assert.deepEqual(Object.keys(optionalDependencies).sort(), names);
    assert.deepEqual([...new Set(Object.values(optionalDependencies))], [version]);
  });
});
