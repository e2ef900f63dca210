/** A conversation between a socket and the streams of the program. */

import { AsyncSocketError, type AsyncSocket } from "../index.js";
import { EXIT } from "./exit-code.js";
import { type Direction, type Format, Shown } from "./format.js";
import { type Input, openInput, sendInput } from "./input.js";
import { receive } from "./receive.js";
import { print, type Terminal } from "./terminal.js";

/**
 * Sends what is typed and prints what comes, until the peer has ended its side. The end of the input is a FIN, behind
 * which the peer may still answer.
 * @returns the exit code
 * @throws AsyncSocketError if the connection fails
 */
export async function talk(socket: AsyncSocket, terminal: Terminal, format: Format): Promise<number> {
  const input = openInput(terminal, format);
  const conversation = new Conversation(socket, terminal, format, input);
  try {
    return await conversation.run();
  } finally {
    input.close();
  }
}

class Conversation {
  readonly #socket: AsyncSocket;
  readonly #terminal: Terminal;
  readonly #format: Format;
  readonly #input: Input;
  readonly #shown: Shown;
  #wasInterrupted = false;

  constructor(socket: AsyncSocket, terminal: Terminal, format: Format, input: Input) {
    this.#socket = socket;
    this.#terminal = terminal;
    this.#format = format;
    this.#input = input;
    this.#shown = new Shown(format);
  }

  async run(): Promise<number> {
    const { interrupted } = this.#terminal;
    const stop = (): void => {
      this.#wasInterrupted = true;
      this.#socket.disconnect();
    };
    this.#input.onInterrupt = stop;
    interrupted.addEventListener("abort", stop);
    try {
      await this.#converse();
    } finally {
      interrupted.removeEventListener("abort", stop);
    }
    return this.#wasInterrupted ? EXIT.interrupted : EXIT.ok;
  }

  async #converse(): Promise<void> {
    const didSend = (bytes: Buffer): void => void this.#show("sent", bytes);
    // What fails here has closed the socket, so that receiving ends with the same failure.
    const sending = sendInput(this.#socket, this.#input, this.#format, didSend).catch((error: unknown) => {
      if (!(error instanceof AsyncSocketError)) throw error;
    });
    await Promise.race([this.#receive(), failureOf(sending)]);
    await this.#socket.disconnectAfterWriting();
  }

  async #receive(): Promise<void> {
    await receive(this.#socket, this.#format, (bytes) => this.#show("received", bytes));
    await this.#print(this.#shown.end());
  }

  #show(direction: Direction, bytes: Buffer): Promise<void> {
    return this.#print(this.#shown.show(direction, bytes));
  }

  async #print(data: string | Uint8Array): Promise<void> {
    if (data.length === 0) return;
    if (this.#input.printBeside !== undefined && typeof data === "string") this.#input.printBeside(data);
    else await print(this.#terminal.stdout, data);
  }
}

/** Never settles unless the promise is rejected. */
function failureOf(promise: Promise<void>): Promise<never> {
  return new Promise((_, reject) => void promise.catch(reject));
}
