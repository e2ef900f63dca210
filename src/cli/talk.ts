/** A conversation between a socket and the streams of the program. */

import { AsyncSocketError, type AsyncSocket } from "../index.js";
import { EXIT } from "./exit-code.js";
import { type Direction, type Format, Shown } from "./format.js";
import { type Input, openInput, sendInput } from "./input.js";
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
    this.#input.onInterrupt = () => {
      this.#wasInterrupted = true;
      this.#socket.disconnect();
    };
    const didSend = (bytes: Buffer): void => void this.#show("sent", bytes);
    // What fails here has closed the socket, so that receiving ends with the same failure.
    const sending = sendInput(this.#socket, this.#input, this.#format, didSend).catch((error: unknown) => {
      if (!(error instanceof AsyncSocketError)) throw error;
    });
    await Promise.race([this.#receive(), failureOf(sending)]);
    await this.#socket.disconnectAfterWriting();
    return this.#wasInterrupted ? EXIT.interrupted : EXIT.ok;
  }

  async #receive(): Promise<void> {
    const { framing } = this.#format;
    try {
      for await (const bytes of framing === null ? this.#socket : this.#socket.messages(framing)) {
        await this.#show("received", bytes);
      }
    } catch (error) {
      if (!isUnfinished(error)) throw error;
      await this.#show("received", error.partial ?? Buffer.alloc(0));
      if (!this.#format.isLines) throw error;
    }
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

/** Whether the peer has ended its side in the middle of a message. */
function isUnfinished(error: unknown): error is AsyncSocketError {
  return error instanceof AsyncSocketError && error.code === "ERR_ASYNCSOCKET_END_OF_STREAM";
}
