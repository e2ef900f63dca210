/** Where the time goes: the functions of a CPU profile with the most time of their own. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
}

interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const SHOWN = 25;

/** The profiles in a folder that a workload and a contender have left there, added up, `(idle)` left out. */
export function profileReport(folder: string, workload: string, contender: string): string {
  const files = readdirSync(folder).filter((name) => name.startsWith(`${workload}.${contender}.`));
  const totals = new Map<string, number>();
  for (const file of files) addProfile(totals, JSON.parse(readFileSync(join(folder, file), "utf8")) as Profile);
  totals.delete("(idle)");
  const all = [...totals.values()].reduce((sum, time) => sum + time, 0);
  const most = [...totals].sort(([, a], [, b]) => b - a).slice(0, SHOWN);
  const rows = most.map(([where, time]) => `${((time / all) * 100).toFixed(1).padStart(6)} %  ${where}`);
  return [`${workload}, ${contender}: own time`, ...rows].join("\n");
}

function addProfile(totals: Map<string, number>, { nodes, samples, timeDeltas }: Profile): void {
  const names = new Map(nodes.map((node) => [node.id, nameOf(node)]));
  samples.forEach((id, i) => {
    const name = names.get(id) ?? "?";
    totals.set(name, (totals.get(name) ?? 0) + (timeDeltas[i] ?? 0));
  });
}

function nameOf({ callFrame }: ProfileNode): string {
  const name = callFrame.functionName || "(anonymous)";
  if (callFrame.url === "") return name;
  const file = callFrame.url.replace(/^.*\/(?=(dist|build)\/)/, "");
  return `${name}  ${file}:${callFrame.lineNumber + 1}`;
}
