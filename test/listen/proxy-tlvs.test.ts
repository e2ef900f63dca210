/** The extensions of a PROXY header of version 2 as they are read, from senders that know what they do and others. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ProxiedTLVs } from "asyncsocket";
import fc from "fast-check";
import { runs } from "../support/runs.js";
import { crc32c } from "#dist/base/crc32c.js";
import { revived } from "#dist/base/proxy-tlvs.js";
import { parseProxyHeader, type ProxyHeaderResult, V2_MAX_BYTES } from "#dist/listen/proxy-protocol.js";

const ENDS = Buffer.from("c0a80001c0a8000bdc0401bb", "hex");

function header(block: Uint8Array): Buffer {
  const bytes = Buffer.concat([Buffer.from("0d0a0d0a000d0a515549540a21110000", "hex"), ENDS, block]);
  bytes.writeUInt16BE(bytes.length - 16, 14);
  return bytes;
}

const tlv = (type: number, value: Uint8Array | string): Buffer =>
  Buffer.concat([Buffer.of(type, value.length >> 8, value.length & 255), Buffer.from(value as string, "latin1")]);

/** The same header with its checksum, which is the last extension. */
function summed(block: Uint8Array): Buffer {
  const bytes = header(Buffer.concat([block, tlv(3, Buffer.alloc(4))]));
  bytes.writeUInt32BE(crc32c(bytes), bytes.length - 4);
  return bytes;
}

function tlvsOf(result: ProxyHeaderResult): ProxiedTLVs | undefined {
  assert.ok(result.state === "header", JSON.stringify(result));
  return result.header.proxied?.tlvs;
}

const read = (block: Uint8Array): ProxiedTLVs | undefined => tlvsOf(parseProxyHeader(header(block)));
const NONE = { crc32c: false, others: new Map() };
const TLS = { isSecure: true, certificateInConnection: false, certificateInSession: false, verify: 1 };
const FLAGS = Buffer.of(1, 0, 0, 0, 1);

describe("the extensions of a PROXY header", () => {
  it("are undefined where there are none", () => assert.equal(read(Buffer.alloc(0)), undefined));

  for (const [name, block, expected] of [
    ["padding", tlv(4, "xxx"), {}],
    ["ALPN", tlv(1, "h2"), { alpn: "h2" }],
    ["ALPN of any bytes", tlv(1, "\x8a\n"), { alpn: "\x8a\n" }],
    ["an authority", tlv(2, Buffer.from("ü.test")), { authority: "ü.test" }],
    ["an empty authority", tlv(2, ""), { authority: "" }],
    ["a long authority", tlv(2, "x".repeat(255)), { authority: "x".repeat(255) }],
    ["a unique id", tlv(5, Buffer.alloc(128, 7)), { uniqueId: Buffer.alloc(128, 7) }],
    ["a network namespace", tlv(0x30, "blue"), { netns: "blue" }],
    [
      "types without a name",
      Buffer.concat([tlv(0xe0, "a"), tlv(0, "")]),
      {
        others: new Map([
          [0xe0, "a"],
          [0, ""],
        ]),
      },
    ],
    [
      "the first of two",
      Buffer.concat([tlv(2, "a"), tlv(2, "b"), tlv(9, "a"), tlv(9, "b")]),
      { authority: "a", others: new Map([[9, "a"]]) },
    ],
    ["TLS", tlv(0x20, FLAGS), { tls: { ...TLS, others: new Map() } }],
    [
      "TLS without any flag",
      tlv(0x20, Buffer.alloc(5)),
      { tls: { ...TLS, isSecure: false, verify: 0, others: new Map() } },
    ],
    [
      "TLS with a certificate",
      tlv(
        0x20,
        Buffer.concat([
          Buffer.of(7, 0xff, 0xff, 0xff, 0xff),
          tlv(0x21, "TLSv1.3"),
          tlv(0x22, Buffer.from("ü")),
          tlv(0x23, "C"),
        ]),
      ),
      {
        tls: {
          isSecure: true,
          certificateInConnection: true,
          certificateInSession: true,
          verify: 0xffff_ffff,
          version: "TLSv1.3",
          commonName: "ü",
          cipher: "C",
          others: new Map(),
        },
      },
    ],
    [
      "TLS with more",
      tlv(
        0x20,
        Buffer.concat([FLAGS, tlv(0x24, "SHA256"), tlv(0x25, "RSA2048"), tlv(4, "x"), tlv(0x26, "y"), tlv(0x24, "no")]),
      ),
      { tls: { ...TLS, signatureAlgorithm: "SHA256", keyAlgorithm: "RSA2048", others: new Map([[0x26, "y"]]) } },
    ],
    [
      "a common name of old",
      tlv(0x20, Buffer.concat([FLAGS, tlv(0x22, "M\xfcller")])),
      { tls: { ...TLS, commonName: "Müller", others: new Map() } },
    ],
  ] as readonly (readonly [
    string,
    Buffer,
    { others?: Map<number, string>; tls?: { others: Map<number, string> } },
  ])[]) {
    it(`are read: ${name}`, () => {
      const inBytes = (map: Map<number, string> = new Map()): Map<number, Buffer> =>
        new Map([...map].map(([type, value]) => [type, Buffer.from(value)]));
      const wanted = { ...NONE, ...expected, others: inBytes(expected.others) };
      const { tls } = expected;
      assert.deepEqual(
        read(block),
        tls === undefined ? wanted : { ...wanted, tls: { ...tls, others: inBytes(tls.others) } },
      );
    });
  }

  it("may have a checksum, wherever it stands", () => {
    assert.deepEqual(tlvsOf(parseProxyHeader(summed(tlv(1, "h2")))), { ...NONE, crc32c: true, alpn: "h2" });
    const first = header(Buffer.concat([tlv(3, Buffer.alloc(4)), tlv(1, "h2")]));
    first.writeUInt32BE(crc32c(first), 31);
    assert.deepEqual(tlvsOf(parseProxyHeader(first)), { ...NONE, crc32c: true, alpn: "h2" });
  });

  it("have at most one checksum that is computed", () => {
    const twice = header(Buffer.concat([tlv(3, Buffer.alloc(4)), tlv(3, "none")]));
    twice.writeUInt32BE(crc32c(twice), 31);
    assert.equal(tlvsOf(parseProxyHeader(twice))?.crc32c, true);
  });

  it("do not change the bytes they are read from, and keep none of them", () => {
    const bytes = summed(
      Buffer.concat([tlv(5, "id"), tlv(0xe0, "own"), tlv(0x20, Buffer.concat([FLAGS, tlv(0x40, "x")]))]),
    );
    const before = Buffer.from(bytes);
    const tlvs = tlvsOf(parseProxyHeader(bytes));
    assert.deepEqual(bytes, before);
    bytes.fill(0);
    assert.equal(tlvs?.uniqueId?.toString(), "id");
    assert.equal(tlvs.others.get(0xe0)?.toString(), "own");
    for (const value of [tlvs.uniqueId, tlvs.others.get(0xe0), tlvs.tls?.others.get(0x40)]) {
      assert.equal(value?.buffer.byteLength, value?.length, "memory of its own");
    }
  });

  it("come through a structured clone, on the way to another thread", () => {
    const block = Buffer.concat([tlv(5, "id"), tlv(0xe0, "own"), tlv(0x20, Buffer.concat([FLAGS, tlv(0x40, "x")]))]);
    const tlvs = read(block);
    assert.ok(tlvs !== undefined);
    assert.deepEqual(revived(structuredClone(tlvs)), tlvs);
    const bare = read(tlv(1, "h2"));
    assert.ok(bare !== undefined);
    assert.deepEqual(revived(structuredClone(bare)), bare);
  });

  it("are kept once for each type, however many there are", () => {
    const many = Array.from({ length: Math.floor((V2_MAX_BYTES - 28) / 3) }, (_, at) => tlv(0x80 + (at % 0x80), ""));
    assert.equal(read(Buffer.concat(many))?.others.size, 0x80);
  });

  it("are dropped where the header names nobody", () => {
    for (const [command, family] of [
      [0x20, 0x11],
      [0x21, 0x00],
    ] as const) {
      const bytes = header(Buffer.of(1, 255, 255));
      bytes.set([command, family], 12);
      const result = parseProxyHeader(bytes);
      assert.ok(result.state === "header");
      assert.equal(result.header.proxied, null);
    }
  });
});

const wrongSum = summed(tlv(1, "h2"));
wrongSum[16] = 193;

const BAD: readonly (readonly [name: string, bytes: Buffer, message: RegExp])[] = [
  ["one byte", header(Buffer.of(4)), /its extensions end with 1 bytes, too few for another one/],
  ["two bytes", header(Buffer.of(4, 0)), /its extensions end with 2 bytes/],
  ["a length beyond the header", header(Buffer.of(2, 0, 2, 65)), /extension 0x02 announces 2 bytes, and 1 are left/],
  ["the greatest length", header(Buffer.of(0xe0, 255, 255)), /extension 0xe0 announces 65535 bytes, and 0 are left/],
  ["a remainder behind a good one", header(Buffer.concat([tlv(1, "h2"), Buffer.of(0)])), /end with 1 bytes/],
  ["ALPN too long", header(tlv(1, "x".repeat(256))), /extension 0x01 has 256 bytes, more than 255/],
  ["an authority too long", header(tlv(2, "x".repeat(256))), /extension 0x02 has 256 bytes, more than 255/],
  ["an authority that is not UTF-8", header(tlv(2, "\xff")), /extension 0x02 is not UTF-8/],
  ["a unique id too long", header(tlv(5, "x".repeat(129))), /extension 0x05 has 129 bytes, more than 128/],
  ["a network namespace too long", header(tlv(0x30, "x".repeat(256))), /extension 0x30 has 256 bytes, more than 255/],
  ["TLS without a result", header(tlv(0x20, "\x01\0\0\0")), /TLS extension needs 5 bytes, and has 4/],
  ["a remainder in TLS", header(tlv(0x20, Buffer.concat([FLAGS, Buffer.of(0x21)]))), /end with 1 bytes/],
  [
    "a length beyond TLS, though not beyond the header",
    header(Buffer.concat([tlv(0x20, Buffer.concat([FLAGS, Buffer.of(0x21, 0, 3)])), tlv(4, "xxxxx")])),
    /extension 0x21 announces 3 bytes, and 0 are left/,
  ],
  ["a short checksum", header(tlv(3, "abc")), /checksum needs 4 bytes, and has 3/],
  ["a long checksum", header(tlv(3, "abcde")), /checksum needs 4 bytes, and has 5/],
  ["a wrong checksum", header(tlv(3, Buffer.alloc(4))), /checksum is wrong/],
  ["an address changed under a checksum", wrongSum, /checksum is wrong/],
];

describe("extensions that are wrong", () => {
  for (const [name, bytes, message] of BAD) {
    it(`fail the header, once it is here: ${name}`, () => {
      for (let length = 0; length < bytes.length; length++) {
        assert.equal(parseProxyHeader(bytes.subarray(0, length)).state, "more");
      }
      const result = parseProxyHeader(bytes);
      assert.ok(result.state === "error");
      assert.match(result.message, message);
    });
  }

  it("never make the reader throw or read past the header, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (block) => {
        const bytes = header(block);
        const alone = parseProxyHeader(bytes);
        assert.notEqual(alone.state, "more");
        assert.deepEqual(parseProxyHeader(Buffer.concat([bytes, Buffer.of(1, 2, 3)])), alone);
      }),
      { numRuns: runs(1000) },
    );
  });
});
