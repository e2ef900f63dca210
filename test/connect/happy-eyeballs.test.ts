import assert from "node:assert/strict";
import { describe, it, mock } from "node:test";
import { type Plan, Track } from "./tracks.js";
import type { Candidate } from "#dist/connect/happy-eyeballs.js";

const BOTH = { questions: [6, 4] } as const;
const OK = [20, true] as const;
const REFUSED = [5, false] as const;
/** Answered at once. */
const TWO_AND_TWO = { 6: [0, ["a6", "b6"]], 4: [0, ["a4", "b4"]] } as const;
const ONE_AND_ONE = { 6: [0, ["a6"]], 4: [0, ["a4"]] } as const;

const ROWS: Readonly<Record<string, Plan & { readonly expected: readonly string[] }>> = {
  "the first address wins, and no other is tried": {
    ...BOTH,
    answers: TWO_AND_TWO,
    outcomes: { a6: OK },
    expected: ["0 dial a6", "20 won a6"],
  },
  "the second wins after the delay, and the first is closed": {
    ...BOTH,
    answers: TWO_AND_TWO,
    outcomes: { a4: OK },
    expected: ["0 dial a6", "250 dial a4", "270 hang up a6", "270 won a4"],
  },
  "an earlier attempt goes on, and wins late": {
    ...BOTH,
    answers: TWO_AND_TWO,
    outcomes: { a6: [400, true] },
    expected: ["0 dial a6", "250 dial a4", "400 hang up a4", "400 won a6"],
  },
  "families take turns, each in the resolver's order": {
    ...BOTH,
    answers: TWO_AND_TWO,
    outcomes: { b4: OK },
    attemptDelayMs: 100,
    expected: [
      "0 dial a6",
      "100 dial a4",
      "200 dial b6",
      "300 dial b4",
      "320 hang up a6",
      "320 hang up a4",
      "320 hang up b6",
      "320 won b4",
    ],
  },
  "a failure moves on at once, and the delay then runs anew": {
    ...BOTH,
    answers: TWO_AND_TWO,
    outcomes: { a6: REFUSED, b6: OK },
    expected: ["0 dial a6", "5 dial a4", "255 dial b6", "275 hang up a4", "275 won b6"],
  },
  "the failure of an earlier attempt moves on as well": {
    ...BOTH,
    answers: TWO_AND_TWO,
    outcomes: { a6: [300, false], b6: OK },
    expected: ["0 dial a6", "250 dial a4", "300 dial b6", "320 hang up a4", "320 won b6"],
  },
  "attempts that fail within the dial take no time": {
    ...BOTH,
    answers: TWO_AND_TWO,
    outcomes: { a6: [0, false], a4: [0, false], b6: [0, false], b4: OK },
    expected: ["0 dial a6", "0 dial a4", "0 dial b6", "0 dial b4", "20 won b4"],
  },
  "it is lost when all have failed": {
    ...BOTH,
    answers: ONE_AND_ONE,
    outcomes: { a6: REFUSED, a4: REFUSED },
    expected: ["0 dial a6", "5 dial a4", "10 lost"],
  },
  "it is not lost while one is still running": {
    ...BOTH,
    answers: ONE_AND_ONE,
    outcomes: { a6: [1000, true], a4: REFUSED },
    expected: ["0 dial a6", "250 dial a4", "1000 won a6"],
  },
  "it is lost at once when there is no address": {
    ...BOTH,
    answers: { 6: [10, null], 4: [20, []] },
    outcomes: {},
    expected: ["20 lost"],
  },
  "IPv6 that answers first is tried at once": {
    ...BOTH,
    answers: { 6: [10, ["a6"]], 4: [5000, ["a4"]] },
    outcomes: { a6: OK },
    expected: ["10 dial a6", "30 won a6"],
  },
  "IPv4 that answers first waits 50 ms for IPv6, which comes": {
    ...BOTH,
    answers: { 6: [40, ["a6"]], 4: [10, ["a4"]] },
    outcomes: { a6: OK },
    expected: ["40 dial a6", "60 won a6"],
  },
  "IPv4 that answers first waits 50 ms for IPv6, which does not come": {
    ...BOTH,
    answers: { 6: [5000, ["a6"]], 4: [10, ["a4"]] },
    outcomes: { a4: OK },
    expected: ["60 dial a4", "80 won a4"],
  },
  "IPv4 goes on at once when IPv6 has no address": {
    ...BOTH,
    answers: { 6: [30, null], 4: [10, ["a4"]] },
    outcomes: { a4: OK },
    expected: ["30 dial a4", "50 won a4"],
  },
  "IPv6 that comes late, during the delay, is next in its turn": {
    ...BOTH,
    answers: { 6: [100, ["a6"]], 4: [0, ["a4", "b4"]] },
    outcomes: { a6: OK },
    expected: ["50 dial a4", "300 dial a6", "320 hang up a4", "320 won a6"],
  },
  "IPv6 that comes after the delay is tried at once": {
    ...BOTH,
    answers: { 6: [1000, ["a6"]], 4: [0, ["a4"]] },
    outcomes: { a6: OK },
    expected: ["50 dial a4", "1000 dial a6", "1020 hang up a4", "1020 won a6"],
  },
  "IPv6 that comes after all IPv4 has failed is waited for": {
    ...BOTH,
    answers: { 6: [1000, ["a6"]], 4: [0, ["a4"]] },
    outcomes: { a4: REFUSED, a6: OK },
    expected: ["50 dial a4", "1000 dial a6", "1020 won a6"],
  },
  "it is lost with the last answer, when that gives nothing": {
    ...BOTH,
    answers: { 6: [1000, null], 4: [0, ["a4"]] },
    outcomes: { a4: REFUSED },
    expected: ["50 dial a4", "1000 lost"],
  },
  "preferFamily 4 begins with IPv4, and does not wait for IPv6": {
    ...BOTH,
    firstFamily: 4,
    answers: { 6: [100, ["a6"]], 4: [10, ["a4"]] },
    outcomes: { a6: OK },
    expected: ["10 dial a4", "260 dial a6", "280 hang up a4", "280 won a6"],
  },
  "preferFamily 4 has IPv6 wait for IPv4": {
    ...BOTH,
    firstFamily: 4,
    answers: { 6: [10, ["a6"]], 4: [30, ["a4"]] },
    outcomes: { a4: OK },
    expected: ["30 dial a4", "50 won a4"],
  },
  "one family alone is gone through in order": {
    questions: [4],
    answers: { 4: [10, ["a4", "b4", "c4"]] },
    outcomes: { c4: OK },
    expected: ["10 dial a4", "260 dial b4", "510 dial c4", "530 hang up a4", "530 hang up b4", "530 won c4"],
  },
  "one answer for both families begins with the family of its first address": {
    questions: [0],
    answers: { 0: [10, ["a4", "b4", "a6"]] },
    outcomes: { a6: OK },
    expected: ["10 dial a4", "260 dial a6", "280 hang up a4", "280 won a6"],
  },
  "one answer for both families begins with preferFamily": {
    questions: [0],
    firstFamily: 6,
    answers: { 0: [10, ["a4", "b4", "a6"]] },
    outcomes: { a6: OK },
    expected: ["10 dial a6", "30 won a6"],
  },
  "an address that is found twice is tried once": {
    questions: [0],
    answers: { 0: [0, ["a4", "a4", "a4"]] },
    outcomes: { a4: REFUSED },
    expected: ["0 dial a4", "5 lost"],
  },
  "of two that succeed in one turn, the first wins": {
    ...BOTH,
    answers: ONE_AND_ONE,
    outcomes: { a6: [300, true], a4: [50, true] },
    expected: ["0 dial a6", "250 dial a4", "300 hang up a4", "300 won a6"],
  },
  "nothing is done after a cancel during the lookup": {
    ...BOTH,
    answers: { 6: [100, ["a6"]], 4: [100, ["a4"]] },
    outcomes: { a6: OK },
    cancelAtMs: 50,
    expected: [],
  },
  "nothing is done after a cancel during the resolution delay": {
    ...BOTH,
    answers: { 4: [10, ["a4"]] },
    outcomes: { a4: OK },
    cancelAtMs: 40,
    expected: [],
  },
  "a cancel during an attempt closes it": {
    ...BOTH,
    answers: ONE_AND_ONE,
    outcomes: { a6: OK },
    cancelAtMs: 10,
    expected: ["0 dial a6", "10 hang up a6"],
  },
  "a cancel during several attempts closes them all, and those alone that have not failed": {
    ...BOTH,
    answers: TWO_AND_TWO,
    outcomes: { a4: REFUSED },
    cancelAtMs: 600,
    expected: [
      "0 dial a6",
      "250 dial a4",
      "255 dial b6",
      "505 dial b4",
      "600 hang up a6",
      "600 hang up b6",
      "600 hang up b4",
    ],
  },
  "a cancel after the end does nothing": {
    ...BOTH,
    answers: ONE_AND_ONE,
    outcomes: { a6: OK },
    cancelAtMs: 100,
    expected: ["0 dial a6", "20 won a6"],
  },
};

describe("a race of addresses", () => {
  for (const [name, plan] of Object.entries(ROWS)) {
    it(name, () => {
      const track = new Track(plan).run();
      assert.deepEqual(track.log, plan.expected);
      assert.equal(track.clock.size, 0, "a timer is left");
    });
  }

  it("tells at any time what was tried, and what is still open", () => {
    const track = new Track({ ...BOTH, answers: { 4: [0, ["a4", "b4"]] }, outcomes: { a4: REFUSED } }).run();
    const told = track.race.attempts.map(({ candidate, error }) => [candidate.address, error?.message]);
    assert.deepEqual(told, [
      ["a4", "a4 failed"],
      ["b4", undefined],
    ]);
    assert.deepEqual(track.race.unanswered, [6]);
    track.race.cancel();
  });

  it("keeps the errors of the lookups", () => {
    const track = new Track({ ...BOTH, answers: { 6: [1, null], 4: [2, null] }, outcomes: {} }).run();
    assert.deepEqual(
      track.race.lookupErrors.map(({ message }) => message),
      ["no answer to 6", "no answer to 4"],
    );
  });

  it("keeps no more than the errors", () => {
    const track = new Track({ ...BOTH, answers: { 6: [1, ["a6"]], 4: [2, null] }, outcomes: { a6: REFUSED } }).run();
    assert.deepEqual(
      track.race.lookupErrors.map(({ message }) => message),
      ["no answer to 4"],
    );
    assert.deepEqual(track.log, ["1 dial a6", "6 lost"]);
  });

  it("sets no timer for addresses of the other family where it has none", () => {
    const track = new Track({ ...BOTH, answers: { 4: [0, []] }, outcomes: {} });
    track.race.start();
    assert.equal(track.clock.size, 0);
    track.race.cancel();
  });

  it("sets timers that do not keep the process alive", () => {
    const track = new Track({ ...BOTH, answers: { 4: [0, ["a4"]] }, outcomes: {} });
    const set = mock.method(track.clock, "setTimer");
    track.run();
    const holding: readonly unknown[] = set.mock.calls.map(({ arguments: given }) => (given as unknown[])[2]);
    assert.deepEqual(holding, [false, false]);
    track.race.cancel();
  });

  it("hears of each attempt once", () => {
    const done: ((error: Error | null) => void)[] = [];
    const track = new Track({ ...BOTH, answers: TWO_AND_TWO, outcomes: {} });
    mock.method(track, "connect", ({ address }: Candidate, end: (error: Error | null) => void) => {
      done.push(end);
      return address;
    });
    track.race.start();
    const [first] = done;
    first?.(new Error("it failed"));
    first?.(new Error("and failed"));
    first?.(null);
    assert.equal(done.length, 2, "one more for one failure");
    done[1]?.(null);
    done[1]?.(null);
    first?.(new Error("at last"));
    assert.deepEqual(track.log, ["0 won a4"]);
    assert.equal(track.clock.size, 0);
  });

  it("may be canceled from inside a dial: there is nothing to hang up yet", () => {
    const track = new Track({ ...BOTH, answers: ONE_AND_ONE, outcomes: {} });
    mock.method(track, "connect", ({ address }: Candidate) => {
      track.race.cancel();
      return address;
    });
    track.run();
    assert.deepEqual(track.log, []);
    assert.equal(track.clock.size, 0);
  });

  it("takes no stack for 10 000 addresses that fail at once", () => {
    const found = Array.from({ length: 10_000 }, (_, i) => `x${i}-4`);
    const outcomes = Object.fromEntries(found.map((address) => [address, [0, false] as const]));
    const track = new Track({ questions: [4], answers: { 4: [0, found] }, outcomes }).run();
    assert.equal(track.log.length, 10_001);
    assert.equal(track.log.at(-1), "0 lost");
  });
});
