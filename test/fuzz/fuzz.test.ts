/** Random reads and writes over real connections, against the model. More of them, and other seeds: `npm run fuzz`. */

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { runs } from "../support/runs.js";
import { randomRound, Round } from "./round.js";
import { WIRES } from "./wires.js";

const wires = await Promise.all(WIRES.map((make) => make()));
after(() => {
  for (const wire of wires) wire.close();
});

for (const [of, most] of [
  ["reads", runs(40)],
  ["writes", runs(40)],
] as const) {
  describe(`random ${of} are as the model has them`, { timeout: 300_000 }, () => {
    for (const wire of wires) {
      it(`over ${wire.name}`, async () => {
        for (let seed = 1; seed <= most; seed++) {
          const failure = await new Round(wire).run(randomRound(of, seed));
          assert.equal(failure, null, `npm run fuzz -- --runs 1 --seed ${seed} --only ${of} --over "${wire.name}"`);
        }
      });
    }
  });
}
