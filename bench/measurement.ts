/**
 * One measurement: a fresh server, verified, warmed up, and its CPU time (or memory) around one run. A server for each
 * round, so that the luck of one process (its layout, what was compiled when) is one sample and not the result.
 */
import { Authority, type Identity } from "../test/support/certificates.js";
import type { Contender } from "./contenders.js";
import { Link } from "./ipc/link.js";
import type { LoadRequests, ServerRequests } from "./ipc/requests.js";
import { runtimeNamed } from "./peers.js";
import { isMemory, type Workload } from "./workloads.js";

export interface Sample {
  /** Microseconds of CPU time per message, or bytes per connection. */
  readonly value: number;
  /** What `value` is for: messages, or connections. */
  readonly count: number;
  /** Of the CPU time, per message; zero for memory. */
  readonly user: number;
  readonly system: number;
  /** Messages per second by the clock, the load process included; zero for memory. */
  readonly perSecond: number;
  /** Growth of the resident set per connection; zero for CPU time. */
  readonly rss: number;
}

export interface Conditions {
  readonly scale: number;
  readonly profile: string | undefined;
}

const ANSWER_MS = 20_000;
const RUN_MS = 120_000;
/** Of the messages of a run at scale 1, however few are measured: code that is not compiled yet costs several times more. */
const WARM_UP = 0.25;
const IDLE_WARM_UP = 100;

/** The load process, shared by all rounds of a workload: each contender gets the same one, in the same state. */
export function startLoad(): Link<LoadRequests> {
  return new Link<LoadRequests>("The load process", new URL("./load/main.js", import.meta.url), [], []);
}

export async function measure(
  load: Link<LoadRequests>,
  contender: Contender,
  workload: Workload,
  conditions: Conditions,
): Promise<Sample> {
  const server = await startServer(contender, workload, conditions.profile);
  try {
    const identity = workload.isSecure ? await identityOnce() : null;
    const port = await server.ask("listen", { protocol: workload.protocol, identity }, ANSWER_MS);
    await load.ask("verify", { workload: workload.name, port }, RUN_MS);
    const run = new Run(server, load, workload, port);
    return isMemory(workload)
      ? await run.memory()
      : await run.cpu(conditions.scale, contender.mostMessages ?? Infinity);
  } catch (error) {
    throw new Error(`${workload.name} by ${contender.name} failed`, { cause: error });
  } finally {
    await server.stop();
  }
}

let made: Promise<Identity> | null = null;

function identityOnce(): Promise<Identity> {
  made ??= Authority.create().then((authority) => authority.issue(["localhost", "127.0.0.1"]));
  return made;
}

async function startServer(
  contender: Contender,
  workload: Workload,
  profile: string | undefined,
): Promise<Link<ServerRequests>> {
  const execArgv = isMemory(workload) ? ["--expose-gc"] : [];
  if (profile !== undefined) {
    const name = `${workload.name}.${contender.name}.${Date.now()}.cpuprofile`;
    execArgv.push("--cpu-prof", `--cpu-prof-dir=${profile}`, `--cpu-prof-name=${name}`);
  }
  const file = new URL(`./servers/${contender.file}.js`, contender.root ?? import.meta.url);
  const args = contender.style === undefined ? [] : [contender.style];
  const program = contender.runtime === undefined ? process.execPath : await runtimeNamed(contender.runtime);
  return new Link<ServerRequests>(`The ${contender.name} server of ${workload.name}`, file, args, execArgv, program);
}

/** What is done with one server that listens and has been verified. */
class Run {
  constructor(
    private readonly server: Link<ServerRequests>,
    private readonly load: Link<LoadRequests>,
    private readonly workload: Workload,
    private readonly port: number,
  ) {}

  async cpu(scale: number, most: number): Promise<Sample> {
    const { messages, connections } = this.workload;
    const usual = Math.min(messages, most);
    const count = Math.max(connections, Math.round(usual * scale));
    await this.open(connections);
    await this.messages(Math.ceil(usual * WARM_UP));
    const before = await this.server.ask("usage", null, ANSWER_MS);
    const ms = await this.messages(count, scale);
    const after = await this.server.ask("usage", null, ANSWER_MS);
    await this.close();
    const user = (after.user - before.user) / count;
    const system = (after.system - before.system) / count;
    return { value: user + system, count, user, system, perSecond: (count / ms) * 1000, rss: 0 };
  }

  /** The warm-up loads what is loaded late; connections that then stay are the difference. */
  async memory(): Promise<Sample> {
    const count = this.workload.connections;
    await this.open(IDLE_WARM_UP);
    await this.messages(IDLE_WARM_UP);
    await this.close();
    const before = await this.server.ask("memory", null, ANSWER_MS);
    await this.open(count);
    if (this.workload.kind === "idle-used") await this.messages(count);
    const after = await this.server.ask("memory", null, ANSWER_MS);
    await this.messages(count); // every one of them was really being read
    await this.close();
    const value = (after.used - before.used) / count;
    return { value, count, user: 0, system: 0, perSecond: 0, rss: (after.rss - before.rss) / count };
  }

  private open(connections: number): Promise<null> {
    return this.load.ask("open", { workload: this.workload.name, port: this.port, connections }, RUN_MS);
  }

  private messages(messages: number, scale = 1): Promise<number> {
    return this.load.ask("run", { messages }, RUN_MS * Math.max(1, scale));
  }

  private close(): Promise<null> {
    return this.load.ask("close", null, ANSWER_MS);
  }
}
