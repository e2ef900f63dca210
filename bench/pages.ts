/**
 * `npm run pages -- FILE …`: what `--json` wrote, as the tables of docs/performance.md, between their marks, and as its
 * plots. No figure is typed.
 */
import { readFileSync, writeFileSync } from "node:fs";
import type { Environment, Result } from "./report.js";
import { replaced, table } from "./markdown.js";
import { growthPlot, workloadPlot } from "./plots.js";
import { summarize } from "./statistics.js";
import { workloadNamed } from "./workloads.js";

export interface Run extends Environment {
  readonly results: readonly Result[];
}

const COMMAND = "npm run pages";
const PAGE = "docs/performance.md";
const PLOTS = { workloads: "docs/performance.svg", growth: "docs/growth.svg" };

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}

function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** A row for each workload: what the first contender takes, and the others' ratios to it. */
function ratios(results: readonly Result[]): string {
  const contenders = unique(results.map(({ contender }) => contender));
  const [base = ""] = contenders;
  const rows = unique(results.map(({ workload }) => workload)).map((workload) => {
    const cells = contenders.map((contender) => {
      const found = results.find((one) => one.workload === workload && one.contender === contender);
      if (found === undefined) return "";
      if (contender !== base) return figure(found.ratio);
      return found.unit === "µs/message" ? `${figure(found.median)} µs` : `${figure(found.median)} B`;
    });
    return [`\`${workload}\``, ...cells];
  });
  return table(["workload", ...contenders], rows);
}

/** A row for each step of what grows, the cost by each contender. */
function growth(results: readonly Result[], of: string): string {
  const contenders = unique(results.map(({ contender }) => contender));
  const grown = results.filter(({ workload }) => workloadNamed(workload).growth?.of === of);
  const rows = unique(grown.map(({ workload }) => workload)).map((workload) => {
    const at = workloadNamed(workload).growth?.at ?? 0;
    const cells = contenders.map((contender) =>
      grown.find((o) => o.workload === workload && o.contender === contender),
    );
    return [at.toLocaleString("en"), ...cells.map((one) => (one === undefined ? "" : figure(one.median)))];
  });
  return table([of, ...contenders], rows);
}

/** With run loops what counts is how much gets through, by the clock; and what it costs. */
function throughput(results: readonly Result[]): string {
  const rows = results.map(({ workload, contender, median, samples }) => {
    const perSecond = summarize(samples.map((sample) => sample.perSecond)).median;
    return [`\`${workload}\``, contender, Math.round(perSecond).toLocaleString("en"), `${figure(median)} µs`];
  });
  return table(["workload", "server", "messages a second", "CPU time for a message"], rows);
}

function said({ node, cores, cpu, load, date, command }: Run): string {
  const machine = `Node ${node.slice(1)}, ${cores} x ${cpu}, load ${load.toFixed(1)} at the begin, ${date.slice(0, 10)}`;
  return `\`${command.replace(/ --json \S+/, "")}\`: ${machine}.`;
}

async function main(files: readonly string[]): Promise<void> {
  if (files.length === 0) throw new Error("Expected files that npm run bench -- --json wrote");
  let page = readFileSync(PAGE, "utf8");
  for (const file of files) {
    const run = JSON.parse(readFileSync(file, "utf8")) as Run;
    if (run.results.some(({ contender }) => contender === "loops-1")) {
      page = replaced(PAGE, page, "loops", COMMAND, `${said(run)}\n\n${throughput(run.results)}`);
      continue;
    }
    const kinds = unique(run.results.map(({ workload }) => workloadNamed(workload).growth?.of ?? ""));
    for (const of of kinds) {
      if (of === "") page = replaced(PAGE, page, "workloads", COMMAND, `${said(run)}\n\n${ratios(run.results)}`);
      else page = replaced(PAGE, page, of, COMMAND, `${said(run)}\n\n${growth(run.results, of)}`);
    }
    if (kinds.includes("")) writeFileSync(PLOTS.workloads, await workloadPlot(run.results));
    else writeFileSync(PLOTS.growth, await growthPlot(run.results));
  }
  writeFileSync(PAGE, page);
}

await main(process.argv.slice(2));
