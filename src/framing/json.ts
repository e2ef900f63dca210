import { wrongType } from "../base/checks.js";
import { InPlaceFraming, type BytesInPlace, type MessageFraming, type UnreadBytes } from "./framing.js";
import { lineIn } from "./line.js";

const lines = lineIn(null);

/** One JSON value a line, in UTF-8 (as ndjson.org has it). */
class JSONLines<T> extends InPlaceFraming<T> implements MessageFraming<T> {
  override locate(bytes: BytesInPlace, searched: number, limit: number): number {
    return lines.locate(bytes, searched, limit);
  }

  override draw(bytes: UnreadBytes, count: number): T {
    return JSON.parse(lines.draw(bytes, count)) as T;
  }

  override textBytes(bytes: UnreadBytes, count: number): Buffer {
    return lines.textBytes(bytes, count);
  }

  override decode(message: Buffer): T {
    return JSON.parse(lines.decode(message)) as T;
  }

  encode(value: T): Buffer {
    // Undefined for a function and the like, whatever the types say.
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined) throw wrongType("value", "something that JSON can express", value);
    return Buffer.from(`${text}\n`);
  }
}

const any = new JSONLines<unknown>();

/** One JSON value a line. A line that is no JSON fails with `BAD_FRAME`; the type is not checked. */
export function json<T = unknown>(): MessageFraming<T> {
  return any as JSONLines<T>;
}
