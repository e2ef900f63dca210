/** The soak in small: that its attacks run, and that its checks find what they are there for. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { ATTACKS } from "../../soak/attacks.js";
import { Soak, type Plan, type Row } from "../../soak/soak.js";
import { NO_NATIVE } from "../support/availability.js";
import { ONCE } from "../support/runs.js";

const SKIP = process.platform === "linux" ? false : "descriptors are counted in /proc, which this system does not have";
const SMALL: Plan = { ms: 100, connections: 20, seed: 1, recoveryMs: 30_000, leak: null, transport: "auto" };
const SLOWLY_READ = "peers over TLS that are read slowly";
/** For all of them together, on a machine that is busy. */
const SAFETY = { timeout: 600_000, skip: SKIP };

async function soaked(t: TestContext, plan: Plan): Promise<Soak> {
  const soak = await Soak.create(plan);
  t.after(() => soak.stop());
  return soak;
}

describe("hostile peers", SAFETY, () => {
  it("keep no byte from the others, and leave nothing behind", async (t) => {
    const rows: Row[] = [];
    const soak = await soaked(t, SMALL);
    await soak.run(
      ATTACKS.map(({ name }) => name),
      (row) => rows.push(row),
    );
    assert.deepEqual(
      rows.map(({ attack, problem }) => [attack, problem]),
      ATTACKS.map(({ name }) => [name, ""]),
    );
    for (const { attack, accepted, lines } of rows) assert.ok(accepted > 0 && lines > 0, attack);
  });

  it("do not end a listener that is out of descriptors", async (t) => {
    const rows: Row[] = [];
    await (await soaked(t, { ...SMALL, connections: 300, ms: 1000 })).runShort((row) => rows.push(row));
    assert.deepEqual(
      rows.map(({ problem }) => problem),
      [""],
    );
    const answered = Number(/answered (\d+)/.exec(rows[0]?.did ?? "")?.[1]);
    assert.ok(answered > 0 && answered < 300, `${answered} were served at once`);
  });

  it("end as the limits say", async (t) => {
    const rows: Row[] = [];
    const soak = await soaked(t, { ...SMALL, ms: 3000 });
    await soak.run(["peers that never read", "handshakes that stop", "half-open ones"], (row) => rows.push(row));
    assert.deepEqual(
      rows.map(({ problem }) => problem),
      ["", "", ""],
    );
  });

  for (const transport of ["node", "native"] as const) {
    const skip = transport === "native" && NO_NATIVE;
    it(`take little memory each while nobody reads what they send over TLS, on ${transport}`, { skip }, async (t) => {
      const rows: Row[] = [];
      await (await soaked(t, { ...SMALL, ms: 3000, transport })).run([SLOWLY_READ], (row) => rows.push(row));
      assert.equal(rows[0]?.problem, "");
    });
  }

  it("are found where each takes more memory than it may, while it is there", { skip: ONCE }, async (t) => {
    const rows: Row[] = [];
    const soak = await soaked(t, { ...SMALL, ms: 3000, leak: "unread" });
    await soak.run([SLOWLY_READ], (row) => rows.push(row));
    assert.match(rows[0]?.problem ?? "", /^each of \d+ connections took \d+ KiB$/);
  });

  for (const [leak, found] of [
    ["timers", /^\d+ timers left/],
    ["descriptors", /^\d+ descriptors left/],
    ["sockets", /^the heap has grown by/],
  ] as const) {
    it(`are found where they leave ${leak} behind`, { skip: ONCE }, async (t) => {
      const rows: Row[] = [];
      const soak = await soaked(t, { ...SMALL, recoveryMs: 500, leak });
      await soak.run(["connection storms"], (row) => rows.push(row));
      assert.match(rows[0]?.problem ?? "", found);
    });
  }
});
