/** Connections that live for one line: connect, send, count the reply, see the end, and again. */
import { dial } from "./connection.js";

export class Churn {
  readonly #port: number;
  readonly #isSecure: boolean;
  readonly #message: Buffer;
  readonly #atOnce: number;

  constructor(port: number, isSecure: boolean, message: Buffer, atOnce: number) {
    this.#port = port;
    this.#isSecure = isSecure;
    this.#message = message;
    this.#atOnce = atOnce;
  }

  async run(connections: number): Promise<void> {
    let left = connections;
    const worker = async (): Promise<void> => {
      while (left-- > 0) await this.#once();
    };
    await Promise.all(Array.from({ length: this.#atOnce }, worker));
  }

  #once(): Promise<void> {
    return new Promise((resolve, reject) => {
      let received = 0;
      const socket = dial(this.#port, this.#isSecure, (length) => void (received += length));
      socket.on("error", reject);
      socket.on("close", () => {
        if (received === this.#message.length) resolve();
        else reject(new Error(`Expected ${this.#message.length} bytes on a connection, got ${received}`));
      });
      socket.write(this.#message);
    });
  }
}
