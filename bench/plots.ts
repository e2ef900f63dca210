/** The plots of docs/performance.md, as SVG that reads on a light and on a dark page. */
import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import type { Result } from "./report.js";
import { isMemory, workloadNamed } from "./workloads.js";

const INK = "#7a828e";
const CONFIG = {
  background: "transparent",
  axis: { labelColor: INK, titleColor: INK, gridColor: "#7a828e40", domainColor: INK, tickColor: INK, labelLimit: 400 },
  legend: { labelColor: INK, titleColor: INK },
  header: { labelColor: INK, titleColor: INK },
  view: { stroke: "#7a828e40" },
};

async function svgOf(spec: TopLevelSpec): Promise<string> {
  const view = new View(parse(compile({ ...spec, config: CONFIG }).spec), { renderer: "none" });
  const svg = await view.toSVG();
  view.finalize();
  return `${svg}\n`;
}

function orderOf(results: readonly Result[], key: "contender" | "workload"): string[] {
  return [...new Set(results.map((result) => result[key]))];
}

/** A line for each workload, a dot for each contender: its cost by that of the first. */
export function workloadPlot(all: readonly Result[]): Promise<string> {
  const results = all.filter(({ workload }) => !isMemory(workloadNamed(workload)));
  const contenders = orderOf(results, "contender");
  return svgOf({
    width: 620,
    height: { step: 26 },
    data: { values: results.map(({ workload, contender, ratio }) => ({ workload, contender, ratio })) },
    mark: { type: "point", filled: true, size: 70, opacity: 0.9 },
    encoding: {
      x: {
        field: "ratio",
        type: "quantitative",
        scale: { type: "log" },
        title: "CPU time for a message, by that of the server by hand on node:net (less is better)",
      },
      y: { field: "workload", type: "nominal", sort: orderOf(results, "workload"), title: null },
      color: { field: "contender", type: "nominal", sort: contenders, scale: { scheme: "tableau20" }, title: null },
      shape: { field: "contender", type: "nominal", sort: contenders, title: null },
    },
  });
}

const TITLES: Readonly<Record<string, string>> = {
  connections: "connections that echo 64 bytes",
  bytes: "bytes of a frame",
  piece: "bytes sent at once, of a line of 50",
  timeouts: "connections that read lines, each read with a timeout",
};

/** A picture for each thing that grows, a line for each contender. */
export function growthPlot(results: readonly Result[]): Promise<string> {
  const contenders = orderOf(results, "contender");
  const values = results.flatMap(({ workload, contender, median }) => {
    const { growth } = workloadNamed(workload);
    return growth === undefined ? [] : [{ of: TITLES[growth.of] ?? growth.of, at: growth.at, contender, median }];
  });
  return svgOf({
    data: { values },
    columns: 2,
    facet: { field: "of", type: "nominal", title: null, sort: Object.values(TITLES) },
    resolve: { scale: { x: "independent", y: "independent" } },
    spec: {
      width: 280,
      height: 200,
      mark: { type: "line", point: true },
      encoding: {
        x: { field: "at", type: "quantitative", scale: { type: "log" }, title: null },
        y: { field: "median", type: "quantitative", scale: { type: "log" }, title: "µs of CPU time for a message" },
        color: { field: "contender", type: "nominal", sort: contenders, scale: { scheme: "tableau10" }, title: null },
      },
    },
  });
}

/** Of one listener. */
export interface Gap {
  readonly atMs: number;
  readonly gapMs: number;
}

/** What one listener waited for each frame, of each way to serve it. */
export function gapPlot(gaps: readonly (Gap & { readonly of: string })[]): Promise<string> {
  const ways = [...new Set(gaps.map(({ of }) => of))];
  return svgOf({
    data: { values: gaps.map(({ atMs, gapMs, of }) => ({ seconds: atMs / 1000, gapMs: Math.max(1, gapMs), of })) },
    facet: {
      row: { field: "of", type: "nominal", sort: ways, title: null, header: { labelAngle: 0, labelAlign: "left" } },
    },
    spec: {
      width: 520,
      height: 90,
      mark: { type: "bar", width: 2 },
      encoding: {
        x: { field: "seconds", type: "quantitative", title: "seconds" },
        y: { field: "gapMs", type: "quantitative", scale: { domain: [0, 550] }, title: "ms since the last" },
        color: { field: "of", type: "nominal", sort: ways, scale: { scheme: "tableau10" }, legend: null },
      },
    },
  });
}
