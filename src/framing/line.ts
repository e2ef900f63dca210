import { checkEncoding, checkOneOf, checkOptions, wrongRange, wrongType } from "../base/checks.js";
import { delimiterSet, findEnd } from "./delimiter.js";
import {
  drawBytes,
  InPlaceFraming,
  UNKNOWN,
  type BytesInPlace,
  type MessageFraming,
  type UnreadBytes,
} from "./framing.js";

const LINE_FEED = delimiterSet([Buffer.from("\n")]);
const RETURN = 0x0d;
const WIDE = ["utf16le", "utf-16le", "ucs2", "ucs-2"];

/** What `line` takes. */
export interface LineFramingOptions {
  /** How bytes become text. One in which a line feed is one byte. @default "utf8" */
  encoding?: BufferEncoding | undefined;
  /** What `encode` ends a line with. @default "\n" */
  ending?: "\n" | "\r\n" | undefined;
}

/**
 * Lines of text without their ending, which is LF or CRLF. Rules `readLine`.
 *
 * ```
 *   | H e l o \r \n | …
 *     └ value ┘     ▲ here the message ends
 * ```
 */
class Line extends InPlaceFraming<string> implements MessageFraming<string> {
  readonly #encoding: BufferEncoding;
  readonly #ending: string;

  constructor(encoding: BufferEncoding, ending: string) {
    super();
    this.#encoding = encoding;
    this.#ending = ending;
  }

  override locate({ block, start, ready }: BytesInPlace, searched: number, limit: number): number {
    const end = findEnd(block, start + searched, start + Math.min(ready, limit), LINE_FEED);
    return end === -1 ? UNKNOWN : end - start;
  }

  override draw({ block, start }: UnreadBytes, count: number): string {
    return block.toString(this.#encoding, start, start + endOfLine(block, start, count));
  }

  override textBytes(bytes: UnreadBytes, count: number): Buffer {
    return drawBytes(bytes, 0, endOfLine(bytes.block, bytes.start, count), null) as Buffer;
  }

  override decode(message: Buffer): string {
    return message.toString(this.#encoding, 0, endOfLine(message, 0, message.length));
  }

  encode(text: string): Buffer {
    return Buffer.from(checkLine(text) + this.#ending, this.#encoding);
  }
}

/** How long the text of a line is that has `count` bytes. */
function endOfLine(block: Buffer, start: number, count: number): number {
  return count > 1 && block[start + count - 2] === RETURN ? count - 2 : count - 1;
}

/** @throws RangeError for text that would be more than one line: who puts a peer's text into a line must not be led on */
export function checkLine(text: unknown): string {
  if (typeof text !== "string") throw wrongType("text", "a string", text);
  if (/[\r\n]/.test(text)) throw new RangeError("Expected text to be one line, got a CR or LF within it");
  return text;
}

const UTF8 = new Line("utf8", "\n");
const known = new Map<string, Line>();

/** @param encoding - checked already; null: UTF-8 */
export function lineIn(encoding: BufferEncoding | null, ending = "\n"): Line {
  if (encoding === null && ending === "\n") return UTF8;
  const key = `${encoding ?? "utf8"}${ending}`;
  let framing = known.get(key);
  if (framing === undefined) known.set(key, (framing = new Line(encoding ?? "utf8", ending)));
  return framing;
}

/** @throws RangeError for an encoding in which a line feed is more than one byte */
export function checkLineEncoding(given: unknown): BufferEncoding | null {
  const encoding = checkEncoding(given);
  if (encoding !== null && WIDE.includes(encoding)) {
    throw wrongRange("encoding", "one in which a line feed is one byte", given);
  }
  return encoding;
}

/**
 * Lines of text without their ending, which is LF or CRLF. `encode` adds the ending, and throws for text that holds a CR
 * or LF.
 */
export function line(options?: LineFramingOptions): MessageFraming<string> {
  const { encoding, ending } = checkOptions(options) ?? {};
  return lineIn(checkLineEncoding(encoding), checkOneOf("ending", ending, ["\n", "\r\n"] as const, "\n"));
}
