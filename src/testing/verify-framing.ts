import { inspect, isDeepStrictEqual } from "node:util";
import { toBytes, type Bytes } from "../base/checks.js";
import { nobody } from "../base/request.js";
import type { Framing } from "../framing/framing.js";
import { inPlace } from "../framing/user-framing.js";
import { NO_TIMEOUT } from "../pump/entry.js";
import { ReadEntry } from "../pump/read-entry.js";
import { ReadQueue } from "../pump/read-queue.js";

/** A message to verify a framing by: its bytes, or its bytes and the value that they stand for. */
export type Sample<T> = Bytes | { readonly bytes: Bytes; readonly value: T };

interface Expected {
  readonly bytes: Uint8Array;
  readonly value: unknown;
}

/** Cuts of a message are all tried up to this length; of a longer one its first and last bytes. */
const CUTS_MAX = 512;
const CHUNK_SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9] as const;

/**
 * Tries a framing of one's own on whole messages: each alone and all in a row, fed whole, byte by byte, in chunks of 1 to 9
 * bytes and cut at every place, with limits at, below and above their length. However the bytes come, the messages must be
 * the same. (The idea is that of SwiftNIO's ByteToMessageDecoderVerifier.)
 *
 * @param messages - each the bytes of one message, perhaps with the value that they must be decoded to
 * @throws Error that names the first divergence
 */
export function verifyFraming<T>(framing: Framing<T>, messages: readonly Sample<T>[]): void {
  const expected = messages.map((sample, i) => expectation(framing, sample, i));
  expected.forEach((one, i) => {
    verifyPrefixes(framing, one.bytes, i);
    for (const cut of cutsOf(one.bytes.length)) {
      expectMessages(
        framing,
        [one.bytes.subarray(0, cut), one.bytes.subarray(cut)],
        [one],
        `message ${i}, cut at ${cut}`,
      );
    }
    verifyLimits(framing, one, i);
  });
  const all = Buffer.concat(expected.map(({ bytes }) => bytes));
  expectMessages(framing, [all], expected, "all messages at once");
  for (const size of CHUNK_SIZES) expectMessages(framing, chunked(all, size), expected, `in chunks of ${size}`);
  for (const cut of cutsOf(all.length)) {
    expectMessages(framing, [all.subarray(0, cut), all.subarray(cut)], expected, `all messages, cut at ${cut}`);
  }
}

/** What a message alone gives, which must be one message. */
function expectation<T>(framing: Framing<T>, sample: Sample<T>, index: number): Expected {
  const isPair = typeof sample === "object" && "value" in sample;
  const bytes = toBytes("messages[]", isPair ? sample.bytes : sample);
  const [value, ...others] = read(framing, [bytes], Infinity, `message ${index} alone`);
  if (others.length > 0 || value === undefined) diverges(`message ${index} alone`, "one message", others.length + 1);
  if (isPair && !isDeepStrictEqual(value.value, sample.value)) {
    diverges(`message ${index} alone`, inspect(sample.value), inspect(value.value));
  }
  return { bytes, value: value.value };
}

/** The length must be the same from when it is known on, and bytes that are looked at must stay as they are. */
function verifyPrefixes<T>(framing: Framing<T>, bytes: Uint8Array, index: number): void {
  let searched = 0;
  for (const end of [...cutsOf(bytes.length), bytes.length]) {
    const shown = Buffer.from(bytes.subarray(0, end));
    const length = framing.measure(shown, searched);
    const where = `message ${index}, of which ${end} bytes are shown`;
    if (length !== undefined && length !== bytes.length) diverges(where, `${bytes.length} or undefined`, length);
    if (length === undefined && end === bytes.length) diverges(where, `${bytes.length}`, length);
    if (!shown.equals(bytes.subarray(0, end))) diverges(where, "bytes as they were shown", "other ones");
    searched = end;
  }
}

function verifyLimits<T>(framing: Framing<T>, expected: Expected, index: number): void {
  const { bytes } = expected;
  for (const chunks of [[bytes], chunked(bytes, 1)]) {
    for (const limit of [bytes.length, bytes.length + 1]) {
      const where = `message ${index} with maxLength ${limit}, in ${chunks.length} chunks`;
      expectMessages(framing, chunks, [expected], where, limit);
    }
    if (bytes.length === 1) continue;
    const where = `message ${index} with maxLength ${bytes.length - 1}, in ${chunks.length} chunks`;
    const outcome = attempt(framing, chunks, bytes.length - 1, where);
    if (outcome !== "over-limit") diverges(where, "READ_LIMIT", outcome);
  }
}

function expectMessages<T>(
  framing: Framing<T>,
  chunks: readonly Uint8Array[],
  expected: readonly Expected[],
  where: string,
  limit = Infinity,
): void {
  const got = read(framing, chunks, limit, where);
  for (let i = 0; i < Math.max(got.length, expected.length); i++) {
    const wanted = expected[i];
    const one = got[i];
    if (wanted === undefined || one === undefined) diverges(where, `${expected.length} messages`, `${got.length}`);
    if (!isDeepStrictEqual(one.value, wanted.value)) {
      diverges(`${where}, message ${i}`, inspect(wanted.value), inspect(one.value));
    }
  }
}

function read<T>(
  framing: Framing<T>,
  chunks: readonly Uint8Array[],
  limit: number,
  where: string,
): { readonly value: unknown }[] {
  const values: { value: unknown }[] = [];
  const outcome = attempt(framing, chunks, limit, where, (value) => values.push({ value }));
  if (outcome !== "wait") diverges(where, "messages", outcome);
  return values;
}

/** Reads messages as a socket does, until they fail or all is read. */
function attempt<T>(
  framing: Framing<T>,
  chunks: readonly Uint8Array[],
  limit: number,
  where: string,
  told: (value: unknown) => void = () => undefined,
): string {
  const queue = new ReadQueue();
  const entry = (): ReadEntry => new ReadEntry("readMessage", undefined, nobody, NO_TIMEOUT, inPlace(framing), limit);
  queue.push(entry());
  for (const chunk of chunks) {
    queue.buffer.borrow(Buffer.from(chunk), chunk.length);
    for (let current = queue.head as ReadEntry; ; current = queue.head as ReadEntry) {
      const outcome = queue.attempt(current, 0);
      if (outcome === "wait") break;
      if (outcome === "bad-frame") diverges(where, "a message", `BAD_FRAME: ${inspect(queue.problem)}`);
      if (outcome !== "ready") return outcome;
      told(queue.draw(current));
      queue.take(current);
      queue.push(entry());
    }
    queue.buffer.keep();
  }
  if (queue.buffer.length > 0) diverges(where, "all bytes to be read", `${queue.buffer.length} bytes left`);
  return "wait";
}

function cutsOf(length: number): number[] {
  const cuts = Array.from({ length: Math.max(0, length - 1) }, (_, i) => i + 1);
  return length <= CUTS_MAX ? cuts : [...cuts.slice(0, CUTS_MAX / 2), ...cuts.slice(-CUTS_MAX / 2)];
}

function chunked(bytes: Uint8Array, size: number): Uint8Array[] {
  const count = Math.ceil(bytes.length / size);
  return Array.from({ length: count }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

function diverges(where: string, expected: unknown, got: unknown): never {
  throw new Error(`The framing diverges: ${where}: expected ${String(expected)}, got ${String(got)}`);
}
