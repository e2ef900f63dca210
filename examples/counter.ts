/**
 * A protocol of one line: `add ID AMOUNT` is answered by `total NUMBER`. The server counts each request once, however often the
 * client has to send it because the network failed. test/examples/counter.test.ts shows how to test that.
 */

import { reconnect, type AsyncSocket, type AsyncSocketDelegate, type TransportFactory } from "asyncsocket";

export class CounterServer implements AsyncSocketDelegate {
  total = 0;
  readonly #counted = new Set<string>();

  didAccept(_listener: AsyncSocket, socket: AsyncSocket): void {
    socket.readLine({ maxLength: 100, timeout: 60_000 });
  }

  didReadText(socket: AsyncSocket, line: string): void {
    const [, id, amount] = /^add (\S+) (\d+)$/.exec(line) ?? [];
    if (id === undefined) {
      socket.write("add ID AMOUNT\n");
      socket.disconnectAfterWriting();
      return;
    }
    if (!this.#counted.has(id)) this.total += Number(amount);
    this.#counted.add(id);
    socket.write(`total ${this.total}\n`);
    socket.readLine({ maxLength: 100, timeout: 60_000 });
  }
}

export interface CounterClientOptions {
  /** The beginning of each request's ID, so that no two clients use the same ID. */
  name: string;
  host: string;
  port: number;
  transport?: TransportFactory;
  random?: () => number;
}

export class CounterClient {
  readonly #name: string;
  readonly #connections: AsyncIterator<AsyncSocket, undefined>;
  #socket: AsyncSocket | undefined;
  #requests = 0;

  constructor({ name, random, ...options }: CounterClientOptions) {
    this.#name = name;
    this.#connections = reconnect({ ...options, timeout: 2000 }, { random });
  }

  /** @returns the total, this amount included */
  async add(amount: number): Promise<number> {
    const request = `add ${this.#name}-${++this.#requests} ${amount}\n`;
    for (;;) {
      this.#socket ??= (await this.#connections.next()).value;
      if (this.#socket === undefined) throw new Error("the client is closed");
      try {
        this.#socket.write(request);
        const answer = await this.#socket.readLine({ maxLength: 100, timeout: 2000 });
        return Number(answer.slice("total ".length));
      } catch {
        this.#socket = undefined; // its timeout has closed it, or the connection was lost: send it again on the next one
      }
    }
  }

  async close(): Promise<void> {
    await this.#socket?.disconnect();
    await this.#connections.return?.();
    this.#socket = undefined;
  }
}
