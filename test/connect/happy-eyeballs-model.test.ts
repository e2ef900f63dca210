import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { runs } from "../support/runs.js";
import { type Answer, familyOf, type Outcome, type Plan, Track } from "./tracks.js";

const RESOLUTION_DELAY_MS = 50;

/** A thing that happens in the model: at its time, and what. */
type Happening = readonly [atMs: number, happen: () => void];

/**
 * The same race, naively: at each moment that anything happens, everything is decided anew from lists.
 * Null where two things happen at one time, since either order is right then.
 */
function model({ answers, outcomes, questions, firstFamily = 6, attemptDelayMs = 250 }: Plan): string[] | null {
  const log: string[] = [];
  const answeredAt = new Map(questions.map((one) => [one, answers[one]?.[0] ?? Infinity]));
  const pending = new Set(questions);
  let untried: string[] = [];
  const tried: string[] = [];
  const running = new Map<string, number>();
  let mayStartAt = 0;
  let isOver = false;

  const next = (): string | undefined => {
    const last = tried.at(-1);
    const wanted = last === undefined ? firstFamily : familyOf(last) === 6 ? 4 : 6;
    return untried.find((one) => familyOf(one) === wanted) ?? untried[0];
  };
  const settle = (now: number): boolean => {
    for (let one = next(); one !== undefined && !isOver && now >= mayStartAt; one = next()) {
      untried = untried.filter((other) => other !== one);
      tried.push(one);
      log.push(`${now} dial ${one}`);
      running.set(one, now + (outcomes[one]?.[0] ?? Infinity));
      mayStartAt = now + attemptDelayMs;
    }
    if (isOver || pending.size + untried.length + running.size > 0) return isOver;
    log.push(`${now} lost`);
    return true;
  };
  const answer = (question: (typeof questions)[number], now: number): void => {
    pending.delete(question);
    const found = answers[question]?.[1] ?? [];
    untried.push(...found);
    const waits = tried.length === 0 && pending.has(firstFamily) && found.length > 0;
    if (tried.length === 0) mayStartAt = waits ? now + RESOLUTION_DELAY_MS : now;
  };
  const end = (one: string, now: number): void => {
    running.delete(one);
    if (outcomes[one]?.[1] !== true) {
      mayStartAt = now;
      return;
    }
    isOver = true;
    for (const loser of tried) if (running.has(loser)) log.push(`${now} hang up ${loser}`);
    log.push(`${now} won ${one}`);
  };

  let now = 0;
  for (;;) {
    const comings: Happening[] = [
      ...[...pending].map((one): Happening => [answeredAt.get(one) ?? Infinity, () => answer(one, now)]),
      ...[...running].map(([one, atMs]): Happening => [atMs, () => end(one, now)]),
    ];
    if (untried.length > 0) comings.push([mayStartAt, () => undefined]);
    comings.sort(([a], [b]) => a - b);
    const [first, second] = comings;
    if (first === undefined || first[0] === Infinity) break;
    if (second !== undefined && second[0] === first[0]) return null;
    now = first[0];
    first[1]();
    if (settle(now)) break;
  }
  return log;
}

const outcome: fc.Arbitrary<Outcome | undefined> = fc.option(fc.tuple(fc.integer({ min: 1, max: 900 }), fc.boolean()), {
  nil: undefined,
});

function answerOf(family: 4 | 6): fc.Arbitrary<Answer | undefined> {
  const found = fc.integer({ min: -1, max: 4 }).map((count) => {
    return count < 0 ? null : ["a", "b", "c", "d"].slice(0, count).map((letter) => `${letter}${family}`);
  });
  return fc.option(fc.tuple(fc.integer({ min: 1, max: 400 }), found), { nil: undefined });
}

const plans: fc.Arbitrary<Plan> = fc
  .record({
    six: answerOf(6),
    four: answerOf(4),
    outcomes: fc.array(outcome, { minLength: 8, maxLength: 8 }),
    firstFamily: fc.constantFrom(undefined, 4 as const, 6 as const),
    attemptDelayMs: fc.integer({ min: 10, max: 400 }),
  })
  .map(({ six, four, outcomes, ...rest }) => {
    const addresses = ["a6", "b6", "c6", "d6", "a4", "b4", "c4", "d4"];
    const planned = addresses.flatMap((address, i) => {
      const one = outcomes[i];
      return one === undefined ? [] : [[address, one] as const];
    });
    const answers = { ...(six === undefined ? {} : { 6: six }), ...(four === undefined ? {} : { 4: four }) };
    return { ...rest, questions: [6, 4], answers, outcomes: Object.fromEntries(planned) };
  });

describe("a race of addresses, against a naive model", () => {
  it("does the same at the same times, whatever answers and outcomes come when", () => {
    let compared = 0;
    fc.assert(
      fc.property(plans, (plan) => {
        const expected = model(plan);
        if (expected === null) return;
        compared++;
        assert.deepEqual(new Track(plan).run().log, expected);
      }),
      { numRuns: runs(3000) },
    );
    assert.ok(compared > runs(1000), `only ${compared} plans without a tie`);
  });

  it("tries no address twice, has one winner at most, and closes each attempt that did neither fail nor win", () => {
    fc.assert(
      fc.property(plans, (plan) => {
        const track = new Track(plan).run();
        const deeds = track.log.map((line) => line.replace(/^\d+ /, ""));
        const of = (deed: string): string[] => deeds.filter((one) => one.startsWith(deed)).map((one) => one.slice(-2));
        assert.equal(new Set(of("dial")).size, of("dial").length);
        assert.ok(of("won").length + of("lost").length <= 1);
        const failed = track.race.attempts.filter(({ error }) => error !== null).map((one) => one.candidate.address);
        const [winner] = of("won");
        if (winner === undefined) return;
        assert.deepEqual([...of("hang up"), ...failed, winner].sort(), of("dial").sort());
        assert.equal(track.clock.size <= Object.keys(plan.outcomes).length + 2, true);
      }),
      { numRuns: runs(1000) },
    );
  });
});
