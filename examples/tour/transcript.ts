/** What the tour shows: on the left the calls, on the right the results. It uses colours only on a terminal. */

import { setTimeout as pause } from "node:timers/promises";
import { styleText } from "node:util";

const CALL_COLUMNS = 52;
const ANSWER_COLUMNS = 56;
/** On a terminal the tour pauses, so that people can read what was printed before. */
const PAUSE_MS = 1_200;

const { stdout } = process;
const isColoured = stdout.isTTY && stdout.hasColors();

function styled(style: "bold" | "cyan" | "dim" | "green", text: string): string {
  return isColoured ? styleText(style, text) : text;
}

export class Transcript {
  #stops = 0;

  heading(text: string): void {
    stdout.write(`${styled("bold", text)}\n`);
  }

  /** Announces the next stop of the tour. */
  async stop(title: string, remark: string): Promise<void> {
    if (stdout.isTTY) await pause(PAUSE_MS);
    stdout.write(`\n${styled("bold", `${++this.#stops}. ${title}`)}\n   ${styled("dim", remark)}\n`);
  }

  /** Shows a call. */
  call(text: string): void {
    stdout.write(`   ${styled("cyan", text)}\n`);
  }

  /** Shows a result. */
  answer(text: string): void {
    for (const part of text.match(new RegExp(`.{1,${ANSWER_COLUMNS}}(?= |$)`, "g")) ?? [])
      this.line("", part.trimStart());
  }

  /** Shows a call and its result. */
  line(call: string, answer: string): void {
    stdout.write(
      `   ${styled("cyan", call)}${" ".repeat(Math.max(1, CALL_COLUMNS - call.length))}${styled("green", answer)}\n`,
    );
  }
}
