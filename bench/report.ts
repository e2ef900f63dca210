/** What is shown while it runs, and what `--json` writes. */
import { cpus, loadavg } from "node:os";
import type { Contender } from "./contenders.js";
import type { Sample } from "./measurement.js";
import { summarize, type Summary } from "./statistics.js";
import { isMemory, type Workload } from "./workloads.js";

/** One row: a contender in a workload. */
export interface Result extends Summary {
  readonly workload: string;
  readonly contender: string;
  readonly unit: "µs/message" | "bytes/connection";
  /** This median by the first contender's: below 1 is better. */
  readonly ratio: number;
  /** The same of the least values: what a busy machine adds is not in it. */
  readonly leastRatio: number;
  readonly samples: readonly Sample[];
}

export interface Environment {
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly load: number;
  readonly command: string;
  readonly date: string;
}

export function environment(args: readonly string[]): Environment {
  const all = cpus();
  return {
    node: process.version,
    cpu: all[0]?.model ?? "unknown",
    cores: all.length,
    load: loadavg()[0] ?? 0,
    command: ["npm run bench --", ...args].join(" "),
    date: new Date().toISOString(),
  };
}

/** @param byContender - the first is what the others are compared with */
export function resultsOf(workload: Workload, byContender: ReadonlyMap<Contender, readonly Sample[]>): Result[] {
  const unit = isMemory(workload) ? "bytes/connection" : "µs/message";
  let base: Summary | null = null;
  return [...byContender].map(([contender, samples]) => {
    const summary = summarize(samples.map((sample) => sample.value));
    base ??= summary;
    const ratios = { ratio: summary.median / base.median, leastRatio: summary.least / base.least };
    return {
      workload: workload.name,
      contender: contender.name,
      unit,
      ...summary,
      ...ratios,
      samples,
    };
  });
}

const COLUMNS = ["workload", "contender", "median", "min", "max", "ratio", "of min", "unit", "also"] as const;
const WIDTHS = [16, 14, 9, 9, 9, 7, 7] as const;

export function header(at: Environment): string {
  const machine = `Node ${at.node}, ${at.cores} x ${at.cpu}, load ${at.load.toFixed(2)}, ${at.date}`;
  return [machine, at.command, "", line(COLUMNS)].join("\n");
}

export function row(result: Result): string {
  const number =
    result.unit === "µs/message" ? (n: number): string => n.toFixed(3) : (n: number): string => n.toFixed(0);
  const { workload, contender, ratio, leastRatio, unit } = result;
  const times = [result.median, result.least, result.most].map(number);
  return line([workload, contender, ...times, ratio.toFixed(3), leastRatio.toFixed(3), unit, also(result)]);
}

function also({ unit, samples }: Result): string {
  const median = (pick: (sample: Sample) => number): number => summarize(samples.map(pick)).median;
  if (unit === "bytes/connection") return `rss ${median((s) => s.rss).toFixed(0)}`;
  const [user, system] = [median((s) => s.user), median((s) => s.system)];
  return `${user.toFixed(3)} user + ${system.toFixed(3)} system, ${Math.round(median((s) => s.perSecond))}/s`;
}

/** Names to the left, numbers to the right, the rest as it is. */
function line(cells: readonly string[]): string {
  const padded = cells.map((cell, i) => (i < 2 ? cell.padEnd(WIDTHS[i] ?? 0) : cell.padStart(WIDTHS[i] ?? 0)));
  return padded.join("  ").trimEnd();
}
