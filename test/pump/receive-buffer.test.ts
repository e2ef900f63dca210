import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import fc from "fast-check";
import { runs } from "../support/runs.js";
import { bytesCopied, growth } from "./counting.js";
import { viewOf } from "#dist/base/view.js";
import { ReceiveBuffer } from "#dist/pump/receive-buffer.js";

const KIB = 1024;
const CHUNK = 64 * KIB;

/** Bytes that tell their place: no two places near each other look alike. */
function pattern(length: number, from = 0): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (from + i) % 251;
  return bytes;
}

function lend(buffer: ReceiveBuffer, bytes: Uint8Array): void {
  buffer.borrow(Buffer.from(bytes), bytes.length);
}

function keepAll(buffer: ReceiveBuffer, bytes: Uint8Array): void {
  lend(buffer, bytes);
  buffer.keep();
}

function feedAll(buffer: ReceiveBuffer): void {
  while (buffer.feed(0)) continue;
}

/** As a read takes its bytes. */
function take(buffer: ReceiveBuffer, count: number): Buffer {
  const data = buffer.give(0, count);
  buffer.drop(count);
  return data;
}

describe("a receive buffer", () => {
  it("is empty at first", () => {
    const buffer = new ReceiveBuffer();
    assert.equal(buffer.length, 0);
    assert.equal(buffer.ready, 0);
    assert.equal(buffer.feed(1), false);
    assert.deepEqual(buffer.copyOut(0), Buffer.alloc(0));
    assert.deepEqual(take(buffer, 0), Buffer.alloc(0));
  });

  it("counts a borrowed chunk as unread, but shows it only as it is fed", () => {
    const buffer = new ReceiveBuffer();
    lend(buffer, pattern(10_000));
    assert.equal(buffer.length, 10_000);
    assert.equal(buffer.ready, 0);
    assert.equal(buffer.feed(6000), true);
    assert.equal(buffer.ready, 6000);
    assert.equal(buffer.length, 10_000);
    feedAll(buffer);
    assert.equal(buffer.ready, 10_000);
    assert.equal(buffer.feed(20_000), false);
  });

  it("takes no more of a borrowed chunk than its length says", () => {
    const buffer = new ReceiveBuffer();
    buffer.borrow(pattern(100), 7);
    assert.equal(buffer.length, 7);
    buffer.keep();
    assert.deepEqual(take(buffer, 7), pattern(7));
    assert.equal(buffer.length, 0);
  });

  it("keeps what was not taken when the loan ends", () => {
    const buffer = new ReceiveBuffer();
    const chunk = pattern(100);
    buffer.borrow(chunk, 100);
    feedAll(buffer);
    assert.deepEqual(take(buffer, 30), pattern(30));
    buffer.keep();
    chunk.fill(0xff);
    assert.deepEqual(take(buffer, 70), pattern(70, 30));
  });

  it("copies out across window and chunk, and leaves all there", () => {
    const buffer = new ReceiveBuffer();
    keepAll(buffer, pattern(50));
    lend(buffer, pattern(50, 50));
    assert.equal(buffer.ready, 50);
    assert.deepEqual(buffer.copyOut(80), pattern(80));
    const target = new Uint8Array(100);
    buffer.copyTo(target, 100);
    assert.deepEqual(Buffer.from(target), pattern(100));
    assert.equal(buffer.length, 100);
  });

  it("copies out so many bytes, and leaves the rest of the caller's memory alone", () => {
    const buffer = new ReceiveBuffer();
    keepAll(buffer, pattern(50));
    lend(buffer, pattern(50, 50));
    for (const count of [1, 16, 17, 50, 51, 66, 80]) {
      const target = Buffer.alloc(200, 0xff);
      buffer.copyTo(target, count);
      assert.deepEqual(target, Buffer.concat([pattern(count), Buffer.alloc(200 - count, 0xff)]), `${count} bytes`);
    }
  });

  it("drops across window and chunk", () => {
    const buffer = new ReceiveBuffer();
    keepAll(buffer, pattern(50));
    lend(buffer, pattern(50, 50));
    buffer.drop(70);
    assert.equal(buffer.length, 30);
    feedAll(buffer);
    assert.deepEqual(take(buffer, 30), pattern(30, 70));
  });
});

/** One thing done to a buffer, and to the bytes that it ought to hold. */
type Step = readonly ["lend" | "keep" | "feed" | "take" | "drop" | "copyOut", number];

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(fc.constant("lend" as const), fc.nat(300)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant("lend" as const), fc.nat(20_000)) },
  fc.tuple(fc.constant("keep" as const), fc.constant(0)),
  fc.tuple(fc.constantFrom("feed", "take", "drop", "copyOut" as const), fc.nat(300)),
  fc.tuple(fc.constantFrom("feed", "take", "drop", "copyOut" as const), fc.nat(20_000)),
);

class Comparison {
  readonly buffer = new ReceiveBuffer();
  #expected = Buffer.alloc(0);
  #sent = 0;
  readonly #given: { data: Buffer; expected: Buffer }[] = [];
  /** The transport's, and used for every chunk. */
  readonly #shared = Buffer.alloc(20_000);

  do([what, size]: Step): void {
    const { buffer } = this;
    switch (what) {
      case "lend":
        this.#end();
        pattern(size, this.#sent).copy(this.#shared);
        this.#expected = Buffer.concat([this.#expected, pattern(size, this.#sent)]);
        this.#sent += size;
        buffer.borrow(this.#shared, size);
        break;
      case "keep":
        this.#end();
        break;
      case "feed":
        if (size === 0 || size > buffer.ready) buffer.feed(size);
        break;
      case "take":
        this.#give(take(buffer, Math.min(size, buffer.ready)));
        break;
      case "drop":
        size = Math.min(size, buffer.length);
        buffer.drop(size);
        this.#expected = this.#expected.subarray(size);
        break;
      case "copyOut": {
        const count = Math.min(size, buffer.length);
        assert.ok(buffer.copyOut(count).equals(this.#expected.subarray(0, count)));
      }
    }
    assert.equal(buffer.length, this.#expected.length);
  }

  #end(): void {
    this.buffer.keep();
    this.#shared.fill(0xee);
  }

  #give(data: Buffer): void {
    this.#given.push({ data, expected: Buffer.from(this.#expected.subarray(0, data.length)) });
    this.#expected = this.#expected.subarray(data.length);
  }

  check(): void {
    assert.ok(this.buffer.copyOut(this.buffer.length).equals(this.#expected), "what is left");
    for (const { data, expected } of this.#given) assert.ok(data.equals(expected), "what was given, at the end");
  }
}

describe("whatever is done to a receive buffer", () => {
  it("gives the bytes in their order, once each, and never writes over them later", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const comparison = new Comparison();
        for (const each of steps) comparison.do(each);
        comparison.check();
      }),
      { numRuns: runs(500) },
    );
  });

  it("gives memory that its user may write to without an effect on later bytes", () => {
    const buffer = new ReceiveBuffer();
    keepAll(buffer, pattern(1000));
    take(buffer, 400).fill(0xff);
    keepAll(buffer, pattern(1000, 1000));
    assert.deepEqual(take(buffer, 1600), pattern(1600, 400));
  });
});

/** What memory stays alive as long as this message does. */
function pinned(data: Buffer): number {
  return data.buffer.byteLength;
}

describe("the memory of a receive buffer", () => {
  const MOST = 16 * KIB;

  it("is not pinned by small messages of one large chunk", () => {
    const buffer = new ReceiveBuffer();
    lend(buffer, pattern(CHUNK));
    for (let i = 0; i < CHUNK / 64; i++) {
      if (buffer.ready < 64) buffer.feed(0);
      assert.ok(pinned(take(buffer, 64)) <= MOST);
    }
  });

  it("is not pinned by small messages among larger ones", () => {
    for (const large of [500, 4000, 20_000]) {
      const buffer = new ReceiveBuffer();
      for (let sent = 0; sent < 8 * CHUNK; sent += CHUNK) {
        lend(buffer, pattern(CHUNK, sent));
        for (const length of Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? 4 : large))) {
          while (buffer.ready < length && buffer.feed(length)) continue;
          if (buffer.ready < length) break;
          const data = take(buffer, length);
          if (length === 4) assert.ok(pinned(data) <= MOST, `4 bytes among ${large} pin ${pinned(data)}`);
        }
        buffer.keep();
      }
    }
  });

  it("is not pinned by small messages of a backlog", () => {
    const buffer = new ReceiveBuffer();
    keepAll(buffer, pattern(16 * CHUNK));
    for (let i = 0; i < 1000; i++) {
      const data = take(buffer, 100);
      assert.ok(pinned(data) <= MOST);
      assert.deepEqual(data, pattern(100, i * 100));
    }
  });

  it("pins at most twice its length with a large message", () => {
    for (const length of [5000, 8192, 8193, 20_000, CHUNK, 5 * CHUNK]) {
      const buffer = new ReceiveBuffer();
      for (let sent = 0; sent < length + 1000; sent += 1000) keepAll(buffer, pattern(1000, sent));
      const data = take(buffer, length);
      assert.ok(pinned(data) <= Math.max(MOST, 2 * length), `${length} bytes pin ${pinned(data)}`);
    }
  });

  it("is bounded by the bytes that wait, however small the chunks", () => {
    const buffer = new ReceiveBuffer();
    const byte = Buffer.of(1);
    for (let count = 1; count <= 100_000; count++) {
      buffer.borrow(byte, 1);
      buffer.keep();
      assert.ok(buffer.block.length <= 2 * count + KIB, `${buffer.block.length} bytes of memory for ${count}`);
    }
    assert.equal(buffer.length, 100_000);
  });

  it("does not grow with a length that was announced and has not come", () => {
    const buffer = new ReceiveBuffer();
    lend(buffer, pattern(100));
    buffer.feed(1024 * 1024 * 1024);
    assert.ok(buffer.block.length <= KIB);
    buffer.keep();
    lend(buffer, pattern(5000));
    buffer.feed(1024 * 1024 * 1024);
    assert.ok(buffer.block.length <= 4 * 5100);
  });

  it("is given back when everything has been read", () => {
    const buffer = new ReceiveBuffer();
    keepAll(buffer, pattern(CHUNK));
    take(buffer, CHUNK / 4);
    buffer.drop((3 * CHUNK) / 4);
    assert.equal(buffer.length, 0);
    assert.equal(buffer.block.length, 0);
  });

  it("is given back when most has been read and another chunk has come", () => {
    const buffer = new ReceiveBuffer();
    keepAll(buffer, pattern(CHUNK));
    buffer.drop(CHUNK - 10);
    lend(buffer, pattern(10, CHUNK));
    feedAll(buffer);
    buffer.keep();
    assert.ok(buffer.block.length <= 8 * KIB, `${buffer.block.length} bytes of memory for 20`);
    assert.deepEqual(take(buffer, 20), pattern(20, CHUNK - 10));
  });

  it("is given back when most has been read between two chunks", () => {
    const buffer = new ReceiveBuffer();
    keepAll(buffer, pattern(CHUNK));
    for (let i = 0; i < (CHUNK - 64) / 64; i++) take(buffer, 64);
    buffer.trim();
    assert.equal(buffer.length, 64);
    assert.ok(buffer.block.length <= 8 * KIB, `${buffer.block.length} bytes of memory for 64`);
  });
});

describe("a block of a receive buffer", () => {
  /** The length of the block after so many bytes were kept, and then so many more were fed for a read. */
  function blockLength(kept: number, fed: number, wanted: number): number {
    const buffer = new ReceiveBuffer();
    keepAll(buffer, pattern(kept));
    lend(buffer, pattern(fed));
    buffer.feed(wanted);
    return buffer.block.length;
  }

  it("is as long as the read wants that it grows for, if at least a quarter is there", () => {
    assert.equal(blockLength(10_000, 5000, 15_000), 15_000);
    assert.equal(blockLength(0, 5000, 20_000), 20_000);
    assert.equal(blockLength(0, 5000, 20_001), 5000);
  });

  it("is doubled for less than it holds, and grows by no more than comes for as much", () => {
    assert.equal(blockLength(5000, 5000, 0), 10_000);
    assert.equal(blockLength(5000, 4999, 0), 19_998);
  });

  /** How long the window is after a read that wants so much, of 200 000 bytes. */
  function fedFor(wanted: number, taken = 0): number {
    const buffer = new ReceiveBuffer();
    lend(buffer, pattern(200_000));
    if (taken > 0) {
      buffer.feed(0);
      take(buffer, taken);
      buffer.drop(buffer.ready);
    }
    buffer.feed(wanted);
    return buffer.ready;
  }

  it("is fed ahead for short reads, with 16 times what was taken last, and as it is told for long ones", () => {
    assert.equal(fedFor(0), 8 * KIB);
    assert.equal(fedFor(4 * KIB), 8 * KIB);
    assert.equal(fedFor(4 * KIB + 1), 4 * KIB + 1);
    assert.equal(fedFor(0, 100), 8 * KIB);
    assert.equal(fedFor(0, 2000), 32_000);
    assert.equal(fedFor(0, 8000), 64 * KIB);
  });

  it("is given away as it is when all of it is taken", () => {
    const buffer = new ReceiveBuffer();
    keepAll(buffer, pattern(100));
    const { block } = buffer;
    assert.equal(take(buffer, 100), block);
  });

  it("of more than 8 KiB is shared by what is a sixteenth of it at least, and what is less is copied", () => {
    for (const [length, copied] of [
      [32 * KIB, 0],
      [4 * KIB, 0],
      [4 * KIB - 1, 4 * KIB - 1],
    ] as const) {
      const buffer = new ReceiveBuffer();
      keepAll(buffer, pattern(64 * KIB));
      assert.equal(
        bytesCopied(() => take(buffer, length)),
        copied,
      );
    }
  });

  const trims = [
    { name: "of 8 KiB stays", size: 8 * KIB, left: 100, lent: 0, copied: 0 },
    { name: "that is read to a quarter stays", size: 16 * KIB, left: 4 * KIB, lent: 0, copied: 0 },
    { name: "that is read to less is given back", size: 16 * KIB, left: 4 * KIB - 1, lent: 0, copied: 4 * KIB - 1 },
    { name: "stays while there is a chunk to be joined to it", size: 16 * KIB, left: 100, lent: 100, copied: 0 },
  ];
  for (const { name, size, left, lent, copied } of trims) {
    it(`${name} when it is trimmed`, () => {
      const buffer = new ReceiveBuffer();
      keepAll(buffer, pattern(size));
      buffer.drop(size - left);
      lend(buffer, pattern(lent));
      assert.equal(
        bytesCopied(() => buffer.trim()),
        copied,
      );
    });
  }

  it("is trimmed at the end of the loan", () => {
    const buffer = new ReceiveBuffer();
    lend(buffer, pattern(CHUNK));
    buffer.feed(CHUNK);
    buffer.drop(CHUNK - 64);
    buffer.keep();
    assert.equal(buffer.block.length, 64);
  });

  it("of less than 4 KiB shares its memory with others, one of 4 KiB has its own", () => {
    const memories = (size: number): Set<ArrayBufferLike> => {
      const blocks = Array.from({ length: 4 }, () => {
        const buffer = new ReceiveBuffer();
        keepAll(buffer, pattern(size));
        return take(buffer, size);
      });
      for (const block of blocks) assert.deepEqual(block, pattern(size));
      return new Set(blocks.map((block) => block.buffer));
    };
    assert.ok(memories(10).size <= 2);
    assert.ok(memories(1000).size <= 2);
    const own = [...memories(4 * KIB)];
    assert.deepEqual(
      own.map(({ byteLength }) => byteLength),
      [4, 4, 4, 4].map((kib) => kib * KIB),
    );
  });
});

describe("a message that shares a block", () => {
  let copies = 0;

  /** It takes so many calls of `subarray`, of a module loaded while buffers are made by this. */
  async function assertSubarrayCalls(t: TestContext, species: unknown, expected: number): Promise<void> {
    const original = Object.getOwnPropertyDescriptor(Buffer, Symbol.species);
    Object.defineProperty(Buffer, Symbol.species, { configurable: true, value: species });
    t.after(() => {
      if (original === undefined) Reflect.deleteProperty(Buffer, Symbol.species);
      else Object.defineProperty(Buffer, Symbol.species, original);
    });
    const url = new URL(import.meta.resolve("#dist/base/view.js"));
    url.search = `copy=${++copies}`;
    const loaded = (await import(url.href)) as { viewOf: typeof viewOf };
    if (loaded.viewOf === viewOf) return t.skip("this runtime loads a file once, whatever is asked of it");
    // Who copies may need what is right: it was looked at when the module was loaded.
    if (original !== undefined) Object.defineProperty(Buffer, Symbol.species, original);
    const { buffer, byteOffset } = pattern(1000);
    const { mock } = t.mock.method(Buffer.prototype as Buffer, "subarray");
    const data = loaded.viewOf(buffer, byteOffset + 1, 400);
    assert.ok(Buffer.isBuffer(data));
    assert.deepEqual(data, pattern(400, 1));
    mock.restore();
    assert.equal(mock.callCount(), expected);
  }

  it("is made from memory without further ado, where the runtime shows how", async (t) => {
    await assertSubarrayCalls(t, Reflect.get(Buffer, Symbol.species), 0);
  });

  for (const [name, species] of Object.entries({ nothing: undefined, text: "Buffer", "plain bytes": Uint8Array })) {
    it(`is made by subarray where the runtime shows ${name}`, async (t) => {
      await assertSubarrayCalls(t, species, 1);
    });
  }
});

describe("the work of a receive buffer", () => {
  it("takes no native call for 16 bytes", () => {
    for (const [length, copied] of [
      [16, 0],
      [17, 17],
    ] as const) {
      assert.equal(
        bytesCopied(() => keepAll(new ReceiveBuffer(), pattern(length))),
        copied,
      );
    }
  });

  it("is one copy of each byte for reads of a known length", () => {
    const buffer = new ReceiveBuffer();
    const chunk = pattern(CHUNK);
    const copied = bytesCopied(() => {
      for (let i = 0; i < 16; i++) {
        buffer.borrow(chunk, CHUNK);
        for (let message = 0; message < 4; message++) {
          while (buffer.ready < CHUNK / 4) buffer.feed(CHUNK / 4);
          take(buffer, CHUNK / 4);
        }
        buffer.keep();
      }
    });
    assert.equal(copied, 16 * CHUNK);
  });

  it("is one copy of each byte for small messages in large chunks, but for those that straddle blocks", () => {
    const buffer = new ReceiveBuffer();
    const chunk = pattern(CHUNK);
    const length = 100;
    const copied = bytesCopied(() => {
      for (let i = 0; i < 16; i++) {
        buffer.borrow(chunk, CHUNK);
        for (;;) {
          if (buffer.ready >= length) take(buffer, length);
          else if (!buffer.feed(0)) break;
        }
        buffer.keep();
      }
    });
    assert.ok(copied <= 1.1 * 16 * CHUNK, `${(copied / (16 * CHUNK)).toFixed(2)} copies of each byte`);
  });

  it("is one copy into the window for a message that a read announced, whatever the chunks", () => {
    for (const size of [1000, 1460, 10_000]) {
      const buffer = new ReceiveBuffer();
      const chunk = pattern(size);
      const total = 100 * size;
      const copied = bytesCopied(() => {
        for (let i = 0; i < 100; i++) {
          buffer.borrow(chunk, size);
          buffer.feed(total);
          buffer.keep();
        }
        take(buffer, total);
      });
      // What came before the announced length was believed is copied again.
      assert.ok(copied <= 2 * total, `${(copied / total).toFixed(2)} copies of each byte`);
    }
  });

  it("grows no faster than the bytes that are kept one by one", () => {
    const keeping = (count: number): number =>
      bytesCopied(() => {
        const buffer = new ReceiveBuffer();
        const chunk = pattern(20);
        for (let i = 0; i < count; i++) {
          buffer.borrow(chunk, 20);
          buffer.keep();
        }
      });
    assert.ok(growth(keeping, 10_000) <= 2.5);
  });

  it("grows no faster than the messages that are taken from a backlog one by one", () => {
    const taking = (count: number): number =>
      bytesCopied(() => {
        const buffer = new ReceiveBuffer();
        keepAll(buffer, pattern(count * 32));
        for (let i = 0; i < count; i++) take(buffer, 32);
      });
    assert.ok(growth(taking, 10_000) <= 2.5);
  });
});
