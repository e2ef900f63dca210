/** Random reads, and random bytes with many delimiters, line endings and small frame headers in them. */

import fc from "fast-check";
import type { ReadSpec } from "./entries.js";

const ENCODINGS = ["utf8", "latin1", "utf16le", "base64", "hex"] as const;

const byte = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(0x0a, 0x0d, 0x61, 0x62) },
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 9 }) },
  { weight: 2, arbitrary: fc.constantFrom(0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0xd8, 0xdc) },
  { weight: 1, arbitrary: fc.nat(255) },
);

export function bytesUpTo(maxLength: number): fc.Arbitrary<Uint8Array> {
  return fc.array(byte, { maxLength, size: "max" }).map((list) => Uint8Array.from(list));
}

/** A long stream from a short piece, so that shrinking stays quick. */
export const longBytes: fc.Arbitrary<Uint8Array> = fc
  .tuple(bytesUpTo(60), bytesUpTo(20), fc.integer({ min: 1, max: 800 }))
  .map(([piece, tail, times]) => Buffer.concat([...Array.from({ length: times }, () => piece), tail]));

const delimiters = fc.array(
  fc.array(fc.constantFrom(0x0a, 0x0d, 0x61, 0x62), { minLength: 1, maxLength: 4 }).map((list) => Buffer.from(list)),
  { minLength: 1, maxLength: 3 },
);

const target = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: fc.constantFrom(...ENCODINGS).map((encoding) => ({ encoding })) },
  { weight: 1, arbitrary: fc.nat(3).map((intoSlack) => ({ intoSlack })) },
);

/** Memory of the caller's has an end: reads without one give bytes instead. */
function withTarget(spec: ReadSpec, what: Partial<ReadSpec>): ReadSpec {
  const hasMemory = what.intoSlack === undefined || spec.length < 1_000_000;
  const isBounded = what.intoSlack === undefined || spec.length > 0;
  return hasMemory && isBounded ? { ...spec, ...what } : spec;
}

const frame = fc.record({
  lengthBytes: fc.constantFrom(1, 1, 1, 2, 3, 4, 5, 6, 8),
  littleEndian: fc.boolean(),
  lengthIncludesHeader: fc.boolean(),
});

/** Reads whose outcome depends on the bytes alone. */
export function fixedRead(longest: number): fc.Arbitrary<ReadSpec> {
  const length = fc.oneof(fc.nat(12), fc.nat(longest));
  const most = fc.oneof(fc.integer({ min: 4, max: 20 }), fc.integer({ min: 4, max: longest }), fc.constant(Infinity));
  return fc.oneof(
    fc.tuple(length, target).map(([length, what]) => withTarget({ kind: "readExactly", length }, what)),
    fc.tuple(length, target).map(([length, what]) => withTarget({ kind: "peek", length }, what)),
    length.map((length): ReadSpec => ({ kind: "skip", length })),
    fc
      .tuple(most, delimiters, target)
      .map(([length, delimiters, what]) => withTarget({ kind: "readUntil", length, delimiters }, what)),
    most.map((length): ReadSpec => ({ kind: "readLine", length })),
    most.map((length): ReadSpec => ({ kind: "readLine", length, encoding: "latin1" })),
    fc
      .tuple(most, frame, target)
      .map(([length, frame, what]) => withTarget({ kind: "readFrame", length, frame }, what)),
  );
}

/** Any read: also one for whatever is there. */
export function anyRead(longest: number): fc.Arbitrary<ReadSpec> {
  const most = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: longest }), fc.constant(Infinity));
  const some = fc.tuple(most, target).map(([length, what]) => withTarget({ kind: "read", length }, what));
  return fc.oneof({ weight: 6, arbitrary: fixedRead(longest) }, { weight: 1, arbitrary: some });
}
