/** The read queue, as naive as can be: concatenate, then cut. What `ReadQueue` does must be the same. */

import type { ReadSpec } from "./entries.js";
import { completeCharacters } from "#dist/framing/text.js";

/** What a read came to, so that two of them can be compared. */
export type Outcome =
  { readonly bytes: string } | { readonly text: string } | { readonly failed: "over-limit" | "bad-frame" } | "nothing";

export type Measure =
  { readonly taken: number; readonly from: number; readonly to: number } | "over-limit" | "bad-frame" | null;

const all = (length: number): Measure => ({ taken: length, from: 0, to: length });

function measureSome({ length, encoding }: ReadSpec, unread: Buffer): Measure {
  const count = Math.min(length, unread.length);
  if (count === 0) return null;
  const whole = encoding === undefined ? count : completeCharacters(unread, 0, count, encoding);
  if (whole > 0) return all(whole);
  return count === length ? "over-limit" : null;
}

function measureUntil({ length }: ReadSpec, unread: Buffer, delimiters: readonly Buffer[]): Measure {
  for (let end = 1; end <= Math.min(length, unread.length); end++) {
    const head = unread.subarray(0, end);
    if (delimiters.some((delimiter) => head.subarray(-delimiter.length).equals(delimiter))) return all(end);
  }
  return unread.length >= length ? "over-limit" : null;
}

function measureLine(read: ReadSpec, unread: Buffer): Measure {
  const measure = measureUntil(read, unread, [Buffer.from("\n")]);
  if (measure === null || typeof measure === "string") return measure;
  const { taken } = measure;
  const end = unread.subarray(0, taken).toString("latin1").endsWith("\r\n") ? taken - 2 : taken - 1;
  return { taken, from: 0, to: end };
}

function measureFrame({ frame, length }: ReadSpec, unread: Buffer): Measure {
  if (frame === undefined || unread.length < frame.lengthBytes) return null;
  const header = [...unread.subarray(0, frame.lengthBytes)];
  if (frame.littleEndian) header.reverse();
  let claimed = 0n;
  for (const byte of header) claimed = claimed * 256n + BigInt(byte);
  const body = Number(claimed) - (frame.lengthIncludesHeader ? frame.lengthBytes : 0);
  if (body < 0 || (length === Infinity && claimed > Number.MAX_SAFE_INTEGER)) return "bad-frame";
  if (body > length) return "over-limit";
  if (claimed > BigInt(Number.MAX_SAFE_INTEGER)) return "bad-frame";
  const end = frame.lengthBytes + body;
  return unread.length < end ? null : { taken: end, from: frame.lengthBytes, to: end };
}

/** What the read takes of these bytes; null: it has to wait. */
export function measure(read: ReadSpec, unread: Buffer): Measure {
  switch (read.kind) {
    case "read":
      return measureSome(read, unread);
    case "readUntil":
      return measureUntil(read, unread, read.delimiters ?? []);
    case "readLine":
      return measureLine(read, unread);
    case "readFrame":
      return measureFrame(read, unread);
    default:
      return unread.length >= read.length ? all(read.length) : null;
  }
}

export class Model {
  readonly outcomes: Outcome[] = [];
  /** How many outcomes there were after each step. */
  readonly progress: number[] = [];
  unread: Buffer = Buffer.alloc(0);
  readonly #reads: ReadSpec[] = [];
  readonly #hold: number;
  #skipped = 0;

  constructor(hold: number) {
    this.#hold = hold;
  }

  get waiting(): number {
    return this.#reads.length;
  }

  push(read: ReadSpec): void {
    this.#reads.push(read);
    this.#run();
  }

  receive(chunk: Uint8Array): void {
    this.unread = Buffer.concat([this.unread, chunk]);
    this.#run();
  }

  #run(): void {
    for (let read = this.#reads[0]; read !== undefined && this.#serve(read); read = this.#reads[0]) {
      this.#reads.shift();
    }
    this.progress.push(this.outcomes.length);
  }

  #serve(read: ReadSpec): boolean {
    if (read.kind === "skip") return this.#skip(read.length);
    const measured = measure(read, this.unread);
    if (measured === null) return false;
    if (typeof measured === "string") this.outcomes.push({ failed: measured });
    else {
      const data = this.unread.subarray(measured.from, measured.to);
      const encoding = read.kind === "readLine" ? (read.encoding ?? "utf8") : read.encoding;
      this.outcomes.push(encoding === undefined ? { bytes: data.toString("hex") } : { text: data.toString(encoding) });
      if (read.kind !== "peek") this.unread = this.unread.subarray(measured.taken);
    }
    return true;
  }

  /** A skip keeps up to `hold` bytes, so as to give them back should it fail. */
  #skip(length: number): boolean {
    const rest = length - this.#skipped;
    const isDone = this.unread.length >= rest;
    if (isDone) {
      this.unread = this.unread.subarray(rest);
      this.#skipped = 0;
      this.outcomes.push("nothing");
    } else if (this.unread.length > this.#hold) {
      this.#skipped += this.unread.length;
      this.unread = Buffer.alloc(0);
    }
    return isDone;
  }
}
