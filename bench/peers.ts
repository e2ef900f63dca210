/**
 * Servers on other platforms, each a program of its own in peers/: it is told the protocol, says its port, and ends with its
 * standard input. They take part when asked for by name, and where what they need is installed. Those that relay are told
 * their port and that of the server behind them, as PORT and BEHIND of their environment.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Protocol } from "./workloads.js";

const SOURCES = fileURLToPath(new URL("../../bench/peers/", import.meta.url));
const PROGRAMS = new URL("../../scripts/runtime-programs.mjs", import.meta.url);
const FOLDER = resolve("node_modules/.cache/bench");
const ALL: readonly Protocol[] = ["echo", "lines", "frames", "churn"];
const PYTHON = "/usr/bin/python3";
const JARS = ["common", "buffer", "resolver", "transport", "codec", "handler"].map(
  (part) => `/usr/share/java/netty-${part}.jar`,
);

export interface Peer {
  readonly name: string;
  /** What to install, and where from. */
  readonly needs: string;
  readonly protocols: readonly Protocol[];
  readonly isThere: () => boolean;
  /** What to start, compiled if need be. */
  readonly command: () => readonly string[] | Promise<readonly string[]>;
}

function runs(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

/** A file of the cache, made by a compiler. */
function compiled(name: string, command: string, ...args: string[]): string {
  mkdirSync(FOLDER, { recursive: true });
  const target = join(FOLDER, name);
  execFileSync(
    command,
    args.map((arg) => (arg === "TARGET" ? target : arg)),
  );
  return target;
}

/** A runtime out of the npm registry, installed if need be. @param name - bun, or node-24 */
export async function runtimeNamed(name: string): Promise<string> {
  const { programOf } = (await import(PROGRAMS.href)) as { programOf: (name: string) => string };
  return programOf(name);
}

export const PEERS: readonly Peer[] = [
  {
    name: "c-epoll",
    needs: "a C compiler, on Linux",
    protocols: ALL,
    isThere: () => process.platform === "linux" && runs("cc", "--version"),
    command: () => [compiled("epoll", "cc", "-O2", "-Wall", "-Wextra", "-o", "TARGET", join(SOURCES, "epoll.c"))],
  },
  {
    name: "bun",
    needs: "npm's @oven/bun-linux-x64, which is fetched",
    protocols: ALL,
    isThere: () => process.platform === "linux",
    command: async () => [await runtimeNamed("bun"), join(SOURCES, "bun.mjs")],
  },
  {
    name: "asio",
    needs: "Debian's libasio-dev and g++",
    protocols: ALL,
    isThere: () => existsSync("/usr/include/asio.hpp") && runs("g++", "--version"),
    command: () => [
      compiled("asio", "g++", "-O2", "-std=c++17", "-pthread", "-o", "TARGET", join(SOURCES, "asio.cpp")),
    ],
  },
  {
    name: "netty",
    needs: "Debian's libnetty-java and default-jdk-headless",
    protocols: ALL,
    isThere: () => JARS.every((jar) => existsSync(jar)) && runs("javac", "-version"),
    command: (): readonly string[] => {
      const classes = compiled("netty", "javac", "-cp", JARS.join(":"), "-d", "TARGET", join(SOURCES, "Netty.java"));
      return ["java", "-cp", [classes, ...JARS].join(":"), "Netty"];
    },
  },
  {
    name: "twisted",
    needs: "Debian's python3-twisted",
    protocols: ALL,
    isThere: () => runs(PYTHON, "-c", "import twisted"),
    command: () => [PYTHON, join(SOURCES, "twisted_server.py")],
  },
  {
    name: "haproxy",
    needs: "Debian's haproxy",
    protocols: ["relay"],
    isThere: () => runs("haproxy", "-v"),
    command: () => ["haproxy", "-db", "-f", join(SOURCES, "haproxy.cfg")],
  },
  {
    name: "socat",
    needs: "Debian's socat",
    protocols: ["relay"],
    isThere: () => runs("socat", "-V"),
    command: () => [
      "sh",
      "-c",
      "exec socat TCP4-LISTEN:$PORT,bind=127.0.0.1,fork,reuseaddr,backlog=128,nodelay TCP4:127.0.0.1:$BEHIND,nodelay",
    ],
  },
  {
    name: "split2",
    needs: "npm's split2, which is fetched",
    protocols: ["lines"],
    isThere: () => true,
    command: (): readonly string[] => {
      mkdirSync(FOLDER, { recursive: true });
      if (!existsSync(join(FOLDER, "node_modules", "split2"))) {
        execFileSync("npm", ["install", "--prefix", FOLDER, "--no-save", "--no-audit", "--no-fund", "split2@4"]);
      }
      copyFileSync(join(SOURCES, "split2.mjs"), join(FOLDER, "split2.mjs"));
      return [process.execPath, join(FOLDER, "split2.mjs")];
    },
  },
];
