/**
 * One connection of the load process, light enough not to be what is measured: what comes is counted in one buffer for
 * all connections, and every reply is followed at once by the next message.
 */
import { connect, type Socket } from "node:net";
import { connect as connectSecurely } from "node:tls";

/** Overwritten by every arrival: whoever needs the bytes looks at them at once. */
const ARRIVALS = Buffer.allocUnsafeSlow(256 * 1024);

const TOO_MUCH = "The server replied more than it was asked";

/** A socket on 127.0.0.1 whose arrivals go to `take` and nowhere else. */
export function dial(port: number, isSecure: boolean, take: (length: number, bytes: Buffer) => void): Socket {
  const callback = (length: number): boolean => {
    take(length, ARRIVALS);
    return true;
  };
  const options = { port, host: "127.0.0.1", noDelay: true, onread: { buffer: ARRIVALS, callback } };
  // Whom it speaks to is no question here, and verifying is the same for all.
  return isSecure ? connectSecurely({ ...options, rejectUnauthorized: false }) : connect(options);
}

export class LoadConnection {
  readonly #socket: Socket;
  /** `#slices[n]` is n messages in one piece. */
  readonly #slices: readonly Buffer[];
  readonly #size: number;
  readonly #piece: number | undefined;
  #partial = 0;
  #unsent = 0;
  #awaited = 0;
  #settle: ((error: Error | null) => void) | null = null;
  #stray = 0;
  readonly opened: Promise<void>;

  /**
   * @param slices - n messages in one piece at n, up to as many as may be under way
   * @param piece - bytes that are sent in one turn of the event loop; undefined: all that may be sent
   */
  constructor(port: number, isSecure: boolean, slices: readonly Buffer[], piece?: number) {
    this.#piece = piece;
    this.#slices = slices;
    this.#size = slices[1]?.length ?? 0;
    this.#socket = dial(port, isSecure, (length) => this.#take(length));
    this.opened = new Promise((resolve, reject) =>
      this.#socket.once(isSecure ? "secureConnect" : "connect", resolve).once("error", reject),
    );
    this.#socket.on("error", (error) => this.#settle?.(error));
    this.#socket.on("close", () => this.#settle?.(new Error("The server closed a connection during a run")));
  }

  /** Sends so many messages, and is done when the last reply is complete. */
  run(messages: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (messages === 0) return resolve();
      if (this.#stray > 0) return reject(new Error(TOO_MUCH));
      this.#settle = (error) => {
        this.#settle = null;
        if (error === null) resolve();
        else reject(error);
      };
      this.#awaited = messages;
      this.#unsent = messages;
      this.#send(this.#slices.length - 1);
    });
  }

  /** Ends it, and is done when the server has ended its side too. */
  close(): Promise<void> {
    return new Promise((resolve, reject) => {
      const closed = (): void => (this.#stray > 0 ? reject(new Error(TOO_MUCH)) : resolve());
      if (this.#socket.closed) return closed();
      this.#socket.once("close", closed);
      this.#socket.end();
    });
  }

  #take(length: number): void {
    if (this.#settle === null) this.#stray += length;
    this.#partial += length;
    if (this.#partial < this.#size) return;
    const complete = Math.floor(this.#partial / this.#size);
    this.#partial -= complete * this.#size;
    this.#awaited -= complete;
    if (this.#unsent > 0) this.#send(complete);
    if (this.#awaited > 0) return;
    if (this.#awaited < 0 || this.#partial > 0) this.#settle?.(new Error(TOO_MUCH));
    else this.#settle?.(null);
  }

  #send(most: number): void {
    const slice = this.#slices[Math.min(most, this.#unsent)];
    if (slice === undefined) return this.#settle?.(new Error(TOO_MUCH));
    this.#unsent -= slice.length / this.#size;
    if (this.#piece === undefined) this.#socket.write(slice);
    else this.#sendPiece(slice, this.#piece);
  }

  #sendPiece(bytes: Buffer, length: number): void {
    this.#socket.write(bytes.subarray(0, length));
    if (bytes.length > length) setImmediate(() => this.#sendPiece(bytes.subarray(length), length));
  }
}
