/** `npm run simulate -- --runs N --seed S`: random programs against the model, one seed after the other.
 * Each tenth is followed by one with a TLS mark. */

import { parseArgs } from "node:util";
import cliProgress from "cli-progress";
import { runSeed } from "./run.js";
import { UpgradeWorld } from "./upgrade-world.js";
import { Watchdog } from "./watchdog.js";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "20000" },
    seed: { type: "string", default: "1" },
  },
});
const runs = Number(values.runs);
const first = Number(values.seed);
if (!Number.isInteger(runs) || !Number.isInteger(first))
  throw new RangeError("Expected --runs and --seed to be integers");

const bar = new cliProgress.SingleBar({
  format: "seed {seed} {bar} {percentage} %, {eta_formatted} to go",
  noTTYOutput: false,
  gracefulExit: false,
});
bar.start(runs, 0, { seed: first });
let failures = 0;
const watchdog = new Watchdog();
for (let i = 0; i < runs && failures < 5; i++) {
  const seed = first + i;
  watchdog.note(seed);
  const failure = (await runSeed(seed)) ?? (seed % 10 === 0 ? await new UpgradeWorld(seed).run() : null);
  if (failure !== null) {
    failures++;
    console.error(`\n${failure}\n`);
  }
  if (i % 500 === 0) bar.update(i, { seed: first + i });
}
bar.update(runs);
bar.stop();
await watchdog.stop();
const cpu = process.cpuUsage();
console.log(
  `${runs} runs from seed ${first}: ${failures} failures, ${((cpu.user + cpu.system) / 1e6).toFixed(1)} s of CPU`,
);
process.exitCode = failures === 0 ? 0 : 1;
