import { randomProgram } from "./program.js";
import { describeProgram, shrink } from "./shrink.js";
import { World } from "./world.js";

/** Runs the program of a seed. @returns null, or what is wrong, the seed, and a program as small as could be found */
export async function runSeed(seed: number): Promise<string | null> {
  const program = randomProgram(seed);
  const failure = await new World(program).run();
  if (failure === null) return null;
  const smallest = await shrink(program, async (one) => (await new World(one).run()) !== null);
  const again = await new World(smallest).run();
  return `seed ${seed}: ${failure}\nshrunken: ${again ?? "(does not fail again)"}\n${describeProgram(smallest)}`;
}
