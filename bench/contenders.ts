/**
 * Who is measured. A contender is a program that answers `ServerRequests` on its IPC channel, so that another runtime
 * or another transport becomes a row by a line here and a file in servers/.
 */
import { isMemory, type Workload } from "./workloads.js";

export interface Contender {
  readonly name: string;
  /** In servers/, without its extension. */
  readonly file: string;
  readonly style?: string;
  /** Whether it takes part only when asked for (`--promise`, or by its name in `--contenders`). */
  readonly optional?: boolean;
  takesPart(workload: Workload): boolean;
}

const everywhere = (): boolean => true;
const linesOnly = (workload: Workload): boolean => workload.protocol === "lines" && !isMemory(workload);

/** The first is what the others are compared with. */
export const CONTENDERS: readonly Contender[] = [
  { name: "hand", file: "hand", takesPart: everywhere },
  { name: "library", file: "library", takesPart: everywhere },
  { name: "library-await", file: "promise", style: "await", optional: true, takesPart: linesOnly },
  { name: "library-lines", file: "promise", style: "lines", optional: true, takesPart: linesOnly },
];
