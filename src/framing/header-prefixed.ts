import { byteCount } from "../base/byte-count.js";
import { checkLength, checkOptions, show, toBytes, wrongRange, wrongType, type Bytes } from "../base/checks.js";
import { InPlaceFraming, partsOf, UNKNOWN } from "./framing.js";
import type { BytesInPlace, MessageFraming, UnreadBytes } from "./framing.js";

/** A header of a fixed size that tells how many bytes follow it. */
export interface HeaderPrefix {
  /** The size of the header in bytes; at least 1. */
  headerBytes: number;
  /**
   * Returns how many bytes follow the header. The view of the header must be neither kept nor changed. An error thrown
   * here fails the read with `BAD_FRAME`, as does a result that is not a whole number, 0 or more.
   */
  length: (header: Buffer) => number;
  lengthBytes?: undefined;
}

/** A message with its header. Both are the caller's to keep. */
export interface HeadedMessage {
  readonly header: Buffer;
  readonly body: Buffer;
}

/** A message to write, with its header. */
export interface HeadedValue {
  readonly header: Bytes;
  readonly body: Bytes | readonly Bytes[];
}

/**
 * A header in which the length stands somewhere, followed by so many bytes. The value has both.
 *
 * ```
 *   | 44 00 00 00 0b | … … … … … … … | …      as in PostgreSQL: a type, and a length that counts itself
 *     └ header ────┘   └ body ─────┘   ▲ the message ends here
 * ```
 */
export class HeaderPrefixed
  extends InPlaceFraming<HeadedMessage>
  implements MessageFraming<HeadedMessage, HeadedValue>
{
  override readonly headerBytes: number;
  readonly #length: (header: Buffer) => number;

  constructor(prefix: HeaderPrefix) {
    super();
    const { headerBytes, length, lengthBytes } = prefix as Partial<Record<keyof HeaderPrefix, unknown>>;
    if (lengthBytes !== undefined) throw wrongType("lengthBytes", "undefined beside headerBytes", lengthBytes);
    if (typeof length !== "function") throw wrongType("length", "a function", length);
    this.headerBytes = checkLength("headerBytes", headerBytes, 1);
    this.#length = prefix.length;
  }

  override locate({ block, start, ready }: BytesInPlace): number {
    const { headerBytes } = this;
    if (ready < headerBytes) return UNKNOWN;
    return headerBytes + this.#lengthIn(block.subarray(start, start + headerBytes));
  }

  override draw(bytes: UnreadBytes, count: number): HeadedMessage {
    return this.decode(bytes.give(0, count));
  }

  override decode(message: Buffer): HeadedMessage {
    return { header: message.subarray(0, this.headerBytes), body: message.subarray(this.headerBytes) };
  }

  /** @throws RangeError for a header of another size, and for a body of another length than its header tells */
  encode(value: HeadedValue): readonly Bytes[] {
    if (checkOptions(value, "value") === undefined) throw wrongType("value", "an object with header and body", value);
    const { headerBytes } = this;
    const header = toBytes("value.header", value.header);
    if (header.length !== headerBytes) throw wrongRange("value.header", `${headerBytes} bytes long`, header.length);
    const body = partsOf(value.body, "value.body");
    const length = this.#lengthIn(Buffer.from(header));
    const bodyBytes = byteCount(body);
    if (bodyBytes === length) return [header, ...body];
    throw wrongRange("value.body", `${length} bytes long, as its header tells`, bodyBytes);
  }

  #lengthIn(header: Buffer): number {
    const length: unknown = this.#length(header);
    if (Number.isSafeInteger(length) && (length as number) >= 0) return length as number;
    throw new RangeError(`Expected length to give a whole number of bytes, got ${show(length)}`);
  }
}
