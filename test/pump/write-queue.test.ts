import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { runs } from "../support/runs.js";
import { growth } from "./counting.js";
import { endEntry, writeEntry } from "./entries.js";
import type { LengthHeader } from "#dist/pump/batch-memory.js";
import { type WriteEntry, WriteQueue } from "#dist/pump/write-queue.js";

const KIB = 1024;
const BATCH_BYTES = 256 * KIB;
const BATCH_PARTS = 1024;
/** What the writes of one batch have together at most, unless it is a single one. */
const SHARED_BYTES = 64 * KIB;
/** What a write counts at least. */
const BOOKKEEPING = 128;

let lastByte = 0;

function bytes(length: number): Buffer {
  return Buffer.alloc(length, ++lastByte % 251);
}

function queueOf(...writes: readonly (readonly Uint8Array[])[]): { queue: WriteQueue; entries: WriteEntry[] } {
  const queue = new WriteQueue();
  const entries = writes.map((parts) => writeEntry(parts));
  for (const entry of entries) queue.push(entry);
  return { queue, entries };
}

function allDone(queue: WriteQueue): WriteEntry[] {
  const done: WriteEntry[] = [];
  for (let entry = queue.nextDone(); entry !== null; entry = queue.nextDone()) done.push(entry);
  return done;
}

function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

describe("the next batch of writes", () => {
  it("is one part for 200 small writes, with all their bytes in order", () => {
    const writes = Array.from({ length: 200 }, () => [bytes(50)]);
    const { queue } = queueOf(...writes);
    const batch = queue.gather();
    assert.equal(batch.length, 1);
    assert.deepEqual(Buffer.concat(batch), Buffer.concat(writes.flat()));
    assert.equal(queue.inFlight, 200 * 50);
  });

  it("has large parts as they are, in the caller's memory", () => {
    const large = bytes(40 * KIB);
    const list = [bytes(10 * KIB), bytes(4 * KIB)] as const;
    const batch = queueOf([large], list).queue.gather();
    assert.equal(batch.length, 3);
    [large, ...list].forEach((part, i) => {
      assert.equal(batch[i]?.buffer, part.buffer);
      assert.equal(batch[i].byteOffset, part.byteOffset);
      assert.equal(batch[i].length, part.length);
    });
  });

  it("has a small write as it was when it was made, whatever the caller does with the memory then", () => {
    const small = Buffer.from("small");
    const parts = [Buffer.from("one,"), Buffer.from("two")];
    const { queue } = queueOf([small], parts);
    for (const part of [small, ...parts]) part.fill(0);
    assert.equal(Buffer.concat(queue.gather()).toString(), "smallone,two");
  });

  it("joins small neighbours of different entries, and never across a large part", () => {
    const large = bytes(8 * KIB);
    const { queue } = queueOf(
      [bytes(1), bytes(2)],
      [bytes(3)],
      [bytes(4), bytes(5), large, bytes(6)],
      [bytes(7)],
      [large],
    );
    assert.deepEqual(
      queue.gather().map((part) => part.length),
      [6, 9, 8 * KIB, 6, 7, 8 * KIB],
    );
  });

  it("is bounded in bytes: a large write goes out piece by piece, none of them copied", () => {
    const large = bytes(BATCH_BYTES * 2 + 100);
    const { queue } = queueOf([large]);
    for (const [from, length] of [
      [0, BATCH_BYTES],
      [BATCH_BYTES, BATCH_BYTES],
      [BATCH_BYTES * 2, 100],
    ] as const) {
      const batch = queue.gather();
      assert.equal(batch.length, 1);
      assert.equal(batch[0]?.buffer, large.buffer);
      assert.equal(batch[0].byteOffset, large.byteOffset + from);
      assert.equal(batch[0].length, length);
      queue.landed();
    }
    assert.equal(allDone(queue).length, 1);
  });

  it("is bounded in bytes across entries", () => {
    const { queue } = queueOf(...Array.from({ length: 1000 }, () => [bytes(1000)]));
    const sizes: number[] = [];
    while (queue.hasMore) {
      sizes.push(lengthOf(queue.gather()));
      queue.landed();
    }
    assert.ok(sizes.every((size) => size <= SHARED_BYTES));
    assert.equal(
      sizes.reduce((a, b) => a + b),
      1_000_000,
    );
    assert.equal(sizes.length, 16);
  });

  /** How long the parts of the next batches are, until all is sent. */
  function batches(...writes: readonly (readonly number[])[]): number[][] {
    const { queue } = queueOf(...writes.map((lengths) => lengths.map((length) => bytes(length))));
    const sizes: number[][] = [];
    while (queue.hasMore) {
      sizes.push(queue.gather().map((part) => part.length));
      queue.landed();
    }
    return sizes;
  }

  it("has writes of 64 KiB together, and none beyond", () => {
    assert.deepEqual(batches([40 * KIB], [24 * KIB]), [[40 * KIB, 24 * KIB]]);
    assert.deepEqual(batches([40 * KIB], [24 * KIB + 1]), [[40 * KIB], [24 * KIB + 1]]);
    const small = Array.from({ length: 40 }, () => [1000]);
    const sums = (sizes: number[][]): number[] => sizes.map((parts) => parts.reduce((a, b) => a + b));
    assert.deepEqual(sums(batches([40 * KIB], ...small)), [40 * KIB + 24_000, 16_000]);
    assert.deepEqual(sums(batches(...Array.from({ length: 65 }, () => [1024]))), [64 * KIB, 1024]);
  });

  it("goes on with a list that it has begun, beyond 64 KiB", () => {
    const list = Array.from({ length: 30 }, () => 10 * KIB);
    const first = [...list.slice(0, 25), 6 * KIB];
    assert.deepEqual(batches(list), [first, [4 * KIB, ...list.slice(26)]]);
  });

  it("goes on within a small part that the end of a batch has cut", () => {
    const list = [bytes(BATCH_BYTES - 2), bytes(8), bytes(9)];
    const { queue } = queueOf(list);
    const sent: Uint8Array[] = [];
    while (queue.hasMore) {
      sent.push(...queue.gather());
      queue.landed();
    }
    assert.deepEqual(Buffer.concat(sent), Buffer.concat(list));
  });

  it("joins what is smaller than 4 KiB, and never one part of a large write alone", () => {
    assert.deepEqual(batches([4 * KIB], [4 * KIB]), [[4 * KIB, 4 * KIB]]);
    assert.deepEqual(batches([4 * KIB - 1], [4 * KIB - 1]), [[8 * KIB - 2]]);
    const alone = bytes(10);
    assert.equal(queueOf([alone, bytes(8 * KIB)]).queue.gather()[0], alone);
  });

  it("is bounded in parts", () => {
    const mixed = Array.from({ length: 400 }, (_, i) => (i % 2 === 0 ? 4 * KIB : 1));
    assert.ok(batches(mixed).every((parts) => parts.length <= BATCH_PARTS));

    const tiny = Array.from({ length: 200_000 }, () => bytes(1));
    const { queue } = queueOf(tiny);
    let total = 0;
    while (queue.hasMore) {
      const batch = queue.gather();
      assert.ok(batch.length <= BATCH_PARTS);
      total += lengthOf(batch);
      queue.landed();
    }
    assert.equal(total, 200_000);
  });

  it("is empty when nothing is left but empty writes, or an end", () => {
    const { queue } = queueOf([], []);
    assert.deepEqual(queue.gather(), []);
    assert.equal(queue.inFlight, 0);
    queue.push(endEntry());
    assert.equal(queue.hasMore, false);
    assert.deepEqual(queue.gather(), []);
  });

  it("does not go beyond an end", () => {
    const { queue } = queueOf([bytes(10)]);
    const end = endEntry();
    queue.push(end);
    assert.equal(lengthOf(queue.gather()), 10);
    queue.landed();
    assert.equal(allDone(queue).length, 1);
    assert.equal(queue.hasMore, false);
    assert.equal(queue.head, end);
    assert.equal(queue.nextDone(), null, "an end is nothing that lands");
  });

  it("marks a write as handed on with the first byte of it, not only with the last", () => {
    const { queue, entries } = queueOf([bytes(BATCH_BYTES + 1)], [bytes(1)]);
    queue.gather();
    assert.deepEqual(
      entries.map((entry) => entry.handedOn),
      [true, false],
    );
    queue.landed();
    queue.gather();
    assert.equal(entries[1]?.handedOn, true);
  });

  it("marks every write of a joined batch as handed on", () => {
    const { queue, entries } = queueOf([bytes(1), bytes(2)], [bytes(3)]);
    queue.gather();
    assert.ok(entries.every((entry) => entry.handedOn));
  });

  it("never marks an empty write as handed on: it can still be taken back", () => {
    const { queue, entries } = queueOf([bytes(10)], [], [bytes(10)], []);
    queue.gather();
    assert.deepEqual(
      entries.map((entry) => entry.handedOn),
      [true, false, true, false],
    );
  });
});

describe("writes that are done", () => {
  it("come one by one, in order, once their last byte is out", () => {
    const { queue, entries } = queueOf([bytes(10)], [bytes(20)], [bytes(BATCH_BYTES + 30)], [bytes(10)]);
    queue.gather();
    assert.deepEqual(allDone(queue), [], "nothing is out yet");
    queue.landed();
    assert.deepEqual(allDone(queue), entries.slice(0, 2));
    queue.gather();
    queue.landed();
    assert.deepEqual(allDone(queue), []);
    assert.equal(entries[2]?.sent, BATCH_BYTES);
    assert.equal(queue.unsentBytes, 40);
    queue.gather();
    queue.landed();
    assert.deepEqual(allDone(queue), entries.slice(2));
    assert.equal(queue.length, 0);
  });

  it("are at once those that are empty, in their turn", () => {
    const { queue, entries } = queueOf([], [bytes(5)], [], []);
    assert.deepEqual(allDone(queue), [entries[0]]);
    queue.gather();
    assert.deepEqual(allDone(queue), [], "behind one that is on its way");
    queue.landed();
    assert.deepEqual(allDone(queue), entries.slice(1));
  });

  it("know how many bytes of them went", () => {
    const { queue, entries } = queueOf([bytes(7), bytes(8)]);
    queue.gather();
    queue.landed();
    allDone(queue);
    assert.equal(entries[0]?.sent, 15);
    assert.equal(entries[0].bytesTotal, 15);
  });
});

describe("the account of unsent writes", () => {
  it("counts bytes, and for the limit the bookkeeping of small writes", () => {
    const { queue, entries } = queueOf([bytes(1)], [], [bytes(1000), bytes(24)]);
    assert.equal(queue.unsentBytes, 1025);
    assert.equal(queue.cost, 2 * BOOKKEEPING + 1024);
    for (const entry of entries) queue.remove(entry);
    assert.equal(queue.unsentBytes, 0);
    assert.equal(queue.cost, 0);
  });

  it("is empty again when all is out", () => {
    const { queue } = queueOf([bytes(1)], [], [bytes(600 * KIB)], [bytes(3), bytes(4)]);
    while (queue.head !== null) {
      queue.gather();
      queue.landed();
      allDone(queue);
    }
    assert.deepEqual([queue.unsentBytes, queue.cost, queue.inFlight, queue.length], [0, 0, 0, 0]);
  });
});

describe("a write that is taken back", () => {
  it("leaves no byte behind, whether it was first, in the middle, or last", () => {
    for (const index of [0, 1, 2]) {
      const writes = [[bytes(10)], [bytes(20), bytes(21)], [bytes(30)]];
      const { queue, entries } = queueOf(...writes);
      queue.remove(entries[index] as WriteEntry);
      const expected = Buffer.concat(writes.filter((_, i) => i !== index).flat());
      assert.deepEqual(Buffer.concat(queue.gather()), expected);
      assert.equal(queue.unsentBytes, expected.length);
      queue.landed();
      assert.deepEqual(
        allDone(queue),
        entries.filter((_, i) => i !== index),
      );
    }
  });

  it("may be the end, after which writes go on", () => {
    const queue = new WriteQueue();
    const end = endEntry();
    queue.push(end);
    assert.equal(queue.hasMore, false);
    queue.remove(end);
    queue.push(writeEntry([bytes(3)]));
    assert.equal(queue.hasMore, true);
    assert.equal(lengthOf(queue.gather()), 3);
  });
});

/** The queue of writes, as naive as can be. */
class NaiveWrites {
  readonly waiting: WriteEntry[] = [];
  readonly out: number[] = [];
  landed = 0;

  get unsent(): number {
    return this.waiting.reduce((sum, entry) => sum + entry.total, 0) - this.landed;
  }

  /** Those at the head that have landed as a whole. */
  takeDone(): WriteEntry[] {
    const done: WriteEntry[] = [];
    for (let first = this.waiting[0]; first !== undefined && first.total <= this.landed; first = this.waiting[0]) {
      this.landed -= first.total;
      done.push(first);
      this.waiting.shift();
    }
    return done;
  }
}

/** A write of parts, of text, or of a frame of either. */
interface Push {
  readonly push: readonly number[];
  readonly lengthBytes: 0 | 1 | 4 | 8;
  readonly isText: boolean;
}

type Step = Push | { readonly cancel: number } | "flush" | "land" | "tell";

const partSize = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 40 }) },
  { weight: 3, arbitrary: fc.integer({ min: 4090, max: 4100 }) },
  { weight: 1, arbitrary: fc.integer({ min: 100_000, max: 600_000 }) },
);
const pushes: fc.Arbitrary<Push> = fc.record({
  push: fc.array(partSize, { maxLength: 4 }),
  lengthBytes: fc.constantFrom(0 as const, 1 as const, 4 as const, 8 as const),
  isText: fc.boolean(),
});
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: pushes },
    { weight: 1, arbitrary: fc.record({ cancel: fc.nat(10) }) },
    { weight: 3, arbitrary: fc.constantFrom("flush" as const, "land" as const, "tell" as const) },
  ),
  { maxLength: 60, size: "max" },
);

/** A header that does not care whether the length fits. */
function headerOf(headerBytes: number): LengthHeader {
  return {
    headerBytes,
    checkBody: () => undefined,
    putHeader: (target, at, length) => void target.fill(length % 251, at, at + headerBytes),
  };
}

function made({ push, lengthBytes, isText }: Push, last: WriteEntry | null): [WriteEntry, readonly Uint8Array[]] {
  const parts = push.map((size) => (isText ? Buffer.alloc(size, "abcdefg"[++lastByte % 7]) : bytes(size)));
  const text = isText ? parts.map(String).join("") : parts;
  const header = lengthBytes === 0 ? null : headerOf(lengthBytes);
  const entry = writeEntry(text, header, last);
  return [entry, header === null ? parts : [Buffer.alloc(lengthBytes, lengthOf(parts) % 251), ...parts]];
}

class WritesComparison {
  readonly #queue = new WriteQueue();
  readonly #naive = new NaiveWrites();
  readonly #sent: Uint8Array[] = [];
  /** All that was not taken back. */
  readonly #pushed = new Map<WriteEntry, readonly Uint8Array[]>();

  do(step: Step): void {
    const queue = this.#queue;
    if (step === "flush") this.#flush();
    else if (step === "land") this.#land();
    else if (step === "tell") assert.deepEqual(allDone(queue), this.#naive.takeDone());
    else if ("push" in step) {
      const [entry, sent] = made(step, queue.tail);
      // As if another socket wrote, too.
      if (step.push.length === 1) writeEntry("another");
      queue.push(entry);
      this.#pushed.set(entry, sent);
      this.#naive.waiting.push(entry);
    } else this.#cancel(step.cancel);
  }

  #flush(): void {
    if (this.#queue.inFlight > 0) return;
    const batch = this.#queue.gather();
    assert.equal(lengthOf(batch), this.#queue.inFlight);
    assert.ok(lengthOf(batch) <= BATCH_BYTES && batch.length <= BATCH_PARTS);
    assert.ok(batch.every((part) => part.length > 0));
    this.#sent.push(...batch.map((part) => Uint8Array.from(part)));
  }

  #land(): void {
    this.#naive.landed += this.#queue.inFlight;
    this.#queue.landed();
  }

  /** Only what nothing of was handed on: more than that closes the connection. */
  #cancel(place: number): void {
    const free = this.#naive.waiting.filter((entry) => !entry.handedOn);
    const entry = free[place % Math.max(1, free.length)];
    if (entry === undefined) return;
    this.#naive.waiting.splice(this.#naive.waiting.indexOf(entry), 1);
    this.#queue.remove(entry);
    this.#pushed.delete(entry);
  }

  run(steps: readonly Step[]): void {
    for (const step of steps) {
      this.do(step);
      assert.equal(this.#queue.length, this.#naive.waiting.length);
    }
    while (this.#queue.head !== null) {
      this.#flush();
      this.#land();
      assert.deepEqual(allDone(this.#queue), this.#naive.takeDone());
      assert.equal(this.#queue.unsentBytes, this.#naive.unsent);
    }
    const expected = [...this.#pushed.values()].flat();
    assert.ok(Buffer.concat(this.#sent).equals(Buffer.concat(expected)), "all bytes, in order, once");
    assert.equal(this.#queue.cost, 0);
  }
}

describe("whatever is done to the queue of writes", () => {
  it("sends what a naive queue sends, and tells of the same writes at the same time", () => {
    fc.assert(
      fc.property(steps, (steps) => new WritesComparison().run(steps)),
      { numRuns: runs(300) },
    );
  });
});

describe("the work of the queue of writes", () => {
  /** Counts the steps from one write to the next. */
  function stepsTaken(count: number, size: number): number {
    const queue = new WriteQueue();
    let steps = 0;
    for (let i = 0; i < count; i++) {
      const entry = writeEntry(size === 0 ? [] : [Buffer.alloc(size)]);
      let next: WriteEntry | null = null;
      Object.defineProperty(entry, "next", {
        get: () => (steps++, next),
        set: (after: WriteEntry | null) => {
          next = after;
        },
      });
      queue.push(entry);
    }
    while (queue.hasMore) {
      queue.gather();
      queue.landed();
    }
    return steps;
  }

  for (const [name, size] of [
    ["empty", 0],
    ["small", 20],
    ["large", 5000],
  ] as const) {
    it(`grows no faster than their number, when they are ${name}`, () => {
      assert.ok(growth((count) => stepsTaken(count, size), 1000) <= 2.5);
    });
  }
});
