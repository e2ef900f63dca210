/** Well-behaved clients: whatever goes on around them, every byte they are owed comes. */
import { randomBytes } from "node:crypto";
import { AsyncSocket, type TLSOptions } from "asyncsocket";
import type { Ports } from "./requests.js";

const PATIENCE_MS = 30_000;
const LONGEST = 4000;

export class Guests {
  #isOver = false;
  #lines = 0;
  #missing: number;
  #whenAllAreServed: () => void = () => undefined;
  /** Settles once each of them has had an answer, or one has failed: from then on their connections count. */
  readonly areServed = new Promise<void>((resolve) => (this.#whenAllAreServed = resolve));
  readonly #loops: Promise<void>[];

  constructor(ports: Ports, tls: TLSOptions, count: number) {
    this.#missing = count;
    this.#loops = Array.from({ length: count }, (_, i) =>
      this.#talk(i % 2 === 0 ? { port: ports.plain } : { port: ports.tls, tls }, i),
    );
    // Whoever fails is told of by `leave`.
    for (const loop of this.#loops) loop.catch(this.#whenAllAreServed);
  }

  async #talk(target: { port: number; tls?: TLSOptions }, number: number): Promise<void> {
    const socket = await AsyncSocket.connect({ host: "127.0.0.1", timeout: PATIENCE_MS, ...target });
    const text = randomBytes(LONGEST).toString("hex");
    for (let turn = number; !this.#isOver; turn++) {
      const line = text.slice(turn % 97, (turn * 7919) % LONGEST);
      socket.write(`${line}\n`);
      const answer = await socket.readLine({ timeout: PATIENCE_MS });
      if (answer !== line) throw new Error(`A guest was owed ${line.length} bytes, and got others (${answer.length})`);
      this.#lines++;
      if (turn === number && --this.#missing === 0) this.#whenAllAreServed();
    }
    await socket.disconnectAfterWriting();
  }

  /** They finish their line. @returns how many they had. @throws where one of them was not served well */
  async leave(): Promise<number> {
    this.#isOver = true;
    await Promise.all(this.#loops);
    return this.#lines;
  }
}
