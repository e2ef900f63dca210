/**
 * What the servers of this library may cost by what one written by hand costs in the same run, so that cost does not
 * creep back unnoticed: `npm run bench -- --check`. The bounds are about 1.4 times what was measured when they were set; believed
 * are the least values of several rounds.
 */
import type { Result } from "./report.js";

type Bounds = Readonly<Record<string, number>>;

const BOUNDS: Readonly<Record<string, Bounds>> = {
  "echo-64": { library: 1.7, native: 1.3 },
  "lines-pipelined": { library: 2.2, native: 2 },
  "frames-64": { library: 1.7, native: 1.6 },
  churn: { library: 2.5, native: 1.6 },
  idle: { library: 2.9, native: 2.1 },
};

/** The workloads that have bounds. */
export const BOUNDED: readonly string[] = Object.keys(BOUNDS);

/** A sentence for each result that is beyond its bound. */
export function beyond(results: readonly Result[]): string[] {
  return results.flatMap(({ workload, contender, leastRatio }) => {
    const most = BOUNDS[workload]?.[contender] ?? Infinity;
    if (leastRatio <= most) return [];
    return [
      `${workload} by ${contender} costs ${leastRatio.toFixed(2)} of what it costs by hand: the bound is ${most}`,
    ];
  });
}
