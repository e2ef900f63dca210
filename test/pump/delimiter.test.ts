import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { runs } from "../support/runs.js";
import { growth, Watch } from "./counting.js";
import { delimiterSet, findEnd } from "#dist/framing/delimiter.js";

function set(...texts: string[]): ReturnType<typeof delimiterSet> {
  return delimiterSet(texts.map((text) => Buffer.from(text, "latin1")));
}

/** The first index, behind `from`, at which one of the delimiters ends that began at `from` or later. */
function naiveEnd(text: string, from: number, end: number, delimiters: readonly string[]): number {
  for (let at = from + 1; at <= end; at++) {
    if (delimiters.some((delimiter) => text.slice(from, at).endsWith(delimiter))) return at;
  }
  return -1;
}

/** Of two letters, so that there are many false starts; long now and then, for the native searches. */
const letters = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 60 });
const long = fc
  .tuple(fc.constantFrom("a", "ab", "aab", "c"), fc.nat(400), letters)
  .map(([unit, count, tail]) => unit.repeat(count) + tail);
const haystack = fc.oneof(
  letters,
  long,
  fc.tuple(letters, long, letters).map((parts) => parts.join("")),
);
const delimiter = fc.oneof(
  fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 4 }),
  fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 30 }),
);
const delimiters = fc.array(delimiter, { minLength: 1, maxLength: 3 });

const lineFeed = delimiterSet([Buffer.from("\n")]);

describe("the set of delimiters", () => {
  it("knows the longest and the shortest", () => {
    const { longest, shortest } = set("abc", "d", "ef");
    assert.equal(longest, 3);
    assert.equal(shortest, 1);
  });
});

describe("the search for a delimiter's end", () => {
  const cases: readonly [text: string, delimiters: string[], end: number][] = [
    ["", ["x"], -1],
    ["x", ["x"], 1],
    ["one\r\ntwo\r\n", ["\r\n"], 5],
    ["one\rtwo\n", ["\r\n"], -1],
    ["\r\r\n", ["\r\n"], 3],
    ["aaab", ["aab"], 4],
    ["abcd", ["abcd", "bc"], 3],
    ["abcd", ["bc", "abcd"], 3],
    ["abcd", ["d", "abcd"], 4],
    ["ab", ["ab", "ab"], 2],
    [`${"a".repeat(5000)}\0`, ["\0"], 5001],
    [`${"\r".repeat(5000)}\n`, ["\r\n"], 5001],
    [`${"ab".repeat(3000)}c`, ["abc", "x"], 6001],
    ["a".repeat(2000), ["b", "cc", "ddd"], -1],
  ];
  for (const [text, texts, end] of cases) {
    const shown = text.length > 20 ? `${text.length} bytes` : JSON.stringify(text);
    it(`finds ${JSON.stringify(texts)} in ${shown} to end at ${end}`, () => {
      assert.equal(findEnd(Buffer.from(text, "latin1"), 0, text.length, set(...texts)), end);
    });
  }

  it("looks at no byte from the end on, and none before the beginning", () => {
    const block = Buffer.from("xx--xx--xx");
    assert.equal(findEnd(block, 0, 3, set("--")), -1);
    assert.equal(findEnd(block, 0, 4, set("--")), 4);
    assert.equal(findEnd(block, 3, 10, set("--")), 8);
    assert.equal(findEnd(block, 3, 7, set("--")), -1);
    assert.equal(findEnd(block, 10, 10, set("--")), -1);
    assert.equal(findEnd(Buffer.from("abc\n"), 0, 3, lineFeed), -1);
    assert.equal(findEnd(Buffer.from("abc\n"), 0, 4, lineFeed), 4);
  });

  it("finds what is far from the beginning and from the end of its block", () => {
    const block = Buffer.alloc(5000, "a");
    block.write("\n", 1000);
    assert.equal(findEnd(block, 500, 1500, lineFeed), 1001);
    assert.equal(findEnd(block, 500, 1000, lineFeed), -1);
  });

  it("agrees with a naive one, wherever it begins and ends", () => {
    fc.assert(
      fc.property(haystack, delimiters, fc.nat(), fc.nat(), (text, texts, a, b) => {
        const [from, end] = [a % (text.length + 1), b % (text.length + 1)].sort((x, y) => x - y) as [number, number];
        const found = findEnd(Buffer.from(text), from, end, set(...texts));
        assert.equal(found, naiveEnd(text, from, end, texts));
      }),
      { numRuns: runs(2000) },
    );
  });

  it("agrees with a naive one when it is resumed as bytes come", () => {
    fc.assert(
      fc.property(haystack, delimiters, fc.array(fc.integer({ min: 1, max: 40 })), (text, texts, steps) => {
        const delimiters = set(...texts);
        let searched = 0;
        let found = -1;
        for (const step of [...steps, text.length]) {
          const end = Math.min(text.length, searched + step);
          found = findEnd(Buffer.from(text), Math.max(0, searched - delimiters.longest + 1), end, delimiters);
          if (found !== -1) break;
          searched = end;
        }
        const expected = naiveEnd(text, 0, found === -1 ? searched : text.length, texts);
        assert.equal(found, expected);
      }),
      { numRuns: runs(2000) },
    );
  });

  it("finds a delimiter across every point at which the search may have stopped", () => {
    const text = "head-<end>tail";
    const block = Buffer.from(text);
    const delimiters = set("<end>", "#");
    for (let stop = 0; stop < 10; stop++) {
      assert.equal(findEnd(block, 0, stop, delimiters), -1);
      const from = Math.max(0, stop - delimiters.longest + 1);
      assert.equal(findEnd(block, from, text.length, delimiters), 10, `stopped at ${stop}`);
    }
  });
});

describe("the work of the search", () => {
  function watching(block: Buffer, texts: readonly string[], from = 0, end = block.length): Watch {
    const watch = new Watch();
    findEnd(watch.over(block), from, end, set(...texts));
    return watch;
  }

  function looking(block: Buffer, texts: readonly string[], end = block.length): number {
    return watching(block, texts, 0, end).looks;
  }

  it("takes no native call for 16 bytes, and one for more", () => {
    for (const [size, calls] of [
      [1, 0],
      [16, 0],
      [17, 1],
      [5000, 1],
    ] as const) {
      assert.equal(watching(Buffer.alloc(100 + size, "a"), ["\n"], 100).calls, calls, `${size} bytes`);
    }
  });

  it("is the native one for the whole delimiter from the ninth false start on, and no sooner", () => {
    for (const [falseStarts, calls] of [
      [8, 0],
      [9, 1],
      [500, 1],
    ] as const) {
      const watch = watching(Buffer.from(`${`${"a".repeat(30)}b`.repeat(falseStarts)}aa`), ["bc"]);
      assert.equal(watch.sequenceCalls, calls, `${falseStarts} false starts`);
      assert.ok(watch.calls <= 10);
    }
  });

  it("makes a view only where it would run more than 1 KiB too far in vain, and farther than it has to", () => {
    const block = Buffer.alloc(5000, "a");
    const cases = [
      { from: 0, end: 5000, views: 0 },
      { from: 0, end: 2500, views: 0 },
      { from: 0, end: 1988, views: 0 },
      { from: 0, end: 1987, views: 1 },
      { from: 3000, end: 3100, views: 1 },
      { from: 4000, end: 4100, views: 0 },
    ];
    for (const { from, end, views } of cases) {
      // One byte is searched for, so that the search ends where it is said to.
      assert.equal(watching(block, ["\n"], from, end).views, views, `from ${from} to ${end}`);
    }
  });

  it("is linear for repeats that are nearly the delimiter", () => {
    const repeats = (size: number): number => looking(Buffer.from("ab".repeat(size)), ["abc"]);
    const carriageReturns = (size: number): number => looking(Buffer.alloc(size, "\r"), ["\r\n"]);
    const several = (size: number): number => looking(Buffer.alloc(size, "a"), ["ab", "ac", "aad"]);
    for (const work of [repeats, carriageReturns, several]) assert.ok(growth(work, 20_000) <= 2.5);
  });

  it("does not go beyond its end, even in a block that holds much more", () => {
    const block = Buffer.alloc(1_000_000, "a");
    assert.ok(looking(block, ["\n"], 100) <= 2500);
    assert.ok(looking(block, ["\r\n"], 100) <= 2500);
    assert.ok(looking(block, ["\r\n", "b"], 100) <= 5000);
  });

  it("does not look for a second delimiter, which never comes, in everything for each message of the first", () => {
    const block = Buffer.from("0123456789\n".repeat(10_000));
    const delimiters = set("\n", "\0\0");
    const watch = new Watch();
    const watched = watch.over(block);
    for (let at = 0; at !== -1; at = findEnd(watched, at, block.length, delimiters)) continue;
    assert.ok(watch.looks <= 60 * block.length, `${(watch.looks / block.length).toFixed(1)} looks at each byte`);
  });
});
