/** The pages for users, held against the source: what they name is there, and what they show compiles. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import ts from "typescript";

const page = (name: string): string => readFileSync(join("docs", name), "utf8");

/** The methods of the delegate as the page writes them: `didRead(socket, data, tag)`. */
function methodsInSource(): string[] {
  const path = "src/connection/delegate.ts";
  const source = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest);
  const delegate = source.statements
    .filter(ts.isInterfaceDeclaration)
    .find(({ name }) => name.text === "SocketDelegate");
  assert.ok(delegate !== undefined);
  return delegate.members
    .filter(ts.isMethodSignature)
    .map(
      ({ name, parameters }) =>
        `${name.getText(source)}(${parameters.map((one) => one.name.getText(source)).join(", ")})`,
    );
}

/** The programs in a page. One that imports nothing is meant to stand behind the page's first import. */
function programsIn(name: string): Map<string, string> {
  const blocks = [...page(name).matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""]) => code);
  const [imports = ""] = /^import .*$/m.exec(blocks.join("\n")) ?? [];
  const programs = blocks.map((code) => (code.includes("import ") ? code : `${imports}\n${code}`));
  return new Map(programs.map((code, i) => [join("docs", `${name}-${i + 1}.ts`), code]));
}

/** What the compiler says against programs that are in no file. */
function complaints(programs: ReadonlyMap<string, string>): string[] {
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    lib: ["lib.es2022.d.ts", "lib.esnext.disposable.d.ts"],
    types: ["node"],
  };
  const files = ts.createCompilerHost(options);
  const host: ts.CompilerHost = {
    ...files,
    fileExists: (file) => programs.has(file) || files.fileExists(file),
    readFile: (file) => programs.get(file) ?? files.readFile(file),
    getSourceFile(file, target, ...rest) {
      const code = programs.get(file);
      return code === undefined ? files.getSourceFile(file, target, ...rest) : ts.createSourceFile(file, code, target);
    },
  };
  const found = ts.getPreEmitDiagnostics(ts.createProgram([...programs.keys()], options, host));
  return found.map(({ file, messageText }) => {
    return `${file?.fileName ?? ""}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
  });
}

describe("the page of the delegate", () => {
  it("lists every method with its parameters, and no other", () => {
    const listed = [...page("delegate.md").matchAll(/^\| `((?:did|will|should|wants)\w+\(.*?\))`/gm)].map(
      ([, method = ""]) => method,
    );
    assert.deepEqual(listed.sort(), methodsInSource().sort());
  });

  it("shows programs that compile", () => {
    const programs = programsIn("delegate.md");
    assert.ok(programs.size >= 3);
    assert.deepEqual(complaints(programs), []);
  });
});

const squeezed = (text: string): string => text.replace(/\s+/g, " ").trim();

/** What a page shows, and the files that it may be from: those that the page names. */
function excerpts(name: string): { blocks: string[]; sources: string[] } {
  const blocks = [...page(name).matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""]) => squeezed(code));
  const files = new Set([...page(name).matchAll(/\((\.\.\/examples\/[\w/.-]+)\)/g)].map(([, file = ""]) => file));
  const sources = [...files].filter((file) => file.endsWith(".ts")).map((file) => join("docs", file));
  return { blocks, sources: sources.map((file) => squeezed(readFileSync(file, "utf8"))) };
}

describe("the pages with recipes", () => {
  for (const name of ["cookbook.md", "scaling.md"]) {
    it(`show nothing that is not in a program which a test runs: ${name}`, () => {
      const { blocks, sources } = excerpts(name);
      assert.ok(blocks.length >= 2);
      for (const block of blocks)
        assert.ok(
          sources.some((source) => source.includes(block)),
          block,
        );
    });
  }

  it("name every recipe, and each recipe names its own program", () => {
    const folder = "examples/cookbook";
    const links = page("cookbook.md").matchAll(/examples\/cookbook\/([\w-]+\.ts)/g);
    const recipes = readdirSync(folder).sort();
    assert.deepEqual([...new Set([...links].map(([, file]) => file))].sort(), recipes);
    for (const file of recipes) {
      const command = ` node build/${folder}/${file.replace(/ts$/, "js")}`;
      assert.ok(readFileSync(join(folder, file), "utf8").includes(command), file);
    }
  });
});
