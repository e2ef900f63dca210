/** The platforms that the addon is prebuilt for. The loader, the scripts that build and pack, and the docs share this list. */

import { readFileSync } from "node:fs";

export interface Platform {
  readonly name: string;
  readonly os: "linux" | "darwin";
  readonly cpu: "x64" | "arm64";
  readonly libc?: "glibc" | "musl";
}

export const PLATFORMS: readonly Platform[] = [
  { name: "linux-x64-gnu", os: "linux", cpu: "x64", libc: "glibc" },
  { name: "linux-arm64-gnu", os: "linux", cpu: "arm64", libc: "glibc" },
  { name: "linux-x64-musl", os: "linux", cpu: "x64", libc: "musl" },
  { name: "linux-arm64-musl", os: "linux", cpu: "arm64", libc: "musl" },
  { name: "darwin-x64", os: "darwin", cpu: "x64" },
  { name: "darwin-arm64", os: "darwin", cpu: "arm64" },
];

/** The package that holds the addon of a platform. */
export function packageOf(platform: Platform): string {
  return `@asyncsocket/${platform.name}`;
}

/** The platform of this process; undefined where no addon is prebuilt for it. */
export function thisPlatform(): Platform | undefined {
  const fitting = PLATFORMS.filter(({ os, cpu }) => os === process.platform && cpu === process.arch);
  return fitting.length < 2 ? fitting[0] : fitting.find(({ libc }) => libc === libcOfThis());
}

/** The C library is the one that this process has loaded: a machine may have both installed. */
function libcOfThis(): "glibc" | "musl" {
  try {
    return readFileSync("/proc/self/maps", "latin1").includes("/ld-musl-") ? "musl" : "glibc";
  } catch {
    return "glibc";
  }
}
