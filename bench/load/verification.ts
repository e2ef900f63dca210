/**
 * The check before anything is timed: messages of all lengths, cut anywhere, must come back byte for byte and nothing
 * behind them. A server that is fast because it is wrong is not timed.
 */
import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import type { Socket } from "node:net";
import type { Workload } from "../workloads.js";
import { dial } from "./connection.js";
import { Dice, variedStream } from "./payload.js";

const CONNECTIONS = 8;

/** @returns how many bytes were compared */
export async function verify(workload: Workload, port: number): Promise<number> {
  const seeds = Array.from({ length: CONNECTIONS }, (_, i) => i + 1);
  const counts = await Promise.all(seeds.map((seed) => verifyConnection(workload, port, seed)));
  return counts.reduce((sum, count) => sum + count, 0);
}

async function verifyConnection(workload: Workload, port: number, seed: number): Promise<number> {
  const expected = variedStream(workload, seed);
  const comparison = new Comparison(expected);
  const socket = dial(port, workload.isSecure, (length, bytes) => {
    comparison.take(bytes.subarray(0, length));
    if (comparison.isComplete) socket.end();
  });
  const closed = once(socket, "close"); // rejects on "error"
  await Promise.all([closed, sendInPieces(socket, workload.isSecure, expected, new Dice(seed * 7919))]);
  comparison.finish();
  return expected.length;
}

/** Mostly small pieces, so that headers and delimiters are cut too, and some larger than a read. */
async function sendInPieces(socket: Socket, isSecure: boolean, bytes: Buffer, dice: Dice): Promise<void> {
  await once(socket, isSecure ? "secureConnect" : "connect");
  const scale = Math.max(8, bytes.length / 200);
  for (let at = 0; at < bytes.length;) {
    const length = 1 + dice.roll(dice.roll(4) === 0 ? scale * 8 : scale / 4);
    socket.write(bytes.subarray(at, at + length));
    at += length;
    await turn();
  }
}

class Comparison {
  readonly #expected: Buffer;
  #at = 0;
  #mismatch: number | null = null;

  constructor(expected: Buffer) {
    this.#expected = expected;
  }

  get isComplete(): boolean {
    return this.#at >= this.#expected.length;
  }

  take(bytes: Buffer): void {
    const expected = this.#expected.subarray(this.#at, this.#at + bytes.length);
    if (this.#mismatch === null && !expected.equals(bytes)) this.#mismatch = this.#at;
    this.#at += bytes.length;
  }

  finish(): void {
    if (this.#mismatch !== null) throw new Error(`Wrong bytes at or after byte ${this.#mismatch} of the replies`);
    if (this.#at !== this.#expected.length) {
      throw new Error(`Expected ${this.#expected.length} bytes of replies, got ${this.#at}`);
    }
  }
}
