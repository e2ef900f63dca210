import { byteCount } from "../base/byte-count.js";
import { checkInteger, checkOptions, type Bytes } from "../base/checks.js";
import {
  drawBytes,
  InPlaceFraming,
  partsOf,
  UNKNOWN,
  type BytesInPlace,
  type MessageFraming,
  type Target,
  type UnreadBytes,
} from "./framing.js";

/** Options of `varint`. */
export interface VarintOptions {
  /** How many bytes the length may have, from 1 to 8. In MQTT it is 4. @default 5 */
  maxBytes?: number | undefined;
}

/**
 * A length in LEB128, as in Protocol Buffers, followed by so many bytes, which are the value.
 *
 * ```
 *   | 1010 1100 | 0000 0010 | 300 bytes | …      each byte holds seven bits, the lowest first; the top bit means "more"
 *     └ header ───────────┘  └ value ─┘ ▲ the message ends here
 * ```
 */
class Varint extends InPlaceFraming<Buffer> implements MessageFraming<Buffer, Bytes | readonly Bytes[]> {
  readonly #maxBytes: number;

  constructor(maxBytes: number) {
    super();
    this.#maxBytes = maxBytes;
  }

  override locate({ block, start, ready }: BytesInPlace): number {
    let length = 0;
    for (let i = 0, unit = 1; i < Math.min(ready, this.#maxBytes); i++, unit *= 128) {
      const byte = block[start + i] ?? 0;
      length += (byte & 0x7f) * unit;
      if (byte < 0x80) return i + 1 + length;
    }
    if (ready < this.#maxBytes) return UNKNOWN;
    throw new RangeError(`a length of more than ${this.#maxBytes} bytes`);
  }

  override draw(bytes: UnreadBytes, count: number, target: Target): Buffer | string {
    const header = headerOf(bytes.block, bytes.start);
    return drawBytes(bytes, header, count - header, target);
  }

  override decode(message: Buffer): Buffer {
    return message.subarray(headerOf(message, 0));
  }

  /** @throws RangeError for a body whose length has more than `maxBytes` bytes */
  encode(body: Bytes | readonly Bytes[]): readonly Bytes[] {
    const parts = partsOf(body);
    const header: number[] = [];
    let length = byteCount(parts);
    for (; length >= 128; length = Math.floor(length / 128)) header.push((length % 128) | 0x80);
    header.push(length);
    if (header.length <= this.#maxBytes) return [Buffer.from(header), ...parts];
    throw new RangeError(
      `Expected value to fit a length of ${this.#maxBytes} bytes, got one that needs ${header.length}`,
    );
  }
}

/** How many bytes the length field has. All of them must have come. */
function headerOf(block: Buffer, start: number): number {
  let count = 1;
  while ((block[start + count - 1] ?? 0) >= 0x80) count++;
  return count;
}

const FIVE = new Varint(5);

/**
 * A length in LEB128, as in Protocol Buffers, followed by so many bytes, which are the value. A length field of more
 * than `maxBytes` bytes fails the read with `BAD_FRAME`.
 * @throws TypeError, RangeError for invalid options; `encode` throws RangeError for a body that is too long
 */
export function varint(options?: VarintOptions): MessageFraming<Buffer, Bytes | readonly Bytes[]> {
  const { maxBytes } = checkOptions(options) ?? {};
  return maxBytes === undefined ? FIVE : new Varint(checkInteger("maxBytes", maxBytes, 1, 8));
}
