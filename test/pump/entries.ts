/** Entries as the argument checks would make them, for tests that have no socket. */

import type { RequestOwner } from "#dist/base/request.js";
import { available } from "#dist/framing/available.js";
import { exactly, peeked, skipped } from "#dist/framing/fixed.js";
import type { InPlaceFraming } from "#dist/framing/framing.js";
import { prefixedBy, type LengthPrefix } from "#dist/framing/length-prefixed.js";
import { lineIn } from "#dist/framing/line.js";
import { Delimited } from "#dist/framing/until.js";
import { ReadEntry, type ReadKind } from "#dist/pump/read-entry.js";
import type { LengthHeader } from "#dist/pump/batch-memory.js";
import { WriteEntry } from "#dist/pump/write-queue.js";

/** What is asked of a read: all that decides its outcome. */
export interface ReadSpec {
  readonly kind: Exclude<ReadKind, "startTLS" | "readMessage" | "expect">;
  /** The length, or the most; of a frame the most that its body may have. */
  readonly length: number;
  readonly delimiters?: readonly Buffer[];
  readonly frame?: LengthPrefix;
  readonly encoding?: BufferEncoding;
  /** The bytes go into memory of the caller's, which is longer by so many bytes. */
  readonly intoSlack?: number;
}

/** A request that nobody carries out: the queues never ask about it. */
export const NOBODY: RequestOwner = { cancelRequest: () => false, extendRequest: () => false, bytesDoneOf: () => 0 };

function framingOf({ kind, length, delimiters, frame, encoding }: ReadSpec): InPlaceFraming<unknown> {
  switch (kind) {
    case "read":
      return available(encoding ?? null);
    case "readExactly":
      return exactly(length);
    case "readUntil":
      return new Delimited(delimiters ?? []);
    case "readLine":
      return lineIn(encoding ?? null);
    case "readFrame":
      return prefixedBy(frame ?? { lengthBytes: 4 });
    case "peek":
      return peeked(length);
    case "skip":
      return skipped(length);
  }
}

export function readEntry(spec: ReadSpec): ReadEntry {
  const { kind, length, encoding, intoSlack } = spec;
  const framing = framingOf(spec);
  const entry = new ReadEntry(kind, undefined, NOBODY, -1, framing, length + framing.headerBytes);
  if (encoding !== undefined) entry.target = encoding;
  if (intoSlack !== undefined) entry.target = new Uint8Array(new ArrayBuffer(length + intoSlack + 3), 3);
  return entry;
}

/** The caller's memory that the bytes go into. */
export function memoryOf(entry: ReadEntry): Uint8Array | null {
  return entry.target instanceof Uint8Array ? entry.target : null;
}

/** A list of them, none empty; a single one, or none, as `write` takes it without a list. */
export function writeEntry(
  given: string | readonly Uint8Array[],
  header: LengthHeader | null = null,
  last: WriteEntry | null = null,
): WriteEntry {
  const data = typeof given === "string" || given.length > 1 ? given : (given[0] ?? new Uint8Array(0));
  return new WriteEntry("write", undefined, NOBODY, -1, data, header, last);
}

export function endEntry(): WriteEntry {
  return new WriteEntry("end", undefined, NOBODY, -1, []);
}
