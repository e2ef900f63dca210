/**
 * What came beyond the room that there was: a TLS engine told to pause still gives all that it has decrypted. It is
 * bounded by what the engine reads at once.
 */
export class Surplus {
  readonly #chunks: Buffer[] = [];
  /** The stream's end has come, and waits behind. */
  hasEnd = false;

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  /** Keeps a copy. */
  keep(chunk: Buffer): void {
    this.#chunks.push(Buffer.from(chunk));
  }

  /** The next bytes, `most` of them at most. */
  take(most: number): Buffer {
    const [first] = this.#chunks;
    if (first === undefined) throw new RangeError("Expected a surplus, got none");
    if (first.length <= most) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(most);
    return first.subarray(0, most);
  }
}
