import assert from "node:assert/strict";
import { ReadQueue } from "#dist/pump/read-queue.js";
import { UNKNOWN } from "#dist/framing/framing.js";
import type { ReadEntry } from "#dist/pump/read-entry.js";
import { memoryOf, readEntry, type ReadSpec } from "./entries.js";
import type { Outcome } from "./model.js";

/** Drives a `ReadQueue` as a connection does: chunks are lent, and a read that fails is taken off the queue. */
export class QueueDriver {
  readonly queue = new ReadQueue();
  readonly outcomes: Outcome[] = [];
  readonly progress: number[] = [];
  readonly #hold: number;
  readonly #given: { data: Buffer; hex: string }[] = [];
  /** The transport's own memory, used for each chunk again. */
  #memory = Buffer.alloc(0);

  constructor(hold: number) {
    this.#hold = hold;
  }

  get unread(): Buffer {
    return this.queue.buffer.copyOut(this.queue.buffer.length);
  }

  push(read: ReadSpec): void {
    this.queue.push(readEntry(read));
    this.#run();
  }

  receive(chunk: Uint8Array): void {
    if (this.#memory.length < chunk.length) this.#memory = Buffer.alloc(chunk.length);
    this.#memory.set(chunk);
    this.queue.buffer.borrow(this.#memory, chunk.length);
    this.#run();
    this.queue.buffer.keep();
    this.#memory.fill(0xee);
  }

  #run(): void {
    for (let entry = this.queue.head; entry !== null && this.#serve(entry); entry = this.queue.head) continue;
    this.progress.push(this.outcomes.length);
  }

  #serveFound(entry: ReadEntry): boolean {
    const total = this.queue.find(entry);
    if (total === UNKNOWN) return false;
    const value = entry.framing.draw(this.queue.buffer, total, entry.target);
    this.queue.takeFound(entry, total);
    this.#note(entry, value);
    return true;
  }

  #serve(entry: ReadEntry): boolean {
    if (entry.framing.isPlain && this.#serveFound(entry)) return true;
    const before = this.queue.buffer.length;
    const attempt = this.queue.attempt(entry, this.#hold);
    if (entry.kind !== "skip") assert.equal(this.queue.buffer.length, before, "an attempt takes nothing");
    if (attempt === "wait") return false;
    if (attempt === "ready") {
      const value = this.queue.draw(entry);
      this.queue.take(entry);
      this.#note(entry, value);
    } else {
      assert.ok(attempt !== "gone");
      this.queue.remove(entry);
      this.outcomes.push({ failed: attempt });
    }
    return true;
  }

  #note(entry: ReadEntry, value: unknown): void {
    if (typeof value === "string") this.outcomes.push({ text: value });
    else if (value === undefined) this.outcomes.push("nothing");
    else {
      assert.ok(Buffer.isBuffer(value));
      const memory = memoryOf(entry);
      if (memory !== null) {
        assert.equal(value.buffer, memory.buffer, "a view of the caller's memory");
        assert.equal(value.byteOffset, memory.byteOffset);
      }
      const hex = value.toString("hex");
      this.#given.push({ data: value, hex });
      this.outcomes.push({ bytes: hex });
    }
  }

  /** What was given must be as it was then. */
  checkGiven(): void {
    for (const { data, hex } of this.#given) assert.equal(data.toString("hex"), hex, "given bytes have changed");
  }
}

/** Cuts bytes into pieces; the sizes are used in turn, again and again. */
export function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let from = 0, i = 0; from < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? bytes.length;
    chunks.push(bytes.subarray(from, from + size));
    from += size;
  }
  return chunks;
}
