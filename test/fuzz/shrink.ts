import { Round, type Program } from "./round.js";
import type { ReadProgram } from "./read-program.js";
import type { WriteProgram } from "./write-program.js";
import type { Wire } from "./wires.js";

/** Less patience, since much of it waits in vain. */
const SHRINK_PATIENCE_MS = 400;
const SHRINK_MS = 20_000;

/** Real connections do not do the same each time. */
const TRIES = 3;

export interface Smallest {
  readonly programs: readonly Program[];
  readonly failure: string;
}

async function failureOf(wire: Wire, programs: readonly Program[]): Promise<string | null> {
  for (let i = 0; i < TRIES; i++) {
    const failure = await new Round(wire, SHRINK_PATIENCE_MS).run(programs);
    if (failure !== null) return failure;
  }
  return null;
}

/** A round that fails, with as little in it as could be found in some seconds; null where it does not fail again. */
export async function shrinkRound(wire: Wire, programs: readonly Program[]): Promise<Smallest | null> {
  const failure = await failureOf(wire, programs);
  if (failure === null) return null;
  const end = performance.now() + SHRINK_MS;
  let smallest: Smallest = { programs, failure };
  const tries = async (candidate: readonly Program[]): Promise<boolean> => {
    const failure = performance.now() < end ? await failureOf(wire, candidate) : null;
    if (failure !== null) smallest = { programs: candidate, failure };
    return failure !== null;
  };
  for (let i = smallest.programs.length - 1; i >= 0 && smallest.programs.length > 1; i--) {
    await tries(smallest.programs.filter((_, index) => index !== i));
  }
  for (let i = 0; i < smallest.programs.length; i++) {
    let isSmaller = true;
    while (isSmaller) {
      isSmaller = false;
      for (const simpler of simplerOnes(smallest.programs[i] as Program)) {
        isSmaller = await tries(smallest.programs.with(i, simpler));
        if (isSmaller) break;
      }
    }
  }
  return smallest;
}

function simplerOnes(program: Program): Generator<Program> {
  return program.of === "reads" ? simplerReads(program) : simplerWrites(program);
}

function* simplerWrites(program: WriteProgram): Generator<WriteProgram> {
  const { writes } = program;
  for (let count = writes.length >> 1; count >= 1; count >>= 1) {
    for (let at = 0; at + count <= writes.length; at += count)
      yield { ...program, writes: writes.toSpliced(at, count) };
  }
  for (const [index, write] of writes.entries()) {
    const { mischief, cancelTurns, timeoutMs, ...calm } = write;
    if (
      mischief !== undefined ||
      cancelTurns !== undefined ||
      write.restTurns > 0 ||
      write.isAwaited ||
      write.as !== "bytes"
    ) {
      const time = timeoutMs === undefined ? {} : { timeoutMs };
      yield {
        ...program,
        writes: writes.with(index, { ...calm, ...time, as: "list", restTurns: 0, isAwaited: false }),
      };
    }
    if (write.sizes.some((size) => size > 1))
      yield { ...program, writes: writes.with(index, { ...write, sizes: write.sizes.map((size) => size >> 1) }) };
  }
  if (program.stalls.length > 0) yield { ...program, stalls: program.stalls.slice(1) };
  if (program.resetAfter !== Infinity) yield { ...program, resetAfter: Infinity };
  if (program.allowHalfOpen) yield { ...program, allowHalfOpen: false };
  if (program.isAccepted) yield { ...program, isAccepted: false };
  if (program.style === "delegate") yield { ...program, style: "promises" };
  if (program.closing !== "afterWriting") yield { ...program, closing: "afterWriting" };
}

/** One thing less, or one thing calmer. */
function* simplerReads(program: ReadProgram): Generator<ReadProgram> {
  const { steps, pieces, iteration, ...rest } = program;
  const all = { ...rest, steps, pieces };
  if (iteration !== undefined) yield all;
  const full = iteration === undefined ? all : { ...all, iteration };
  for (let count = steps.length >> 1; count >= 1; count >>= 1) {
    for (let at = 0; at + count <= steps.length; at += count) yield { ...full, steps: steps.toSpliced(at, count) };
  }
  for (let count = pieces.length >> 1; count >= 1; count >>= 1) yield { ...full, pieces: pieces.slice(0, -count) };
  const total = pieces.reduce((sum, { length }) => sum + length, 0);
  if (pieces.length > 1) yield { ...full, pieces: [{ length: total, restTurns: 0 }] };
  if (pieces.some(({ restTurns }) => restTurns > 0))
    yield { ...full, pieces: pieces.map((piece) => ({ ...piece, restTurns: 0 })) };
  for (const [index, step] of steps.entries()) {
    const { mischief, cancelTurns, ...calm } = step;
    if (mischief !== undefined || cancelTurns !== undefined || step.restTurns > 0)
      yield { ...full, steps: steps.with(index, { ...calm, restTurns: 0 }) };
  }
  if (program.drains) yield { ...full, drains: false };
  if (program.allowHalfOpen) yield { ...full, allowHalfOpen: false };
  if (program.width > 1) yield { ...full, width: 1 };
  if (program.isAccepted) yield { ...full, isAccepted: false };
  if (program.style === "delegate") yield { ...full, style: "promises" };
  if (program.closing !== "disconnect") yield { ...full, closing: "disconnect" };
  if (program.chunkBytes !== Infinity) yield { ...full, chunkBytes: Infinity };
  if (program.ending !== "fin") yield { ...full, ending: "fin" };
  if (program.readAhead !== 65_536) yield { ...full, readAhead: 65_536 };
}

/** One line for each thing that is asked. */
export function describeRound(programs: readonly Program[]): string {
  return programs.map(describe).join("\n");
}

function describe(program: Program): string {
  const { rest, list } = split(program);
  const lines = list.map((one) => `  ${JSON.stringify(one)}`);
  return [JSON.stringify(rest, (_, value: unknown) => (value === Infinity ? "Infinity" : value)), ...lines].join("\n");
}

function split(program: Program): { rest: object; list: readonly object[] } {
  if (program.of === "writes") {
    const { writes, ...rest } = program;
    return { rest, list: writes };
  }
  const { steps, pieces, ...rest } = program;
  const sent = pieces.map(({ length, restTurns }) => (restTurns > 0 ? `${length} after ${restTurns}` : length));
  return { rest: { ...rest, pieces: sent.join(", ") }, list: steps };
}
