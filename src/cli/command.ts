import type { OptionTable } from "./options.js";
import type { Terminal } from "./terminal.js";

/** One of the things that the program does. */
export interface Command {
  /** What stands behind the name of the command. */
  readonly usage: string;
  readonly about: string;
  readonly options: OptionTable;
  /** Command lines, and what each is for. */
  readonly examples: readonly (readonly [line: string, about: string])[];
  /** @returns the exit code */
  run(args: readonly string[], terminal: Terminal): Promise<number>;
}
