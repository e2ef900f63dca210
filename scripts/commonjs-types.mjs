// The types of a CommonJS entry: those of the ES module, by reference, so that both are the same types.

import { basename } from "node:path";
import ts from "typescript";

const IMPORT = (file) => `import("./${file}", { with: { "resolution-mode": "import" } })`;

/**
 * @param file the .d.ts file of the ES module
 * @param values the names that the module exports when it runs
 * @returns the text of the .d.cts file beside it
 */
export function commonJsTypes(file, values) {
  const program = ts.createProgram([file], { module: ts.ModuleKind.NodeNext, skipLibCheck: true, types: ["node"] });
  const checker = program.getTypeChecker();
  const entry = basename(file).replace(/d\.ts$/, "js");
  const source = program.getSourceFile(file);
  const lines = [`export type * from "./${entry}" with { "resolution-mode": "import" };`];
  for (const exported of checker.getExportsOfModule(checker.getSymbolAtLocation(source))) {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    const { name } = exported;
    if (!values.includes(name)) continue;
    lines.push(`export declare const ${name}: typeof ${IMPORT(entry)}.${name};`);
    if ((symbol.flags & ts.SymbolFlags.Class) !== 0) lines.push(instanceType(symbol, name, entry));
  }
  return `${lines.join("\n")}\n`;
}

/** A class is also the type of its instances. */
function instanceType(symbol, name, entry) {
  const parameters = symbol.declarations.find(ts.isClassDeclaration).typeParameters ?? [];
  const declared = parameters.map((one) => one.getText()).join(", ");
  const used = parameters.map((one) => one.name.text).join(", ");
  const [left, right] = parameters.length === 0 ? ["", ""] : [`<${declared}>`, `<${used}>`];
  return `export type ${name}${left} = ${IMPORT(entry)}.${name}${right};`;
}
