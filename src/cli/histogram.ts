/** Latencies, as percentiles and as bars whose widths grow by a fixed factor. */

import { table } from "./table.js";

const PERCENTILES = [50, 90, 99, 99.9] as const;
const MOST_BARS = 12;
const BAR_WIDTH = 40;

/** The latency below which so many percent of the samples are: the nearest rank. */
export function percentile(sorted: readonly number[], percent: number): number {
  const rank = Math.ceil((percent / 100) * sorted.length);
  return sorted[Math.max(0, rank - 1)] ?? 0;
}

/** The figures that scripts want. */
export function latencyFacts(samplesMs: readonly number[]): Record<string, number> {
  const sorted = samplesMs.toSorted((a, b) => a - b);
  const mean = sorted.reduce((sum, one) => sum + one, 0) / Math.max(1, sorted.length);
  const facts = PERCENTILES.map((percent) => [`p${percent}`, percentile(sorted, percent)] as const);
  return { min: sorted[0] ?? 0, mean, ...Object.fromEntries(facts), max: sorted.at(-1) ?? 0 };
}

/** The same for people: a table of figures, and bars. */
export function latencyLines(samplesMs: readonly number[]): string[] {
  if (samplesMs.length === 0) return [];
  const facts = Object.entries(latencyFacts(samplesMs)).map(([name, ms]) => [name, `${ms.toFixed(3)} ms`]);
  return [...table(facts), "", ...table(bars(samplesMs))];
}

interface Bucket {
  readonly fromMs: number;
  readonly toMs: number;
  count: number;
}

/** The buckets from the smallest sample to the largest. Each is wider than the last by the same factor. */
export function buckets(samplesMs: readonly number[]): Bucket[] {
  const sorted = samplesMs.toSorted((a, b) => a - b);
  const lowest = Math.max(1e-3, sorted[0] ?? 0);
  const highest = Math.max(lowest, sorted.at(-1) ?? 0);
  const count = Math.max(1, Math.min(MOST_BARS, Math.ceil(Math.log(highest / lowest) / Math.log(1.25))));
  const factor = (highest / lowest) ** (1 / count);
  const all = Array.from({ length: count }, (_, i): Bucket => {
    const [fromMs, toMs] = [lowest * factor ** i, i === count - 1 ? highest : lowest * factor ** (i + 1)];
    return { fromMs, toMs, count: 0 };
  });
  let at = 0;
  for (const sample of sorted) {
    while (at < count - 1 && sample > (all[at]?.toMs ?? 0)) at++;
    const bucket = all[at];
    if (bucket !== undefined) bucket.count++;
  }
  return all;
}

function bars(samplesMs: readonly number[]): string[][] {
  const all = buckets(samplesMs);
  const most = Math.max(...all.map(({ count }) => count));
  return all.map(({ fromMs, toMs, count }) => {
    const bar = "█".repeat(Math.ceil((count / most) * BAR_WIDTH));
    return [`${fromMs.toFixed(3).padStart(9)} to ${toMs.toFixed(3).padStart(9)} ms`, String(count).padStart(7), bar];
  });
}
