import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { runs } from "../support/runs.js";
import { ReceiveBuffer } from "#dist/pump/receive-buffer.js";

const KIB = 1024;
type ToString = (this: Buffer, encoding?: BufferEncoding, start?: number, end?: number) => string;

const ENCODINGS = ["utf8", "utf-8", "latin1", "binary", "ascii", "hex", "base64", "utf16le"] as const;
const someBytes = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: "grapheme-ascii", maxLength: 40 }).map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: fc.string({ unit: "grapheme", maxLength: 40 }).map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)) },
);

describe("the text of a receive buffer", () => {
  it("is what each message decodes to by itself, whatever lies beside it, in whatever chunks and encodings", () => {
    const messages = fc.array(fc.tuple(someBytes, fc.constantFrom(...ENCODINGS), fc.nat(3)), { maxLength: 400 });
    fc.assert(
      fc.property(messages, fc.integer({ min: 1, max: 20_000 }), fc.nat(20_000), (given, size, wanted) => {
        const all = Buffer.concat(given.map(([bytes]) => bytes));
        const buffer = new ReceiveBuffer();
        let lent = 0;
        for (const [bytes, encoding, skipped] of given) {
          while (buffer.ready < bytes.length) {
            if (buffer.feed(wanted > buffer.ready ? wanted : bytes.length)) continue;
            buffer.keep();
            buffer.borrow(all, Math.min(size, all.length - lent), lent);
            lent += size;
          }
          const offset = Math.min(skipped, bytes.length);
          assert.equal(buffer.text(encoding, offset, bytes.length - offset), bytes.toString(encoding, offset));
          if (skipped === 3) buffer.give(0, bytes.length);
          buffer.drop(bytes.length);
        }
      }),
      { numRuns: runs(300) },
    );
  });

  it("is decoded once for many short messages, into memory that is used again", () => {
    const buffer = new ReceiveBuffer();
    const chunk = Buffer.from("a line of a text\n".repeat(3000));
    const prototype = Buffer.prototype as { toString: ToString };
    const original = prototype.toString;
    const memories = new Set<ArrayBufferLike>();
    let decoded = 0;
    prototype.toString = function (...args) {
      decoded++;
      return original.apply(this, args);
    };
    try {
      buffer.borrow(chunk, chunk.length);
      while (buffer.ready >= 17 || buffer.feed(0)) {
        if (buffer.ready < 17) continue;
        assert.equal(buffer.text("utf8", 0, 16), "a line of a text");
        memories.add(buffer.block.buffer);
        buffer.drop(17);
      }
    } finally {
      prototype.toString = original;
    }
    assert.equal(buffer.length, 0);
    assert.ok(decoded <= 3 * Math.ceil(chunk.length / (8 * KIB)), `decoded in ${decoded} pieces`);
    assert.equal(memories.size, 1);
  });

  it("does not change what was given before", () => {
    const buffer = new ReceiveBuffer();
    const numbers = Array.from({ length: 5000 }, (_, i) => String(i).padStart(10, "0"));
    const chunk = Buffer.from(numbers.join(""));
    const given = new Map<string, Buffer>();
    buffer.borrow(chunk, chunk.length);
    for (const [i, number] of numbers.entries()) {
      if (buffer.ready < 10) buffer.feed(0);
      if (i % 700 === 0) given.set(number, buffer.give(0, 10));
      else assert.equal(buffer.text("utf8", 0, 10), number);
      buffer.drop(10);
    }
    for (const [number, data] of given) assert.equal(data.toString(), number);
  });
});
