import fc from "fast-check";

/** How often a property is tried: `count` times, or a share of that where `quick-runs.ts` was loaded before the tests. */
export function runs(count: number): number {
  const { numRuns = 100 } = fc.readConfigureGlobal();
  return Math.ceil((count * numRuns) / 100);
}
