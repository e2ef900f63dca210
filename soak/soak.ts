/** One attack after the other on one server, and what is looked at while it lasts and when it is over. */
import { setTimeout as delay } from "node:timers/promises";
import { Link } from "../bench/ipc/link.js";
import { Authority } from "../test/support/certificates.js";
import { type AttackKind, ATTACKS } from "./attacks.js";
import { Guests } from "./guests.js";
import type { Holdings, HostileRequests, Leak, Ports, ServerRequests, Tally, TransportKind } from "./requests.js";

/** The server's process never takes more, whatever is done to it, with up to 10 000 connections: SECURITY.md. */
export const PEAK_RSS_MIB = 512;
/** What the heap may differ by afterwards: code that was compiled meanwhile, and caches of the runtime's. */
const HEAP_SLACK_MIB = 4;
const GUESTS = 4;
/**
 * What a server has of descriptors that is to run out of them. While its two loops start, each loads all modules of the
 * library at once: with 80 or 90 descriptors that fails every other time.
 */
const SHORT_OF = 150;
const ANSWER_MS = 60_000;
/** Where the machine is busy, it may take longer than one attack until the first one is ended by its limit. */
const ROUNDS_MAX = 5;
const WARM_UP = { ms: 100, connections: 100 };
const MIB = 1024 * 1024;

/** Of one attack. */
interface Bounds {
  readonly ms: number;
  readonly connections: number;
}

export interface Plan extends Bounds {
  readonly seed: number;
  /** How long the server may take to let go of what it held: a handshake's time, and what the kernel takes. */
  readonly recoveryMs: number;
  /** What the server keeps that it should let go: to see that it is found. */
  readonly leak: Leak | null;
  readonly transport: TransportKind;
}

export interface Row {
  readonly attack: string;
  readonly did: string;
  readonly accepted: number;
  readonly "most open": number;
  readonly ends: string;
  readonly lines: number;
  readonly "peak MiB so far": number;
  readonly "heap MiB": string;
  readonly descriptors: string;
  readonly timers: string;
  readonly problem: string;
}

type Server = Link<ServerRequests>;

/** @param descriptors how many the server may have; undefined: what the system gives */
function startServer(descriptors?: number): Server {
  const file = new URL("./server.js", import.meta.url);
  if (descriptors === undefined) return new Link<ServerRequests>("The server", file, [], ["--expose-gc"]);
  const limited = ["-c", `ulimit -n ${descriptors}; exec "$0" --expose-gc "$@"`, process.execPath];
  return new Link<ServerRequests>("The server", file, [], limited, "/bin/sh");
}

export class Soak {
  readonly #plan: Plan;
  readonly #hostile = new Link<HostileRequests>(
    "The hostile process",
    new URL("./hostile.js", import.meta.url),
    [],
    [],
  );
  readonly #authority: Authority;

  private constructor(plan: Plan, authority: Authority) {
    this.#plan = plan;
    this.#authority = authority;
  }

  static async create(plan: Plan): Promise<Soak> {
    return new Soak(plan, await Authority.create());
  }

  /** Every attack of these on one server, so that what one leaves behind shows in the next. */
  async run(names: readonly string[], told: (row: Row) => void): Promise<void> {
    const server = startServer();
    try {
      const ports = await this.#listen(server);
      // Once beforehand, so that what is compiled and loaded late does not count as left behind.
      for (const kind of ATTACKS) await this.#attack(server, ports, kind, WARM_UP);
      for (const kind of ATTACKS.filter(({ name }) => names.includes(name))) {
        told(await this.#attack(server, ports, kind));
      }
    } finally {
      await server.stop();
    }
  }

  /** More connections than the server has descriptors for. */
  async runShort(told: (row: Row) => void): Promise<void> {
    const server = startServer(SHORT_OF);
    try {
      const ports = await this.#listen(server);
      const kind: AttackKind = { ...(ATTACKS[0] as AttackKind), most: 3 * SHORT_OF, holdsAll: false };
      const row = await this.#attack(server, ports, kind);
      const ranOut = row["most open"] >= SHORT_OF / 2 && row["most open"] < SHORT_OF;
      const problem = ranOut
        ? row.problem
        : `${row["most open"]} connections were open: it did not run out; ${row.problem}`;
      told({ ...row, problem, attack: `a listener out of descriptors (${SHORT_OF})` });
    } finally {
      await server.stop();
    }
  }

  async stop(): Promise<void> {
    await this.#hostile.stop();
  }

  async #listen(server: Server): Promise<Ports> {
    const identity = await this.#authority.issue(["localhost", "127.0.0.1"]);
    const { leak, transport } = this.#plan;
    return server.ask("listen", { identity, leak, transport }, ANSWER_MS);
  }

  async #attack(server: Server, ports: Ports, kind: AttackKind, plan: Bounds = this.#plan): Promise<Row> {
    const { ms, connections } = plan;
    const { seed } = this.#plan;
    const guests = new Guests(ports, { ca: this.#authority.cert }, GUESTS);
    await guests.areServed;
    const before = await server.ask("holdings", null, ANSWER_MS);
    await server.ask("tally", null, ANSWER_MS);
    const most = Math.min(connections, kind.most ?? Infinity);
    const { name } = kind;
    const attacking = this.#hostile.ask("attack", { name, ports, ms, connections: most, seed }, ms + ANSWER_MS);
    const [done, each] = await Promise.all([attacking, heldByEach(server, before, kind, ms)]);
    const { ending } = kind;
    for (let round = 1; ending !== undefined && ms >= ending.afterMs && round < ROUNDS_MAX; round++) {
      if (await server.ask("hasEnded", ending.code, ANSWER_MS)) break;
      await this.#hostile.ask("attack", { name, ports, ms, connections: most, seed: seed + round }, ms + ANSWER_MS);
    }
    const problems = [...each];
    const after = await recovered(server, before, this.#plan.recoveryMs);
    if (after.problem !== undefined) problems.push(after.problem);
    const tally = await server.ask("tally", null, ANSWER_MS);
    const lines = await guests.leave().catch((error: unknown) => {
      problems.push((error as Error).message);
      return 0;
    });
    if (lines === 0) problems.push("the guests had no answer at all");
    problems.push(...problemsOf(kind, tally, { ms, connections: most }));
    return {
      attack: kind.name,
      did: listed(done),
      lines,
      ...facts(before, after, tally),
      problem: problems.join("; "),
    };
  }
}

/** @returns what is wrong with the memory that each connection takes in the midst of the attack */
async function heldByEach(server: Server, before: Holdings, { held }: AttackKind, ms: number): Promise<string[]> {
  if (held === undefined || ms <= held.afterMs) return [];
  await delay(held.afterMs);
  const { connections, heapBytes } = await server.ask("holdings", null, ANSWER_MS);
  const count = connections - before.connections;
  if (count <= 0) return ["no connection was open when their memory was looked at"];
  const eachBytes = Math.round((heapBytes - before.heapBytes) / count);
  return eachBytes > held.eachMaxBytes ? [`each of ${count} connections took ${Math.round(eachBytes / 1024)} KiB`] : [];
}

/** Whether the attack was what it is meant to be, and what it must not have done. */
function problemsOf(kind: AttackKind, tally: Tally, { ms, connections }: Bounds): string[] {
  const problems: string[] = [];
  const { holdsAll, ending } = kind;
  if (tally.peakRssBytes > PEAK_RSS_MIB * MIB) problems.push(`more than ${PEAK_RSS_MIB} MiB`);
  if (holdsAll === true && tally.mostOpen < connections) problems.push(`${tally.mostOpen} of ${connections} were open`);
  if (ending !== undefined && ms >= ending.afterMs && !(ending.code in tally.ends))
    problems.push(`none ended by ${ending.code}`);
  return problems;
}

function facts(before: Holdings, after: Holdings, tally: Tally): Omit<Row, "attack" | "did" | "lines" | "problem"> {
  return {
    accepted: tally.accepted,
    "most open": tally.mostOpen,
    ends: listed(tally.ends),
    "peak MiB so far": Math.round(tally.peakRssBytes / MIB),
    "heap MiB": `${(before.heapBytes / MIB).toFixed(1)} → ${(after.heapBytes / MIB).toFixed(1)}`,
    descriptors: `${before.descriptors} → ${after.descriptors}`,
    timers: `${before.timers} → ${after.timers}`,
  };
}

/** Waits until the server holds what it held before, which the guests' own connections are part of. */
async function recovered(server: Server, before: Holdings, ms: number): Promise<Holdings & { problem?: string }> {
  const deadline = performance.now() + ms;
  for (;;) {
    const after = await server.ask("holdings", null, ANSWER_MS);
    const problem = difference(before, after);
    if (problem === null) return after;
    if (performance.now() > deadline) return { ...after, problem };
    await delay(100);
  }
}

function difference(before: Holdings, after: Holdings): string | null {
  if (after.connections > before.connections) return `${after.connections - before.connections} connections left`;
  if (after.descriptors > before.descriptors) return `${after.descriptors - before.descriptors} descriptors left`;
  if (after.timers > before.timers) return `${after.timers - before.timers} timers left`;
  const grown = (after.heapBytes - before.heapBytes) / MIB;
  return grown > HEAP_SLACK_MIB ? `the heap has grown by ${grown.toFixed(1)} MiB` : null;
}

function listed(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");
}
