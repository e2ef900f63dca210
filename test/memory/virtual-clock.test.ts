import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { VirtualClock } from "asyncsocket/testing";
import { SAFETY } from "../support/transports.js";

describe("a virtual clock", SAFETY, () => {
  it("runs a program of sleeps, turns and promises, each at its time, in no time", async () => {
    const clock = new VirtualClock();
    const log: string[] = [];
    const sleeper = async (name: string, ms: number, times: number): Promise<string> => {
      for (let i = 0; i < times; i++) {
        await clock.sleep(ms);
        await Promise.resolve();
        log.push(`${name} ${clock.now()}`);
      }
      return name;
    };
    const both = Promise.all([sleeper("a", 20, 3), sleeper("b", 30, 2)]);
    assert.deepEqual(await clock.run(both), ["a", "b"]);
    assert.deepEqual(log, ["a 20", "b 30", "a 40", "b 60", "a 60"]);
  });

  it("lets those that fall due together do so in the order in which they were set", () => {
    const clock = new VirtualClock();
    const log: number[] = [];
    for (let i = 0; i < 100; i++) clock.setTimer(() => log.push(i), 10 - (i % 3));
    clock.advance(10);
    const expected = [2, 1, 0].flatMap((rest) =>
      Array.from({ length: 100 }, (_, i) => i).filter((i) => i % 3 === rest),
    );
    assert.deepEqual(log, expected);
    assert.equal(clock.size, 0);
  });

  it("fires no timer that was cleared, in any order of clearing", () => {
    const clock = new VirtualClock();
    const log: number[] = [];
    const timers = Array.from({ length: 50 }, (_, i) => clock.setTimer(() => log.push(i), (i * 7) % 10));
    for (let i = 0; i < 50; i += 2) clock.clearTimer(timers[(i * 13) % 50] as object);
    assert.equal(clock.size, 25);
    clock.clearTimer(timers[0] as object);
    assert.equal(clock.size, 25);
    clock.advance(10);
    assert.ok(log.length === 25 && log.every((i) => i % 2 === 1), log.join(" "));
  });

  it("runs until something is so, and stays at that time", async () => {
    const clock = new VirtualClock();
    let count = 0;
    const tick = (): void => void (count++, clock.setTimer(tick, 10));
    tick();
    await clock.run(() => count === 5);
    assert.equal(clock.now(), 40);
    await clock.runFor(15);
    assert.deepEqual([clock.now(), count], [55, 6]);
  });

  it("runs until nothing is left, and says so where something was waited for in vain", async () => {
    const clock = new VirtualClock();
    clock.setTimer(() => clock.later(() => clock.setTimer(() => undefined, 5), undefined), 5);
    await clock.run();
    assert.deepEqual([clock.now(), clock.size], [10, 0]);
    await assert.rejects(clock.run(new Promise(() => undefined)), /Nothing is left to do after 10 ms/);
    await assert.rejects(
      clock.run(() => false),
      /Nothing is left/,
    );
  });

  it("gives what the program gives, its error too", async () => {
    const clock = new VirtualClock();
    assert.equal(await clock.run(clock.sleep(1).then(() => 7)), 7);
    await assert.rejects(
      clock.run(
        clock.sleep(1).then(() => {
          throw new RangeError("no");
        }),
      ),
      RangeError,
    );
  });

  it("lets turns that are not its own happen before time goes on", async () => {
    const clock = new VirtualClock();
    const log: string[] = [];
    void clock.sleep(1).then(() => log.push("time"));
    setImmediate(() => setImmediate(() => setImmediate(() => log.push("turns"))));
    await clock.run();
    assert.deepEqual(log, ["turns", "time"]);
  });
});
