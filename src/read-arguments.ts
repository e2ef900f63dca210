/** From what callers pass to the entries of the read queue: checked, with the defaults in place. */

import {
  checkDistance,
  checkEncoding,
  checkInto,
  checkLength,
  checkMaxLength,
  checkTimeout,
  checkBoolean,
  checkOneOf,
  checkOptions,
  checkSignal,
  toDelimiters,
  wrongRange,
  wrongType,
} from "./arguments.js";
import type {
  DataOptions,
  DelimitedOptions,
  FrameOptions,
  FullLimits,
  LineOptions,
  PeekOptions,
  ReadingOptions,
  ReadOptions,
} from "./options.js";
import { NO_TIMEOUT } from "./pump/entry.js";
import { ReadEntry, UNLIMITED, type FrameHeader, type ReadKind } from "./pump/read-entry.js";
import type { RequestOwner } from "./request.js";

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

const LENGTH_BYTES = [1, 2, 3, 4, 5, 6, 8] as const;

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

const NETWORK_ORDER_4: FrameHeader = { lengthBytes: 4, littleEndian: false, lengthIncludesHeader: false };

function frameHeader(options: FrameOptions): FrameHeader {
  const { lengthBytes, littleEndian, lengthIncludesHeader } = options;
  if (lengthBytes === 4 && littleEndian === undefined && lengthIncludesHeader === undefined) return NETWORK_ORDER_4;
  if (typeof lengthBytes !== "number") throw wrongType("lengthBytes", "a number", lengthBytes);
  return {
    lengthBytes: checkOneOf("lengthBytes", lengthBytes, LENGTH_BYTES, 4),
    littleEndian: checkBoolean("littleEndian", littleEndian, false),
    lengthIncludesHeader: checkBoolean("lengthIncludesHeader", lengthIncludesHeader, false),
  };
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
