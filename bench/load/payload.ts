/** The bytes that go over the wire: one message for the timed runs, a stream of ever different ones for verification. */
import { HEADER_BYTES, isMemory, type Workload } from "../workloads.js";

const NEWLINE = 10;

/** A small seeded generator (mulberry32): every verification sends the same bytes in the same pieces. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** An integer in [0, limit). */
  roll(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let i = 0; i < length; i++) bytes[i] = this.roll(256);
    return bytes;
  }

  text(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let i = 0; i < length; i++) bytes[i] = 32 + this.roll(95);
    return bytes;
  }
}

/** What is sent again and again in a timed run. */
export function messageOf(workload: Workload): Buffer {
  return shaped(workload, workload.bytes, new Dice(1));
}

/** Messages of all lengths up to the workload's (a churn connection has one), one behind the other. */
export function variedStream(workload: Workload, seed: number): Buffer {
  const dice = new Dice(seed);
  const least = workload.protocol === "frames" ? 0 : 1;
  const count = workload.protocol === "churn" ? 1 : workload.bytes > 10_000 ? 16 : 300;
  const longest = isMemory(workload) || workload.protocol === "lines" ? workload.bytes * 4 : workload.bytes;
  const messages = Array.from({ length: count }, () => shaped(workload, least + dice.roll(longest - least + 1), dice));
  return Buffer.concat(messages);
}

function shaped({ protocol }: Workload, length: number, dice: Dice): Buffer {
  if (protocol === "echo" || protocol === "relay") return dice.bytes(length);
  if (protocol === "frames") {
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32BE(length);
    return Buffer.concat([header, dice.bytes(length)]);
  }
  const line = dice.text(length);
  line[length - 1] = NEWLINE;
  return line;
}
