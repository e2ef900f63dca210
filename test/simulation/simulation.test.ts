/** 20 000 random programs against the model. More of them, and other seeds: `npm run simulate -- --runs N --seed S`. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runs } from "../support/runs.js";
import { type Op, type Program, randomProgram } from "./program.js";
import { runSeed } from "./run.js";
import { shrink } from "./shrink.js";
import { UpgradeWorld } from "./upgrade-world.js";
import { World } from "./world.js";

const RUNS = runs(20_000);
const PIECE = 2000;

describe("random programs against the model", { timeout: 300_000 }, () => {
  for (let first = 1; first <= RUNS; first += PIECE) {
    it(`seeds ${first} to ${first + PIECE - 1}`, async () => {
      for (let seed = first; seed < first + PIECE; seed++) assert.equal(await runSeed(seed), null);
    });
  }
});

describe("random programs with a TLS mark", { timeout: 300_000 }, () => {
  const most = runs(3000);
  it(`seeds 1 to ${most}`, async () => {
    for (let seed = 1; seed <= most; seed++) assert.equal(await new UpgradeWorld(seed).run(), null);
  });
});

describe("the simulation itself", () => {
  it("does the same again for the same seed", async () => {
    for (const seed of [1, 7, 99]) {
      const worlds = [new World(randomProgram(seed)), new World(randomProgram(seed))];
      for (const world of worlds) await world.run();
      const [first, second] = worlds.map(({ log }) => log);
      assert.ok(first !== undefined && first.length > 3);
      assert.deepEqual(second, first);
    }
  });

  it("reaches every kind of callback and every code of failure that it knows", async () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= 2000; seed++) {
      const world = new World(randomProgram(seed));
      await world.run();
      for (const [what] of world.log) seen.add(what);
    }
    for (const what of [...CALLBACKS, ...CODES]) assert.ok(seen.has(what), what);
  });

  it("shrinks a program to what makes it fail", async () => {
    const program = randomProgram(5);
    const needed = (one: Program): boolean => one.ops.filter(({ act }) => act.do === "write").length >= 2;
    const op: Op = { side: 0, atMs: 50, act: { do: "write", from: 0, sizes: [1], awaits: false } };
    const smallest = await shrink({ ...program, ops: [op, ...program.ops, op] }, (one) => Promise.resolve(needed(one)));
    assert.equal(smallest.ops.length, 2);
    assert.deepEqual(smallest.network.latencyMs, [0, 0]);
  });
});

const CALLBACKS = [
  "didAccept",
  "didConnect",
  "didRead",
  "didReadText",
  "didReadPartial",
  "didWrite",
  "didWritePartial",
  "shouldExtendReadTimeout",
  "shouldExtendWriteTimeout",
  "didFailRead",
  "didFailWrite",
  "didEndReading",
  "willDisconnect",
  "didDisconnect",
];
const CODES = [
  "READ_TIMEOUT",
  "WRITE_TIMEOUT",
  "CONNECT_TIMEOUT",
  "IDLE_TIMEOUT",
  "LINGER_TIMEOUT",
  "READ_LIMIT",
  "BAD_FRAME",
  "END_OF_STREAM",
  "CLOSED",
  "CONNECTION_LOST",
  "CANCELED",
  "QUEUE_FULL",
];
