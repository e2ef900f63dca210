import fc from "fast-check";

/** On other runtimes: `npm run test:runtimes`. */
const SHARE = Number(process.env["ASYNCSOCKET_RUNS_SHARE"] ?? 1);

/** How often something random is tried: `count` times, or a share of that, also where `quick-runs.ts` was loaded before. */
export function runs(count: number): number {
  const { numRuns = 100 } = fc.readConfigureGlobal();
  return Math.ceil((count * numRuns * SHARE) / 100);
}
