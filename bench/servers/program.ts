/** A server that is a program of its own: starts it, and answers for it what the host of the others answers for itself. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { answerRequests } from "../ipc/answers.js";
import type { Memory, ServerRequests, Usage } from "../ipc/requests.js";
import { PEERS } from "../peers.js";
import type { Protocol } from "../workloads.js";

const PAGE_BYTES = 4096;

let pid = 0;

async function listen(protocol: Protocol): Promise<number> {
  const peer = PEERS.find(({ name }) => name === process.argv[2]);
  const [program = "", ...args] = (await peer?.command()) ?? [];
  const server = spawn(program, [...args, protocol], { stdio: ["pipe", "pipe", "inherit"] });
  server.on("exit", () => process.exit(1));
  pid = server.pid ?? 0;
  const [line] = (await once(server.stdout, "data")) as [Buffer];
  return Number(line.toString());
}

function fields(name: string): string[] {
  return readFileSync(`/proc/${pid}/${name}`, "utf8").trim().split(/\s+/);
}

/** Of all threads that there are. */
function microseconds(): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce((sum, thread) => sum + Number(fields(`task/${thread}/schedstat`)[0]) / 1000, 0);
}

/** The sum is exact; how it splits is known by ticks of the kernel's clock. */
function usage(): Usage {
  const total = microseconds();
  const [user, system] = [Number(fields("stat")[13]), Number(fields("stat")[14])];
  const part = user + system === 0 ? 0 : user / (user + system);
  return { user: total * part, system: total * (1 - part) };
}

function memory(): Memory {
  const rss = Number(fields("statm")[1]) * PAGE_BYTES;
  return { used: rss, rss };
}

answerRequests<ServerRequests>({ listen: ({ protocol }) => listen(protocol), usage, memory });
