import { seededRandom } from "asyncsocket/testing";

/** Draws by a seed: the same again for the same seed. */
export class Lot {
  readonly random: () => number;

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  chance(part: number): boolean {
    return this.random() < part;
  }

  below(end: number): number {
    return Math.floor(this.random() * end);
  }

  /** From `least` to `most`, small ones as likely as large ones. */
  size(least: number, most: number): number {
    return least + Math.floor((most - least + 1) ** this.random()) - 1;
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}
