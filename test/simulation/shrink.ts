import type { Program } from "./program.js";

/** Calmer networks and limits, one property at a time. */
function calmer(program: Program): Program[] {
  const { network } = program;
  return [
    { ...program, network: { ...network, latencyMs: [0, 0] } },
    { ...program, network: { ...network, chunkBytes: [65_536, 65_536] } },
    { ...program, network: { ...network, writeBytes: [65_536, 65_536] } },
    { ...program, network: { ...network, capacityBytes: 65_536 } },
    { ...program, network: { ...network, bytesPerMs: Infinity } },
    { ...program, readAhead: [65_536, 65_536] },
    { ...program, writeQueue: [2 ** 24, 2 ** 24] },
    { ...program, idleMs: [Infinity, Infinity] },
    { ...program, allowHalfOpen: [false, false] },
    { ...program, ops: program.ops.map((op) => ({ ...op, atMs: 0 })) },
  ];
}

/** The program, with as little of it as still fails. Greedy: one thing after the other is left out. */
export async function shrink(program: Program, fails: (program: Program) => Promise<boolean>): Promise<Program> {
  let smallest = program;
  for (let before = -1; before !== smallest.ops.length;) {
    before = smallest.ops.length;
    for (let i = smallest.ops.length - 1; i >= 0; i--) {
      const shorter = { ...smallest, ops: smallest.ops.filter((_, index) => index !== i) };
      if (await fails(shorter)) smallest = shorter;
    }
  }
  for (let i = 0; i < calmer(smallest).length; i++) {
    const next = calmer(smallest)[i];
    if (next !== undefined && (await fails(next))) smallest = next;
  }
  return smallest;
}

/** One line for each thing that it does. */
export function describeProgram({ ops, ...world }: Program): string {
  const lines = ops.map(({ side, atMs, call, act: { do: what, ...rest } }) => {
    const when = call === undefined ? `at ${atMs} ms` : `in callback ${call}`;
    return `  ${side === 0 ? "client" : "server"} ${when}: ${what} ${JSON.stringify(rest)}`;
  });
  return [JSON.stringify(world, (_, value: unknown) => (value === Infinity ? "Infinity" : value)), ...lines].join("\n");
}
