/** The command line, run inside of the test's process with streams of its own. */

import { PassThrough, Writable } from "node:stream";
import { run } from "#dist/cli/run.js";

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Keeps what is written, and tells when there is more. */
class Screen extends Writable {
  text = "";
  isTTY = false;
  columns = 80;
  readonly #waiting = new Set<() => void>();

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString("latin1");
    for (const look of this.#waiting) look();
    done();
  }

  /** Waits for a text. @returns the match */
  sees(text: string | RegExp): Promise<readonly string[]> {
    return new Promise((resolve) => {
      const look = (): void => {
        const found = typeof text === "string" ? this.text.includes(text) && [text] : text.exec(this.text);
        if (!found) return;
        this.#waiting.delete(look);
        resolve(found);
      };
      this.#waiting.add(look);
      look();
    });
  }
}

/** A run of the program. Its bytes are shown as Latin-1 characters, so that none is lost. */
export class CommandLine {
  readonly stdin = Object.assign(new PassThrough(), { isTTY: false });
  readonly stdout = new Screen();
  readonly stderr = new Screen();
  readonly result: Promise<CommandResult>;
  readonly #interrupt = new AbortController();

  constructor(
    args: readonly string[],
    { isTerminal = false, env = {} }: { isTerminal?: boolean; env?: Record<string, string> } = {},
  ) {
    this.stdin.isTTY = this.stdout.isTTY = this.stderr.isTTY = isTerminal;
    const { stdin, stdout, stderr } = this;
    this.result = run(args, { stdin, stdout, stderr, env, interrupted: this.#interrupt.signal }).then((code) => ({
      code,
      stdout: stdout.text,
      stderr: stderr.text,
    }));
  }

  /** As a signal does. */
  interrupt(): void {
    this.#interrupt.abort();
  }

  /** Runs the program to its end, with an input that ends. */
  static run(
    args: readonly string[],
    input: string | Buffer = "",
    options: { isTerminal?: boolean } = {},
  ): Promise<CommandResult> {
    const line = new CommandLine(args, options);
    line.stdin.end(input);
    return line.result;
  }
}
