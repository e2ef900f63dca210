import { checkFunction, checkMaxLength, isThenable, show, wrongType } from "../base/checks.js";
import { InPlaceFraming, UNKNOWN, type BytesInPlace, type Framing, type UnreadBytes } from "./framing.js";

/** Wraps a user's framing: calls it with views of the received bytes, and checks what it returns. */
class UserFraming<T> extends InPlaceFraming<T> {
  override readonly confirmsLength = true;
  readonly #framing: Framing<T>;

  constructor(framing: Framing<T>) {
    super();
    this.#framing = framing;
  }

  override locate({ block, start, ready }: BytesInPlace, searched: number, limit: number): number {
    const count = Math.min(ready, limit);
    if (count === 0) return UNKNOWN;
    const length: unknown = this.#framing.measure(block.subarray(start, start + count), searched);
    if (length === undefined) return UNKNOWN;
    if (Number.isSafeInteger(length) && (length as number) > 0) return length as number;
    throw new RangeError(`Expected measure to give a whole number above 0, or undefined, got ${show(length)}`);
  }

  override draw(bytes: UnreadBytes, count: number): unknown {
    return this.decode(bytes.give(0, count));
  }

  override textBytes(bytes: UnreadBytes, count: number): Buffer {
    return bytes.give(0, count);
  }

  override decode(message: Buffer): T {
    const framing = this.#framing;
    if (framing.decode === undefined) return message as T;
    const value = framing.decode(message);
    if (!isThenable(value)) return value;
    Promise.resolve(value).catch(() => undefined);
    throw new TypeError("Expected decode to give a value at once, got a promise");
  }
}

const known = new WeakMap<object, InPlaceFraming<unknown>>();

/** Any framing as an `InPlaceFraming`. @throws TypeError for an object that is not a framing */
export function inPlace<T>(framing: Framing<T>): InPlaceFraming<T> {
  if (framing instanceof InPlaceFraming) return framing as InPlaceFraming<T>;
  if (typeof (framing as Framing<T> | null)?.measure !== "function") {
    throw wrongType("framing", "an object with a measure method", framing);
  }
  let made = known.get(framing) as UserFraming<T> | undefined;
  if (made === undefined) {
    checkFunction("framing.decode", (framing as { readonly decode?: unknown }).decode);
    checkMaxLength("framing.maxLength", framing.maxLength, Infinity);
    known.set(framing, (made = new UserFraming(framing)));
  }
  return made;
}
