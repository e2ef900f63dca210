import { Buffer } from "node:buffer";
import { toBytes, type Bytes } from "../base/checks.js";

/**
 * Says where a message ends. A framing must hold no state, because one object serves any number of reads and sockets.
 *
 * @typeParam T - what a message is decoded to
 */
export interface Framing<T = Buffer> {
  /**
   * Returns the whole length in bytes of the message that begins with the first byte, as soon as the length is known,
   * even if the message is not complete. Undefined means that the length is not known yet; `measure` is called again
   * when more bytes have come. A later call for the same message may return a larger length, but never a smaller one.
   *
   * An error thrown here fails the read with `BAD_FRAME`, as does a length that is not a whole number above 0. A failed
   * read takes no bytes; they stay for the next read.
   *
   * @param bytes - what has come, from the first byte of the message on. The view must be neither kept nor changed.
   * @param searched - how many of these bytes the previous call for this message has seen; 0 in the first call
   */
  measure(bytes: Buffer, searched: number): number | undefined;
  /**
   * Returns the value of a complete message. The framing may keep the bytes. An error thrown here fails the read with
   * `BAD_FRAME`.
   * @default the bytes themselves
   */
  decode?(message: Buffer): T;
  /**
   * The length in bytes of the longest message allowed; a longer one fails the read with `READ_LIMIT`. The option
   * `maxLength` of a read overrides this.
   * @default limits.readLength
   */
  readonly maxLength?: number | undefined;
}

/** A framing that also encodes messages, for `writeMessage`. */
export interface MessageFraming<T = Buffer, Value = T> extends Framing<T> {
  /** Returns the bytes of one message. `writeMessage` throws the error thrown here, and writes nothing. */
  encode(value: Value): Bytes | readonly Bytes[];
}

/** Received bytes in place: `ready` of them lie in `block` from `start` on, and `length` have come in all. */
export interface BytesInPlace {
  readonly block: Buffer;
  readonly start: number;
  readonly ready: number;
  readonly length: number;
}

/** The receive buffer, from whose first bytes a framing makes a value. */
export interface UnreadBytes extends BytesInPlace {
  /** Gives bytes to the user, who may keep and change them. They count as unread until they are dropped. */
  give(offset: number, count: number): Buffer;
  /** Returns bytes as text. */
  text(encoding: BufferEncoding, offset: number, count: number): string;
  /** Returns a copy of the first bytes. */
  copyOut(count: number): Buffer;
  /** Copies bytes into the caller's memory. */
  copyTo(target: Uint8Array, count: number, offset: number): void;
}

/** What a read makes of its bytes: text in this encoding, a view of the caller's memory, or (null) a new Buffer. */
export type Target = BufferEncoding | Uint8Array | null;

/** What `locate` returns while the length is not known. */
export const UNKNOWN = -1;

/**
 * A framing that looks at received bytes in place, so that no view is created for a search. All built-in framings
 * extend this class, and `UserFraming` wraps any other framing in one.
 */
export abstract class InPlaceFraming<T> implements Framing<T> {
  /** Whether a read needs its bytes side by side. A framing that only drops bytes does not. */
  readonly isContiguous: boolean = true;
  /** Whether the bytes stay for the next read. */
  readonly keepsBytes: boolean = false;
  /** Whether bytes may be dropped before the message is complete. */
  readonly dropsBytes: boolean = false;
  /** Whether the framing is asked for the length once more when so many bytes have come. */
  readonly confirmsLength: boolean = false;
  /**
   * Whether reads are served on the shortest way: nothing of the user's runs in here, every value is text or bytes, and
   * the bytes of a message are taken with it.
   */
  readonly isPlain: boolean = false;
  /** How many bytes the header before the body has. A message whose length is impossible counts as its header alone. */
  readonly headerBytes: number = 0;

  /**
   * Returns the whole length of the message that begins with the first byte, or UNKNOWN.
   * @param searched - how many bytes the previous call for this message has seen
   * @param limit - the offset from which on bytes must not be looked at
   * @throws where these bytes cannot be a message
   */
  abstract locate(bytes: BytesInPlace, searched: number, limit: number): number;

  /** Returns the value of the first `count` bytes, which form a complete message. */
  draw(bytes: UnreadBytes, count: number, target: Target): unknown {
    return drawBytes(bytes, 0, count, target);
  }

  /** Returns the bytes of a value that is text. */
  textBytes(bytes: UnreadBytes, count: number): Buffer {
    return this.draw(bytes, count, null) as Buffer;
  }

  /** Returns how many bytes must lie side by side before `locate` can get further. @default one more than there are */
  wanted?(bytes: BytesInPlace, limit: number): number;

  /** The length of every message, where all messages have the same length. */
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

/** Makes what `target` names, from the bytes at `offset`. */
export function drawBytes(bytes: UnreadBytes, offset: number, count: number, target: Target): Buffer | string {
  if (target === null) return bytes.give(offset, count);
  if (typeof target === "string") return bytes.text(target, offset, count);
  if (target.length < count) throw new RangeError("the memory given as into was transferred or resized");
  bytes.copyTo(target, count, offset);
  return Buffer.from(target.buffer, target.byteOffset, count);
}

/** The body of a message, which is one part or a list of parts, as a list of bytes. */
export function partsOf(body: Bytes | readonly Bytes[], name = "value"): readonly Uint8Array[] {
  const parts = Array.isArray(body) ? (body as readonly Bytes[]) : [body as Bytes];
  return parts.map((part) => toBytes(name, part));
}
