import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { isDenied, orderTargets, srvName } from "#dist/connect/srv.js";

interface Target {
  name: string;
  port: number;
  priority: number;
  weight: number;
}

function target(name: string, priority: number, weight: number): Target {
  return { name, port: 1, priority, weight };
}

function names(records: readonly Target[], ...lots: number[]): string {
  let drawn = 0;
  return orderTargets(records, () => lots[drawn++] ?? 0)
    .map(({ name }) => name)
    .join("");
}

describe("the order of SRV targets", () => {
  it("is by priority, the lowest first", () => {
    assert.equal(names([target("c", 30, 9), target("a", 10, 1), target("b", 20, 5)]), "abc");
  });

  it("is drawn by weight within a priority", () => {
    const records = [target("a", 1, 1), target("b", 1, 3)];
    // Lots from 0 to 4: 0 and 1 fall on a, 2 to 4 on b.
    for (const [lot, expected] of [
      [0, "ab"],
      [0.39, "ab"],
      [0.4, "ba"],
      [0.99, "ba"],
    ] as const) {
      assert.equal(names(records, lot), expected, String(lot));
    }
  });

  it("draws anew among those left", () => {
    const records = [target("a", 1, 1), target("b", 1, 1), target("c", 1, 8)];
    assert.equal(names(records, 0.99, 0.99, 0), "cba");
    assert.equal(names(records, 0.99, 0, 0), "cab");
  });

  it("gives weight 0 a chance only where the lot is 0, or nothing else is left", () => {
    const records = [target("a", 1, 99), target("z", 1, 0)];
    assert.equal(names(records, 0), "za");
    assert.equal(names(records, 0.02), "az");
    assert.equal(names([target("y", 1, 0), target("z", 1, 0)], 0.99, 0.99), "yz");
  });

  it("loses and doubles no target, and never goes back in priority", () => {
    const record = fc.record({ name: fc.string(), port: fc.nat(65_535), priority: fc.nat(3), weight: fc.nat(65_535) });
    const lots = fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), {
      minLength: 20,
      maxLength: 20,
    });
    fc.assert(
      fc.property(fc.array(record, { maxLength: 20 }), lots, (records, drawn) => {
        let i = 0;
        const ordered = orderTargets(records, () => drawn[i++] ?? 0);
        assert.equal(ordered.length, records.length);
        assert.deepEqual(new Set(ordered), new Set(records));
        const priorities = ordered.map(({ priority }) => priority);
        assert.deepEqual(
          priorities,
          [...priorities].sort((a, b) => a - b),
        );
      }),
    );
  });

  it("is asked for by service and domain, and a single dot denies it", () => {
    assert.equal(srvName("xmpp-client", "example.com"), "_xmpp-client._tcp.example.com");
    assert.equal(isDenied([target(".", 0, 0)]), true);
    assert.equal(isDenied([target("", 0, 0)]), true);
    assert.equal(isDenied([target("a", 0, 0)]), false);
    assert.equal(isDenied([target(".", 0, 0), target("a", 0, 0)]), false);
  });
});
