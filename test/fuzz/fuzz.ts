/** `npm run fuzz -- --runs N --seed S --over NAME`: random programs over real connections, held against the model. */

import { parseArgs } from "node:util";
import { describeRound, shrinkRound } from "./shrink.js";
import { PATIENCE_MS, randomRound, Round } from "./round.js";
import { WIRES } from "./wires.js";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "1000" },
    seed: { type: "string", default: "1" },
    only: { type: "string", default: "reads,writes" },
    over: { type: "string", default: "" },
    patience: { type: "string", default: String(PATIENCE_MS) },
    most: { type: "string", default: "5" },
  },
});
const [runs, first, patienceMs, most] = [values.runs, values.seed, values.patience, values.most].map(Number) as [
  number,
  number,
  number,
  number,
];

const KINDS = (["reads", "writes"] as const).filter((of) => values.only.includes(of));
let failures = 0;
for (const make of WIRES) {
  const wire = await make();
  if (wire.name.includes(values.over)) {
    const cpu = process.cpuUsage();
    let found = 0;
    for (const of of KINDS)
      for (let seed = first; seed < first + runs && found < most; seed++) {
        const programs = randomRound(of, seed);
        const failure = await new Round(wire, patienceMs).run(programs);
        if (failure === null) continue;
        found++;
        console.log(`${of} over ${wire.name}, seed ${seed}: ${failure}`);
        const smallest = await shrinkRound(wire, programs);
        console.log(
          smallest === null
            ? "(does not fail again)"
            : `shrunken: ${smallest.failure}\n${describeRound(smallest.programs)}`,
        );
      }
    failures += found;
    const { user, system } = process.cpuUsage(cpu);
    console.log(
      `${wire.name}: ${runs} rounds from seed ${first}, ${found} failures, ${((user + system) / 1e6).toFixed(1)} s of CPU`,
    );
  }
  wire.close();
}
process.exitCode = failures === 0 ? 0 : 1;
