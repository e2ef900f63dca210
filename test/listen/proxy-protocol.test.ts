/** The PROXY protocol, versions 1 and 2, held against its specification. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { runs } from "../support/runs.js";
import { ipFamily, ipv6Bytes, ipv6Text } from "#dist/base/ip-bytes.js";
import { parseProxyHeader, type ProxyHeaderResult, V1_MAX_BYTES, V2_MAX_BYTES } from "#dist/listen/proxy-protocol.js";

const SIGNATURE = Buffer.from("0d0a0d0a000d0a515549540a", "hex");

function v2(versionAndCommand: number, family: number, block: Uint8Array, size = block.length): Buffer {
  return Buffer.concat([SIGNATURE, Buffer.of(versionAndCommand, family, size >> 8, size & 255), block]);
}

const IPV4_BLOCK = Buffer.from("c0a80001c0a8000bdc0401bb", "hex");
const IPV6_BLOCK = Buffer.from(`20010db8${"0".repeat(22)}01${"0".repeat(30)}0200500000`, "hex");
const MAPPED_BLOCK = Buffer.from(`${"0".repeat(20)}ffff01020304${"0".repeat(20)}ffff0506070800010002`, "hex");
const UNIX_BLOCK = Buffer.alloc(216);
UNIX_BLOCK.write("/run/client.sock");
UNIX_BLOCK.write("\0abstract", 108);
const FULL_UNIX_BLOCK = Buffer.alloc(216, "a");

const v4 = (address: string, port: number): object => ({ family: "IPv4", address, port });
const v6 = (address: string, port: number): object => ({ family: "IPv6", address, port });
const unix = (path: string): object => ({ family: "unix", path });

interface Good {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly command?: "LOCAL";
  readonly source?: object;
  readonly destination?: object;
  readonly tlvs?: object;
}

const LONGEST_V1 = `PROXY UNKNOWN ${"ffff:".repeat(7)}ffff ${"ffff:".repeat(7)}ffff 65535 65535\r\n`;
const FULL = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";

const GOOD: readonly Good[] = [
  {
    name: "version 1 over IPv4",
    bytes: Buffer.from("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"),
    source: v4("192.168.0.1", 56324),
    destination: v4("192.168.0.11", 443),
  },
  {
    name: "version 1 with the ports 0 and 65535",
    bytes: Buffer.from("PROXY TCP4 255.255.255.255 0.0.0.0 0 65535\r\n"),
    source: v4("255.255.255.255", 0),
    destination: v4("0.0.0.0", 65535),
  },
  {
    name: "version 1 over IPv6, in the short form whatever was sent",
    bytes: Buffer.from("PROXY TCP6 2001:DB8:0:0:0:0:0:1 :: 1 2\r\n"),
    source: v6("2001:db8::1", 1),
    destination: v6("::", 2),
  },
  {
    name: "version 1 over IPv6, of full length",
    bytes: Buffer.from(`PROXY TCP6 ${FULL} ${FULL} 65535 65535\r\n`),
    source: v6(FULL, 65535),
    destination: v6(FULL, 65535),
  },
  {
    name: "version 1 with IPv4-mapped addresses, shown as IPv4",
    bytes: Buffer.from("PROXY TCP6 ::ffff:1.2.3.4 ::FFFF:506:708 1 2\r\n"),
    source: v4("1.2.3.4", 1),
    destination: v4("5.6.7.8", 2),
  },
  { name: "version 1 of an unknown protocol", bytes: Buffer.from("PROXY UNKNOWN\r\n") },
  { name: "version 1 of an unknown protocol, with all that may follow", bytes: Buffer.from(LONGEST_V1) },
  {
    name: "version 1 of an unknown protocol, with what means nothing",
    bytes: Buffer.from("PROXY UNKNOWN \0 \xff\r\r\n"),
  },
  {
    name: "version 2 over IPv4",
    bytes: v2(0x21, 0x11, IPV4_BLOCK),
    source: v4("192.168.0.1", 56324),
    destination: v4("192.168.0.11", 443),
  },
  {
    name: "version 2 of UDP over IPv4",
    bytes: v2(0x21, 0x12, IPV4_BLOCK),
    source: v4("192.168.0.1", 56324),
    destination: v4("192.168.0.11", 443),
  },
  {
    name: "version 2 with extensions",
    bytes: v2(0x21, 0x11, Buffer.concat([IPV4_BLOCK, Buffer.from("0400010001000268320a000159", "hex")])),
    source: v4("192.168.0.1", 56324),
    destination: v4("192.168.0.11", 443),
    tlvs: { crc32c: false, alpn: "h2", others: new Map([[10, Buffer.from("Y")]]) },
  },
  {
    name: "version 2 of the greatest length",
    bytes: v2(0x21, 0x11, Buffer.concat([IPV4_BLOCK, Buffer.alloc(V2_MAX_BYTES - 28)])),
    source: v4("192.168.0.1", 56324),
    destination: v4("192.168.0.11", 443),
    tlvs: { crc32c: false, others: new Map([[0, Buffer.alloc(0)]]) },
  },
  {
    name: "version 2 over IPv6",
    bytes: v2(0x21, 0x21, IPV6_BLOCK),
    source: v6("2001:db8::1", 80),
    destination: v6("::2", 0),
  },
  {
    name: "version 2 with IPv4-mapped addresses, shown as IPv4",
    bytes: v2(0x21, 0x21, MAPPED_BLOCK),
    source: v4("1.2.3.4", 1),
    destination: v4("5.6.7.8", 2),
  },
  {
    name: "version 2 between Unix-domain sockets",
    bytes: v2(0x21, 0x31, UNIX_BLOCK),
    source: unix("/run/client.sock"),
    destination: unix("\0abstract"),
  },
  {
    name: "version 2 with paths that fill their fields",
    bytes: v2(0x21, 0x32, FULL_UNIX_BLOCK),
    source: unix("a".repeat(108)),
    destination: unix("a".repeat(108)),
  },
  {
    name: "version 2 between Unix-domain sockets without a name",
    bytes: v2(0x21, 0x31, Buffer.alloc(216)),
    source: unix(""),
    destination: unix(""),
  },
  { name: "version 2 of an unspecified family", bytes: v2(0x21, 0x00, Buffer.alloc(0)) },
  { name: "version 2 of an unspecified family, with something", bytes: v2(0x21, 0x01, Buffer.alloc(9)) },
  { name: "version 2 of an unspecified transport", bytes: v2(0x21, 0x10, Buffer.alloc(3)) },
  { name: "version 2 of a health check", bytes: v2(0x20, 0x00, Buffer.alloc(0)), command: "LOCAL" },
  { name: "version 2 of a health check, its family ignored", bytes: v2(0x20, 0xff, Buffer.alloc(5)), command: "LOCAL" },
];

const BEHIND = Buffer.from("GET / HTTP/1.1\r\n\r\n");

describe("a PROXY header", () => {
  for (const { name, bytes, command = "PROXY", source, destination, tlvs } of GOOD) {
    const ends = { local: destination, remote: source };
    const proxied = source === undefined ? null : tlvs === undefined ? ends : { ...ends, tlvs };
    const expected = { state: "header", length: bytes.length, header: { command, proxied } };

    it(`is read: ${name}`, () => assert.deepEqual(parseProxyHeader(bytes), expected));

    it(`ends where it ends: ${name}`, () => {
      assert.deepEqual(parseProxyHeader(Buffer.concat([bytes, BEHIND])), expected);
      const within = Buffer.concat([BEHIND, bytes, BEHIND]);
      assert.deepEqual(parseProxyHeader(within, BEHIND.length, within.length), expected);
      assert.deepEqual(parseProxyHeader(within, BEHIND.length, BEHIND.length + bytes.length), expected);
    });

    it(`needs each of its bytes: ${name}`, () => {
      const within = Buffer.concat([BEHIND, bytes]);
      for (let length = 0; length < bytes.length; length++) {
        assert.deepEqual(parseProxyHeader(bytes.subarray(0, length)), { state: "more" }, `of ${length} bytes`);
        assert.deepEqual(parseProxyHeader(within, BEHIND.length, BEHIND.length + length), { state: "more" });
      }
    });
  }

  it("of version 1 is 107 bytes long at most", () => assert.equal(LONGEST_V1.length, V1_MAX_BYTES));
});

interface Bad {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly message: RegExp;
}

/** All but the beginning of a line of version 1. */
function line(name: string, text: string, message: RegExp): Bad {
  return { name, bytes: Buffer.from(`PROXY ${text}\r\n`, "latin1"), message };
}

const BAD: readonly Bad[] = [
  { name: "what is no header", bytes: BEHIND, message: /neither with PROXY nor with the signature/ },
  { name: "small letters", bytes: Buffer.from("proxy TCP4"), message: /neither with PROXY/ },
  { name: "a tab for the space", bytes: Buffer.from("PROXY\tTCP4"), message: /neither with PROXY/ },
  { name: "a signature that is none", bytes: Buffer.from("\r\n\r\n\0\r\nQUIX"), message: /signature/ },
  { name: "a line too long", bytes: Buffer.from(`PROXY UNKNOWN ${"x".repeat(93)}`), message: /no CR LF within 107/ },
  { name: "a line one byte too long", bytes: Buffer.from(`PROXY UNKNOWN ${"x".repeat(92)}\r\n`), message: /107/ },
  { name: "a bare LF", bytes: Buffer.from(`PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n${"x".repeat(99)}`), message: /107/ },
  line("no protocol", "", /TCP4, TCP6 or UNKNOWN after PROXY, got ""/),
  line("another protocol", "UDP4 1.2.3.4 1.2.3.4 1 2", /got "UDP4"/),
  line("more than UNKNOWN", "UNKNOWNS", /got "UNKNOWNS"/),
  line("small protocols", "tcp4 1.2.3.4 1.2.3.4 1 2", /got "tcp4"/),
  line("control characters, which are not shown", "\x1b[2J\x9b", /got "\?\[2J\?"$/),
  line("no addresses", "TCP4", /two addresses and two ports.*got 0 fields/),
  line("no ports", "TCP4 1.2.3.4 1.2.3.4", /got 2 fields/),
  line("two spaces", "TCP4 1.2.3.4  1.2.3.4 1 2", /got 5 fields/),
  line("a space at the end", "TCP4 1.2.3.4 1.2.3.4 1 2 ", /got 5 fields/),
  line(
    "leading zeros of an address",
    "TCP4 01.2.3.4 1.2.3.4 1 2",
    /its source: expected an IPv4 address, got "01.2.3.4"/,
  ),
  line("numbers too great", "TCP4 1.2.3.4 1.2.3.256 1 2", /its destination: expected an IPv4 address/),
  line("too few numbers", "TCP4 1.2.3 1.2.3.4 1 2", /IPv4/),
  line("the other family", "TCP4 ::1 ::1 1 2", /expected an IPv4 address, got "::1"/),
  line("the other family again", "TCP6 1.2.3.4 1.2.3.4 1 2", /expected an IPv6 address/),
  line("a zone", "TCP6 fe80::1%eth0 ::1 1 2", /expected an IPv6 address/),
  line("two gaps", "TCP6 1::2::3 ::1 1 2", /expected an IPv6 address/),
  line("a port too great", "TCP4 1.2.3.4 1.2.3.4 65536 2", /its source: expected a port.*got "65536"/),
  line("leading zeros of a port", "TCP4 1.2.3.4 1.2.3.4 1 02", /its destination: expected a port.*got "02"/),
  line("a sign", "TCP4 1.2.3.4 1.2.3.4 +1 2", /expected a port/),
  line("another base", "TCP4 1.2.3.4 1.2.3.4 0x1 2", /expected a port/),
  line("no port", "TCP4 1.2.3.4 1.2.3.4 1 ", /expected a port.*got ""/),
  line("a NUL", "TCP4 1.2.3.4 1.2.3.4 1 2\0", /got "2\?"/),
  { name: "another version", bytes: v2(0x11, 0x11, IPV4_BLOCK), message: /expected version 2.*got 1/ },
  { name: "another command", bytes: v2(0x22, 0x11, IPV4_BLOCK), message: /command 0 or 1, got 2/ },
  { name: "another family", bytes: v2(0x21, 0x41, UNIX_BLOCK), message: /family from 0 to 3, got 4/ },
  { name: "another transport", bytes: v2(0x21, 0x13, IPV4_BLOCK), message: /transport from 0 to 2, got 3/ },
  { name: "too little for IPv4", bytes: v2(0x21, 0x11, Buffer.alloc(11)), message: /IPv4 addresses need 12.*11/ },
  { name: "too little for IPv6", bytes: v2(0x21, 0x21, Buffer.alloc(35)), message: /IPv6 addresses need 36.*35/ },
  { name: "too little for paths", bytes: v2(0x21, 0x31, Buffer.alloc(0)), message: /unix addresses need 216.*0/ },
  { name: "too much", bytes: v2(0x21, 0x11, IPV4_BLOCK, 4081), message: /announces 4097 bytes, more than 4096/ },
  { name: "too much of a health check", bytes: v2(0x20, 0, Buffer.alloc(0), 65535), message: /announces 65551/ },
];

describe("what is no PROXY header", () => {
  for (const { name, bytes, message } of BAD) {
    it(`is told in words: ${name}`, () => {
      const result = parseProxyHeader(bytes);
      assert.equal(result.state, "error");
      assert.match(result.message, message);
    });
  }
});

/** Bytes that are nearly headers: with anything, the parser would be through at the first byte. */
const nearly = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.string({ unit: "binary-ascii", maxLength: 120 }).map((text) => Buffer.from(`PROXY ${text}\r\n`)),
  fc
    .array(fc.constantFrom("TCP4", "TCP6", "UNKNOWN", "1.2.3.4", "::1", "0", "65535", "", "x"), { maxLength: 7 })
    .map((fields) => Buffer.from(`PROXY ${fields.join(" ")}\r\n`)),
  fc
    .tuple(fc.constantFrom(0x20, 0x21, 0x21, 0x31), fc.nat(255), fc.uint8Array({ maxLength: 300 }), fc.nat(300))
    .map(([command, family, block, size]) => v2(command, family, block, size)),
  fc.tuple(fc.constantFrom(...GOOD), fc.nat(), fc.nat(255)).map(([{ bytes }, at, value]) => {
    const changed = Buffer.from(bytes);
    changed[at % changed.length] = value;
    return changed;
  }),
);

describe("the parser of PROXY headers", () => {
  it("never throws, and never claims more bytes than there are", () => {
    fc.assert(
      fc.property(nearly, fc.integer({ min: -9, max: 400 }), fc.integer({ min: -9, max: 400 }), (bytes, start, end) => {
        const result = parseProxyHeader(bytes, start, end);
        const given = Math.max(0, Math.min(end, bytes.length) - Math.max(0, start));
        if (result.state === "header") assert.ok(result.length > 0 && result.length <= given);
      }),
      { numRuns: runs(2000) },
    );
  });

  it("comes to one result, however the bytes come, and keeps to it", () => {
    fc.assert(
      fc.property(nearly, fc.uint8Array({ maxLength: 20 }), (bytes, more) => {
        const all = Buffer.concat([bytes, more]);
        let first: ProxyHeaderResult = { state: "more" };
        for (let length = 0; length <= all.length; length++) {
          const result = parseProxyHeader(all, 0, length);
          if (first.state === "more") first = result;
          else assert.deepEqual(result, first);
        }
      }),
      { numRuns: runs(1000) },
    );
  });

  it("looks at no byte outside of what it was given", () => {
    fc.assert(
      fc.property(nearly, fc.uint8Array({ maxLength: 40 }), (bytes, around) => {
        const within = Buffer.concat([around, bytes, around]);
        const result = parseProxyHeader(within, around.length, around.length + bytes.length);
        assert.deepEqual(result, parseProxyHeader(Uint8Array.from(bytes)));
      }),
      { numRuns: runs(1000) },
    );
  });

  it("reads every IPv6 address that there is, from text as from bytes", () => {
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        assert.equal(ipFamily(text), "IPv6");
        const bytes = ipv6Bytes(text);
        assert.equal(bytes.length, 16);
        assert.deepEqual(ipv6Bytes(ipv6Text(bytes)), bytes);
        const header = v2(0x21, 0x21, Buffer.concat([bytes, bytes, Buffer.of(0, 1, 0, 2)]));
        const fromText = parseProxyHeader(Buffer.from(`PROXY TCP6 ${text} ${text} 1 2\r\n`));
        const fromBytes = parseProxyHeader(header);
        assert.ok(fromText.state === "header" && fromBytes.state === "header");
        assert.deepEqual(fromText.header, fromBytes.header);
      }),
    );
  });
});
