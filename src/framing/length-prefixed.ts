import { byteCount } from "../base/byte-count.js";
import { checkBoolean, checkOneOf, checkOptions, wrongType, type Bytes } from "../base/checks.js";
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
import { HeaderPrefixed, type HeadedMessage, type HeadedValue, type HeaderPrefix } from "./header-prefixed.js";

/** The form of the length field at the start of a message. */
export interface LengthPrefix {
  /** The size of the length field in bytes: 1, 2, 3, 4, 5, 6 or 8. */
  lengthBytes: number;
  /** Whether the lowest byte of the length comes first. @default false, which is network byte order */
  littleEndian?: boolean | undefined;
  /** Whether the length counts the length field too. @default false */
  lengthIncludesHeader?: boolean | undefined;
  headerBytes?: undefined;
}

const LENGTH_BYTES = [1, 2, 3, 4, 5, 6, 8] as const;

/**
 * A length field followed by so many bytes, which are the value. The framing of `readFrame`.
 *
 * ```
 *   | 00 00 00 05 | h e l l o | …
 *     └ header ──┘  └ value ┘ ▲ the message ends here
 * ```
 */
export class LengthPrefixed extends InPlaceFraming<Buffer> implements MessageFraming<Buffer, Bytes | readonly Bytes[]> {
  override readonly isPlain = true;
  override readonly headerBytes: number;
  readonly littleEndian: boolean;
  readonly lengthIncludesHeader: boolean;
  /** The first length that the length field cannot express. */
  readonly #beyond: number;

  constructor(lengthBytes: number, littleEndian: boolean, lengthIncludesHeader: boolean) {
    super();
    this.headerBytes = lengthBytes;
    this.littleEndian = littleEndian;
    this.lengthIncludesHeader = lengthIncludesHeader;
    this.#beyond = 2 ** (8 * lengthBytes);
  }

  override locate({ block, start, ready }: BytesInPlace, _searched: number, limit: number): number {
    const { headerBytes } = this;
    if (ready < headerBytes) return UNKNOWN;
    const claimed = this.#claimed(block, start);
    // So large a number is no longer exact. Under any finite limit the caller refuses the length anyway.
    if (limit === Infinity && !Number.isSafeInteger(claimed)) throw new RangeError("a length of 2^53 bytes or more");
    if (!this.lengthIncludesHeader) return headerBytes + claimed;
    if (claimed < headerBytes) throw new RangeError(`a length of ${claimed}, which is shorter than its own header`);
    return claimed;
  }

  /** Asked for as long as the header is not here. */
  override wanted(): number {
    return this.headerBytes;
  }

  override draw(bytes: UnreadBytes, count: number, target: Target): Buffer | string {
    return drawBytes(bytes, this.headerBytes, count - this.headerBytes, target);
  }

  override decode(message: Buffer): Buffer {
    return message.subarray(this.headerBytes);
  }

  /** @throws RangeError for a body that is too long for the length field */
  encode(body: Bytes | readonly Bytes[]): readonly Bytes[] {
    const parts = partsOf(body);
    const length = byteCount(parts);
    this.checkBody("value", length);
    const header = Buffer.alloc(this.headerBytes);
    this.putHeader(header, 0, length);
    return [header, ...parts];
  }

  /** @throws RangeError for so many bytes that the length field cannot express their number */
  checkBody(name: string, bodyBytes: number): void {
    const length = this.#lengthOf(bodyBytes);
    if (length < this.#beyond) return;
    throw new RangeError(`Expected ${name} to fit a length of ${this.headerBytes} bytes, got ${length} bytes`);
  }

  /** Writes the length field of a body with so many bytes. */
  putHeader(target: Buffer, at: number, bodyBytes: number): void {
    const { headerBytes, littleEndian } = this;
    const length = this.#lengthOf(bodyBytes);
    if (headerBytes === 4 && !littleEndian) target.writeUInt32BE(length, at);
    else if (headerBytes < 8 && littleEndian) target.writeUIntLE(length, at, headerBytes);
    else if (headerBytes < 8) target.writeUIntBE(length, at, headerBytes);
    else if (littleEndian) target.writeBigUInt64LE(BigInt(length), at);
    else target.writeBigUInt64BE(BigInt(length), at);
  }

  /** What the length field says of a body with so many bytes. */
  #lengthOf(bodyBytes: number): number {
    return this.lengthIncludesHeader ? this.headerBytes + bodyBytes : bodyBytes;
  }

  #claimed(block: Buffer, at: number): number {
    const { headerBytes, littleEndian } = this;
    if (headerBytes === 4) return littleEndian ? block.readUInt32LE(at) : block.readUInt32BE(at);
    if (headerBytes < 8) return littleEndian ? block.readUIntLE(at, headerBytes) : block.readUIntBE(at, headerBytes);
    return Number(littleEndian ? block.readBigUInt64LE(at) : block.readBigUInt64BE(at));
  }
}

const NETWORK_ORDER_4 = new LengthPrefixed(4, false, false);
let last = NETWORK_ORDER_4;

/**
 * A length field followed by so many bytes, which are the value. `maxLength` counts the header and the body in
 * `readMessage`, and the body alone in `readFrame`. `encode` puts the header before a body.
 * @throws TypeError, RangeError for an invalid description of the length field
 */
export function lengthPrefixed(prefix: LengthPrefix): MessageFraming<Buffer, Bytes | readonly Bytes[]>;
/**
 * A header of `headerBytes` bytes that tells how many bytes follow it, as the messages of PostgreSQL, MySQL, AMQP, TLS
 * and HTTP/2 have. The value has both: `{ header, body }`. `maxLength` counts both. `encode` throws RangeError for a
 * body of another length than its header tells.
 *
 * ```ts
 * const postgres = lengthPrefixed({ headerBytes: 5, length: (header) => header.readInt32BE(1) - 4 });
 * const { header, body } = await socket.readMessage(postgres);
 * ```
 * @throws TypeError, RangeError for invalid options
 */
export function lengthPrefixed(prefix: HeaderPrefix): MessageFraming<HeadedMessage, HeadedValue>;
export function lengthPrefixed(prefix: LengthPrefix | HeaderPrefix): MessageFraming<unknown, never> {
  if (typeof prefix !== "object") throw wrongType("options", "an object with lengthBytes or headerBytes", prefix);
  checkOptions(prefix);
  return prefix.headerBytes === undefined ? prefixedBy(prefix) : new HeaderPrefixed(prefix);
}

/** The same framing, with the type that the read queue needs. */
export function prefixedBy(prefix: LengthPrefix): LengthPrefixed {
  if (typeof prefix !== "object") throw wrongType("options", "an object with lengthBytes", prefix);
  checkOptions(prefix);
  const { lengthBytes, littleEndian, lengthIncludesHeader } = prefix;
  if (lengthBytes === 4 && littleEndian === undefined && lengthIncludesHeader === undefined) return NETWORK_ORDER_4;
  if (typeof lengthBytes !== "number") throw wrongType("lengthBytes", "a number", lengthBytes);
  const size = checkOneOf("lengthBytes", lengthBytes, LENGTH_BYTES, 4);
  const isLittle = checkBoolean("littleEndian", littleEndian, false);
  const isWhole = checkBoolean("lengthIncludesHeader", lengthIncludesHeader, false);
  const isLast = last.headerBytes === size && last.littleEndian === isLittle && last.lengthIncludesHeader === isWhole;
  return isLast ? last : (last = new LengthPrefixed(size, isLittle, isWhole));
}
