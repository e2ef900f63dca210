/** The server in C: compiles epoll.c, starts it, and answers for it what the host of the others answers for itself. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { answerRequests } from "../ipc/answers.js";
import type { Memory, ServerRequests, Usage } from "../ipc/requests.js";
import type { Protocol } from "../workloads.js";

const SOURCE = new URL("../../../bench/servers/epoll.c", import.meta.url).pathname;
const FOLDER = "node_modules/.cache/bench";
const PAGE_BYTES = 4096;

let pid = 0;

function compile(): string {
  mkdirSync(FOLDER, { recursive: true });
  const program = join(FOLDER, "epoll");
  execFileSync("cc", ["-O2", "-Wall", "-Wextra", "-o", program, SOURCE]);
  return program;
}

async function listen(protocol: Protocol): Promise<number> {
  const server = spawn(compile(), [protocol], { stdio: ["pipe", "pipe", "inherit"] });
  server.on("exit", () => process.exit(1));
  pid = server.pid ?? 0;
  const [line] = (await once(server.stdout, "data")) as [Buffer];
  return Number(line.toString());
}

function fields(name: string): string[] {
  return readFileSync(`/proc/${pid}/${name}`, "utf8").trim().split(/\s+/);
}

/** The sum is exact; how it splits is known by ticks of the kernel's clock. */
function usage(): Usage {
  const total = Number(fields("schedstat")[0]) / 1000;
  const [user, system] = [Number(fields("stat")[13]), Number(fields("stat")[14])];
  const part = user + system === 0 ? 0 : user / (user + system);
  return { user: total * part, system: total * (1 - part) };
}

function memory(): Memory {
  const rss = Number(fields("statm")[1]) * PAGE_BYTES;
  return { used: rss, rss };
}

answerRequests<ServerRequests>({ listen: ({ protocol }) => listen(protocol), usage, memory });
