import { checkEncoding, toBytes, wrongRange, type Bytes } from "../base/checks.js";
import { delimiterSet, findEnd, type Delimiter, type DelimiterSet } from "./delimiter.js";
import { InPlaceFraming, partsOf, UNKNOWN, type BytesInPlace, type MessageFraming } from "./framing.js";

/**
 * Messages that end with a delimiter, or with one of several. The value contains the delimiter. The framing of
 * `readUntil`.
 *
 * ```
 *   | G E T   / \r | \n …          6 bytes were searched; a match may have begun in the last of them
 *                ▲── the next search begins here
 * ```
 */
export class Delimited extends InPlaceFraming<Buffer> implements MessageFraming<Buffer, Bytes | readonly Bytes[]> {
  override readonly isPlain = true;
  readonly #set: DelimiterSet;

  constructor(sequences: readonly Buffer[]) {
    super();
    this.#set = delimiterSet(sequences);
  }

  /** The length of the shortest delimiter. No message is shorter. */
  get shortest(): number {
    return this.#set.shortest;
  }

  override locate({ block, start, ready }: BytesInPlace, searched: number, limit: number): number {
    const from = Math.max(0, searched - this.#set.longest + 1);
    const end = findEnd(block, start + from, start + Math.min(ready, limit), this.#set);
    return end === -1 ? UNKNOWN : end - start;
  }

  override decode(message: Buffer): Buffer {
    return message;
  }

  /**
   * Appends the first of the delimiters to the body, unless the body ends with a delimiter already.
   * @throws RangeError where a delimiter ends before the end, because the peer would see two messages. One may begin
   *   within the body and end in the delimiter that is appended: CRLF in the body, before CRLFCRLF.
   */
  encode(value: Bytes | readonly Bytes[]): readonly Bytes[] {
    const parts = partsOf(value);
    const [first] = this.#set.delimiters as [Delimiter];
    const whole = Buffer.concat([...parts, first.bytes]);
    const end = findEnd(whole, 0, whole.length, this.#set);
    if (end === whole.length) return [whole];
    if (end === whole.length - first.bytes.length) return [whole.subarray(0, end)];
    throw new RangeError("Expected value to hold no delimiter, got one that ends within the message");
  }
}

const KNOWN_MAX = 64;
/** Framings by encoding and text, because the same delimiter is asked for again and again. */
const known = new Map<string, Delimited>();
let lastText: string | undefined;
let lastEncoding: BufferEncoding | null = null;
let lastFraming: Delimited | undefined;

/** Encodings that only display bytes. A delimiter given with such a read is the text that the peer sends, as UTF-8. */
const FOR_BYTES: readonly (BufferEncoding | null)[] = ["hex", "base64", "base64url"];

/** @param given - the encoding of the read, and of a delimiter that is a string; null for UTF-8 */
export function until(delimiter: unknown, given: BufferEncoding | null): Delimited {
  const encoding = FOR_BYTES.includes(given) ? null : given;
  if (typeof delimiter !== "string") return new Delimited(sequencesOf(delimiter, encoding));
  if (delimiter === lastText && encoding === lastEncoding && lastFraming !== undefined) return lastFraming;
  const key = `${encoding ?? "utf8"} ${delimiter}`;
  const framing = known.get(key) ?? new Delimited(sequencesOf(delimiter, encoding));
  if (known.size === KNOWN_MAX) known.clear();
  known.set(key, framing);
  lastText = delimiter;
  lastEncoding = encoding;
  return (lastFraming = framing);
}

function sequencesOf(delimiter: unknown, encoding: BufferEncoding | null): Buffer[] {
  const list: readonly unknown[] = Array.isArray(delimiter) ? delimiter : [delimiter];
  if (list.length === 0) throw wrongRange("delimiter", "at least one delimiter", delimiter);
  return list.map((one) => {
    const bytes = typeof one === "string" ? Buffer.from(one, encoding ?? "utf8") : toBytes("delimiter", one);
    if (bytes.length === 0) throw wrongRange("delimiter", "longer than 0 bytes", one);
    return Buffer.from(bytes);
  });
}

/**
 * Messages that end with a delimiter; of several delimiters the one that ends first counts. The value contains the
 * delimiter, as in `readUntil`. `encode` adds the first of the delimiters unless the body ends with a delimiter
 * already.
 * @throws TypeError, RangeError for an invalid delimiter; `encode` throws RangeError for a delimiter within the body
 */
export function delimited(delimiter: Bytes | readonly Bytes[]): MessageFraming<Buffer, Bytes | readonly Bytes[]> {
  return until(delimiter, checkEncoding(undefined));
}
