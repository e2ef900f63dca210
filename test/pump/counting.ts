/** Work is counted here, never timed: bytes that are copied, and bytes that are looked at. */

type Copy = (this: Buffer, target: Uint8Array, targetStart?: number, start?: number, end?: number) => number;

/** How many bytes `Buffer.prototype.copy` moves while `work` runs. */
export function bytesCopied(work: () => void): number {
  const prototype = Buffer.prototype as { copy: Copy };
  const original = prototype.copy;
  let copied = 0;
  prototype.copy = function (...args) {
    const count = original.apply(this, args);
    copied += count;
    return count;
  };
  try {
    work();
  } finally {
    prototype.copy = original;
  }
  return copied;
}

/** Counts every byte that is looked at: by index, or by a native search of the views that it gives. */
export class Watch {
  looks = 0;
  /** Native searches. */
  calls = 0;
  /** Of them for more than one byte. */
  sequenceCalls = 0;
  /** Views that were made to search in. */
  views = 0;

  /** The same bytes, under observation. For searching only: native code does not take it for a buffer. */
  over(block: Buffer): Buffer {
    return new Proxy(block, {
      get: (target, key) => {
        if (key === "indexOf") return (what: number | Uint8Array, from = 0) => this.#search(target, what, from);
        if (key === "subarray") return (from: number, to: number) => this.#view(target, from, to);
        if (typeof key === "string" && /^\d+$/.test(key)) this.looks++;
        return Reflect.get(target, key, target) as unknown;
      },
    });
  }

  #view(block: Buffer, from: number, to: number): Buffer {
    this.views++;
    return this.over(block.subarray(from, to));
  }

  #search(block: Buffer, what: number | Uint8Array, from: number): number {
    const at = block.indexOf(what, from);
    this.calls++;
    if (typeof what !== "number") this.sequenceCalls++;
    this.looks += (at === -1 ? block.length : at + 1) - from;
    return at;
  }
}

/** Asserts nothing by itself: how much more work twice the input makes. 2 is linear, 4 is quadratic. */
export function growth(work: (size: number) => number, size: number): number {
  return work(2 * size) / Math.max(1, work(size));
}
