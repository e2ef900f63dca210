/** Random programs of reads, and of what their peer sends, and how. Plain data, to be made smaller. */

import { Lot } from "../simulation/lot.js";
import type { ReadSpec } from "../pump/entries.js";
import type { Closing } from "../simulation/program.js";

/** What user code does when it is told of a read: by its delegate, or by the promise. */
export type Mischief =
  | { readonly do: "throw" | "replace" | "detach" | "cancelReads" | "write" }
  | { readonly do: "block"; readonly ms: number }
  | { readonly do: "close"; readonly how: Closing };

export interface Step {
  readonly spec: ReadSpec;
  /** It is met by what is here, or expires at once. */
  readonly hasNoTime: boolean;
  /** Its failure leaves the connection open. */
  readonly alone: boolean;
  /** Turns of the event loop before it is asked for. */
  readonly restTurns: number;
  /** It is taken back so many turns after it was asked for. */
  readonly cancelTurns?: number;
  readonly mischief?: Mischief;
}

/** An iterator that the reads are preceded by, and how many results it is left after. */
export interface Iteration {
  readonly of: "lines" | "frames" | "chunks";
  readonly spec: ReadSpec;
  readonly count: number;
}

/** One write of the peer's. */
export interface Piece {
  readonly length: number;
  readonly restTurns: number;
}

/** `late`: a FIN, once the reader has all that it can have. `drop`: the peer destroys its end. */
export type Ending = "fin" | "late" | "drop" | "reset";

export interface ReadProgram {
  readonly of: "reads";
  readonly seed: number;
  /** Where its bytes are in the pool of all programs. */
  readonly from: number;
  readonly pieces: readonly Piece[];
  readonly ending: Ending;
  readonly isAccepted: boolean;
  /** Bytes at once, on transports that can be told. */
  readonly chunkBytes: number;
  readonly readAhead: number;
  readonly allowHalfOpen: boolean;
  readonly style: "delegate" | "promises";
  /** How many reads are queued at once. */
  readonly width: number;
  readonly iteration?: Iteration;
  readonly steps: readonly Step[];
  /** All that is left is read before the close. */
  readonly drains: boolean;
  readonly closing: Closing;
  readonly lingerMs: number;
}

const DELIMITERS = [["\n"], ["\r\n"], ["a"], ["\n", "\r\n"], ["\r", "\u0001\u0002"], ["\n\n\n", "zz", "\r"]].map(
  (list) => list.map((text) => Buffer.from(text)),
);
const CLOSINGS: readonly Closing[] = ["disconnect", "reset", "afterReading", "afterWriting", "afterBoth", "dispose"];
const READ_AHEADS = [1, 2, 5, 100, 1000, 8000, 65_536, 65_536];
export const POOL_BYTES = 700_000;

/** Text, memory of the caller's, or neither. */
function target(lot: Lot, bounded: boolean): Partial<ReadSpec> {
  if (lot.chance(0.2)) return { encoding: lot.of(["latin1", "utf8", "hex", "base64"] as const) };
  return bounded && lot.chance(0.2) ? { intoSlack: lot.below(3) } : {};
}

function randomFrame(lot: Lot, most: number): ReadSpec {
  const frame = {
    lengthBytes: lot.of([1, 1, 1, 2, 2, 3, 4, 8]),
    littleEndian: lot.chance(0.5),
    lengthIncludesHeader: lot.chance(0.5),
  };
  const length = lot.chance(0.6) ? 65_535 : most;
  return { kind: "readFrame", frame, length, ...target(lot, true) };
}

function randomRead(lot: Lot, longest: number): ReadSpec {
  const length = lot.size(0, longest);
  const most = lot.chance(0.5) ? 16 * 2 ** 20 : lot.size(4, Math.max(20, longest));
  const isBounded = most < 2 ** 20;
  switch (lot.below(9)) {
    case 0:
      return lot.chance(0.5)
        ? { kind: "read", length: 2 ** 31 - 1 }
        : { kind: "read", length: lot.size(4, longest + 4), ...target(lot, true) };
    case 1:
    case 2:
    case 3:
      return { kind: "readExactly", length, ...target(lot, length > 0) };
    case 4:
      return { kind: "readUntil", length: most, delimiters: lot.of(DELIMITERS), ...target(lot, isBounded) };
    case 5:
      return { kind: "readLine", length: most, ...(lot.chance(0.2) ? { encoding: "latin1" as const } : {}) };
    case 6:
      return randomFrame(lot, most);
    case 7:
      return { kind: "peek", length, ...target(lot, length > 0) };
    default:
      return { kind: "skip", length };
  }
}

function randomMischief(lot: Lot): Mischief {
  const kind = lot.below(10);
  if (kind < 3) return { do: "throw" };
  if (kind < 5) return { do: "block", ms: lot.size(1, 12) };
  if (kind < 6) return { do: "replace" };
  if (kind < 7) return { do: "detach" };
  if (kind < 8) return { do: lot.of(["cancelReads", "write"] as const) };
  return { do: "close", how: lot.of(CLOSINGS) };
}

interface Mood {
  readonly longest: number;
  readonly isCalm: boolean;
  readonly isSlow: boolean;
}

function randomStep(lot: Lot, { longest, isCalm, isSlow }: Mood): Step {
  return {
    spec: randomRead(lot, longest),
    hasNoTime: !isCalm && lot.chance(0.08),
    alone: lot.chance(0.8),
    restTurns: isSlow && lot.chance(0.4) ? lot.size(1, 8) : 0,
    ...(!isCalm && lot.chance(0.06) ? { cancelTurns: lot.below(4) } : {}),
    ...(!isCalm && lot.chance(0.12) ? { mischief: randomMischief(lot) } : {}),
  };
}

/** The payload, cut up: all at once, byte by byte, or as it comes. */
function randomPieces(lot: Lot, length: number): Piece[] {
  const most = lot.chance(0.3) ? length : lot.size(Math.ceil(length / 60), length);
  const isSlow = lot.chance(0.5);
  const pieces: Piece[] = [];
  for (let left = length; left > 0;) {
    const count = Math.min(left, Math.max(Math.ceil(length / 200), lot.size(1, most)));
    pieces.push({ length: count, restTurns: isSlow ? lot.size(0, 4) : 0 });
    left -= count;
  }
  return pieces;
}

function randomIteration(lot: Lot): Iteration {
  const count = lot.size(1, 40);
  const of = lot.of(["lines", "frames", "chunks"] as const);
  if (of === "lines") return { of, count, spec: { kind: "readLine", length: 16 * 2 ** 20 } };
  if (of === "chunks") return { of, count, spec: { kind: "read", length: 2 ** 31 - 1 } };
  const frame = { lengthBytes: lot.of([1, 2]), littleEndian: lot.chance(0.5), lengthIncludesHeader: false };
  return { of, count, spec: { kind: "readFrame", frame, length: 65_535 } };
}

export function randomReadProgram(seed: number): ReadProgram {
  const lot = new Lot(seed);
  const length = lot.chance(0.85) ? lot.size(0, 4000) : lot.size(4000, 400_000);
  const isCalm = lot.chance(0.5);
  const mood = { longest: Math.max(8, Math.ceil(length / lot.size(1, 12))), isCalm, isSlow: lot.chance(0.5) };
  return {
    of: "reads",
    seed,
    from: lot.below(POOL_BYTES - length),
    pieces: randomPieces(lot, length),
    ending: lot.of(["fin", "fin", "late", "late", "late", "drop", "reset"] as const),
    isAccepted: lot.chance(0.5),
    chunkBytes: lot.chance(0.3) ? Infinity : lot.size(Math.ceil(length / 500) + 1, 70_000),
    readAhead: lot.of(READ_AHEADS),
    allowHalfOpen: lot.chance(0.4),
    style: lot.of(["delegate", "promises"] as const),
    width: lot.chance(0.3) ? 1 : lot.size(1, 30),
    ...(lot.chance(0.2) ? { iteration: randomIteration(lot) } : {}),
    steps: Array.from({ length: lot.size(1, 30) }, () => randomStep(lot, mood)),
    drains: lot.chance(0.7),
    closing: lot.of(CLOSINGS),
    lingerMs: 60_000,
  };
}
