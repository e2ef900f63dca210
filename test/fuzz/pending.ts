/** Faults that are known, and about to be mended: what keeps away from them, until then. */

import type { ReadProgram, Step } from "./read-program.js";
import type { Program } from "./round.js";
import type { WriteProgram } from "./write-program.js";
import type { Wire } from "./wires.js";

export function spared(program: Program, wire: Wire): Program {
  return program.of === "reads" ? sparedReads(program, wire) : sparedWrites(program);
}

function sparedReads(program: ReadProgram, { name }: Wire): ReadProgram {
  const isStream = /stream|net.Socket/.test(name);
  const isPlain = name === "memory" || name === "TCP" || name === "a Unix-domain socket" || /^(a )?native/.test(name);
  // After a throw node:net's buffer and its view part.
  const mayThrow = name === "memory" || name.includes("native") || isStream;
  const steps = program.steps.map((step) => sparedStep(step, mayThrow));
  // reset() after the peer's FIN, or beside an end, never closes on node:net.
  const closing = program.closing === "reset" ? "disconnect" : program.closing;
  // Surplus is not handed on where a stream or a TLS engine gives more than there is room for.
  const readAhead = isPlain ? program.readAhead : 2 ** 20;
  const ending = isStream || !isPlain ? "fin" : program.ending;
  return { ...program, steps, closing, readAhead, ending };
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

function sparedStep(step: Step, mayThrow: boolean): Step {
  const { mischief, ...rest } = step;
  const isReset = mischief?.do === "close" && mischief.how === "reset";
  const isThrow = mischief?.do === "throw" && !mayThrow;
  const calm = mischief === undefined || isThrow || isReset ? rest : step;
  return calm;
}
