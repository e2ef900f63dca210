import { wrongType } from "../base/checks.js";
import { InPlaceFraming, type BytesInPlace, type MessageFraming, type UnreadBytes } from "./framing.js";
import { lineIn } from "./line.js";

const lines = lineIn(null);

/** The words of the runtime's own error quote the line, and errors show no bytes of the peer. */
function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new SyntaxError("the line is not JSON");
  }
}

/** One JSON value per line, in UTF-8 (ndjson.org). */
class JSONLines<T> extends InPlaceFraming<T> implements MessageFraming<T> {
  override locate(bytes: BytesInPlace, searched: number, limit: number): number {
    return lines.locate(bytes, searched, limit);
  }

  override draw(bytes: UnreadBytes, count: number): T {
    return parsed(lines.draw(bytes, count)) as T;
  }

  override textBytes(bytes: UnreadBytes, count: number): Buffer {
    return lines.textBytes(bytes, count);
  }

  override decode(message: Buffer): T {
    return parsed(lines.decode(message)) as T;
  }

  encode(value: T): Buffer {
    // `stringify` returns undefined for a function and the like, although its type says otherwise.
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined) throw wrongType("value", "something that JSON can express", value);
    return Buffer.from(`${text}\n`);
  }
}

const any = new JSONLines<unknown>();

/**
 * One JSON value per line, in UTF-8. A line that is not JSON fails the read with `BAD_FRAME`. Nothing checks that a
 * value has the type `T`. `encode` throws TypeError for a value that JSON cannot express, such as a function.
 */
export function json<T = unknown>(): MessageFraming<T> {
  return any as JSONLines<T>;
}
