// `npm run release` makes what is published, tries it, and publishes it: the packages of the platforms first, so that nobody can install
// the package itself without them. --dry-run leaves out only the publishing. docs/releasing.md tells the steps around it.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { PLATFORMS } from "#dist/transport/native/platforms.js";
import { packAll, prebuiltAddons } from "./packages.mjs";

const FOLDER = join("build", "packages");

function run(command, args) {
  console.error(`— ${command} ${args.join(" ")}`);
  const { status } = spawnSync(command, args, { stdio: "inherit" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed`);
}

/** What has to be right before anything is made; a dry run may be made of a version that is not finished. */
function checkFolder(isDry) {
  const { stdout } = spawnSync("git", ["status", "--porcelain"], { encoding: "utf8" });
  if (stdout.trim() !== "") throw new Error(`Expected everything to be committed:\n${stdout}`);
  const { version } = JSON.parse(readFileSync("package.json", "utf8"));
  const heading = /^## .*$/m.exec(readFileSync("CHANGELOG.md", "utf8"))?.[0] ?? "";
  if (!heading.includes(version)) throw new Error(`Expected CHANGELOG.md to begin with ${version}, got "${heading}"`);
  if (!isDry && heading.includes("unreleased")) throw new Error(`Expected a date in CHANGELOG.md, got "${heading}"`);
}

/** Packs everything, and lists the sums and the sizes. @returns the packages, in the order in which they are published */
async function make() {
  const addons = prebuiltAddons();
  const missing = PLATFORMS.find(({ name }) => !addons.has(name));
  if (missing !== undefined) throw new Error(`The addon for ${missing.name} is missing: npm run addons makes it`);
  const [own, ...platforms] = await packAll(addons, FOLDER);
  const packages = [...platforms, own];
  const sums = packages.map(({ tarball }) => {
    const sum = createHash("sha256").update(readFileSync(tarball)).digest("hex");
    return `${sum}  ${basename(tarball)}\n`;
  });
  writeFileSync(join(FOLDER, "SHA256SUMS"), sums.join(""));
  console.table(
    packages.map(({ manifest: { name, version }, size, unpackedSize, files }) => ({
      name,
      version,
      "packed (kB)": Math.round(size / 1000),
      "unpacked (kB)": Math.round(unpackedSize / 1000),
      files,
    })),
  );
  console.log(sums.join(""));
  return packages;
}

const { values } = parseArgs({
  options: {
    "dry-run": { type: "boolean", default: false },
    provenance: { type: "boolean", default: false },
    tag: { type: "string", default: "latest" },
  },
});
const isDry = values["dry-run"];
checkFolder(isDry);
run("node", ["scripts/addons.mjs"]);
const packages = await make();
run("node", ["scripts/installs.mjs"]);
const options = ["--access", "public", "--tag", values.tag, ...(values.provenance ? ["--provenance"] : [])];
for (const { tarball } of packages) {
  run("npm", ["publish", tarball, ...options, ...(isDry ? ["--dry-run"] : [])]);
}
console.log(isDry ? "Nothing was published." : "Published.");
