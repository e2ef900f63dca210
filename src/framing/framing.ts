import type { Bytes } from "../base/checks.js";

/**
 * Says where a message ends. A framing holds no state, so that one object serves any number of reads and sockets.
 *
 * @typeParam T - what a message is decoded to
 */
export interface Framing<T = Buffer> {
  /**
   * The whole length of the message at the front, in bytes, as soon as it is known, even if not all of it is here;
   * undefined asks to be called again when more has come. A length that was given may grow, but never shrink.
   *
   * What it throws fails the read with `BAD_FRAME`, and so does a length that is not a whole number above 0. No byte is
   * taken then, as by any read that fails.
   *
   * @param bytes - what has come, from the first byte of the message on. The view must be neither kept nor changed.
   * @param searched - how many of these bytes the last call for this message has seen
   */
  measure(bytes: Buffer, searched: number): number | undefined;
  /**
   * The value of a whole message. The bytes are the caller's to keep. What it throws fails the read with `BAD_FRAME`.
   * @default the bytes themselves
   */
  decode?(message: Buffer): T;
  /**
   * The longest message, in bytes; a longer one fails with `READ_LIMIT`. The option of a read comes first.
   * @default limits.readLength
   */
  readonly maxLength?: number | undefined;
}

/** A framing that writes messages as well: what `writeMessage` takes. */
export interface MessageFraming<T = Buffer, Value = T> extends Framing<T> {
  /** The bytes of one message. What it throws is thrown by `writeMessage`, and nothing is written. */
  encode(value: Value): Bytes | readonly Bytes[];
}

/** Received bytes in place. Those from `start` on are contiguous for `ready` bytes; `length` are here in all. */
export interface BytesInPlace {
  readonly block: Buffer;
  readonly start: number;
  readonly ready: number;
  readonly length: number;
}

/** The receive buffer, as a framing makes a value of its front. */
export interface UnreadBytes extends BytesInPlace {
  /** Bytes that are the user's from then on. They stay in the buffer until they are dropped. */
  give(offset: number, count: number): Buffer;
  /** A copy of the first bytes. */
  copyOut(count: number): Buffer;
  /** Copies bytes into memory of the caller's. */
  copyTo(target: Uint8Array, count: number, offset: number): void;
}

/** What a read makes of its bytes: text in this encoding, a view of the caller's memory, or (null) bytes of their own. */
export type Target = BufferEncoding | Uint8Array | null;

/** The answer of `locate` where the length is not known yet. */
export const UNKNOWN = -1;

/**
 * A framing that looks at received bytes in place, so that a search costs no view. All built-in ones are such, and
 * `UserFraming` makes one of any other.
 */
export abstract class InPlaceFraming<T> implements Framing<T> {
  /** Whether a read needs its bytes side by side. Who only drops them does not. */
  readonly isContiguous: boolean = true;
  /** Whether the bytes stay for the next read. */
  readonly keepsBytes: boolean = false;
  /** Whether bytes may be dropped before the message is whole, as nobody wants them. */
  readonly dropsBytes: boolean = false;
  /** Whether a length that was found has to be confirmed once so many bytes are here. */
  readonly confirmsLength: boolean = false;
  /** Bytes ahead of the message's body: they are all there is of a message whose length cannot be. */
  readonly headerBytes: number = 0;

  /**
   * The whole length of the message at the front, or UNKNOWN.
   * @param searched - how many bytes the last call for this message has seen
   * @param limit - bytes from there on are not to be looked at
   * @throws where these bytes can be no message
   */
  abstract locate(bytes: BytesInPlace, searched: number, limit: number): number;

  /** The value of the first `count` bytes, which form a whole message. */
  draw(bytes: UnreadBytes, count: number, target: Target): unknown {
    return drawBytes(bytes, 0, count, target);
  }

  /** The bytes of a value that is text. */
  textBytes(bytes: UnreadBytes, count: number): Buffer {
    return this.draw(bytes, count, null) as Buffer;
  }

  /** How many bytes must lie side by side before `locate` gets further. @default more than there are */
  wanted?(bytes: BytesInPlace, limit: number): number;

  /** Of a message whose length is always the same. */
  get exactLength(): number | undefined {
    return undefined;
  }

  measure(bytes: Buffer, searched: number): number | undefined {
    const { length } = bytes;
    const found = this.locate({ block: bytes, start: 0, ready: length, length }, searched, Infinity);
    return found === UNKNOWN ? undefined : found;
  }

  abstract decode(message: Buffer): T;
}

/** Text, a view of the caller's memory, or bytes of their own, from `offset` on. */
export function drawBytes(bytes: UnreadBytes, offset: number, count: number, target: Target): Buffer | string {
  if (target === null) return bytes.give(offset, count);
  const from = bytes.start + offset;
  if (typeof target === "string") return bytes.block.toString(target, from, from + count);
  if (target.length < count) throw new RangeError("the memory given as into was transferred or resized");
  bytes.copyTo(target, count, offset);
  return Buffer.from(target.buffer, target.byteOffset, count);
}

/** The parts of a message's body, as `write` takes it. */
export function partsOf(body: Bytes | readonly Bytes[]): readonly Bytes[] {
  return Array.isArray(body) ? (body as readonly Bytes[]) : [body as Bytes];
}
