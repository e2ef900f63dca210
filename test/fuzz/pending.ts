/** Faults that are known, and about to be mended: what keeps away from them, until then. */

import type { Program } from "./round.js";
import type { WriteProgram } from "./write-program.js";

export function spared(program: Program): Program {
  return program.of === "reads" ? program : sparedWrites(program);
}

/** What the system has taken is counted by whole batches. */
function sparedWrites(program: WriteProgram): WriteProgram {
  const writes = program.writes.map(({ sizes, as, from, restTurns, isAwaited, mischief }) => {
    const calm = { sizes, as, from, restTurns, isAwaited };
    const isHarmless = mischief !== undefined && mischief.do !== "close";
    return isHarmless ? { ...calm, mischief } : calm;
  });
  const stalls = program.stalls.filter(({ turns }) => turns !== Infinity);
  const closing = program.closing === "end" ? "end" : "afterWriting";
  return { ...program, writes, stalls, closing, resetAfter: Infinity, lingerMs: 60_000 };
}
