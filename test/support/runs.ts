import fc from "fast-check";

/** On other runtimes: `npm run test:runtimes`. */
const SHARE = Number(process.env["ASYNCSOCKET_RUNS_SHARE"] ?? 1);

/**
 * Why a test of the tests themselves is left out; false on the runtime that runs everything. What finds faults there
 * finds them on the others, too.
 */
export const ONCE = SHARE < 1 && "what checks the tests themselves runs on one runtime only";

/** How often something random is tried: `count` times, or a share of that, also where `quick-runs.ts` was loaded before. */
export function runs(count: number): number {
  const { numRuns = 100 } = fc.readConfigureGlobal();
  return Math.ceil((count * numRuns * SHARE) / 100);
}
