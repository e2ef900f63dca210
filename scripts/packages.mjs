// What is published: the package itself, and one package for each platform that the addon is prebuilt for, laid out in folders
// that npm packs. The package in this folder names no platform's package: while a version is not published, `npm ci` could not
// find them.

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { bundle } from "./bundle.mjs";
import { packageOf, PLATFORMS } from "#dist/transport/native/platforms.js";

/** What npm packs without being told. */
const ALWAYS = ["README.md", "LICENSE"];
/** What only developers need. */
const NOT_PUBLISHED = ["scripts", "devDependencies", "c8", "gypfile"];
/** What the packages of the platforms have in common with the package itself. */
const SHARED = ["version", "license", "author", "repository", "homepage", "bugs", "funding", "engines"];

function own() {
  return JSON.parse(readFileSync("package.json", "utf8"));
}

/** package.json as it is published. */
export function publishedManifest() {
  const kept = Object.entries(own()).filter(([name]) => !NOT_PUBLISHED.includes(name));
  const manifest = Object.fromEntries(kept);
  manifest.optionalDependencies = Object.fromEntries(PLATFORMS.map((one) => [packageOf(one), manifest.version]));
  return manifest;
}

function manifestOf(platform) {
  const manifest = own();
  const shared = SHARED.filter((name) => name in manifest).map((name) => [name, manifest[name]]);
  return {
    name: packageOf(platform),
    description: `The native transport of asyncsocket, prebuilt for ${platform.name}.`,
    ...Object.fromEntries(shared),
    os: [platform.os],
    cpu: [platform.cpu],
    ...(platform.libc === undefined ? {} : { libc: [platform.libc] }),
    main: "asyncsocket.node",
    files: ["asyncsocket.node"],
    // Yarn's Plug'n'Play keeps packages zipped, and the system loads no library from there.
    preferUnplugged: true,
  };
}

function write(folder, manifest) {
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
}

/** Lays out the package itself, with the bundle in place of the modules in dist. @returns its folder */
async function layOutOwn(to) {
  const manifest = publishedManifest();
  const folder = join(to, manifest.name);
  mkdirSync(folder, { recursive: true });
  const named = manifest.files.filter((one) => !one.startsWith("!")).map((one) => one.split("/")[0]);
  await bundle(join(folder, "dist"));
  for (const name of new Set([...named, ...ALWAYS])) {
    if (name === "dist") continue;
    // What was built from source here belongs to this machine alone.
    cpSync(name, join(folder, name), { recursive: true, filter: (from) => from !== join("native", "build") });
  }
  write(folder, manifest);
  return folder;
}

function layOutPlatform(platform, addon, to) {
  const folder = join(to, packageOf(platform));
  mkdirSync(folder, { recursive: true });
  const { description, name } = manifestOf(platform);
  writeFileSync(
    join(folder, "README.md"),
    `# ${name}\n\n${description} Install \`asyncsocket\`, which brings it along.\n`,
  );
  cpSync("LICENSE", join(folder, "LICENSE"));
  if (addon !== undefined) cpSync(addon, join(folder, "asyncsocket.node"));
  write(folder, manifestOf(platform));
  return folder;
}

function pack(folder, to) {
  const args = ["pack", "--ignore-scripts", "--json", "--pack-destination", resolve(to)];
  const { status, stdout, stderr } = spawnSync("npm", args, { cwd: folder, encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  // Newer npm gives an object by names, older npm a list.
  const [packed] = Object.values(JSON.parse(stdout));
  return {
    manifest: JSON.parse(readFileSync(join(folder, "package.json"), "utf8")),
    folder,
    tarball: join(to, packed.filename),
    integrity: packed.integrity,
    shasum: packed.shasum,
    size: packed.size,
    unpackedSize: packed.unpackedSize,
    files: packed.entryCount,
  };
}

function emptied(folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
}

/** Packs the package itself into a folder. */
export async function packOwn(to) {
  emptied(to);
  return pack(await layOutOwn(to), to);
}

/**
 * Lays all packages out below a folder, as they would be in node_modules. `addons` gives the file of the addon by the name of a
 * platform; the package of a platform without one is empty, for installers that want to know of it, and must not be published.
 * @returns their folders, the package itself first
 */
export async function layOut(addons, to) {
  emptied(to);
  return [await layOutOwn(to), ...PLATFORMS.map((one) => layOutPlatform(one, addons.get(one.name), to))];
}

/** Lays all packages out, and packs them beside. */
export async function packAll(addons, to) {
  return (await layOut(addons, to)).map((folder) => pack(folder, to));
}

/** The addons that `npm run addons` has made, by the names of their platforms. */
export function prebuiltAddons() {
  const files = PLATFORMS.map(({ name }) => [name, join("build", "addons", name, "asyncsocket.node")]);
  return new Map(files.filter(([, file]) => existsSync(file)));
}
