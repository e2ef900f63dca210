/** The bytes of a PROXY header that is sent, held against its specification, and what cannot be sent. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Address, ProxyHeaderOptions } from "asyncsocket";
import fc from "fast-check";
import { runs } from "../support/runs.js";
import { crc32c } from "#dist/base/crc32c.js";
import { V2_MAX_BYTES } from "#dist/base/proxy-tlvs.js";
import { checkProxyHeader, proxyHeaderBytes } from "#dist/connect/proxy-header.js";
import { parseProxyHeader } from "#dist/listen/proxy-protocol.js";

const v4 = (address: string, port: number): Address => ({ family: "IPv4", address, port });
const v6 = (address: string, port: number): Address => ({ family: "IPv6", address, port });
const unix = (path: string): Address => ({ family: "unix", path });

/** The ends of the connection that the header is sent on. */
const LOCAL = v4("10.0.0.1", 1000);
const REMOTE = v4("10.0.0.2", 80);

function header(options: ProxyHeaderOptions, isDirect = true, local = LOCAL, remote = REMOTE): Buffer {
  const checked = checkProxyHeader(options, isDirect);
  assert.ok(checked !== undefined);
  return proxyHeaderBytes(checked, local, remote);
}

const CLIENT = { source: v4("192.168.0.1", 56_324), destination: v4("192.168.0.11", 443) };
const CLIENT_V6 = { source: v6("2001:db8::1", 1), destination: v6("2001:db8::2", 65_535) };
const PATHS = { source: unix("/run/client.sock"), destination: unix("\0abstract") };
const FULL = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";

describe("CRC-32C", () => {
  for (const [name, bytes, expected] of [
    ["nothing", Buffer.alloc(0), 0],
    ["the digits from 1 to 9", Buffer.from("123456789"), 0xe306_9283],
    ["32 zeros (RFC 3720, B.4)", Buffer.alloc(32), 0x8a91_36aa],
    ["32 ones (RFC 3720, B.4)", Buffer.alloc(32, 255), 0x62a8_ab43],
    ["the numbers from 0 to 31 (RFC 3720, B.4)", Buffer.from(Array.from({ length: 32 }, (_, i) => i)), 0x46dd_794e],
  ] as const) {
    it(`is right for ${name}`, () => assert.equal(crc32c(bytes), expected));
  }
});

describe("a PROXY header of version 1", () => {
  for (const [name, given, line] of [
    ["of IPv4", CLIENT, "TCP4 192.168.0.1 192.168.0.11 56324 443"],
    ["of IPv6", CLIENT_V6, "TCP6 2001:db8::1 2001:db8::2 1 65535"],
    ["of the longest addresses", { source: v6(FULL, 1), destination: v6(FULL, 2) }, `TCP6 ${FULL} ${FULL} 1 2`],
    ["of both families", { source: v4("1.2.3.4", 1), destination: v6("::1", 2) }, "TCP6 ::ffff:102:304 ::1 1 2"],
    ["of an address with a zone", { ...CLIENT_V6, source: v6("fe80::1%eth0", 1) }, "TCP6 fe80::1 2001:db8::2 1 65535"],
    ["of paths, which it has no form for", PATHS, "UNKNOWN"],
    ["of this connection", {}, "TCP4 10.0.0.1 10.0.0.2 1000 80"],
    ["of the server that is connected to", { source: CLIENT.source }, "TCP4 192.168.0.1 10.0.0.2 56324 80"],
    ["of this side as the client", { destination: CLIENT.destination }, "TCP4 10.0.0.1 192.168.0.11 1000 443"],
    ["that has no extensions", { ...CLIENT, tlvs: {} }, "TCP4 192.168.0.1 192.168.0.11 56324 443"],
  ] as const) {
    it(`is a line: ${name}`, () => {
      assert.equal(header({ version: 1, ...given }).toString("latin1"), `PROXY ${line}\r\n`);
    });
  }

  it("names nobody through a proxy or over a path", () => {
    assert.equal(header({ version: 1 }, false).toString(), "PROXY UNKNOWN\r\n");
  });

  it("leaves the zone of this side's own address out", () => {
    const bytes = header({ version: 1 }, true, v6("fe80::1%eth0", 1), v6("fe80::2%eth0", 2));
    assert.equal(bytes.toString(), "PROXY TCP6 fe80::1 fe80::2 1 2\r\n");
  });
});

const SIGNATURE = "0d0a0d0a000d0a515549540a";
const V4_ENDS = "c0a80001c0a8000bdc0401bb";

const VECTORS: readonly (readonly [name: string, options: Omit<ProxyHeaderOptions, "version">, hex: string])[] = [
  ["of IPv4", CLIENT, `2111000c${V4_ENDS}`],
  ["of IPv6", CLIENT_V6, `2121002420010db8${"0".repeat(23)}120010db8${"0".repeat(23)}20001ffff`],
  [
    "of both families",
    { source: v4("1.2.3.4", 1), destination: v6("::1", 2) },
    `21210024${"0".repeat(20)}ffff01020304${"0".repeat(31)}100010002`,
  ],
  [
    "of paths",
    PATHS,
    `213100d8${Buffer.from("/run/client.sock").toString("hex").padEnd(216, "0")}${Buffer.from("\0abstract").toString("hex").padEnd(216, "0")}`,
  ],
  ["of sockets without a path", { source: unix(""), destination: unix("") }, `213100d8${"0".repeat(432)}`],
  ["of this connection", {}, "2111000c0a0000010a00000203e80050"],
  ["with ALPN", { ...CLIENT, tlvs: { alpn: "h2" } }, `21110011${V4_ENDS}0100026832`],
  ["with an authority", { ...CLIENT, tlvs: { authority: "ü.test" } }, `21110016${V4_ENDS}020007c3bc2e74657374`],
  ["with a unique id", { ...CLIENT, tlvs: { uniqueId: Buffer.of(1, 2, 3) } }, `21110012${V4_ENDS}050003010203`],
  ["with an empty unique id", { ...CLIENT, tlvs: { uniqueId: Buffer.alloc(0) } }, `2111000f${V4_ENDS}050000`],
  ["with a network namespace", { ...CLIENT, tlvs: { netns: "ns" } }, `21110011${V4_ENDS}3000026e73`],
  [
    "with a type of one's own",
    { ...CLIENT, tlvs: { others: new Map([[0xe0, Buffer.of(9)]]) } },
    `21110010${V4_ENDS}e0000109`,
  ],
  ["with TLS", { ...CLIENT, tlvs: { tls: {} } }, `21110014${V4_ENDS}2000050100000001`],
  [
    "with TLS of no kind",
    { ...CLIENT, tlvs: { tls: { isSecure: false, verify: 0xffff_fffe } } },
    `21110014${V4_ENDS}20000500fffffffe`,
  ],
  [
    "with all that there is of TLS",
    {
      ...CLIENT,
      tlvs: {
        tls: {
          certificateInConnection: true,
          certificateInSession: true,
          verify: 0,
          version: "TLSv1.3",
          commonName: "ü",
          cipher: "C",
          signatureAlgorithm: "S",
          keyAlgorithm: "K",
          others: new Map([[0x26, Buffer.of(7)]]),
        },
      },
    },
    `21110033${V4_ENDS}2000240700000000210007544c5376312e33220002c3bc23000143240001532500014b26000107`,
  ],
];

describe("a PROXY header of version 2", () => {
  for (const [name, options, hex] of VECTORS) {
    it(`has the right bytes: ${name}`, () => {
      assert.equal(header({ version: 2, ...options }).toString("hex"), SIGNATURE + hex);
    });
  }

  it("is LOCAL, and names nobody, through a proxy or over a path", () => {
    assert.equal(header({ version: 2 }, false).toString("hex"), `${SIGNATURE}20000000`);
  });

  it("is no LOCAL one where it has extensions, which a receiver of LOCAL drops", () => {
    const bytes = header({ version: 2, tlvs: { alpn: "h2" } }, false);
    assert.equal(bytes.toString("hex"), `${SIGNATURE}210000050100026832`);
  });

  it("ends with a checksum of all of it, with zeros in its own place", () => {
    const bytes = header({ version: 2, ...CLIENT, tlvs: { alpn: "h2", crc32c: true } });
    assert.equal(bytes.toString("hex", 0, bytes.length - 4), `${SIGNATURE}21110018${V4_ENDS}0100026832030004`);
    const sum = bytes.readUInt32BE(bytes.length - 4);
    bytes.fill(0, bytes.length - 4);
    assert.equal(sum, crc32c(bytes));
  });

  it("has whatever name a client has chosen, though a receiver may refuse it", () => {
    const bytes = header({ version: 2, ...CLIENT, tlvs: { authority: "\ufffd".repeat(255) } });
    assert.equal(bytes.length, 28 + 3 + 765);
    const read = parseProxyHeader(bytes);
    assert.ok(read.state === "error");
    assert.match(read.message, /0x02 has 765 bytes, more than 255/);
  });

  it("has at most 4096 bytes, and uses them all", () => {
    const room = V2_MAX_BYTES - 28;
    const filled = (bytes: number, crc = false): ProxyHeaderOptions => ({
      version: 2,
      ...CLIENT,
      tlvs: { others: new Map([[0xe0, Buffer.alloc(bytes)]]), crc32c: crc },
    });
    assert.equal(header(filled(room - 3)).length, V2_MAX_BYTES);
    assert.equal(header(filled(room - 10, true)).length, V2_MAX_BYTES);
    for (const options of [filled(room - 2), filled(room - 9, true)]) assert.throws(() => header(options), RangeError);
  });
});

// -------------------------------------------------------------------- there and back

const text = (unit: "binary" | "grapheme-ascii", max: number): fc.Arbitrary<string> =>
  fc.string({ unit, maxLength: max }).filter((value) => Buffer.byteLength(value) <= 255);
const bytes = (max: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength: max }).map((value) => Buffer.from(value));
const others = (known: readonly number[]): fc.Arbitrary<Map<number, Buffer>> =>
  fc
    .array(
      fc.tuple(
        fc.integer({ min: 0, max: 255 }).filter((type) => !known.includes(type)),
        bytes(40),
      ),
      { maxLength: 4 },
    )
    .map((entries) => new Map(entries));

const TLVS = fc.record(
  {
    alpn: text("grapheme-ascii", 20),
    authority: text("binary", 60),
    uniqueId: bytes(128),
    netns: text("grapheme-ascii", 20),
    tls: fc.record(
      {
        isSecure: fc.boolean(),
        certificateInConnection: fc.boolean(),
        certificateInSession: fc.boolean(),
        verify: fc.integer({ min: 0, max: 0xffff_ffff }),
        version: text("grapheme-ascii", 20),
        commonName: text("binary", 60),
        cipher: text("grapheme-ascii", 20),
        signatureAlgorithm: text("grapheme-ascii", 20),
        keyAlgorithm: text("grapheme-ascii", 20),
        others: others([4, 0x21, 0x22, 0x23, 0x24, 0x25]),
      },
      {
        noNullPrototype: true,
        requiredKeys: ["isSecure", "certificateInConnection", "certificateInSession", "verify", "others"],
      },
    ),
    crc32c: fc.boolean(),
    others: others([1, 2, 3, 4, 5, 0x20, 0x30]),
  },
  { noNullPrototype: true, requiredKeys: ["crc32c", "others"] },
);

const PORT = fc.integer({ min: 0, max: 65_535 });
const IPV4 = fc.record(
  { family: fc.constant("IPv4" as const), address: fc.ipV4(), port: PORT },
  { noNullPrototype: true },
);
const PATH = fc.record(
  {
    family: fc.constant("unix" as const),
    path: fc.string({ unit: "binary", maxLength: 27 }).map((path) => path.replaceAll("\0", "_")),
  },
  { noNullPrototype: true },
);
const ENDS = fc.oneof(fc.tuple(IPV4, IPV4), fc.tuple(PATH, PATH));

describe("a PROXY header that was sent", () => {
  it("is read as it was meant", () => {
    fc.assert(
      fc.property(ENDS, TLVS, ([source, destination], tlvs) => {
        const sent = header({ version: 2, source, destination, tlvs });
        const isBare = Object.keys(tlvs).length === 2 && !tlvs.crc32c && tlvs.others.size === 0;
        const proxied = { local: destination, remote: source, ...(isBare ? {} : { tlvs }) };
        const read = parseProxyHeader(Buffer.concat([sent, Buffer.from("behind")]));
        assert.deepEqual(read, { state: "header", length: sent.length, header: { command: "PROXY", proxied } });
        // What was read can be passed on as it is.
        assert.deepEqual(header({ version: 2, source, destination, tlvs: proxied.tlvs }), sent);
      }),
      { numRuns: runs(300) },
    );
  });
});

// -------------------------------------------------------------------- what cannot be sent

type Wrong = readonly [name: string, options: unknown, message: RegExp, isDirect?: boolean];
const tlvs = (wrong: object): object => ({ version: 2, ...CLIENT, tlvs: wrong });
const tls = (wrong: object): object => tlvs({ tls: wrong });
const source = (wrong: unknown): object => ({ version: 2, ...CLIENT, source: wrong });
const map = (type: unknown, value: unknown): Map<unknown, unknown> => new Map([[type, value]]);

const WRONG: readonly Wrong[] = [
  ["no options", null, /proxyProtocol to be an object.*null/],
  ["true, as for listen", true, /proxyProtocol to be an object.*true/],
  ["no version", {}, /proxyProtocol\.version to be 1 or 2, got undefined/],
  ["a version that there is not", { version: 3 }, /proxyProtocol\.version .*3/],
  ["a version in a string", { version: "2" }, /proxyProtocol\.version .*"2"/],
  ["an unknown option", { version: 2, sources: 1 }, /options of proxyProtocol.*source.*sources/],
  ["extensions of version 1", { version: 1, tlvs: { alpn: "h2" } }, /tlvs only with version 2, got version 1/],
  ["a checksum of version 1", { version: 1, tlvs: { crc32c: true } }, /tlvs only with version 2, got version 1/],
  ["a source that is none", source("1.2.3.4"), /proxyProtocol\.source to be an object/],
  ["a family that there is not", source({ family: "IPv5" }), /proxyProtocol\.source\.family .*IPv5/],
  ["no family", source({ address: "1.2.3.4", port: 1 }), /proxyProtocol\.source\.family .*undefined/],
  ["a name for an address", source(v4("localhost", 1)), /source\.address to be an IPv4 address, got "localhost"/],
  ["an address of the other family", source(v4("::1", 1)), /source\.address to be an IPv4 address, got "::1"/],
  ["IPv4 called IPv6", source(v6("1.2.3.4", 1)), /source\.address to be an IPv6 address, got "1\.2\.3\.4"/],
  ["a number for an address", source({ family: "IPv4", address: 1, port: 1 }), /source\.address to be a string, got 1/],
  ["a line break in an address", source(v4("1.2.3.4\r\n", 1)), /source\.address/],
  ["a line break in a zone", source(v6("::1%\r\n", 1)), /source\.address/],
  ["a port too great", source(v4("1.2.3.4", 65_536)), /source\.port .*65536/],
  ["no port", source({ family: "IPv4", address: "1.2.3.4" }), /source\.port .*undefined/],
  ["a path that is none", source({ family: "unix", path: 5 }), /source\.path to be a string, got 5/],
  ["a path too long", source(unix("x".repeat(109))), /source\.path to be at most 108 bytes long/],
  ["a path with a NUL", source(unix("/a\0b")), /source\.path to be without NUL characters/],
  ["a path and an address", source(unix("/a")), /two paths or two IP addresses, got a path and IP/],
  ["a path and none", { version: 2, source: unix("/a") }, /two paths or two IP addresses, got a path and none/],
  ["an address alone through a proxy", { version: 2, source: CLIENT.source }, /got IP and none/, false],
  ["extensions that are none", { version: 2, tlvs: "x" }, /proxyProtocol\.tlvs to be an object/],
  ["an unknown extension", tlvs({ sni: "x" }), /names of proxyProtocol\.tlvs.*sni/],
  ["ALPN in bytes", tlvs({ alpn: Buffer.of(1) }), /tlvs\.alpn to be a string/],
  ["ALPN beyond bytes", tlvs({ alpn: "h\u{2082}" }), /tlvs\.alpn to be without characters above U\+00FF/],
  ["half a character", tlvs({ authority: "\ud800" }), /tlvs\.authority to be well-formed Unicode/],
  [
    "a unique id too long",
    tlvs({ uniqueId: Buffer.alloc(129) }),
    /tlvs\.uniqueId to be at most 128 bytes long, got 129/,
  ],
  ["a unique id in text", tlvs({ uniqueId: "x" }), /tlvs\.uniqueId to be a Uint8Array, got "x"/],
  ["a checksum of one's own", tlvs({ crc32c: 5 }), /tlvs\.crc32c .*5/],
  ["an object for a map", tlvs({ others: { 224: Buffer.of(1) } }), /tlvs\.others to be a Map/],
  [
    "a type that is a string",
    tlvs({ others: map("224", Buffer.of(1)) }),
    /types in proxyProtocol\.tlvs\.others .*"224"/,
  ],
  ["a type beyond a byte", tlvs({ others: map(256, Buffer.of(1)) }), /types in proxyProtocol\.tlvs\.others .*256/],
  ["a type with a name", tlvs({ others: map(2, Buffer.of(1)) }), /none that have an option of their own, got 2/],
  ["a value in text", tlvs({ others: map(224, "x") }), /values in proxyProtocol\.tlvs\.others to be a Uint8Array/],
  ["TLS that is none", tlvs({ tls: true }), /tlvs\.tls to be an object/],
  ["an unknown part of TLS", tls({ sni: "x" }), /names of proxyProtocol\.tlvs\.tls.*sni/],
  ["a flag that is none", tls({ isSecure: 1 }), /tls\.isSecure .*1/],
  ["a result beyond 32 bits", tls({ verify: 2 ** 32 }), /tls\.verify .*4294967296/],
  ["a cipher that is no text", tls({ cipher: 5 }), /tls\.cipher to be a string, got 5/],
  [
    "a type of TLS with a name",
    tls({ others: map(0x21, Buffer.of(1)) }),
    /none that have an option of their own, got 33/,
  ],
];

describe("a PROXY header that cannot be sent", () => {
  for (const [name, options, message, isDirect = true] of WRONG) {
    it(`is refused: ${name}`, () => {
      assert.throws(
        () => checkProxyHeader(options as ProxyHeaderOptions, isDirect),
        (error) => {
          assert.ok(error instanceof TypeError || error instanceof RangeError);
          assert.match(error.message, /^Expected /);
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }

  it("is none where none is asked for", () => assert.equal(checkProxyHeader(undefined, true), undefined));

  it("takes undefined for every option", () => {
    const none = { alpn: undefined, authority: undefined, uniqueId: undefined, netns: undefined, others: undefined };
    const given = { version: 2, source: undefined, destination: undefined } as const;
    const sent = header({ ...given, tlvs: { ...none, tls: undefined, crc32c: undefined } });
    assert.deepEqual(sent, header({ version: 2 }));
  });
});
