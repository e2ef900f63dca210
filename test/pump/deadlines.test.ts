import assert from "node:assert/strict";
import { describe, it, mock, type TestContext } from "node:test";
import { VirtualClock } from "asyncsocket/testing";
import fc from "fast-check";
import { runs } from "../support/runs.js";
import { realClock } from "#dist/base/clock.js";
import { Deadlines, deadlinesOf, type Sleeper } from "#dist/pump/deadlines.js";

type SetTimer = VirtualClock["setTimer"];

/** A clock that counts the timers set on it. */
class CountingClock extends VirtualClock {
  timersSet = 0;
  readonly holding: boolean[] = [];

  override setTimer(...[callback, delayMs, holdsProcess]: [...Parameters<SetTimer>, boolean?]): ReturnType<SetTimer> {
    this.timersSet++;
    this.holding.push(holdsProcess === true);
    return super.setTimer(callback, delayMs);
  }
}

/** Cuts what is too long, as `setTimeout` has to. */
class CuttingClock extends CountingClock {
  override setTimer(...[callback, delayMs]: Parameters<SetTimer>): ReturnType<SetTimer> {
    return super.setTimer(callback, Math.min(delayMs, 2 ** 31 - 1));
  }
}

class Napper implements Sleeper {
  heapIndex = -1;
  wakeAt = Infinity;
  readonly name: number;
  readonly wokenAt: number[] = [];
  onWake: ((now: number) => void) | null = null;

  constructor(name = 0) {
    this.name = name;
  }

  wake(now: number): void {
    this.wokenAt.push(now);
    this.onWake?.(now);
  }
}

function setUp(clock = new CountingClock()): { clock: CountingClock; deadlines: Deadlines } {
  return { clock, deadlines: new Deadlines(clock, false) };
}

describe("deadlines", () => {
  it("keep 10 000 sleepers on one timer, and wake each at its time, in order", () => {
    const { clock, deadlines } = setUp();
    const woken: number[] = [];
    for (let i = 0; i < 10_000; i++) {
      const sleeper = new Napper();
      const at = 1 + ((i * 7919) % 10_000);
      sleeper.onWake = (now) => {
        assert.equal(now, at);
        woken.push(now);
      };
      deadlines.arm(sleeper, at);
      assert.equal(clock.size, 1);
    }
    assert.equal(deadlines.size, 10_000);
    clock.advance(10_000);
    assert.equal(woken.length, 10_000);
    assert.ok(woken.every((at, i) => i === 0 || at >= (woken[i - 1] ?? 0)));
    assert.equal(deadlines.size, 0);
    assert.equal(clock.size, 0);
  });

  it("wake all that are due by one timer", () => {
    const { clock, deadlines } = setUp();
    const sleepers = Array.from({ length: 1000 }, (_, i) => new Napper(i));
    for (const sleeper of sleepers) deadlines.arm(sleeper, 50);
    clock.advance(50);
    assert.ok(sleepers.every((sleeper) => sleeper.wokenAt.length === 1));
    assert.equal(clock.timersSet, 1);
  });

  it("do nothing for a sleeper that is to sleep longer: it is woken early, and sees for itself", () => {
    const { clock, deadlines } = setUp();
    const sleeper = new Napper();
    deadlines.arm(sleeper, 100);
    for (let later = 101; later < 10_000; later++) deadlines.arm(sleeper, later);
    assert.equal(clock.timersSet, 1);
    assert.equal(sleeper.wakeAt, 100);
    clock.advance(100);
    assert.deepEqual(sleeper.wokenAt, [100]);
    assert.equal(deadlines.size, 0, "it has to arm itself again");
  });

  it("wake a sleeper earlier that is to sleep shorter", () => {
    const { clock, deadlines } = setUp();
    const [first, second] = [new Napper(), new Napper()];
    deadlines.arm(first, 100);
    deadlines.arm(second, 200);
    deadlines.arm(second, 50);
    assert.equal(clock.size, 1);
    clock.advance(50);
    assert.deepEqual(second.wokenAt, [50]);
    assert.deepEqual(first.wokenAt, []);
    clock.advance(50);
    assert.deepEqual(first.wokenAt, [100]);
  });

  it("let a sleeper arm itself again as it is woken", () => {
    const { clock, deadlines } = setUp();
    const sleeper = new Napper();
    sleeper.onWake = (now) => {
      if (now < 500) deadlines.arm(sleeper, now + 100);
    };
    deadlines.arm(sleeper, 100);
    clock.advance(1000);
    assert.deepEqual(sleeper.wokenAt, [100, 200, 300, 400, 500]);
    assert.equal(clock.size, 0);
  });

  it("let a sleeper disarm another that is due at the same time", () => {
    const { clock, deadlines } = setUp();
    const [first, second, third] = [new Napper(), new Napper(), new Napper()];
    first.onWake = () => deadlines.disarm(second);
    second.onWake = () => deadlines.disarm(first);
    for (const sleeper of [first, second, third]) deadlines.arm(sleeper, 10);
    clock.advance(10);
    assert.equal(first.wokenAt.length + second.wokenAt.length, 1);
    assert.deepEqual(third.wokenAt, [10]);
  });

  it("forget a sleeper that is disarmed, and hold no timer when no sleeper is left", () => {
    const { clock, deadlines } = setUp();
    const [first, second] = [new Napper(), new Napper()];
    deadlines.disarm(first);
    deadlines.arm(first, 10);
    deadlines.arm(second, 20);
    deadlines.disarm(first);
    assert.equal(first.heapIndex, -1);
    assert.equal(clock.size, 1);
    deadlines.disarm(second);
    assert.equal(clock.size, 0);
    clock.advance(100);
    assert.deepEqual([...first.wokenAt, ...second.wokenAt], []);
  });

  it("wake the others in time when the first was disarmed", () => {
    const { clock, deadlines } = setUp();
    const [first, second] = [new Napper(), new Napper()];
    deadlines.arm(first, 10);
    deadlines.arm(second, 20);
    deadlines.disarm(first);
    clock.advance(19);
    assert.deepEqual(second.wokenAt, []);
    clock.advance(1);
    assert.deepEqual(second.wokenAt, [20]);
  });

  it("wake never early, and by one timer, even where a timer can only wait whole milliseconds", () => {
    const { clock, deadlines } = setUp();
    const sleeper = new Napper();
    deadlines.arm(sleeper, 1.25);
    clock.advance(10);
    assert.deepEqual(sleeper.wokenAt, [2]);
    assert.equal(clock.timersSet, 1);
  });

  it("wake soon whose time has passed already, but never inside the call", () => {
    const { clock, deadlines } = setUp();
    clock.advance(1000);
    const sleeper = new Napper();
    deadlines.arm(sleeper, 500);
    assert.deepEqual(sleeper.wokenAt, []);
    clock.advance(1);
    assert.deepEqual(sleeper.wokenAt, [1001]);
  });

  it("wait longer than a timer can", () => {
    const { clock, deadlines } = setUp(new CuttingClock());
    const sleeper = new Napper();
    const at = 3 * 2 ** 31;
    deadlines.arm(sleeper, at);
    clock.advance(at - 1);
    assert.deepEqual(sleeper.wokenAt, []);
    clock.advance(1);
    assert.deepEqual(sleeper.wokenAt, [at]);
    assert.equal(clock.timersSet, 4);
  });

  it("hold the process or do not, as they were made", () => {
    for (const holds of [true, false]) {
      const clock = new CountingClock();
      new Deadlines(clock, holds).arm(new Napper(), 5);
      assert.deepEqual(clock.holding, [holds]);
    }
  });

  it("of a clock hold the process or do not, as they are asked for", () => {
    const clock = new CountingClock();
    for (const holds of [true, false]) deadlinesOf(clock, holds).arm(new Napper(), 5);
    assert.deepEqual(clock.holding, [true, false]);
  });

  it("are shared by all sockets of a clock", () => {
    const clock = new VirtualClock();
    assert.equal(deadlinesOf(clock, true), deadlinesOf(clock, true));
    assert.notEqual(deadlinesOf(clock, true), deadlinesOf(clock, false));
    assert.notEqual(deadlinesOf(clock, true), deadlinesOf(new VirtualClock(), true));
  });
});

type Step = { readonly arm: number; readonly in: number } | { readonly disarm: number } | { readonly advance: number };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ arm: fc.nat(30), in: fc.integer({ min: 1, max: 100 }) }) },
    { weight: 2, arbitrary: fc.record({ disarm: fc.nat(30) }) },
    { weight: 2, arbitrary: fc.record({ advance: fc.nat(40) }) },
  ),
  { maxLength: 200, size: "max" },
);

describe("whatever is done to deadlines", () => {
  it("each sleeper is woken at the earliest time that it was armed for, once", () => {
    fc.assert(
      fc.property(steps, (steps) => {
        const { clock, deadlines } = setUp();
        const sleepers = Array.from({ length: 31 }, (_, i) => new Napper(i));
        const expected = new Map<number, number>();
        for (const sleeper of sleepers) {
          sleeper.onWake = (now) => {
            assert.equal(now, expected.get(sleeper.name));
            expected.delete(sleeper.name);
          };
        }
        for (const step of steps) {
          if ("advance" in step) clock.advance(step.advance);
          else if ("disarm" in step) {
            deadlines.disarm(sleepers[step.disarm] as Sleeper);
            expected.delete(step.disarm);
          } else {
            const at = clock.now() + step.in;
            deadlines.arm(sleepers[step.arm] as Sleeper, at);
            expected.set(step.arm, Math.min(at, expected.get(step.arm) ?? Infinity));
          }
          for (const at of expected.values()) assert.ok(at > clock.now(), "nobody is late");
          assert.equal(deadlines.size, expected.size);
          assert.ok(clock.size <= 1);
        }
      }),
      { numRuns: runs(500) },
    );
  });
});

describe("the real clock", () => {
  /** A module of its own, which is loaded while the timers are mocked ones. */
  async function mockedClock(t: TestContext): Promise<typeof realClock> {
    mock.timers.enable({ apis: ["setTimeout"] });
    t.after(() => mock.timers.reset());
    const url = `${import.meta.resolve("#dist/base/clock.js")}?mocked=${t.name.length}`;
    return ((await import(url)) as { realClock: typeof realClock }).realClock;
  }

  it("waits for more than 2^31 ms, and strikes neither at once nor when the longest timer is over", async (t) => {
    const clock = await mockedClock(t);
    const wake = t.mock.fn();
    clock.setTimer(wake, 2 ** 32 + 5, false);
    for (const partMs of [2 ** 31 - 1, 2 ** 31 - 1, 6]) {
      mock.timers.tick(partMs);
      assert.equal(wake.mock.callCount(), 0);
    }
    mock.timers.tick(1);
    assert.equal(wake.mock.callCount(), 1);
    mock.timers.tick(2 ** 31 - 1);
    assert.equal(wake.mock.callCount(), 1);
  });

  it("clears a long timer in any part of it", async (t) => {
    const clock = await mockedClock(t);
    const wake = t.mock.fn();
    const atOnce = clock.setTimer(wake, 2 ** 32, true);
    const later = clock.setTimer(wake, Infinity, true);
    clock.clearTimer(atOnce);
    mock.timers.tick(2 ** 31 - 1);
    clock.clearTimer(later);
    for (let i = 0; i < 4; i++) mock.timers.tick(2 ** 31 - 1);
    assert.equal(wake.mock.callCount(), 0);
  });

  it("stays the runtime's own while a test of a user's has put other timers in its place", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout", "setImmediate"] });
    t.mock.method(process, "nextTick", () => undefined);
    const all = [
      new Promise<void>((done) => realClock.setTimer(done, 1, true)),
      new Promise<void>((done) => realClock.later(done, undefined)),
      new Promise<void>((done) => realClock.soon(done, undefined)),
    ];
    // The runner of the tests needs ticks of its own.
    t.mock.restoreAll();
    await Promise.all(all);
  });
});
