import { Duplex } from "node:stream";

/** One end of a pair of streams: what is written to one is read from the other. */
class End extends Duplex {
  other: End | null = null;
  #resume: (() => void) | null = null;

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    if (this.other === null) return;
    // The other end may ask for more from inside `push`.
    this.other.#resume = done;
    this.other.push(chunk);
  }

  override _final(done: () => void): void {
    this.other?.push(null);
    done();
  }

  override _read(): void {
    const resume = this.#resume;
    this.#resume = null;
    resume?.();
  }
}

export function duplexPair(): [End, End] {
  const ends: [End, End] = [new End(), new End()];
  [ends[0].other, ends[1].other] = [ends[1], ends[0]];
  return ends;
}
