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
const TWO_LINES = "Expected text to be one line, got a CR or LF within it";
const WIDE = ["utf16le", "utf-16le", "ucs2", "ucs-2"];

/** Options of `line`. */
export interface LineFramingOptions {
  /** The encoding of the text. A line feed must be a single byte in it, so UTF-16 is not possible. @default "utf8" */
  encoding?: BufferEncoding | undefined;
  /** The line ending that `encode` adds. @default "\n" */
  ending?: "\n" | "\r\n" | undefined;
}

/**
 * Lines of text, whose value does not contain the ending (LF or CRLF). The framing of `readLine`.
 *
 * ```
 *   | H e l o \r \n | …
 *     └ value ┘     ▲ the message ends here
 * ```
 */
class Line extends InPlaceFraming<string> implements MessageFraming<string> {
  override readonly isPlain = true;
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

  override draw(bytes: UnreadBytes, count: number): string {
    return bytes.text(this.#encoding, 0, endOfLine(bytes.block, bytes.start, count));
  }

  override textBytes(bytes: UnreadBytes, count: number): Buffer {
    return drawBytes(bytes, 0, endOfLine(bytes.block, bytes.start, count), null) as Buffer;
  }

  override decode(message: Buffer): string {
    return message.toString(this.#encoding, 0, endOfLine(message, 0, message.length));
  }

  encode(text: string): Buffer {
    const [line, ending] = encodeLine(text, this.#ending, this.#encoding);
    return typeof line === "string" ? Buffer.from(line + ending) : Buffer.concat([line, Buffer.from(ending)]);
  }
}

/** The length of a line's text, given that the line has `count` bytes with its ending. */
function endOfLine(block: Buffer, start: number, count: number): number {
  return count > 1 && block[start + count - 2] === RETURN ? count - 2 : count - 1;
}

/**
 * Returns a line and its ending, the line as text for UTF-8, and as bytes for other encodings. They are not joined:
 * encoding a text that was just joined takes longer.
 * @throws RangeError for text with a CR or LF, so that text from a peer cannot smuggle a second line into the stream.
 *   Other encodings are searched after encoding, since latin1 makes an LF of "\u010a", too.
 */
export function encodeLine(
  text: unknown,
  ending: string,
  encoding: BufferEncoding,
): [line: string | Buffer, ending: string] {
  if (typeof text !== "string") throw wrongType("text", "a string", text);
  if (text.includes("\n") || text.includes("\r")) throw new RangeError(TWO_LINES);
  if (encoding === "utf8") return [text, ending];
  const line = Buffer.from(text, encoding);
  if (line.includes(RETURN) || line.includes("\n")) throw new RangeError(TWO_LINES);
  return [line, ending];
}

const UTF8 = new Line("utf8", "\n");
const known = new Map<string, Line>();

/** @param encoding - an encoding that was checked before; null for UTF-8 */
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
 * Lines of text. A line ends with LF or CRLF, and the value does not contain the ending. `encode` adds the ending.
 * @throws TypeError, RangeError for invalid options; `encode` throws RangeError for text that contains a CR or LF
 */
export function line(options?: LineFramingOptions): MessageFraming<string> {
  const { encoding, ending } = checkOptions(options) ?? {};
  return lineIn(checkLineEncoding(encoding), checkOneOf("ending", ending, ["\n", "\r\n"] as const, "\n"));
}
