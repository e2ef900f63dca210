/** What is typed, or comes by a pipe, on its way into the socket. */

import { createInterface, type Interface } from "node:readline";
import type { AsyncSocket } from "../index.js";
import type { Format } from "./format.js";
import type { Terminal } from "./terminal.js";

/** Where pieces to be sent come from. The iteration ends with the input. */
export interface Input extends AsyncIterable<Buffer> {
  /** Prints beside what the user is typing. Undefined where nobody types. */
  printBeside?: (text: string) => void;
  /** Called on Ctrl-C, where the terminal is ours. */
  onInterrupt?: () => void;
  /** Ends the iteration, and lets the process end. */
  close(): void;
}

export function openInput(terminal: Terminal, format: Format): Input {
  const { stdin, stdout } = terminal;
  if (stdin.isTTY === true && stdout.isTTY === true) return new TypedLines(terminal, format);
  return format.framing === null ? new Piped(terminal) : new PipedLines(terminal, format);
}

/** Sends the input as it comes, no faster than the peer reads, and the FIN behind it. */
export async function sendInput(
  socket: AsyncSocket,
  input: Input,
  format: Format,
  didSend: (bytes: Buffer) => void,
): Promise<void> {
  for await (const piece of input) {
    const isFrame = format.framing !== null && !format.isLines;
    const request = isFrame ? socket.writeMessage(format.framing, piece) : socket.write(piece);
    await request;
    didSend(piece);
  }
  await socket.end();
}

/** Input that is sent as it is. */
class Piped implements Input {
  readonly #terminal: Terminal;
  #isClosed = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Buffer> {
    try {
      for await (const chunk of this.#terminal.stdin) yield Buffer.from(chunk as Uint8Array);
    } catch (error) {
      if (!this.#isClosed) throw error;
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#terminal.stdin.destroy();
  }
}

/** Input of which each line is a message. */
class PipedLines implements Input {
  readonly #lines: Interface;
  readonly #ending: string;
  readonly #terminal: Terminal;

  constructor(terminal: Terminal, format: Format) {
    this.#terminal = terminal;
    this.#lines = createInterface({ input: terminal.stdin, crlfDelay: Infinity });
    this.#ending = endingOf(format);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Buffer> {
    for await (const line of this.#lines) yield Buffer.from(line + this.#ending);
  }

  close(): void {
    this.#lines.close();
    this.#terminal.stdin.destroy();
  }
}

/** Lines with editing and history, and what comes from the peer above the line that is being typed. */
class TypedLines implements Input {
  readonly #editor: Interface;
  readonly #terminal: Terminal;
  readonly #ending: string;
  /** The end of what was printed, behind the last newline: the user types behind it. */
  #tail = "";
  onInterrupt?: () => void;

  constructor(terminal: Terminal, format: Format) {
    this.#terminal = terminal;
    this.#ending = endingOf(format);
    this.#editor = createInterface({ input: terminal.stdin, output: terminal.stdout, terminal: true, prompt: "" });
    this.#editor.on("SIGINT", () => this.onInterrupt?.());
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Buffer> {
    for await (const line of this.#editor) {
      this.#tail = "";
      this.#editor.setPrompt("");
      yield Buffer.from(line + this.#ending);
    }
  }

  printBeside(text: string): void {
    const { stdout } = this.#terminal;
    if (this.#editor.line === "") stdout.write(text);
    else stdout.write(`\r\u001b[K${this.#tail}${text}`);
    this.#tail = (this.#tail + text).replace(/^[^]*\n/, "");
    this.#editor.setPrompt(this.#tail);
    if (this.#editor.line !== "") this.#editor.prompt(true);
  }

  close(): void {
    this.#editor.close();
  }
}

/** A frame needs no ending. */
function endingOf({ framing, isLines, lineEnding }: Format): string {
  return framing !== null && !isLines ? "" : lineEnding;
}
