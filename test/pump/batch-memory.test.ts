import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { runs } from "../support/runs.js";
import { NOBODY, writeEntry } from "./entries.js";
import { batchMemory, piecesOf, type Writable } from "#dist/pump/batch-memory.js";
import { WriteEntry, WriteQueue } from "#dist/pump/write-queue.js";
import { prefixedBy } from "#dist/framing/length-prefixed.js";

const KIB = 1024;

/** Copies a write. @returns where its bytes lie; null if it is too large to be copied */
function copied(data: Writable): Buffer | null {
  const count = batchMemory.copy(data, null, null);
  return count < 0 ? null : batchMemory.piece(batchMemory.target, batchMemory.start, count);
}

/** Fills the present block, and one byte of the next. @returns what lies in the full block */
function fill(): Buffer[] {
  const all: Buffer[] = [];
  const { target: bytes } = batchMemory;
  for (;;) {
    const piece = copied(Buffer.alloc(1000, all.length)) as Buffer;
    if (batchMemory.target !== bytes) return all;
    all.push(piece);
  }
}

function waiting(data: string, last: WriteEntry | null): WriteEntry {
  return new WriteEntry("write", undefined, NOBODY, -1, data, null, last, true);
}

describe("the memory of small writes", () => {
  it("has them side by side, text as UTF-8", () => {
    const first = copied(Buffer.from("one,")) as Buffer;
    const second = copied(["two €, ", Buffer.from("three"), " a text of more than sixteen characters: ä"]) as Buffer;
    assert.equal(first.byteOffset + first.length, second.byteOffset);
    assert.equal(first.toString(), "one,");
    assert.equal(second.toString(), "two €, three a text of more than sixteen characters: ä");
  });

  it("takes text and bytes that are shorter than 4 KiB, and lists of which so much stands before the last part", () => {
    const part = Buffer.alloc(4 * KIB - 1, 7);
    const text = "€".repeat(4 * KIB - 1);
    assert.equal(copied(part)?.length, 4 * KIB - 1);
    assert.equal(copied(Buffer.alloc(4 * KIB)), null);
    assert.equal(copied(text)?.toString(), text);
    assert.equal(copied(`${text}.`), null);
    assert.equal(copied([part, text])?.length, 4 * (4 * KIB - 1));
    assert.equal(copied([part, "1", ""]), null);
  });

  it("has a frame with its header, and nothing of one that is too long for it", () => {
    fill();
    const before = batchMemory.start;
    const header = prefixedBy({ lengthBytes: 1 });
    assert.throws(() => batchMemory.copy("x".repeat(256), header, null), RangeError);
    assert.throws(() => piecesOf("x".repeat(5000), header), RangeError);
    assert.equal(batchMemory.copy("abc", header, null), 4);
    assert.equal(batchMemory.start, before + 1000);
    assert.equal(batchMemory.target.toString("latin1", before + 1000, before + 1004), "\x03abc");
  });

  it("is used again from its start once all of it was given back, in any order", () => {
    fill();
    const pieces = [copied("a"), copied("b"), copied("c")] as Buffer[];
    batchMemory.giveBack(batchMemory.piece(batchMemory.target, 0, 1000));
    for (const piece of pieces.reverse()) {
      batchMemory.giveBack(piece);
      const next = copied("d") as Buffer;
      assert.equal(next.byteOffset === 0, piece === pieces.at(-1));
      batchMemory.giveBack(next);
    }
  });

  it("uses a full block again once all of it was given back", () => {
    fill();
    const { target: bytes } = batchMemory;
    batchMemory.giveBack(batchMemory.piece(bytes, 0, 1000));
    const full = fill();
    for (const piece of full) batchMemory.giveBack(piece);
    fill();
    assert.equal(batchMemory.target, bytes);
  });

  it("never touches what was not given back", () => {
    fill();
    const kept = fill();
    for (let i = 0; i < 40; i++) for (const piece of fill().slice(1)) batchMemory.giveBack(piece);
    kept.forEach((piece, i) => assert.ok(piece.equals(Buffer.alloc(1000, i))));
  });

  it("ignores what lies in none of its blocks", () => {
    const kept = copied("kept") as Buffer;
    batchMemory.giveBack(Buffer.alloc(100_000));
    copied("more");
    assert.equal(kept.toString(), "kept");
  });

  it("keeps room for the writes of a socket while others write, so that their batches have few pieces", () => {
    fill();
    const queues = Array.from({ length: 4 }, () => new WriteQueue());
    const lines = Array.from({ length: 60 }, (_, i) => `line ${i} ${"x".repeat(i)}`);
    for (const line of lines) for (const queue of queues) queue.push(writeEntry(line, null, queue.tail));
    for (const queue of queues) {
      const batch = queue.gather();
      assert.equal(Buffer.concat(batch).toString(), lines.join(""));
      assert.ok(batch.length <= 4, `${batch.length} pieces`);
    }
  });

  it("keeps no room behind a write that was taken back or handed on", () => {
    fill();
    const [one, other] = [new WriteQueue(), new WriteQueue()];
    const push = (queue: WriteQueue, text: string): WriteEntry => {
      const entry = writeEntry(text, null, queue.tail);
      queue.push(entry);
      return entry;
    };
    push(one, "a");
    push(other, "-");
    const second = push(one, "bbbb");
    push(other, "-");
    one.remove(second);
    push(one, "c");
    push(other, "-");
    const batch = one.gather();
    push(one, "d");
    push(other, "-");
    assert.equal(Buffer.concat(batch).toString(), "ac");
    one.landed();
    assert.equal(Buffer.concat(one.gather()).toString(), "d");
    assert.equal(Buffer.concat(other.gather()).toString(), "----");
  });
});

describe("the pieces of a large write", () => {
  const part = fc.oneof(
    fc.integer({ min: 1, max: 50 }).map((length) => "ä".repeat(length)),
    fc.integer({ min: 1, max: 50 }).map((length) => Buffer.alloc(length, length)),
    fc.integer({ min: 4090, max: 4100 }).map((length) => Buffer.alloc(length, length % 251)),
  );

  it("are its bytes in order, with no two small ones side by side", () => {
    fc.assert(
      fc.property(fc.array(part, { maxLength: 40 }), (parts) => {
        const pieces = piecesOf(parts, null) as readonly Buffer[];
        const expected = Buffer.concat(parts.map((one) => Buffer.from(one)));
        assert.ok(Buffer.concat(pieces).equals(expected));
        for (let i = 1; i < pieces.length; i++) {
          const neighbours = [pieces[i - 1], pieces[i]] as Buffer[];
          assert.ok(neighbours.some(({ length }) => length >= 4 * KIB) || expected.length > 64 * KIB);
        }
      }),
      { numRuns: runs(100) },
    );
  });

  it("is of a queue's own for writes that wait: side by side, and little more than they have", () => {
    let last: WriteEntry | null = null;
    const memories = new Map<unknown, number>();
    const entries = Array.from({ length: 300 }, (_, i) => (last = waiting(`write ${i};`, last)));
    for (const { data, total } of entries) memories.set(data, (memories.get(data) ?? 0) + total);
    const kept = [...memories.keys()].reduce((sum: number, data) => sum + (data as Buffer).length, 0);
    const bytes = entries.reduce((sum, { total }) => sum + total, 0);
    assert.ok(kept <= 3 * bytes, `${kept} bytes for ${bytes}`);
    assert.ok(memories.size < 10, `${memories.size} pieces`);
    const text = entries.map(({ data, start, total }) => (data as Buffer).toString("latin1", start, start + total));
    assert.equal(text.join(""), Array.from({ length: 300 }, (_, i) => `write ${i};`).join(""));
    assert.equal((waiting("x", null).data as Buffer).length, 256);
  });

  it("of a queue's own takes what a block takes, with a header", () => {
    for (const data of ["", "€", "x".repeat(4095), ["a", Buffer.from("b"), "€".repeat(100)], Buffer.alloc(4095, 1)]) {
      const count = batchMemory.copyApart(data, prefixedBy({ lengthBytes: 2 }), null);
      const bytes = Buffer.concat((Array.isArray(data) ? data : [data]).map((part) => Buffer.from(part as string)));
      const copy = batchMemory.target.subarray(batchMemory.start, batchMemory.start + count);
      assert.deepEqual([copy.readUInt16BE(0), copy.subarray(2)], [bytes.length, bytes]);
    }
    for (const data of ["x".repeat(4096), Buffer.alloc(4096), [Buffer.alloc(4095), "1", "2"]]) {
      assert.equal(batchMemory.copyApart(data, null, null), -1);
    }
    assert.throws(() => batchMemory.copyApart("x".repeat(256), prefixedBy({ lengthBytes: 1 }), null), RangeError);
  });
});
