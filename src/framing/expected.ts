import { type BytesInPlace, InPlaceFraming, UNKNOWN } from "./framing.js";

/**
 * The framing of `expect`: bytes that are known before they come, and are dropped.
 *
 * ```
 *   expected:  2 2 0 -
 *   unread:    2 2 1 …      the third byte is another one: no message, however much more comes
 * ```
 */
class Expected extends InPlaceFraming<undefined> {
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    super();
    this.#bytes = bytes;
  }

  override get exactLength(): number {
    return this.#bytes.length;
  }

  override locate({ block, start, ready }: BytesInPlace, searched: number): number {
    const { length } = this.#bytes;
    const end = Math.min(ready, length);
    for (let i = searched; i < end; i++) {
      // The bytes themselves are not named, because an error shows no payload.
      if (block[start + i] !== this.#bytes[i]) throw new RangeError(`byte ${i + 1} of ${length} is another one`);
    }
    return end < length ? UNKNOWN : length;
  }

  override draw(): undefined {
    return undefined;
  }

  override decode(): undefined {
    return undefined;
  }
}

export function expected(bytes: Buffer): InPlaceFraming<undefined> {
  return new Expected(bytes);
}
