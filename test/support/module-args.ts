import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

/** The root of the package, from which modules can import the library by its name. */
export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** The arguments with which the runtime runs a module. Those of the module itself follow, and are `process.argv.slice(1)`. */
export function moduleArgs(t: TestContext, module: string): string[] {
  if (!("deno" in process.versions)) return ["--input-type=module", "-e", module, "--"];
  // Deno's `-e` takes scripts only. A file is one argument more.
  const folder = mkdtempSync(join(ROOT, "build", "module-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "module.mjs");
  writeFileSync(file, `process.argv.splice(1, 1);\n${module}`);
  return [file];
}
