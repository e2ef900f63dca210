/** Random reads over real connections, against the model. More of them, and other seeds: `npm run fuzz`. */

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { runs } from "../runs.js";
import { randomRound, Round } from "./round.js";
import { WIRES } from "./wires.js";

const READS = runs(50);

const wires = await Promise.all(WIRES.map((make) => make()));
after(() => {
  for (const wire of wires) wire.close();
});

describe("random reads give what the model cuts", { timeout: 300_000 }, () => {
  for (const wire of wires) {
    it(`over ${wire.name}`, async () => {
      for (let seed = 1; seed <= READS; seed++) {
        const failure = await new Round(wire, true).run(randomRound(seed));
        assert.equal(failure, null, `npm run fuzz -- --runs 1 --seed ${seed} --over "${wire.name}"`);
      }
    });
  }
});
