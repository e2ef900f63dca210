import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EntryList, extendEntry, isPending, NO_TIMEOUT, Wait } from "#dist/pump/entry.js";
import { UNLIMITED, type ReadKind } from "#dist/pump/read-entry.js";
import { WriteEntry } from "#dist/pump/write-queue.js";
import { readEntry, writeEntry } from "./entries.js";

function someEntry(): WriteEntry {
  return writeEntry([]);
}

describe("an entry", () => {
  const pending = { queued: true, current: true, done: false, failed: false, canceled: false } as const;
  for (const [state, isIt] of Object.entries(pending)) {
    it(`that is ${state} is ${isIt ? "" : "not "}pending, and can ${isIt ? "" : "not "}be extended`, () => {
      const entry = someEntry();
      Object.assign(entry, { _state: state, timeoutMs: 100 });
      assert.equal(isPending(entry), isIt);
      assert.equal(extendEntry(entry, 20), isIt);
      assert.equal(entry.timeoutMs, isIt ? 120 : 100);
    });
  }

  it("without a timeout, which no length is taken for, cannot be extended, and has none after that", () => {
    const entry = someEntry();
    entry.timeoutMs = NO_TIMEOUT;
    assert.equal(extendEntry(entry, 20), false);
    assert.equal(entry.timeoutMs, -1);
  });

  it("counts its bytes in small integers: no read is longer than one", () => {
    assert.equal(UNLIMITED, 0x7fff_ffff);
  });
});

describe("the number of bytes that a read waits for", () => {
  const isKnown: Readonly<Record<Exclude<ReadKind, "startTLS" | "readMessage" | "expect">, boolean>> = {
    read: false,
    readExactly: true,
    readUntil: false,
    readLine: false,
    readFrame: false,
    peek: true,
    skip: true,
  };
  for (const [kind, known] of Object.entries(isKnown)) {
    it(`is ${known ? "its length" : "not known"} for ${kind}`, () => {
      const entry = readEntry({ kind: kind as keyof typeof isKnown, length: 7 });
      assert.equal(entry.bytesTotal, known ? 7 : undefined);
    });
  }

  it("has nothing to do with its failure, which closes the connection unless it is said to fail alone", () => {
    assert.equal(readEntry({ kind: "read", length: 7 }).failsAlone, false);
  });
});

describe("a list of entries", () => {
  const names = ["a", "b", "c"] as const;

  function list(): { list: EntryList<WriteEntry>; a: WriteEntry; b: WriteEntry; c: WriteEntry } {
    const all = { list: new EntryList<WriteEntry>(), a: someEntry(), b: someEntry(), c: someEntry() };
    for (const name of names) all.list.push(all[name]);
    return all;
  }

  /** Forwards and backwards, so that every link is seen. */
  function inOrder({ head, tail, length }: EntryList<WriteEntry>): WriteEntry[] {
    const forwards: WriteEntry[] = [];
    for (let entry = head; entry !== null; entry = entry.next) forwards.push(entry);
    const backwards: WriteEntry[] = [];
    for (let entry = tail; entry !== null; entry = entry.prev) backwards.push(entry);
    assert.ok(forwards.every((entry, i) => entry === backwards[length - 1 - i]));
    assert.equal(forwards.length, length);
    assert.equal(backwards.length, length);
    return forwards;
  }

  it("is in the order of arrival", () => {
    const { list: entries, a, b, c } = list();
    assert.ok([a, b, c].every((entry, i) => inOrder(entries)[i] === entry));
  });

  for (const name of names) {
    it(`loses ${name} of a, b and c, and holds the others together`, () => {
      const all = list();
      all.list.remove(all[name]);
      const rest = names.filter((other) => other !== name).map((other) => all[other]);
      assert.ok(rest.every((entry, i) => inOrder(all.list)[i] === entry));
      assert.equal(all.list.length, 2);
      assert.equal(all[name].next, null, "what has gone keeps nothing alive");
      assert.equal(all[name].prev, null);
    });
  }

  it("is empty when the last one has gone, and can be used again", () => {
    const { list: entries, a, b, c } = list();
    for (const entry of [b, a, c]) entries.remove(entry);
    assert.deepEqual(inOrder(entries), []);
    entries.push(b);
    assert.ok(inOrder(entries)[0] === b);
  });
});

describe("the wait of the current entry", () => {
  it("has not begun before the first entry", () => {
    assert.equal(new Wait().startedAt, -1);
    assert.equal(new Wait().reported, 0);
  });

  it("begins anew with each entry, and only once with each", () => {
    const wait = new Wait();
    const first = someEntry();
    wait.enter(first);
    assert.equal(first.state, "current");
    wait.startedAt = 50;
    wait.reported = 3;
    wait.enter(first);
    assert.deepEqual([wait.startedAt, wait.reported], [50, 3]);
    wait.enter(someEntry());
    assert.deepEqual([wait.startedAt, wait.reported], [-1, 0]);
  });

  const dues: readonly [startedAt: number, timeoutMs: number, dueAt: number][] = [
    [-1, 100, Infinity],
    [0, 100, 100],
    [50, 100, 150],
    [50, 0, 50],
    [50, NO_TIMEOUT, Infinity],
    [-1, NO_TIMEOUT, Infinity],
  ];
  for (const [startedAt, timeoutMs, dueAt] of dues) {
    it(`that began at ${startedAt} is up at ${dueAt} with a timeout of ${timeoutMs}`, () => {
      const wait = new Wait();
      wait.startedAt = startedAt;
      const entry = someEntry();
      entry.timeoutMs = timeoutMs;
      assert.equal(wait.dueAt(entry), dueAt);
    });
  }
});
