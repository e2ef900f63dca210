import { byteCount } from "../base/byte-count.js";
import { checkLength, type Bytes } from "../base/checks.js";
import { InPlaceFraming, partsOf, type MessageFraming, type Target, type UnreadBytes } from "./framing.js";

/** Messages of one fixed length. The framing of `readExactly`. */
class Fixed extends InPlaceFraming<Buffer> implements MessageFraming<Buffer, Bytes | readonly Bytes[]> {
  override readonly isPlain: boolean;
  readonly #length: number;

  constructor(length: number) {
    super();
    this.#length = length;
    this.isPlain = length > 0;
  }

  override get exactLength(): number {
    return this.#length;
  }

  override locate(): number {
    return this.#length;
  }

  override decode(message: Buffer): Buffer {
    return message;
  }

  /** @throws RangeError for a body of another length */
  encode(body: Bytes | readonly Bytes[]): readonly Bytes[] {
    const parts = partsOf(body);
    const length = byteCount(parts);
    if (length === this.#length) return parts;
    throw new RangeError(`Expected value to have ${this.#length} bytes, got ${length}`);
  }
}

/** The framing of `peek`: gives so many bytes, and leaves them for the next read. */
class Peeked extends Fixed {
  override readonly isPlain = false;
  override readonly keepsBytes = true;

  override draw(bytes: UnreadBytes, count: number, target: Target): unknown {
    return target === null ? bytes.copyOut(count) : super.draw(bytes, count, target);
  }
}

/** The framing of `skip`: drops so many bytes without making a value of them. */
class Skipped extends Fixed {
  override readonly isPlain = false;
  override readonly isContiguous = false;
  override readonly dropsBytes = true;

  override draw(): undefined {
    return undefined;
  }
}

let last = new Fixed(0);

/** The last framing is kept, because reads often ask for the same length again and again. */
export function exactly(length: number): Fixed {
  return last.exactLength === length ? last : (last = new Fixed(length));
}

export function peeked(length: number): InPlaceFraming<Buffer> {
  return new Peeked(length);
}

export function skipped(length: number): InPlaceFraming<Buffer> {
  return new Skipped(length);
}

/**
 * Messages of one fixed length in bytes, at least 1. `encode` takes a body of exactly that length.
 * @throws TypeError, RangeError for an invalid length
 */
export function fixed(length: number): MessageFraming<Buffer, Bytes | readonly Bytes[]> {
  return exactly(checkLength("length", length, 1));
}
