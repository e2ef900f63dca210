/** The options of `writeFrame` and `writeLine`, their checks, and the bytes to write. */

import { type Bytes, checkOneOf, checkOptions, toBytes, toParts } from "../base/checks.js";
import type { LengthPrefix } from "../framing/length-prefixed.js";
import { checkLineEncoding, encodeLine } from "../framing/line.js";
import type { Writable } from "../pump/batch-memory.js";
import type { OperationOptions } from "./read-options.js";

export interface FrameWriteOptions<Tag = unknown> extends OperationOptions<Tag>, LengthPrefix {}

export interface LineWriteOptions<Tag = unknown> extends OperationOptions<Tag> {
  /** The line ending that is added to the text. @default "\n" */
  ending?: "\n" | "\r\n" | undefined;
  /** The encoding of the text. A line feed must be a single byte in it. @default "utf8" */
  encoding?: BufferEncoding | undefined;
}

/** What a write entry takes: text stays text, and everything else becomes views without a copy. */
export function bytesOf(data: Bytes | readonly Bytes[]): Writable {
  if (typeof data === "string") return data;
  return Array.isArray(data) ? toParts(data) : toBytes("data", data);
}

/** @throws RangeError for text that contains a CR or LF */
export function lineOf(text: string, options: LineWriteOptions | undefined): Writable {
  if (options === undefined) return encodeLine(text, "\n", "utf8");
  const { ending, encoding } = checkOptions(options) ?? {};
  const checked = checkOneOf("ending", ending, ["\n", "\r\n"] as const, "\n");
  return encodeLine(text, checked, checkLineEncoding(encoding) ?? "utf8");
}
