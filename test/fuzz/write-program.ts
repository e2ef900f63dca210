/** Random programs of writes, and of a peer that reads as it likes. Plain data, to be made smaller. */

import { Lot } from "../simulation/lot.js";
import type { Closing } from "../simulation/program.js";
import type { Mischief } from "./read-program.js";

export interface Write {
  /** Of its parts. */
  readonly sizes: readonly number[];
  readonly as: "bytes" | "text" | "list";
  /** Where its bytes are in the pool. */
  readonly from: number;
  readonly timeoutMs?: number;
  readonly cancelTurns?: number;
  readonly restTurns: number;
  /** What comes next waits for it. */
  readonly isAwaited: boolean;
  readonly mischief?: Mischief;
}

/** The peer does nothing for so many turns, once it has so many bytes; Infinity: until the writer has closed. */
export interface Stall {
  readonly afterBytes: number;
  readonly turns: number;
}

export interface WriteProgram {
  readonly of: "writes";
  readonly seed: number;
  readonly isAccepted: boolean;
  readonly chunkBytes: number;
  readonly readAhead: number;
  readonly allowHalfOpen: boolean;
  readonly style: "delegate" | "promises";
  readonly writes: readonly Write[];
  readonly stalls: readonly Stall[];
  /** The peer breaks the connection once it has so many bytes. */
  readonly resetAfter: number;
  readonly closing: Closing | "end";
  /** How long a close waits for a peer that takes nothing. */
  readonly lingerMs: number;
}

const CLOSINGS = ["end", "afterWriting", "afterWriting", "afterBoth", "dispose", "disconnect", "reset"] as const;
export const LONGEST_WRITE = 5 * 2 ** 20;

function randomMischief(lot: Lot): Mischief {
  const kind = lot.below(10);
  if (kind < 4) return { do: "throw" };
  if (kind < 6) return { do: "block", ms: lot.size(1, 12) };
  if (kind < 7) return { do: "replace" };
  if (kind < 8) return { do: "detach" };
  return { do: "close", how: lot.of(["disconnect", "reset", "afterWriting", "dispose"] as const) };
}

interface Mood {
  readonly largest: number;
  readonly isCalm: boolean;
  readonly mustEnd: boolean;
}

function randomWrite(lot: Lot, { largest, isCalm, mustEnd }: Mood): Write {
  const as = lot.of(["bytes", "bytes", "text", "list", "list"] as const);
  const parts = as === "list" ? lot.below(9) : 1;
  const hasTimeout = mustEnd || (!isCalm && lot.chance(0.15));
  return {
    as,
    sizes: Array.from({ length: parts }, () => (lot.chance(0.08) ? 0 : Math.ceil(lot.size(1, largest) / parts))),
    from: lot.below(LONGEST_WRITE),
    ...(hasTimeout ? { timeoutMs: lot.size(5, 60) } : {}),
    ...(!isCalm && lot.chance(0.06) ? { cancelTurns: lot.below(6) } : {}),
    restTurns: lot.chance(0.3) ? lot.size(1, 6) : 0,
    isAwaited: lot.chance(0.2),
    ...(!isCalm && lot.chance(0.12) ? { mischief: randomMischief(lot) } : {}),
  };
}

export function randomWriteProgram(seed: number): WriteProgram {
  const lot = new Lot(seed);
  const largest = lot.chance(0.7) ? lot.size(1, 20_000) : lot.size(20_000, LONGEST_WRITE);
  const total = 12 * 2 ** 20;
  const count = Math.min(lot.size(1, 60), Math.ceil(total / largest));
  const isStuck = lot.chance(0.2);
  const mood = { largest, isCalm: lot.chance(0.4), mustEnd: isStuck };
  const after = (): number => lot.size(0, largest * count);
  const stalls = lot.chance(0.4) ? [{ afterBytes: after(), turns: lot.size(1, 60) }] : [];
  return {
    of: "writes",
    seed,
    isAccepted: lot.chance(0.5),
    chunkBytes: lot.chance(0.5) ? Infinity : lot.size(Math.min(Math.ceil(largest / 50), 70_000), 70_000),
    readAhead: 65_536,
    allowHalfOpen: lot.chance(0.4),
    style: lot.of(["delegate", "promises"] as const),
    writes: Array.from({ length: count }, () => randomWrite(lot, mood)),
    stalls: isStuck ? [...stalls, { afterBytes: after(), turns: Infinity }] : stalls,
    resetAfter: lot.chance(0.15) ? after() : Infinity,
    // Nothing bounds an end() whose peer does nothing.
    closing: lot.of(isStuck ? CLOSINGS.slice(1) : CLOSINGS),
    lingerMs: isStuck ? lot.size(5, 60) : 60_000,
  };
}
