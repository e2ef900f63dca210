/** From what callers pass to the entries of the read queue: checked, with the defaults in place. */

import {
  checkDistance,
  checkEncoding,
  checkInto,
  checkLength,
  checkMaxLength,
  checkOneOf,
  checkOptions,
  checkSignal,
  wrongRange,
  wrongType,
} from "../base/checks.js";
import type { FullLimits } from "../base/limits.js";
import type { RequestOwner } from "../base/request.js";
import { toDelimiters } from "../framing/delimiter.js";
import { frameHeader } from "../framing/length-prefixed.js";
import { checkTimeout, NO_TIMEOUT } from "../pump/entry.js";
import { ReadEntry, type ReadKind, UNLIMITED } from "../pump/read-entry.js";

/** Whoever carries the entry out, and its bounds. */
interface Reader extends RequestOwner {
  readonly limits: FullLimits;
}

const POLICIES = ["disconnect", "continue"] as const;

function entryFor<T>(
  kind: ReadKind,
  reader: Reader,
  length: number,
  options: ReadingOptions | undefined,
): ReadEntry<T> {
  if (options === undefined) return new ReadEntry<T>(kind, undefined, reader, NO_TIMEOUT, length);
  checkOptions(options);
  checkSignal(options.signal);
  const entry = new ReadEntry<T>(kind, options.tag, reader, checkTimeout(options.timeout), length);
  entry.failsAlone = checkOneOf("onFailure", options.onFailure, POLICIES, "disconnect") === "continue";
  return entry;
}

/** The bytes go into the caller's memory, or are decoded: not both. A frame's or delimiter's bound is that memory, too. */
function setTarget(entry: ReadEntry, options: DataOptions | undefined): void {
  if (options === undefined) return;
  entry.target = checkEncoding(options.encoding);
  if (options.into === undefined) return;
  const into = checkInto(options.into);
  if (entry.target !== null) throw new TypeError("Expected either encoding or into, got both");
  const isFixed = entry.kind === "readExactly" || entry.kind === "peek";
  if (isFixed && into.length < entry.length) {
    throw wrongRange("into", `at least ${entry.length} bytes long`, into.length);
  }
  if (!isFixed) entry.length = Math.min(entry.length, into.length);
  entry.target = into;
}

export function readEntry(reader: Reader, options: ReadOptions | undefined): ReadEntry<Buffer> {
  const entry = entryFor<Buffer>("read", reader, UNLIMITED, options);
  if (options !== undefined) entry.length = checkMaxLength("maxLength", options.maxLength, UNLIMITED);
  setTarget(entry, options);
  return entry;
}

export function readExactlyEntry(reader: Reader, length: number, options: DataOptions | undefined): ReadEntry<Buffer> {
  const entry = entryFor<Buffer>("readExactly", reader, checkLength("length", length), options);
  setTarget(entry, options);
  return entry;
}

export function readUntilEntry(
  reader: Reader,
  delimiter: unknown,
  options: DelimitedOptions | undefined,
): ReadEntry<Buffer> {
  const delimiters = toDelimiters(delimiter);
  const entry = entryFor<Buffer>("readUntil", reader, reader.limits.readLength, options);
  if (options?.maxLength !== undefined) entry.length = checkMaxLength("maxLength", options.maxLength, Infinity);
  setTarget(entry, options);
  if (delimiters.shortest > entry.length) {
    throw wrongRange("maxLength", `at least the delimiter's length, ${delimiters.shortest}`, entry.length);
  }
  entry.mark = delimiters;
  return entry;
}

export function readLineEntry(reader: Reader, options: LineOptions | undefined): ReadEntry<string> {
  const entry = entryFor<string>("readLine", reader, reader.limits.readLength, options);
  if (options === undefined) return entry;
  entry.length = checkMaxLength("maxLength", options.maxLength, entry.length);
  entry.target = checkEncoding(options.encoding);
  if (entry.target !== null && WIDE.includes(entry.target)) {
    throw wrongRange("encoding", "one in which a line feed is one byte", options.encoding);
  }
  return entry;
}

const WIDE = ["utf16le", "utf-16le", "ucs2", "ucs-2"];

export function readFrameEntry(reader: Reader, options: FrameOptions): ReadEntry<Buffer> {
  if (typeof options !== "object") throw wrongType("options", "an object with lengthBytes", options);
  const entry = entryFor<Buffer>("readFrame", reader, reader.limits.readLength, options);
  if (options.maxLength !== undefined) {
    entry.length = options.maxLength === 0 ? 0 : checkMaxLength("maxLength", options.maxLength, Infinity);
  }
  entry.mark = frameHeader(options);
  setTarget(entry, options);
  return entry;
}

export function peekEntry(reader: Reader, options: PeekOptions): ReadEntry<Buffer> {
  if (typeof options !== "object") throw wrongType("options", "an object with length", options);
  checkOptions(options);
  const entry = entryFor<Buffer>("peek", reader, checkLength("length", options.length), options);
  setTarget(entry, options);
  return entry;
}

export function skipEntry(reader: Reader, length: number, options: ReadingOptions | undefined): ReadEntry<undefined> {
  return entryFor<undefined>("skip", reader, checkDistance("length", length), options);
}

/** What every queued operation takes. */
export interface OperationOptions<Tag = unknown> {
  /**
   * Ms, from when the entry becomes current and has to wait until it is done: total time. 0: only if it need not wait.
   * Then it fails with `READ_TIMEOUT` or `WRITE_TIMEOUT`. @default none
   */
  timeout?: number | undefined;
  /** Yours; handed back with the result. */
  tag?: Tag | undefined;
  /**
   * Aborting it cancels the operation, with `CANCELED`, and its reason as the cause. Counts from the call.
   * @default none
   */
  signal?: AbortSignal | undefined;
}

/** What reads take besides. */
export interface ReadingOptions<Tag = unknown> extends OperationOptions<Tag> {
  /**
   * What a timeout or a limit does: close the connection, or fail this read alone, taking no byte; the next entry then
   * starts in a later turn of the event loop. @default "disconnect"
   */
  onFailure?: "disconnect" | "continue" | undefined;
}

export interface DataOptions<Tag = unknown> extends ReadingOptions<Tag> {
  /** Give a string, decoded by this, instead of bytes. */
  encoding?: BufferEncoding | undefined;
  /** Put the bytes here, and give a view of it. It bounds the read. Leave it alone until then. */
  into?: Uint8Array | undefined;
}

export interface ReadOptions<Tag = unknown> extends DataOptions<Tag> {
  /** At most so many bytes; the rest stays. @default none */
  maxLength?: number | undefined;
}

export interface DelimitedOptions<Tag = unknown> extends DataOptions<Tag> {
  /** Bytes, the delimiter counted. More without a delimiter is `READ_LIMIT`. @default limits.readLength */
  maxLength?: number | undefined;
}

export interface LineOptions<Tag = unknown> extends ReadingOptions<Tag> {
  /** Bytes, the line's ending counted. @default limits.readLength */
  maxLength?: number | undefined;
  /** @default "utf8" */
  encoding?: BufferEncoding | undefined;
}

export interface FrameOptions<Tag = unknown> extends DataOptions<Tag> {
  /** Size of the length field: 1, 2, 3, 4, 5, 6 or 8. */
  lengthBytes: number;
  /** @default false: network byte order */
  littleEndian?: boolean | undefined;
  /** Whether the length counts the length field too. @default false */
  lengthIncludesHeader?: boolean | undefined;
  /** Bytes of the body. A frame that claims more is `READ_LIMIT`. @default limits.readLength */
  maxLength?: number | undefined;
}

export interface PeekOptions<Tag = unknown> extends DataOptions<Tag> {
  /** How many bytes to look at: exactly so many. */
  length: number;
}

/** Options that make a read give a string. */
export interface WithEncoding {
  encoding: BufferEncoding;
}

/** Options that make a read give bytes. */
export interface WithoutEncoding {
  encoding?: undefined;
}
