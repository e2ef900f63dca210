/**
 * `npm run bench`: what a message costs a server on this library, and what it costs one written by hand on `node:net`.
 * Rounds alternate between the contenders, and every other round turns their order, so that a machine that gets
 * warmer, or busier, does it to all of them.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { beyond } from "./bounds.js";
import type { Contender } from "./contenders.js";
import { measure, startLoad, type Sample } from "./measurement.js";
import { parseOptions, USAGE, type BenchOptions } from "./options.js";
import { profileReport } from "./profile.js";
import { environment, header, resultsOf, row, type Result } from "./report.js";
import { WORKLOADS, type Workload } from "./workloads.js";

async function main(args: readonly string[]): Promise<void> {
  const options = readOptions(args);
  if (options.list) {
    for (const { name, connections, inFlight, about } of WORKLOADS) {
      console.log(`${name.padEnd(16)} ${connections} connections, ${inFlight} in flight: ${about}`);
    }
    return;
  }
  if (options.profile !== undefined) mkdirSync(options.profile, { recursive: true });
  const at = environment(args);
  console.log(header(at));
  const results: Result[] = [];
  for (const workload of options.workloads) {
    const fresh = await rounds(workload, options);
    results.push(...fresh);
    for (const result of fresh) console.log(row(result));
  }
  if (options.json !== undefined) writeFileSync(options.json, JSON.stringify({ ...at, results }, null, 2) + "\n");
  if (options.profile !== undefined) printProfiles(options.profile, results);
  if (options.check) failBeyond(results);
}

function failBeyond(results: readonly Result[]): void {
  const sentences = beyond(results);
  for (const sentence of sentences) console.error(sentence);
  if (sentences.length > 0) process.exitCode = 1;
}

function readOptions(args: readonly string[]): BenchOptions {
  try {
    return parseOptions(args);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
    process.exit(2);
  }
}

async function rounds(workload: Workload, options: BenchOptions): Promise<Result[]> {
  const samples = new Map<Contender, Sample[]>();
  for (const contender of options.contenders) if (contender.takesPart(workload)) samples.set(contender, []);
  const load = startLoad();
  try {
    for (let round = 0; round < options.rounds; round++) {
      const order = round % 2 === 0 ? [...samples] : [...samples].reverse();
      for (const [contender, taken] of order) taken.push(await measure(load, contender, workload, options));
    }
  } finally {
    await load.stop();
  }
  return resultsOf(workload, samples);
}

function printProfiles(folder: string, results: readonly Result[]): void {
  for (const { workload, contender } of results) console.log(`\n${profileReport(folder, workload, contender)}`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
