// The floors of docs/architecture.md, held against the imports of every file in src/. Imports of types count as well.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, sep } from "node:path";
import { describe, it } from "node:test";
import ts from "typescript";

/** From the ground up: a folder imports from itself and from those before it. The last three stand side by side. */
const FLOORS = ["base", "framing", "pump", "tls", "transport", "connect", "connection", "listen", "socket"] as const;
const TOP = ["threads", "testing", "capture"] as const;
/** What users of the library could have written: it imports only from itself and from public entries. */
const USERS = ["cli", "inspector"] as const;
const ENTRIES: readonly string[] = ["index.ts", join("capture", "index.ts")];

/** The folders that a folder may import from besides itself; undefined where it is none of them. */
function below(folder: string): readonly string[] | undefined {
  if ((USERS as readonly string[]).includes(folder)) return [];
  if ((TOP as readonly string[]).includes(folder)) return FLOORS;
  const floor = (FLOORS as readonly string[]).indexOf(folder);
  return floor === -1 ? undefined : FLOORS.slice(0, floor);
}

const SRC = "src";

/** Every file of src/, with the files of src/ that it imports. */
function importGraph(): Map<string, readonly string[]> {
  const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  return new Map(files.map((file) => [normalize(file), importsOf(normalize(file))]));
}

function importsOf(file: string): string[] {
  const { importedFiles } = ts.preProcessFile(readFileSync(join(SRC, file), "utf8"), true, true);
  const own = importedFiles.filter(({ fileName }) => fileName.startsWith("."));
  return own.map(({ fileName }) => normalize(join(dirname(file), fileName.replace(/\.js$/, ".ts"))));
}

/** The first circle of imports that a walk from `file` meets, as the files on it; null where there is none. */
function circleFrom(
  file: string,
  graph: ReadonlyMap<string, readonly string[]>,
  seen: Set<string>,
  path: string[],
): string[] | null {
  const at = path.indexOf(file);
  if (at !== -1) return [...path.slice(at), file];
  if (seen.has(file)) return null;
  seen.add(file);
  for (const imported of graph.get(file) ?? []) {
    const circle = circleFrom(imported, graph, seen, [...path, file]);
    if (circle !== null) return circle;
  }
  return null;
}

/** The folder of a file; null for the files on top, which may import anything. */
function folderOf(file: string): string | null {
  const [folder, rest] = file.split(sep);
  return rest === undefined ? null : (folder ?? null);
}

/** The files that the tables of docs/architecture.md name: a table's head names the folder, its rows the files. */
function filesInDocs(): string[] {
  const page = readFileSync("docs/architecture.md", "utf8");
  const tables = page.slice(page.indexOf("## Every file"), page.indexOf("## One life"));
  let folder = "";
  return tables.split("\n").flatMap((row) => {
    folder = /^\| `([a-z]+\/)`/.exec(row)?.[1] ?? folder;
    const cell = /^\|([^|]*)\|/.exec(row)?.[1] ?? "";
    return [...cell.matchAll(/`([\w/-]+\.ts)`/g)].map(([, name]) => normalize(`${folder}${name ?? ""}`));
  });
}

describe("the architecture", () => {
  const graph = importGraph();

  it("has no circle of imports", () => {
    const seen = new Set<string>();
    for (const file of graph.keys()) {
      const circle = circleFrom(file, graph, seen, []);
      assert.equal(circle, null, `these files import each other: ${circle?.join(" -> ")}`);
    }
  });

  it("lets a folder import only from the folders below it", () => {
    const upwards: string[] = [];
    for (const [file, imports] of graph) {
      const folder = folderOf(file);
      if (folder === null) continue;
      const allowed = below(folder);
      assert.ok(allowed !== undefined, `${folder}/ is not among the floors: say in this test what it stands on`);
      for (const imported of imports) {
        const target = folderOf(imported);
        if (ENTRIES.includes(imported) && (USERS as readonly string[]).includes(folder)) continue;
        if (target !== folder && (target === null || !allowed.includes(target))) upwards.push(`${file} -> ${imported}`);
      }
    }
    assert.deepEqual(upwards, []);
  });

  it("is told by docs/architecture.md, which names every file and none that is not there", () => {
    const files = [...graph.keys()].filter((file) => file !== "index.ts");
    assert.deepEqual(filesInDocs().sort(), files.sort());
  });
});
