import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { runs } from "../support/runs.js";
import { bytesCopied, growth, Watch } from "./counting.js";
import { readEntry, type ReadSpec } from "./entries.js";
import { Model, type Outcome } from "./model.js";
import { anyRead, bytesUpTo, fixedRead, longBytes } from "./programs.js";
import { cut, QueueDriver } from "./queue-driver.js";
import { ReadQueue } from "#dist/pump/read-queue.js";

const CHUNKINGS: readonly (readonly number[])[] = [[1], [2], [3], [4], [5], [6], [7], [8], [9], [Infinity]];

interface Run {
  readonly outcomes: readonly Outcome[];
  readonly unread: string;
  readonly waiting: number;
}

function modelRun(reads: readonly ReadSpec[], bytes: Uint8Array): Run {
  const model = new Model(Infinity);
  model.receive(bytes);
  for (const read of reads) model.push(read);
  return { outcomes: model.outcomes, unread: model.unread.toString("hex"), waiting: model.waiting };
}

function queueRun(reads: readonly ReadSpec[], bytes: Uint8Array, sizes: readonly number[]): Run {
  const driver = new QueueDriver(Infinity);
  for (const read of reads) driver.push(read);
  for (const chunk of cut(bytes, sizes)) driver.receive(chunk);
  driver.checkGiven();
  return { outcomes: driver.outcomes, unread: driver.unread.toString("hex"), waiting: driver.queue.length };
}

const sizes = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 10 });
const largeSizes = fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 6 });

describe("any program of reads", () => {
  it("comes to the same for every chunking: what a naive queue makes of all the bytes at once", () => {
    const reads = fc.array(fixedRead(40), { maxLength: 15, size: "max" });
    fc.assert(
      fc.property(reads, bytesUpTo(200), sizes, (reads, bytes, sizes) => {
        const expected = modelRun(reads, bytes);
        for (const chunking of [...CHUNKINGS, sizes]) assert.deepEqual(queueRun(reads, bytes, chunking), expected);
      }),
      { numRuns: runs(1000) },
    );
  });

  it("comes to the same for every chunking of a long stream", () => {
    const reads = fc.array(fixedRead(20_000), { maxLength: 40, size: "max" });
    fc.assert(
      fc.property(reads, longBytes, largeSizes, (reads, bytes, sizes) => {
        const expected = modelRun(reads, bytes);
        for (const chunking of [sizes, [1460], [65_536]]) assert.deepEqual(queueRun(reads, bytes, chunking), expected);
      }),
      { numRuns: runs(100) },
    );
  });

  /** Reads are queued before the bytes, and between them; a skip may hold back little. */
  function sideBySide(early: readonly ReadSpec[], late: readonly ReadSpec[], chunks: Uint8Array[], hold: number): void {
    const both = [new Model(hold), new QueueDriver(hold)] as const;
    for (const side of both) {
      for (const read of early) side.push(read);
      chunks.forEach((chunk, i) => {
        side.receive(chunk);
        if (late[i] !== undefined) side.push(late[i]);
      });
      for (const read of late.slice(chunks.length)) side.push(read);
    }
    const [model, driver] = both;
    driver.checkGiven();
    assert.deepEqual(driver.outcomes, model.outcomes);
    assert.deepEqual(driver.progress, model.progress, "each at its time");
    assert.equal(driver.unread.toString("hex"), model.unread.toString("hex"));
    assert.equal(driver.queue.length, model.waiting);
  }

  it("is served at once by what is there, as by a naive queue", () => {
    const reads = fc.array(anyRead(40), { maxLength: 12, size: "max" });
    const hold = fc.constantFrom(0, 4, 100);
    fc.assert(
      fc.property(reads, reads, bytesUpTo(200), sizes, hold, (early, late, bytes, sizes, hold) => {
        sideBySide(early, late, cut(bytes, sizes), hold);
      }),
      { numRuns: runs(2000) },
    );
  });

  it("is served at once by what is there of a long stream, as by a naive queue", () => {
    const reads = fc.array(anyRead(20_000), { maxLength: 30, size: "max" });
    fc.assert(
      fc.property(reads, reads, longBytes, largeSizes, (early, late, bytes, sizes) => {
        sideBySide(early, late, cut(bytes, sizes), 5000);
      }),
      { numRuns: runs(150) },
    );
  });
});

const until = (length: number, ...delimiters: string[]): ReadSpec => ({
  kind: "readUntil",
  length,
  delimiters: delimiters.map((delimiter) => Buffer.from(delimiter)),
});
const line = (length = Infinity): ReadSpec => ({ kind: "readLine", length });
const hex = (text: string): Outcome => ({ bytes: Buffer.from(text, "latin1").toString("hex") });
const overLimit: Outcome = { failed: "over-limit" };

type Case = readonly [
  name: string,
  reads: readonly ReadSpec[],
  bytes: string,
  outcomes: readonly Outcome[],
  rest: string,
];

function itServes([name, reads, text, outcomes, rest]: Case): void {
  it(name, () => {
    const bytes = Buffer.from(text, "latin1");
    for (const chunking of CHUNKINGS) {
      const run = queueRun(reads, bytes, chunking);
      assert.deepEqual(run.outcomes, outcomes, `in chunks of ${String(chunking)}`);
      assert.equal(Buffer.from(run.unread, "hex").toString("latin1"), rest);
    }
  });
}

describe("the limit of a delimiter or line read", () => {
  const cases: readonly Case[] = [
    ["is met by a delimiter that ends exactly there", [until(6, "\r\n")], "abcd\r\nx", [hex("abcd\r\n")], "x"],
    ["is passed by a delimiter that ends one byte behind", [until(6, "\r\n")], "abcde\r\n", [overLimit], "abcde\r\n"],
    ["is reached by as many bytes without a delimiter", [until(6, "\r\n")], "abcdef", [overLimit], "abcdef"],
    ["is not reached by one byte less", [until(6, "\r\n")], "abcde", [], "abcde"],
    ["splits a delimiter, of which it sees a part only", [until(5, "--")], "abcd--", [overLimit], "abcd--"],
    ["holds for the shorter of two delimiters", [until(3, "12345", "!")], "ab!", [hex("ab!")], ""],
    ["holds for the longer of two delimiters", [until(3, "12345", "!")], "12345", [overLimit], "12345"],
    ["may be a single byte", [until(1, "x")], "xy", [hex("x")], "y"],
    ["counts the ending of a line", [line(5)], "abc\r\nrest", [{ text: "abc" }], "rest"],
    ["is passed by the ending of a line", [line(4)], "abc\r\nrest", [overLimit], "abc\r\nrest"],
    [
      "fails no other read",
      [line(3), line(5), line(5)],
      "abcd\nef\n",
      [overLimit, { text: "abcd" }, { text: "ef" }],
      "",
    ],
  ];
  for (const each of cases) itServes(each);
});

describe("the line read", () => {
  const cases: readonly Case[] = [
    ["takes LF off", [line()], "abc\ndef", [{ text: "abc" }], "def"],
    ["takes CRLF off", [line()], "abc\r\ndef", [{ text: "abc" }], "def"],
    ["leaves a CR alone that no LF follows", [line()], "a\rb\nc", [{ text: "a\rb" }], "c"],
    ["takes one CR off, not two", [line()], "a\r\r\n", [{ text: "a\r" }], ""],
    ["leaves a CR before the line alone", [line()], "\ra\n", [{ text: "\ra" }], ""],
    ["gives empty lines", [line(), line(), line()], "\n\r\n\n", [{ text: "" }, { text: "" }, { text: "" }], ""],
    [
      "does not take a CR for the ending that was read before",
      [until(9, "\r"), line()],
      "a\r\n",
      [hex("a\r"), { text: "" }],
      "",
    ],
    ["waits for the LF", [line()], "abc\r", [], "abc\r"],
    ["gives UTF-8 unless said", [line()], "caf\xc3\xa9\n", [{ text: "café" }], ""],
    ["gives what is said", [{ ...line(), encoding: "latin1" }], "caf\xe9\n", [{ text: "café" }], ""],
  ];
  for (const each of cases) itServes(each);
});

describe("reads of a length", () => {
  const cases: readonly Case[] = [
    [
      "of 0 give nothing, in their turn",
      [
        { kind: "readExactly", length: 0 },
        { kind: "readExactly", length: 1 },
      ],
      "ab",
      [hex(""), hex("a")],
      "b",
    ],
    ["wait for the last byte", [{ kind: "readExactly", length: 3 }], "ab", [], "ab"],
    [
      "that only look take nothing",
      [
        { kind: "peek", length: 2 },
        { kind: "readExactly", length: 2 },
      ],
      "abc",
      [hex("ab"), hex("ab")],
      "c",
    ],
    [
      "that skip give nothing",
      [
        { kind: "skip", length: 2 },
        { kind: "readExactly", length: 1 },
      ],
      "abc",
      ["nothing", hex("c")],
      "",
    ],
    ["that skip nothing are done", [{ kind: "skip", length: 0 }], "a", ["nothing"], "a"],
    ["decode", [{ kind: "readExactly", length: 3, encoding: "hex" }], "abcd", [{ text: "616263" }], "d"],
    ["decode what they look at", [{ kind: "peek", length: 3, encoding: "latin1" }], "abcd", [{ text: "abc" }], "abcd"],
  ];
  for (const each of cases) itServes(each);

  it("drop the bytes of a long skip as they come, and keep those that it could give back", () => {
    const driver = new QueueDriver(100);
    driver.push({ kind: "skip", length: 1000 });
    driver.receive(Buffer.alloc(100));
    assert.equal(driver.queue.buffer.length, 100);
    driver.receive(Buffer.alloc(1));
    assert.equal(driver.queue.buffer.length, 0);
    driver.receive(Buffer.alloc(900, 7));
    assert.deepEqual(driver.outcomes, ["nothing"]);
    assert.deepEqual(driver.unread, Buffer.of(7));
  });
});

describe("the frame read", () => {
  const BODY = "body";
  const frameSpec = (
    lengthBytes: number,
    littleEndian: boolean,
    lengthIncludesHeader: boolean,
    length = 100,
  ): ReadSpec => ({
    kind: "readFrame",
    length,
    frame: { lengthBytes, littleEndian, lengthIncludesHeader },
  });

  function header(lengthBytes: number, littleEndian: boolean, value: number): string {
    const bytes = Buffer.alloc(lengthBytes);
    bytes[littleEndian ? 0 : lengthBytes - 1] = value;
    return bytes.toString("latin1");
  }

  for (const lengthBytes of [1, 2, 3, 4, 5, 6, 8]) {
    for (const littleEndian of [false, true]) {
      const title = `with ${lengthBytes} bytes of length, ${littleEndian ? "little" : "big"} endian,`;
      const plain = frameSpec(lengthBytes, littleEndian, false);
      const including = frameSpec(lengthBytes, littleEndian, true);
      const head = (value: number): string => header(lengthBytes, littleEndian, value);
      const cases: readonly Case[] = [
        [`${title} gives the body`, [plain], `${head(4)}${BODY}x`, [hex(BODY)], "x"],
        [`${title} gives an empty body`, [plain], `${head(0)}x`, [hex("")], "x"],
        [`${title} may count the length`, [including], `${head(4 + lengthBytes)}${BODY}x`, [hex(BODY)], "x"],
        [`${title} may count the length of nothing else`, [including], `${head(lengthBytes)}x`, [hex("")], "x"],
        [
          `${title} finds a length bad that does not count itself`,
          [including],
          `${head(lengthBytes - 1)}x`,
          [{ failed: "bad-frame" }],
          `${head(lengthBytes - 1)}x`,
        ],
      ];
      for (const each of cases) itServes(each);
    }
  }

  const limits: readonly Case[] = [
    ["takes a body of exactly maxLength", [frameSpec(1, false, false, 4)], "\x04body", [hex(BODY)], ""],
    ["refuses one byte more before it comes", [frameSpec(1, false, false, 4)], "\x05", [overLimit], "\x05"],
    ["does not count the header", [frameSpec(2, false, true, 4)], "\0\x06body", [hex(BODY)], ""],
    ["takes nothing but empty bodies when told so", [frameSpec(1, false, false, 0)], "\0", [hex("")], ""],
    ["refuses any body when told so", [frameSpec(1, false, false, 0)], "\x01", [overLimit], "\x01"],
    [
      "refuses the largest length there is",
      [frameSpec(8, false, false)],
      "\xff".repeat(8),
      [overLimit],
      "\xff".repeat(8),
    ],
    [
      "refuses the largest length of six bytes",
      [frameSpec(6, true, true)],
      "\xff".repeat(6),
      [overLimit],
      "\xff".repeat(6),
    ],
    [
      "waits for a length of two halves",
      [frameSpec(8, false, false, Infinity)],
      "\0\0\0\x01\0\0\0\0abc",
      [],
      "\0\0\0\x01\0\0\0\0abc",
    ],
  ];
  for (const each of limits) itServes(each);

  it("allocates nothing for a length that was announced only", () => {
    const driver = new QueueDriver(0);
    driver.push(frameSpec(4, false, false, Infinity));
    driver.receive(Buffer.of(0xff, 0xff, 0xff, 0xf0, 1, 2, 3));
    assert.ok(driver.queue.buffer.block.length < 1024);
  });
});

describe("reading whatever is there as text", () => {
  const cases: readonly [encoding: BufferEncoding, text: string, whole: number, bytes: number][] = [
    ["utf8", "aé", 1, 2],
    ["utf8", "a€", 1, 3],
    ["utf8", "a😀", 1, 4],
    ["utf16le", "ab", 2, 3],
    ["utf16le", "a😀", 2, 4],
    ["base64", "YWJjZGVm", 3, 5],
    ["base64url", "YWJjZGVm", 3, 4],
  ];
  for (const [encoding, text, whole, bytes] of cases) {
    it(`leaves the incomplete end of ${JSON.stringify(text)} in ${encoding} for the next read`, () => {
      const all = Buffer.from(text, encoding);
      const driver = new QueueDriver(0);
      for (let i = 0; i < 2; i++) driver.push({ kind: "read", length: Infinity, encoding });
      driver.receive(all.subarray(0, bytes));
      assert.deepEqual(driver.outcomes, [{ text: all.toString(encoding, 0, whole) }]);
      assert.equal(driver.queue.buffer.length, bytes - whole, "the rest stays");
      driver.receive(all.subarray(bytes));
      assert.deepEqual(driver.outcomes[1], { text: all.toString(encoding, whole) });
    });
  }

  it("waits where nothing but the beginning of a character is there", () => {
    const driver = new QueueDriver(0);
    driver.push({ kind: "read", length: Infinity, encoding: "utf8" });
    for (const byte of Buffer.from("😀")) driver.receive(Buffer.of(byte));
    assert.deepEqual(driver.progress, [0, 0, 0, 0, 1]);
    assert.deepEqual(driver.outcomes, [{ text: "😀" }]);
  });

  it("passes its limit when no character fits", () => {
    const driver = new QueueDriver(0);
    driver.push({ kind: "read", length: 3, encoding: "utf8" });
    driver.receive(Buffer.from("😀"));
    assert.deepEqual(driver.outcomes, [overLimit]);
    assert.equal(driver.queue.buffer.length, 4);
  });
});

describe("the queue of reads", () => {
  it("tells what has come for the current read, up to what it can take", () => {
    const driver = new QueueDriver(10);
    const cases: readonly [ReadSpec, number][] = [
      [{ kind: "readExactly", length: 9 }, 4],
      [
        { kind: "readFrame", length: 90, frame: { lengthBytes: 1, littleEndian: false, lengthIncludesHeader: false } },
        4,
      ],
      [until(90, "#"), 4],
      [{ kind: "skip", length: 9 }, 4],
    ];
    driver.receive(Buffer.from("1234"));
    for (const [spec, bytesDone] of cases) {
      driver.push(spec);
      const entry = driver.queue.head;
      assert.ok(entry !== null);
      assert.equal(driver.queue.bytesDone(entry), bytesDone, spec.kind);
      assert.deepEqual(driver.queue.partial(entry), spec.kind === "skip" ? undefined : Buffer.from("1234"));
      driver.queue.remove(entry);
    }
    assert.equal(driver.queue.buffer.length, 4);
  });

  it("has room for what the current read can take, and for the read-ahead", () => {
    const queue = new ReadQueue();
    assert.equal(queue.room(100, true), 100);
    queue.push(readEntry({ kind: "readExactly", length: 1000 }));
    assert.equal(queue.room(100, true), 1100);
    queue.buffer.borrow(Buffer.alloc(300), 300);
    queue.buffer.keep();
    assert.equal(queue.room(100, true), 800);
    assert.equal(queue.room(400, false), 100, "only the read-ahead while the read may not be served");
    if (queue.head !== null) queue.remove(queue.head);
    assert.equal(queue.room(100, true), 0);
    queue.push(
      readEntry({
        kind: "readFrame",
        length: 50,
        frame: { lengthBytes: 4, littleEndian: false, lengthIncludesHeader: false },
      }),
    );
    assert.equal(queue.room(400, true), 54 + 400 - 300);
  });

  it("has room for what is left of a skip, and of a frame whose header has come", () => {
    const driver = new QueueDriver(0);
    driver.push({ kind: "skip", length: 1000 });
    driver.receive(Buffer.alloc(400));
    assert.equal(driver.queue.room(100, true), 600 + 100);
    driver.receive(Buffer.alloc(600));
    driver.push({
      kind: "readFrame",
      length: 50,
      frame: { lengthBytes: 1, littleEndian: false, lengthIncludesHeader: false },
    });
    driver.receive(Buffer.of(9, 1, 2));
    assert.equal(driver.queue.room(100, true), 10 + 100 - 3);
  });

  it("tells what a skip has dropped, and of what is here no more than it can take", () => {
    const driver = new QueueDriver(0);
    driver.push({ kind: "skip", length: 150 });
    const skip = driver.queue.head;
    assert.ok(skip !== null);
    driver.receive(Buffer.alloc(100));
    assert.equal(driver.queue.bytesDone(skip), 100);
    driver.queue.buffer.borrow(Buffer.alloc(80), 80);
    assert.equal(driver.queue.bytesDone(skip), 150);
    assert.equal(driver.queue.attempt(skip, 0), "ready");
    driver.queue.take(skip);
    assert.equal((skip as unknown as { readonly _bytesDone: number })._bytesDone, 150);
    assert.equal(driver.queue.buffer.length, 30);
  });

  it("serves a short read from what was kept, while more is lent", () => {
    const driver = new QueueDriver(0);
    driver.receive(Buffer.from("12345"));
    driver.queue.buffer.borrow(Buffer.from("67890"), 5);
    for (const length of [3, 2]) driver.push({ kind: "read", length });
    assert.deepEqual(driver.outcomes, [hex("123"), hex("45")]);
    driver.push({ kind: "read", length: 9 });
    assert.deepEqual(driver.outcomes[2], hex("67890"));
  });

  it("keeps what a skip has dropped when a read behind it is taken back", () => {
    const driver = new QueueDriver(0);
    driver.push({ kind: "skip", length: 10 });
    driver.receive(Buffer.from("1234"));
    const behind = readEntry({ kind: "readExactly", length: 1 });
    driver.queue.push(behind);
    driver.queue.remove(behind);
    driver.receive(Buffer.from("567890x"));
    assert.deepEqual(driver.outcomes, ["nothing"]);
    assert.equal(driver.unread.toString(), "x");
  });

  it("begins a search anew for the read behind one that was taken back", () => {
    const driver = new QueueDriver(0);
    driver.push(until(100, "#"));
    driver.receive(Buffer.from("a,b,c"));
    const first = driver.queue.head;
    assert.ok(first !== null);
    driver.queue.remove(first);
    driver.push(until(100, ","));
    assert.deepEqual(driver.outcomes, [hex("a,")]);
  });

  it("keeps its place when a read behind the current one is taken back", () => {
    const driver = new QueueDriver(0);
    driver.push(until(100, "##"));
    const middle = readEntry(until(100, "x"));
    driver.queue.push(middle);
    driver.push({ kind: "readExactly", length: 1 });
    driver.receive(Buffer.from("abc#"));
    driver.queue.remove(middle);
    driver.receive(Buffer.from("#d"));
    assert.deepEqual(driver.outcomes, [hex("abc##"), hex("d")]);
    assert.equal(driver.queue.length, 0);
  });
});

describe("the work of the queue of reads", () => {
  /** Bytes come one by one; after each the current read is tried, under observation. */
  function looking(spec: ReadSpec, bytes: Buffer): number {
    const { queue } = new QueueDriver(0);
    const watch = new Watch();
    const entry = readEntry(spec);
    queue.push(entry);
    for (const byte of bytes) {
      queue.buffer.borrow(Buffer.of(byte), 1);
      queue.buffer.keep();
      const { block } = queue.buffer;
      queue.buffer.block = watch.over(block);
      queue.attempt(entry, 0);
      queue.buffer.block = block;
    }
    return watch.looks;
  }

  const searches: readonly [name: string, spec: ReadSpec, fill: string][] = [
    ["a delimiter of one byte", until(Infinity, "\0"), "a"],
    ["a delimiter of four bytes, which the bytes nearly are", until(Infinity, "aaab"), "a"],
    ["three delimiters", until(Infinity, "\r\n", "\n\r", "#"), "\r"],
    ["a line", line(), "ab"],
  ];
  for (const [name, spec, fill] of searches) {
    it(`looks at each byte a few times to find ${name}, however small the chunks`, () => {
      const looks = (size: number): number => looking(spec, Buffer.alloc(size, fill));
      assert.ok(growth(looks, 2000) <= 2.2, "twice the bytes are twice the work");
      assert.ok(looks(2000) <= 2000 * 40);
    });
  }

  it("copies each byte a few times, however small the chunks", () => {
    const specs: readonly ReadSpec[] = [until(Infinity, "\0"), { kind: "readExactly", length: 1_000_000 }];
    for (const spec of specs) {
      const copying = (size: number): number =>
        bytesCopied(() => {
          const driver = new QueueDriver(0);
          driver.push(spec);
          for (let i = 0; i < size; i++) driver.receive(Buffer.alloc(1, 1));
        });
      assert.ok(growth(copying, 20_000) <= 2.5);
      assert.ok(copying(20_000) <= 20_000 * 4);
    }
  });

  it("copies each byte of large messages once, with a header before each, wherever they lie in the chunks", () => {
    const LARGE = 65_536;
    const frame = Buffer.alloc(4 + LARGE, 7);
    frame.writeUInt32BE(LARGE);
    const sent = Buffer.concat(Array<Buffer>(40).fill(frame));
    const ways: readonly (readonly ReadSpec[])[] = [
      [{ kind: "readFrame", length: LARGE, frame: { lengthBytes: 4 } }],
      [
        { kind: "readExactly", length: 4 },
        { kind: "readExactly", length: LARGE },
      ],
    ];
    for (const specs of ways) {
      const driver = new QueueDriver(0);
      for (let i = 0; i < 40; i++) for (const spec of specs) driver.push(spec);
      const copied = bytesCopied(() => {
        for (let at = 0; at < sent.length; at += LARGE) driver.receive(sent.subarray(at, at + LARGE));
      });
      assert.equal(driver.outcomes.length, 40 * specs.length);
      assert.ok(copied <= 1.1 * sent.length, `${(copied / sent.length).toFixed(2)} copies of each byte`);
    }
  });

  it("copies what goes into the caller's memory there at once, from window and chunk", () => {
    const LARGE = 65_536;
    const sent = Buffer.concat([Buffer.from([0, 1, 0, 0]), Buffer.alloc(LARGE, 7), Buffer.alloc(LARGE, 8)]);
    const driver = new QueueDriver(0);
    driver.push({ kind: "readFrame", length: LARGE, frame: { lengthBytes: 4 }, intoSlack: 0 });
    driver.push({ kind: "readExactly", length: LARGE, intoSlack: 0 });
    const copied = bytesCopied(() => driver.receive(sent));
    assert.equal(driver.outcomes.length, 2);
    assert.ok(copied <= 1.1 * sent.length, `${(copied / sent.length).toFixed(2)} copies of each byte`);
  });
});
