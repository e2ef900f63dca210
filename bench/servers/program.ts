/** A server that is a program of its own: starts it, and answers for it what the host of the others answers for itself. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { answerRequests } from "../ipc/answers.js";
import type { Memory, ServerRequests, Usage } from "../ipc/requests.js";
import { PEERS } from "../peers.js";
import type { Protocol } from "../workloads.js";
import { startBehind } from "./behind.js";

const PAGE_BYTES = 4096;

let pid = 0;

function start([program = "", ...args]: readonly string[], env: NodeJS.ProcessEnv = process.env): ChildProcess {
  const server = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"], env });
  server.on("exit", () => process.exit(1));
  process.on("exit", () => server.kill());
  pid = server.pid ?? 0;
  return server;
}

async function listen(protocol: Protocol): Promise<number> {
  const peer = PEERS.find(({ name }) => name === process.argv[2]);
  const command = (await peer?.command()) ?? [];
  if (protocol === "relay") return await relay(command);
  const { stdout } = start([...command, protocol]);
  if (stdout === null) throw new Error("Expected a program with an output");
  const [line] = (await once(stdout, "data")) as [Buffer];
  return Number(line.toString());
}

/** One that relays says nothing: it is there as soon as it can be connected to. */
async function relay(command: readonly string[]): Promise<number> {
  const behind = await startBehind();
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  start(command, { ...process.env, PORT: String(port), BEHIND: String(behind) });
  while (!(await isThere(port))) await delay(20);
  return port;
}

async function isThere(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

function fields(name: string): string[] {
  return readFileSync(`/proc/${pid}/${name}`, "utf8").trim().split(/\s+/);
}

/** Of all threads that there are, and of all processes below: socat has one for each connection. */
function microseconds(of = pid): number {
  let sum = 0;
  for (const thread of readdirSync(`/proc/${of}/task`)) {
    const folder = `/proc/${of}/task/${thread}`;
    sum += Number(readFileSync(`${folder}/schedstat`, "utf8").split(" ")[0]) / 1000;
    for (const child of readFileSync(`${folder}/children`, "utf8").split(" ")) {
      if (child !== "") sum += microseconds(Number(child));
    }
  }
  return sum;
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
