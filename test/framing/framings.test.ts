// Every built-in framing by the verifier that users have, and its mistakes.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  delimited,
  fixed,
  json,
  lengthPrefixed,
  line,
  netstring,
  varint,
  type HeaderPrefix,
  type MessageFraming,
} from "asyncsocket";
import { verifyFraming, type Sample } from "asyncsocket/testing";

const bytes = (text: string): Buffer => Buffer.from(text, "latin1");

const sizes = [1, 2, 3, 4, 5, 6, 8] as const;

interface Case {
  readonly name: string;
  readonly framing: MessageFraming<unknown, never>;
  readonly samples: readonly Sample<unknown>[];
}

/** Headers of real protocols: of a body with so many bytes, and how they are read. */
const HEADED: Readonly<Record<string, [HeaderPrefix, header: (bodyBytes: number) => Buffer]>> = {
  PostgreSQL: [
    { headerBytes: 5, length: (header) => header.readInt32BE(1) - 4 },
    (count) => Buffer.from([0x44, 0, 0, count >> 8, (count & 0xff) + 4]),
  ],
  MySQL: [
    { headerBytes: 4, length: (header) => header.readUIntLE(0, 3) },
    (count) => Buffer.from([count & 0xff, count >> 8, 0, 7]),
  ],
  "AMQP 0-9-1": [
    { headerBytes: 7, length: (header) => header.readUInt32BE(3) + 1 },
    (count) => Buffer.from([1, 0, 1, 0, 0, (count - 1) >> 8, (count - 1) & 0xff]),
  ],
  TLS: [
    { headerBytes: 5, length: (header) => header.readUInt16BE(3) },
    (count) => Buffer.from([0x16, 3, 1, count >> 8, count & 0xff]),
  ],
  "HTTP/2": [
    { headerBytes: 9, length: (header) => header.readUIntBE(0, 3) },
    (count) => Buffer.from([0, count >> 8, count & 0xff, 0, 1, 0, 0, 0, 5]),
  ],
};

const cases: readonly Case[] = [
  { name: "fixed", framing: fixed(4), samples: [bytes("abcd"), bytes("\r\n\0\xff")] },
  {
    name: "delimited by one",
    framing: delimited("\r\n"),
    samples: [bytes("\r\n"), bytes("a\r\n"), bytes("\r\r\n"), bytes("a longer one, with \r and \n in it\r\n")],
  },
  { name: "delimited by several", framing: delimited(["END", ";"]), samples: [bytes("a;"), bytes("bEND"), bytes(";")] },
  {
    name: "line",
    framing: line(),
    samples: [
      { bytes: "\n", value: "" },
      { bytes: "\r\n", value: "" },
      { bytes: "é\r\r\n", value: "é\r" },
      { bytes: "text\n", value: "text" },
    ],
  },
  {
    name: "json",
    framing: json(),
    samples: [
      { bytes: '{"a":[1,"é"]}\n', value: { a: [1, "é"] } },
      { bytes: "null\r\n", value: null },
      { bytes: "0\n", value: 0 },
    ],
  },
  {
    name: "netstring",
    framing: netstring(),
    samples: [
      { bytes: "0:,", value: bytes("") },
      { bytes: "5:hello,", value: bytes("hello") },
      { bytes: "12:0123456789,:,", value: bytes("0123456789,:") },
    ],
  },
  {
    name: "varint",
    framing: varint(),
    samples: [
      { bytes: bytes("\0"), value: bytes("") },
      { bytes: bytes("\x03abc"), value: bytes("abc") },
      { bytes: Buffer.concat([Buffer.from([0xac, 0x02]), Buffer.alloc(300, 7)]), value: Buffer.alloc(300, 7) },
      { bytes: Buffer.from([0x81, 0x80, 0x00, 0x61]), value: bytes("a") },
    ],
  },
  ...sizes.flatMap((lengthBytes) =>
    [false, true].flatMap((littleEndian) =>
      [false, true].map((lengthIncludesHeader) => {
        const framing = lengthPrefixed({ lengthBytes, littleEndian, lengthIncludesHeader });
        const bodies = [bytes(""), bytes("x"), Buffer.alloc(200, 0xfe)];
        return {
          name: `lengthPrefixed by ${lengthBytes} bytes, ${littleEndian ? "little" : "big"}-endian${lengthIncludesHeader ? ", header counted" : ""}`,
          framing,
          samples: bodies.map((value) => ({ bytes: Buffer.concat(framing.encode(value) as Buffer[]), value })),
        };
      }),
    ),
  ),
];

describe("messages whose length stands anywhere in their header, as in", () => {
  for (const [name, [prefix, headerOf]] of Object.entries(HEADED)) {
    it(`${name}, are found however they are cut, and are encoded as they are decoded`, () => {
      const framing = lengthPrefixed(prefix);
      const samples = [1, 2, 200, 600].map((count) => {
        const value = { header: headerOf(count), body: Buffer.alloc(count, 0xfe) };
        return { bytes: Buffer.concat(framing.encode(value) as Buffer[]), value };
      });
      verifyFraming(framing, samples);
    });
  }

  it("a header alone, may have no body", () => {
    const framing = lengthPrefixed({ headerBytes: 2, length: (header) => header[1] ?? 0 });
    const [a, b] = [Buffer.from([9, 0]), Buffer.from([8, 1])];
    const empty = { bytes: a, value: { header: a, body: Buffer.alloc(0) } };
    verifyFraming(framing, [empty, { bytes: Buffer.from([8, 1, 5]), value: { header: b, body: Buffer.from([5]) } }]);
    assert.deepEqual(framing.measure(a.subarray(0, 1), 0), undefined);
    assert.deepEqual(framing.encode({ header: b, body: ["x"] }), [b, Buffer.from("x")]);
  });
});

describe("built-in framings find the same messages however they are cut", () => {
  for (const { name, framing, samples } of cases) it(name, () => verifyFraming(framing, samples));
});

describe("what a framing encodes is what it decodes", () => {
  const values: readonly (readonly [string, MessageFraming<unknown, never>, readonly unknown[]])[] = [
    ["fixed", fixed(3), [bytes("abc")]],
    ["delimited", delimited("\n"), [bytes("one\n"), bytes("\n")]],
    ["line", line({ ending: "\r\n" }), ["", "text", "tëxt"]],
    ["json", json(), [null, 1, "a\nb", { x: [true] }]],
    ["netstring", netstring(), [bytes(""), bytes("hello"), Buffer.alloc(1000)]],
    ["varint", varint(), [bytes(""), Buffer.alloc(127), Buffer.alloc(128), Buffer.alloc(70_000)]],
    ["lengthPrefixed", lengthPrefixed({ lengthBytes: 3 }), [bytes(""), Buffer.alloc(70_000)]],
  ];
  for (const [name, framing, all] of values) {
    it(name, () => {
      const samples = all.map((value) => {
        const encoded = framing.encode(value as never);
        const parts = Array.isArray(encoded) ? encoded : [encoded];
        return { bytes: Buffer.concat(parts.map((part) => Buffer.from(part as Buffer))), value };
      });
      verifyFraming(framing, samples);
    });
  }

  it("delimited adds the delimiter that is not there, and none where it is", () => {
    const encoded = delimited([";", "END"]).encode("a") as Buffer[];
    assert.equal(Buffer.concat(encoded).toString(), "a;");
    assert.equal(Buffer.concat(delimited(["\n"]).encode("a\n") as Buffer[]).toString(), "a\n");
  });
});

describe("what is no message cannot be encoded", () => {
  const headed = lengthPrefixed({ headerBytes: 2, length: (header) => header[1] ?? 0 });
  const wrong: readonly (readonly [string, () => unknown])[] = [
    ["a body of another length than a fixed one", () => fixed(3).encode("ab")],
    ["a delimiter within a body", () => delimited("\n").encode("a\nb")],
    [
      "a delimiter that begins in the body and ends in the one that is added",
      () => delimited("\r\n\r\n").encode("a\r\n"),
    ],
    ["a delimiter that overlaps itself there", () => delimited("aba").encode("xab")],
    ["another of several delimiters there", () => delimited(["ab", "xa"]).encode("x")],
    ["a line feed within a line", () => line().encode("a\nRCPT TO:<b>")],
    ["a carriage return within a line", () => line().encode("a\rb")],
    ["a function as JSON", () => json().encode(() => 1)],
    ["a body too long for its header", () => lengthPrefixed({ lengthBytes: 1 }).encode(Buffer.alloc(256))],
    [
      "one too long once its header is counted",
      () => lengthPrefixed({ lengthBytes: 1, lengthIncludesHeader: true }).encode(Buffer.alloc(255)),
    ],
    ["a body of another length than its header tells", () => headed.encode({ header: "a\x02", body: ["x", "yz"] })],
    ["a header that is too short", () => headed.encode({ header: "a", body: "" })],
    ["a body without its header", () => headed.encode("x" as never)],
    ["nothing at all", () => headed.encode(null as never)],
    ["a body whose varint is too long", () => varint({ maxBytes: 1 }).encode(Buffer.alloc(128))],
  ];
  for (const [name, encode] of wrong) it(name, () => assert.throws(encode, /^(Range|Type)Error: Expected .*, got/));
});

describe("what cannot be a framing is refused at once", () => {
  const wrong: readonly (readonly [string, () => unknown])[] = [
    ["a fixed length of 0", () => fixed(0)],
    ["an empty delimiter", () => delimited("")],
    ["no delimiter", () => delimited([])],
    ["an encoding in which a line feed is two bytes", () => line({ encoding: "utf16le" })],
    ["a length of 7 bytes", () => lengthPrefixed({ lengthBytes: 7 })],
    ["a varint of 9 bytes", () => varint({ maxBytes: 9 })],
    ["a header of no bytes", () => lengthPrefixed({ headerBytes: 0, length: () => 1 })],
    ["a header of text", () => lengthPrefixed({ headerBytes: "4" as never, length: () => 1 })],
    ["a header without a function for its length", () => lengthPrefixed({ headerBytes: 4 } as never)],
    ["a header whose length is a number", () => lengthPrefixed({ headerBytes: 4, length: 5 as never })],
    [
      "a header beside a length field",
      () => lengthPrefixed({ headerBytes: 4, length: () => 1, lengthBytes: 4 as never }),
    ],
    ["nothing", () => lengthPrefixed(undefined as never)],
  ];
  for (const [name, make] of wrong) it(name, () => assert.throws(make, /^(Range|Type)Error: Expected .*, got/));
});

describe("a length that bytes begin with", () => {
  const digits = "123456789012345";
  const known: readonly (readonly [string, MessageFraming, Buffer, number | undefined])[] = [
    ["is known behind the colon of a netstring", netstring(), bytes("9:"), 12],
    ["may have 15 digits", netstring(), bytes(`${digits}:`), 123_456_789_012_345 + 17],
    ["is not known before the colon", netstring(), bytes(digits), undefined],
    ["is not known behind a single 0", netstring(), bytes("0"), undefined],
    ["is not known while a varint goes on", varint(), Buffer.alloc(4, 0x80), undefined],
    ["is known at the last byte of a varint", varint(), bytes("\x80\x80\x80\x80\x01"), 2 ** 28 + 5],
  ];
  for (const [name, framing, header, length] of known) {
    it(name, () => assert.equal(framing.measure(header, 0), length));
  }

  const wrong: readonly (readonly [string, MessageFraming, Buffer, RegExp])[] = [
    ["is wanting before a colon", netstring(), bytes(":"), /digits and a colon/],
    ["has no character below the digits", netstring(), bytes("1/"), /digits and a colon/],
    ["has no character above the digits", netstring(), bytes("1;"), /digits and a colon/],
    ["has no 16 digits", netstring(), bytes(`${digits}6`), /digits and a colon/],
    ["does not begin with a 0", netstring(), bytes("00"), /begins with a 0/],
    ["has no more bytes than a varint may have", varint(), Buffer.alloc(5, 0x80), /more than 5 bytes/],
  ];
  for (const [name, framing, header, words] of wrong) {
    it(`${name}, or else the bytes are no message`, () => assert.throws(() => framing.measure(header, 0), words));
  }
});

describe("a whole message", () => {
  it("is decoded to what it holds", () => {
    assert.deepEqual(netstring().decode?.(bytes("5:hello,")), bytes("hello"));
    assert.deepEqual(varint().decode?.(bytes("\x81\x00a")), bytes("a"));
  });

  it("that is not JSON is not quoted, because errors show no bytes of the peer", () => {
    assert.throws(() => json().decode?.(bytes("password=geheim")), {
      name: "SyntaxError",
      message: "the line is not JSON",
    });
  });

  it("that is a netstring ends with a comma", () => {
    assert.throws(() => netstring().decode?.(bytes("5:hello;")), /does not end with a comma/);
  });

  it("may have a length as long as is allowed", () => {
    assert.deepEqual(varint({ maxBytes: 1 }).encode(bytes("a")), [bytes("\x01"), bytes("a")]);
  });

  it("is named where it has no bytes, and so is an option that is wrong", () => {
    for (const framing of [netstring(), varint()]) assert.throws(() => framing.encode(5 as never), /value/);
    assert.throws(() => varint({ maxBytes: 9 }), /maxBytes/);
  });
});

describe("verifyFraming names the first divergence", () => {
  const good = { measure: (all: Buffer) => (all.length === 0 ? undefined : 1 + (all[0] ?? 0)) };
  const message = Buffer.from([2, 1, 1]);
  const wrong: readonly (readonly [string, Parameters<typeof verifyFraming>[0], RegExp])[] = [
    [
      "a length that is known only by luck",
      { measure: (all) => (all.length > 2 ? 3 : 2) },
      /of which 1 bytes are shown/,
    ],
    ["one that takes too little", { measure: () => 1 }, /message 0 alone/],
    ["one that never knows", { measure: () => undefined }, /message 0 alone/],
    ["one that throws", { measure: () => assert.fail("no message") }, /BAD_FRAME.*no message/s],
    ["one that writes into what it is shown", { measure: (all) => (all.fill(2), 3) }, /bytes as they were shown/],
  ];
  it("and finds none in a good one", () => verifyFraming(good, [message, Buffer.from([0])]));
  for (const [name, framing, words] of wrong)
    it(name, () => assert.throws(() => verifyFraming(framing, [message]), words));
  it("a value that is another one", () => {
    assert.throws(
      () => verifyFraming(good, [{ bytes: message, value: Buffer.from("other") }]),
      /message 0 alone: expected/,
    );
  });
});
