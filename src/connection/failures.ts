/** Makes the errors with which reads and writes fail, and their messages. */

import { inWords } from "../base/errno.js";
import { AsyncSocketError, isCode, type ShortCode } from "../base/errors.js";
import type { Entry } from "../pump/entry.js";
import type { ReadEntry } from "../pump/read-entry.js";
import type { ReadQueue } from "../pump/read-queue.js";
import type { WriteEntry } from "../pump/write-queue.js";

/** The codes of failures that a read itself causes. */
export type ReadFailure = "READ_TIMEOUT" | "READ_LIMIT" | "BAD_FRAME" | "BAD_STATE";

/**
 * Makes the error of a read. If the read is the current one, the bytes that arrived for it are copied into `partial`.
 * @param leastRate `limits.bytesPerSecond`, if the read was slower than that
 */
export function readError(
  queue: ReadQueue,
  entry: ReadEntry,
  code: ShortCode,
  cause?: unknown,
  leastRate?: number,
): AsyncSocketError {
  const isCurrent = queue.head === entry && entry._state === "current";
  const partial = isCurrent ? queue.partial(entry) : undefined;
  const isSkip = entry.kind === "skip";
  const bytesDone = !isCurrent ? 0 : isSkip ? queue.skipped : queue.bytesDone(entry);
  const message = `${entry.kind} ${readWords(code, entry, bytesDone, cause, leastRate)}`;
  return new AsyncSocketError(code, message, { operation: entry.kind, tag: entry.tag, bytesDone, partial, cause });
}

/** @param leastRate `limits.bytesPerSecond`, if the write was slower than that */
export function writeError(entry: WriteEntry, code: ShortCode, cause?: unknown, leastRate?: number): AsyncSocketError {
  const bytesDone = entry.sent;
  const message = `${entry.kind} ${writeWords(code, entry, cause, leastRate)}`;
  return new AsyncSocketError(code, message, { operation: entry.kind, tag: entry.tag, bytesDone, cause });
}

function readWords(
  code: ShortCode,
  entry: ReadEntry,
  bytesDone: number,
  cause: unknown,
  leastRate: number | undefined,
): string {
  const came =
    entry.kind === "skip"
      ? `${bytesDone} of ${entry.framing.exactLength} bytes are dropped`
      : `${bytesDone} bytes had come for it and stay unread`;
  switch (code) {
    case "READ_TIMEOUT":
      return `${late(entry, leastRate)}; ${came}`;
    case "READ_LIMIT":
      if (cause !== undefined) return `would give a longer string than this runtime has; ${came}`;
      return `found no message that ends within maxLength, ${maxLengthOf(entry)} bytes; ${came}`;
    case "BAD_FRAME":
      return `was given what is no message: ${inWords(cause)}; ${came}`;
    case "BAD_STATE":
      return `failed: ${inWords(cause)}; ${came}`;
    case "END_OF_STREAM":
      return `met the end of the stream: the peer sends no more; ${came}`;
    default:
      return commonWords(code, cause);
  }
}

function writeWords(code: ShortCode, entry: WriteEntry, cause: unknown, leastRate: number | undefined): string {
  const out = `${entry.sent} of ${entry.total} bytes are out`;
  switch (code) {
    case "WRITE_TIMEOUT":
      return `${late(entry, leastRate)}; ${out}`;
    case "QUEUE_FULL":
      return `of ${entry.total} bytes would pass limits.writeQueue`;
    case "BAD_STATE":
      return `failed: its memory was transferred or resized before it was out; ${out}`;
    default:
      return `${commonWords(code, cause)}; ${out}`;
  }
}

/** The option `maxLength`: that of a frame counts its body alone. */
function maxLengthOf({ kind, limit, framing }: ReadEntry): number {
  return kind === "readFrame" ? limit - framing.headerBytes : limit;
}

function late(entry: Entry, leastRate: number | undefined): string {
  if (leastRate === undefined) return `timed out after ${entry.timeoutMs} ms`;
  return `was slower than limits.bytesPerSecond, ${leastRate}`;
}

function commonWords(code: ShortCode, cause: unknown): string {
  if (code === "CANCELED") return "was canceled";
  if (code === "CONNECTION_LOST") return `failed: the connection was lost${whyLost(cause)}`;
  const why = cause instanceof Error ? `: ${cause.message}` : "";
  return `failed: the socket is closed${why}`;
}

/** @param cause the error of the connection, whose message continues after the same first words */
function whyLost(cause: unknown): string {
  return cause instanceof Error ? `: ${cause.message.replace(/^Connection lost: /, "")}` : "";
}

/** The code with which queued entries fail when the connection closes. */
export function closeCode(error: AsyncSocketError | null): "CLOSED" | "CONNECTION_LOST" {
  return error !== null && isCode(error, "CONNECTION_LOST") ? "CONNECTION_LOST" : "CLOSED";
}
