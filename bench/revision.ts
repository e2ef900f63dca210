/** Another revision of this project, built beside this one, so that its servers can be measured in the same run. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Contender } from "./contenders.js";

const FOLDER = join("node_modules", ".cache", "revisions");

/**
 * The contender as it was at a revision, which is built when it is asked for the first time, with the packages that are
 * installed now.
 * @throws Error if git knows no such revision, or it cannot be built
 */
export function contenderAt(revision: string, contender: Contender): Contender {
  const id = execFileSync("git", ["rev-parse", "--verify", `${revision}^{commit}`], { encoding: "utf8" }).trim();
  const folder = join(FOLDER, id);
  if (!existsSync(folder)) build(id, folder);
  return {
    ...contender,
    name: `${contender.name}@${id.slice(0, 7)}`,
    root: pathToFileURL(`${resolve(folder, "build/bench")}/`),
  };
}

function build(id: string, folder: string): void {
  console.error(`Building ${id} …`);
  const partial = `${folder}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  const archive = execFileSync("git", ["archive", id], { maxBuffer: 2 ** 28 });
  execFileSync("tar", ["-x", "-C", partial], { input: archive });
  symlinkSync(resolve("node_modules"), join(partial, "node_modules"));
  for (const script of [["native/install.mjs"], ["node_modules/typescript/bin/tsc", "-b"]]) {
    execFileSync(process.execPath, script, { cwd: partial, stdio: ["ignore", 2, 2] });
  }
  renameSync(partial, folder);
}
