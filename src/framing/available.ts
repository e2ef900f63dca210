import { InPlaceFraming, UNKNOWN, type BytesInPlace } from "./framing.js";
import { completeCharacters } from "./text.js";

/** The framing of `read`: whatever has come, at least one byte and at most as many as the read may take. */
class Available extends InPlaceFraming<Buffer> {
  override locate({ length }: BytesInPlace, _searched: number, limit: number): number {
    return length === 0 ? UNKNOWN : Math.min(length, limit);
  }

  override decode(message: Buffer): Buffer {
    return message;
  }
}

/**
 * The framing of `read` with an encoding: an incomplete last character stays for the next read.
 *
 * ```
 *   … | whole character | whole character | first bytes of one |
 *                                         ▲ the read ends here
 * ```
 */
class AvailableText extends InPlaceFraming<Buffer> {
  readonly #encoding: BufferEncoding;

  constructor(encoding: BufferEncoding) {
    super();
    this.#encoding = encoding;
  }

  override locate(bytes: BytesInPlace, _searched: number, limit: number): number {
    const { block, start, ready } = bytes;
    const count = this.wanted(bytes, limit);
    if (ready < count) return UNKNOWN;
    const whole = completeCharacters(block, start, start + count, this.#encoding);
    return whole === 0 ? UNKNOWN : whole;
  }

  override wanted({ length }: BytesInPlace, limit: number): number {
    return Math.min(length, limit);
  }

  override decode(message: Buffer): Buffer {
    return message;
  }
}

const bytes = new Available();
const texts = new Map<BufferEncoding, AvailableText>();

/** @param encoding - null for bytes */
export function available(encoding: BufferEncoding | null): InPlaceFraming<Buffer> {
  if (encoding === null) return bytes;
  let framing = texts.get(encoding);
  if (framing === undefined) texts.set(encoding, (framing = new AvailableText(encoding)));
  return framing;
}
