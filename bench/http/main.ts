/**
 * `npm run http`: what a request costs `http.Server`, fed by `emit("connection", socket.toDuplex())`, beside one that listens by
 * itself, under wrk (Debian's package of that name). Counted is the CPU time of the server's process, as in `npm run bench`.
 */
import { execFile } from "node:child_process";
import { parseArgs, promisify } from "node:util";
import { NO_NATIVE } from "../../test/support/availability.js";
import { Authority, type Identity } from "../../test/support/certificates.js";
import { findProgram } from "../../test/support/programs.js";
import { Link } from "../ipc/link.js";
import { table } from "../markdown.js";
import { summarize } from "../statistics.js";
import type { HttpRequests } from "./server.js";

const SERVERS = { "node:net": "http.Server by itself", node: "over our node transport", native: "over our native one" };
type Base = keyof typeof SERVERS;
const BASES: readonly Base[] = NO_NATIVE === false ? ["node:net", "node", "native"] : ["node:net", "node"];

interface Workload {
  readonly name: string;
  readonly path: string;
  readonly isSecure: boolean;
}

const WORKLOADS: readonly Workload[] = [
  { name: "a small page", path: "/", isSecure: false },
  { name: "64 KiB", path: "/file", isSecure: false },
  { name: "a small page over TLS", path: "/", isSecure: true },
];
const CONNECTIONS = 50;
/** A server has answered that many requests before it is measured: before, its code is not compiled yet. */
const WARM_UP = 20_000;
const DEADLINE_MS = 60_000;

/** Lets wrk ask for a page again and again. @returns the number of answers */
async function load(url: string, seconds: number): Promise<number> {
  const args = ["-t1", `-c${CONNECTIONS}`, `-d${seconds}s`, url];
  const { stdout } = await promisify(execFile)(findProgram("wrk") ?? "wrk", args, { timeout: DEADLINE_MS });
  const count = Number(/(\d+) requests in/.exec(stdout)?.[1]);
  if (!(count > 0) || /Socket errors|Non-2xx/.test(stdout)) throw new Error(`Expected answers, got:\n${stdout}`);
  return count;
}

/** @returns microseconds of CPU time for a request, once it has warmed up */
async function measure(
  base: Base,
  { name, path, isSecure }: Workload,
  seconds: number,
  own: Identity,
): Promise<number> {
  const server = new Link<HttpRequests>(`${base}: ${name}`, new URL("./server.js", import.meta.url), [base], []);
  try {
    const port = await server.ask("listen", isSecure ? own : null, DEADLINE_MS);
    const url = `http${isSecure ? "s" : ""}://127.0.0.1:${port}${path}`;
    for (let count = 0; count < WARM_UP;) count += await load(url, 1);
    const before = await server.ask("usage", null, DEADLINE_MS);
    const count = await load(url, seconds);
    const after = await server.ask("usage", null, DEADLINE_MS);
    return (after.user + after.system - before.user - before.system) / count;
  } finally {
    await server.stop();
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { rounds: { type: "string", default: "3" }, seconds: { type: "string", default: "3" } },
  });
  if (findProgram("wrk") === undefined) {
    console.error("SKIPPED: wrk is not installed (apt-get install wrk)");
    return;
  }
  const own = await (await Authority.create()).issue(["127.0.0.1"]);
  const rows: string[][] = [];
  for (const workload of WORKLOADS) {
    const samples = new Map<Base, number[]>(BASES.map((base) => [base, []]));
    for (let round = 0; round < Number(values.rounds); round++) {
      // Every other round turns the order.
      for (const base of round % 2 === 0 ? BASES : [...BASES].reverse()) {
        samples.get(base)?.push(await measure(base, workload, Number(values.seconds), own));
      }
    }
    const medians = BASES.map((base) => summarize(samples.get(base) ?? []).median);
    const [first = NaN] = medians;
    rows.push([workload.name, `${first.toFixed(1)} µs`, ...medians.slice(1).map((one) => (one / first).toFixed(2))]);
  }
  const header = BASES.map((base, i) =>
    i === 0 ? `${SERVERS[base]}, CPU time for a request` : `${SERVERS[base]}, ratio`,
  );
  console.log(table(["answer", ...header], rows));
}

await main();
