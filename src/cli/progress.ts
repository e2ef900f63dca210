/** How far a long transfer has come, on one line of the terminal. */

import type { AsyncSocket } from "../index.js";
import type { Terminal } from "./terminal.js";

const EVERY_MS = 500;
const CLEAR_LINE = "\r\u001b[K";
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** Shows the progress on stderr, from the first interval on, until it is stopped. */
export class Progress {
  readonly #socket: AsyncSocket;
  readonly #terminal: Terminal;
  readonly #timer: NodeJS.Timeout;
  readonly #everyMs: number;
  #before = 0;

  /** Null where the line would be in the way: the conversation is on the terminal itself, or nobody looks. */
  static of(socket: AsyncSocket, terminal: Terminal, everyMs = EVERY_MS): Progress | null {
    const isSeen = terminal.stderr.isTTY === true && terminal.stdout.isTTY !== true;
    return isSeen ? new Progress(socket, terminal, everyMs) : null;
  }

  private constructor(socket: AsyncSocket, terminal: Terminal, everyMs: number) {
    this.#socket = socket;
    this.#terminal = terminal;
    this.#everyMs = everyMs;
    this.#timer = setInterval(() => this.#show(), everyMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    if (this.#before > 0) this.#terminal.stderr.write(CLEAR_LINE);
  }

  #show(): void {
    const { bytesRead, bytesWritten } = this.#socket;
    const now = bytesRead + bytesWritten;
    if (now === 0) return;
    const rate = sizeInWords(((now - this.#before) * 1000) / this.#everyMs);
    this.#before = now;
    const counts = `received ${sizeInWords(bytesRead)}, sent ${sizeInWords(bytesWritten)}`;
    this.#terminal.stderr.write(`${CLEAR_LINE}${counts}, ${rate}/s`);
  }
}

/** A size with three digits that matter, such as `1.50 MiB`. */
export function sizeInWords(bytes: number): string {
  let unit = 0;
  let size = bytes;
  while (size >= 1000 && unit < UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  const digits = unit === 0 || size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return `${size.toFixed(digits)} ${UNITS[unit] ?? ""}`;
}
