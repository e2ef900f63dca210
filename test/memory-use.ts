/** How much memory the process holds, for tests that it is bounded by bytes. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { settled } from "./support/delegates.js";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** What the process holds when all that nobody refers to is gone; some of it goes a turn later. */
export async function heldBytes(): Promise<number> {
  for (let i = 0; i < 4; i++) {
    collectGarbage();
    await settled(2);
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
