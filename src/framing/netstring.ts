import { byteCount } from "../base/byte-count.js";
import type { Bytes } from "../base/checks.js";
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

const ZERO = 0x30;
const COLON = 0x3a;
const COMMA = 0x2c;
/** Every number with so few digits is a safe integer. */
const DIGITS_MAX = 15;

/**
 * `5:hello,` (https://cr.yp.to/proto/netstrings.txt). The value is what stands between the colon and the comma.
 *
 * ```
 *   | 5 : | h e l l o | , | …
 *           └ value ┘     ▲ the message ends here
 * ```
 */
class Netstring extends InPlaceFraming<Buffer> implements MessageFraming<Buffer, Bytes | readonly Bytes[]> {
  override locate({ block, start, ready }: BytesInPlace): number {
    let length = 0;
    for (let i = 0; i < ready; i++) {
      const byte = block[start + i] ?? 0;
      if (byte === COLON && i > 0) return i + 1 + length + 1;
      const isDigit = byte >= ZERO && byte <= ZERO + 9;
      if (!isDigit || i === DIGITS_MAX) throw new RangeError("no netstring: digits and a colon were expected");
      if (i > 0 && length === 0) throw new RangeError("no netstring: its length begins with a 0");
      length = length * 10 + byte - ZERO;
    }
    return UNKNOWN;
  }

  override draw(bytes: UnreadBytes, count: number, target: Target): Buffer | string {
    const { block, start } = bytes;
    checkComma(block[start + count - 1]);
    const header = block.indexOf(COLON, start) + 1 - start;
    return drawBytes(bytes, header, count - header - 1, target);
  }

  override decode(message: Buffer): Buffer {
    checkComma(message[message.length - 1]);
    return message.subarray(message.indexOf(COLON) + 1, message.length - 1);
  }

  encode(body: Bytes | readonly Bytes[]): readonly Bytes[] {
    const parts = partsOf(body);
    return [`${byteCount(parts)}:`, ...parts, ","];
  }
}

function checkComma(byte: number | undefined): void {
  if (byte !== COMMA) throw new RangeError("no netstring: it does not end with a comma");
}

const only = new Netstring();

/**
 * Netstrings such as `5:hello,`. The value is what stands between the colon and the comma. Bytes that are not a
 * netstring fail the read with `BAD_FRAME`.
 */
export function netstring(): MessageFraming<Buffer, Bytes | readonly Bytes[]> {
  return only;
}
