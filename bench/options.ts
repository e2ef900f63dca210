/** The command line, read and checked before any process is started. */
import { parseArgs } from "node:util";
import { BOUNDED } from "./bounds.js";
import { CONTENDERS, type Contender } from "./contenders.js";
import { contenderAt } from "./revision.js";
import { WORKLOADS, workloadNamed, type Workload } from "./workloads.js";

export interface BenchOptions {
  readonly workloads: readonly Workload[];
  readonly contenders: readonly Contender[];
  readonly rounds: number;
  /** Times the messages of each workload. */
  readonly scale: number;
  /** Whether a result beyond its bound fails the run. */
  readonly check: boolean;
  readonly json: string | undefined;
  /** A folder for CPU profiles of the servers; what they cost then means nothing. */
  readonly profile: string | undefined;
  readonly list: boolean;
}

const PEER_NAMES = CONTENDERS.filter(({ needs }) => needs !== undefined).map(({ name }) => name);

export const USAGE = `npm run bench -- [options]
  --only NAME[,NAME]        these workloads (a name, or what it begins with)
  --rounds N                rounds of each, interleaved (5)
  --scale X                 times the messages of each run (1)
  --growth                  how cost grows: connections, bytes, pieces, timeouts
  --promise                 the promise style of the library, too
  --peers NAME[,NAME]       servers on other platforms as well, or all: ${PEER_NAMES.join(", ")}
  --contenders NAME[,NAME]  these contenders: ${CONTENDERS.map((contender) => contender.name).join(", ")}
  --against REV             one contender (native, or that of --contenders) beside itself at another revision
  --check                   fail if the library costs more than its bound, on ${BOUNDED.join(", ")}
  --json FILE               write everything measured
  --profile FOLDER          profile the servers, and print where the time goes
  --list                    list the workloads`;

/** @throws TypeError or RangeError, with a message for whoever typed it */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", multiple: true },
      rounds: { type: "string", default: "5" },
      scale: { type: "string", default: "1" },
      growth: { type: "boolean", default: false },
      promise: { type: "boolean", default: false },
      peers: { type: "string", multiple: true },
      contenders: { type: "string", multiple: true },
      against: { type: "string" },
      check: { type: "boolean", default: false },
      json: { type: "string" },
      profile: { type: "string" },
      list: { type: "boolean", default: false },
    },
  });
  const rounds = positive("--rounds", values.rounds);
  if (!Number.isInteger(rounds)) throw new RangeError(`Expected whole --rounds, got ${rounds}`);
  const { against, check } = values;
  const only = names(values.only);
  const contenders = names(values.contenders);
  return {
    workloads: selectWorkloads(check && only.length === 0 ? BOUNDED : only, values.growth),
    contenders:
      against === undefined
        ? installed(selectContenders(contenders, names(values.peers), values.promise))
        : twice(against, contenders),
    check,
    rounds,
    scale: positive("--scale", values.scale),
    json: values.json,
    profile: values.profile,
    list: values.list,
  };
}

function names(lists: readonly string[] | undefined): string[] {
  return (lists ?? []).flatMap((list) => list.split(",")).filter((name) => name !== "");
}

function positive(what: string, text: string): number {
  const value = Number(text);
  if (!(value > 0) || value === Infinity) throw new RangeError(`Expected a positive number for ${what}, got ${text}`);
  return value;
}

function selectWorkloads(wanted: readonly string[], growing: boolean): readonly Workload[] {
  if (wanted.length === 0)
    return WORKLOADS.filter(({ growth, protocol }) => (growth !== undefined) === growing && protocol !== "relay");
  const selected = wanted.flatMap((name) => {
    const exact = WORKLOADS.filter((workload) => workload.name === name);
    if (exact.length > 0) return exact;
    const begun = WORKLOADS.filter((workload) => workload.name.startsWith(name));
    return begun.length > 0 ? begun : [workloadNamed(name)];
  });
  return WORKLOADS.filter((workload) => selected.includes(workload));
}

/** A contender at another revision, with which it is compared, and as it is now. */
function twice(revision: string, [wanted = "native", ...more]: readonly string[]): readonly Contender[] {
  const contender = CONTENDERS.find(({ name }) => name === wanted);
  if (contender === undefined || more.length > 0) throw new RangeError("Expected one contender with --against");
  return [contenderAt(revision, contender), contender];
}

function selectContenders(wanted: readonly string[], peers: readonly string[], promise: boolean): readonly Contender[] {
  const unknown = [...wanted, ...peers].find((name) => name !== "all" && !CONTENDERS.some((one) => one.name === name));
  if (unknown !== undefined) throw new RangeError(`Expected a contender, got ${unknown}`);
  const isPeer = ({ name, needs }: Contender): boolean =>
    peers.includes(name) || (peers.includes("all") && needs !== undefined);
  if (wanted.length > 0) return CONTENDERS.filter((one) => wanted.includes(one.name) || isPeer(one));
  return CONTENDERS.filter((one) => one.optional !== true || isPeer(one) || (promise && one.file === "promise"));
}

/** Those that can take part; of the others it is said what they need. */
function installed(contenders: readonly Contender[]): readonly Contender[] {
  return contenders.filter(({ name, needs, isThere }) => {
    if (isThere === undefined || isThere()) return true;
    console.error(`SKIPPED ${name}: it needs ${needs ?? "what is not here"}`);
    return false;
  });
}
