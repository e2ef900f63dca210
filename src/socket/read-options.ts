/** The options of reads, their checks, and the read queue entries made from them. */

import {
  checkBoolean,
  checkDistance,
  checkEncoding,
  checkInto,
  checkLength,
  checkMaxLength,
  checkOneOf,
  checkOptions,
  checkSignal,
  toBytes,
  wrongRange,
  wrongType,
} from "../base/checks.js";
import type { FullLimits } from "../base/limits.js";
import type { RequestOwner } from "../base/request.js";
import { available } from "../framing/available.js";
import { expected } from "../framing/expected.js";
import { exactly, peeked, skipped } from "../framing/fixed.js";
import type { Framing, InPlaceFraming } from "../framing/framing.js";
import { prefixedBy, type LengthPrefix } from "../framing/length-prefixed.js";
import { checkLineEncoding, lineIn } from "../framing/line.js";
import { until } from "../framing/until.js";
import { inPlace } from "../framing/user-framing.js";
import { checkTimeout, NO_TIMEOUT } from "../pump/entry.js";
import { ReadEntry, type ReadKind, type Standing, UNLIMITED } from "../pump/read-entry.js";

/** The owner of the entry, which carries it out, and the limits of the socket. */
interface Reader extends RequestOwner {
  readonly limits: FullLimits;
}

const POLICIES = ["disconnect", "continue"] as const;

function entryFor<T>(
  kind: ReadKind,
  reader: Reader,
  framing: InPlaceFraming<unknown>,
  limit: number,
  options: AnyOptions<ReadingOptions> | undefined,
): ReadEntry<T> {
  if (options === undefined) return new ReadEntry<T>(kind, undefined, reader, NO_TIMEOUT, framing, limit);
  const { tag, timeout, signal, onFailure, repeat } = checkOptions(options) as AnyOptions<ReadingOptions>;
  if (signal !== undefined) checkSignal(signal);
  const timeoutMs = timeout === undefined ? NO_TIMEOUT : checkTimeout(timeout);
  const entry = new ReadEntry<T>(kind, tag, reader, timeoutMs, framing, limit);
  if (onFailure !== undefined) {
    entry.failsAlone = checkOneOf("onFailure", onFailure, POLICIES, "disconnect") === "continue";
  }
  if (repeat !== undefined && checkBoolean("repeat", repeat, false)) entry.standing = standingFor(entry);
  return entry;
}

function standingFor({ kind, framing, timeoutMs }: ReadEntry): Standing {
  if (kind === "peek" || kind === "skip" || kind === "expect") throw wrongType("repeat", `left out of a ${kind}`, true);
  if (framing.exactLength === 0) throw wrongRange("length", "at least 1, since the read repeats", 0);
  return { messages: 0, lastBytes: 0, timeoutMs };
}

/** Refuses `repeat` where each value is asked for. */
export function refuseRepeat(options: { readonly repeat?: boolean | undefined } | undefined): void {
  if (options?.repeat === true) throw wrongType("repeat", "left out of an iterator's options", true);
}

/**
 * Sets what becomes of the bytes: they go into the caller's memory, or are decoded to a string, but not both. The
 * length of the caller's memory also bounds the message.
 */
function setTarget<T>(entry: ReadEntry<T>, options: AnyOptions<DataOptions> | undefined): ReadEntry<T> {
  if (options === undefined) return entry;
  if (options.encoding !== undefined) entry.target = checkEncoding(options.encoding);
  if (options.into === undefined) return entry;
  const into = checkInto(options.into);
  if (entry.standing !== null) throw new TypeError("Expected either repeat or into, got both");
  if (entry.target !== null) throw new TypeError("Expected either encoding or into, got both");
  const { exactLength, headerBytes } = entry.framing;
  if (exactLength !== undefined && into.length < exactLength) {
    throw wrongRange("into", `at least ${exactLength} bytes long`, into.length);
  }
  if (exactLength === undefined) entry.limit = Math.min(entry.limit, into.length + headerBytes);
  entry.target = into;
  return entry;
}

export function readEntry(reader: Reader, options: AnyOptions<ReadOptions> | undefined): ReadEntry<Buffer> {
  if (options === undefined) return entryFor("read", reader, available(null), UNLIMITED, undefined);
  const limit = checkMaxLength("maxLength", checkOptions(options)?.maxLength, UNLIMITED);
  const framing = available(checkEncoding(options.encoding));
  return setTarget(entryFor<Buffer>("read", reader, framing, limit, options), options);
}

export function readExactlyEntry(
  reader: Reader,
  length: number,
  options: AnyOptions<DataOptions> | undefined,
): ReadEntry<Buffer> {
  checkLength("length", length);
  return setTarget(entryFor<Buffer>("readExactly", reader, exactly(length), length, options), options);
}

export function readUntilEntry(
  reader: Reader,
  delimiter: unknown,
  options: AnyOptions<DelimitedOptions> | undefined,
): ReadEntry<Buffer> {
  const framing = until(delimiter, checkEncoding(checkOptions(options)?.encoding));
  const limit = checkMaxLength("maxLength", options?.maxLength, reader.limits.readLength);
  const entry = setTarget(entryFor<Buffer>("readUntil", reader, framing, limit, options), options);
  if (framing.shortest <= entry.limit) return entry;
  throw wrongRange("maxLength", `at least the delimiter's length, ${framing.shortest}`, entry.limit);
}

export function readLineEntry(reader: Reader, options: AnyOptions<LineOptions> | undefined): ReadEntry<string> {
  const { readLength } = reader.limits;
  if (options === undefined) return entryFor("readLine", reader, lineIn(null), readLength, undefined);
  const framing = lineIn(checkLineEncoding(checkOptions(options)?.encoding));
  const limit = checkMaxLength("maxLength", options.maxLength, readLength);
  return entryFor<string>("readLine", reader, framing, limit, options);
}

export function readFrameEntry(reader: Reader, options: AnyOptions<FrameOptions>): ReadEntry<Buffer> {
  const framing = prefixedBy(options);
  const { maxLength } = options;
  const body = maxLength === 0 ? 0 : checkMaxLength("maxLength", maxLength, reader.limits.readLength);
  return setTarget(entryFor<Buffer>("readFrame", reader, framing, body + framing.headerBytes, options), options);
}

export function readMessageEntry<T>(
  reader: Reader,
  framing: Framing<T>,
  options: AnyOptions<MessageOptions> | undefined,
): ReadEntry<T> {
  const rule = inPlace(framing);
  const bound = checkMaxLength("framing.maxLength", framing.maxLength, reader.limits.readLength);
  const limit = checkMaxLength("maxLength", checkOptions(options)?.maxLength, bound);
  const { exactLength } = rule;
  if (exactLength !== undefined && exactLength > limit) throw wrongRange("maxLength", `at least ${exactLength}`, limit);
  return entryFor<T>("readMessage", reader, rule, limit, options);
}

export function peekEntry(reader: Reader, options: PeekOptions): ReadEntry<Buffer> {
  if (typeof options !== "object") throw wrongType("options", "an object with length", options);
  checkOptions(options);
  const length = checkLength("length", options.length);
  return setTarget(entryFor<Buffer>("peek", reader, peeked(length), length, options), options);
}

export function skipEntry(reader: Reader, length: number, options: ReadingOptions | undefined): ReadEntry<undefined> {
  checkDistance("length", length);
  return entryFor<undefined>("skip", reader, skipped(length), length, options);
}

export function expectEntry(reader: Reader, bytes: unknown, options: ReadingOptions | undefined): ReadEntry<undefined> {
  // A copy, since the memory may be changed before its turn comes.
  const awaited = Buffer.from(toBytes("bytes", bytes));
  if (awaited.length === 0) throw wrongRange("bytes", "longer than 0 bytes", bytes);
  return entryFor<undefined>("expect", reader, expected(awaited), awaited.length, options);
}

/** The options of every queued operation. */
export interface OperationOptions<Tag = unknown> {
  /**
   * The time in ms for the whole operation. It runs from the moment when the operation is first in its queue and has to
   * wait. 0: the operation fails unless it can be done at once. When the time is over, it fails with `READ_TIMEOUT` or
   * `WRITE_TIMEOUT`.
   * @default none
   */
  timeout?: number | undefined;
  /** Any value; the delegate gets it with the result of the operation. */
  tag?: Tag | undefined;
  /**
   * Aborting this signal cancels the operation: it fails with `CANCELED`, and the abort reason is the error's `cause`.
   * The signal counts from the call on.
   * @default none
   */
  signal?: AbortSignal | undefined;
}

/** The options of every read. */
export interface ReadingOptions<Tag = unknown> extends OperationOptions<Tag> {
  /**
   * What happens when a read times out or exceeds a limit. `"disconnect"` closes the connection. `"continue"` fails
   * this read alone, and consumes no bytes; the next read then starts in a later turn of the event loop.
   * @default "disconnect"
   */
  onFailure?: "disconnect" | "continue" | undefined;
  /**
   * Whether the read stays current after it was served, and is served again (see `Repeating`). Not for `peek`, `skip`,
   * `expect` and iterators.
   * @default false
   */
  repeat?: false | undefined;
}

/**
 * The options of a standing read, which is served again and again: the delegate is told of each message as of a read of
 * its own, with the same tag. Reads behind it wait. The timeout and the limit are those of each message.
 *
 * It ends when it is cancelled (also from inside the delegate's method: the next byte is the next read's), when a
 * message fails as a single read would, or when the connection closes. If the peer's FIN comes between two messages, the
 * request is done, and gives the number of messages.
 */
export type Repeating<Options> = Omit<Options, "repeat"> & { repeat: true };

/** The options of a read of one message, or of a standing one. */
export type AnyOptions<Options> = Options | Repeating<Options>;

export interface DataOptions<Tag = unknown> extends ReadingOptions<Tag> {
  /** The encoding of a string to give instead of bytes. @default none: the read gives a Buffer */
  encoding?: BufferEncoding | undefined;
  /**
   * Memory to put the bytes into; the read gives a view of this memory. Its length bounds the read. Do not use the
   * memory before the read is done.
   * @default none: the read allocates memory
   */
  into?: Uint8Array | undefined;
}

export interface ReadOptions<Tag = unknown> extends DataOptions<Tag> {
  /** The most bytes to give; any further bytes stay for the next read. @default none */
  maxLength?: number | undefined;
}

export interface DelimitedOptions<Tag = unknown> extends DataOptions<Tag> {
  /**
   * The most bytes to give, the delimiter included. If no delimiter ends within them, the read fails with `READ_LIMIT`.
   * @default limits.readLength
   */
  maxLength?: number | undefined;
}

export interface LineOptions<Tag = unknown> extends ReadingOptions<Tag> {
  /**
   * The most bytes of a line, its ending included. A longer line fails with `READ_LIMIT`.
   * @default limits.readLength
   */
  maxLength?: number | undefined;
  /** @default "utf8" */
  encoding?: BufferEncoding | undefined;
}

export interface FrameOptions<Tag = unknown> extends DataOptions<Tag>, LengthPrefix {
  /** The most bytes of the body. A frame that announces more fails with `READ_LIMIT`. @default limits.readLength */
  maxLength?: number | undefined;
}

export interface MessageOptions<Tag = unknown> extends ReadingOptions<Tag> {
  /**
   * The most bytes of a whole message, its header included. The read fails with `READ_LIMIT` if the message is longer,
   * or if this many bytes have arrived and form no whole message.
   * @default the framing's own `maxLength`, else limits.readLength
   */
  maxLength?: number | undefined;
}

export interface PeekOptions<Tag = unknown> extends DataOptions<Tag> {
  /** The exact number of bytes to give. */
  length: number;
}

/** Options with which a read gives a string. */
export interface WithEncoding {
  encoding: BufferEncoding;
}

/** Options with which a read gives bytes. */
export interface WithoutEncoding {
  encoding?: undefined;
}
