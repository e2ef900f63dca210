/** The `proxy` option: what it may be, and that nothing of a password shows when it is something else. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { anyCharacter } from "../support/characters.js";
import { runs } from "../support/runs.js";
import { checkProxy, type ProxyOptions } from "#dist/connect/proxy/options.js";
import { checkTargetHost, type ProxyServer } from "#dist/connect/proxy/proxy-url.js";

const SOCKS5: ProxyServer = {
  kind: "socks5",
  resolvesNames: false,
  host: "proxy.example",
  port: 1080,
  username: null,
  password: "",
  fields: "",
  secure: null,
};
const HTTP: ProxyServer = { ...SOCKS5, kind: "http", resolvesNames: true, port: 80 };

const GOOD: Readonly<Record<string, ProxyServer>> = {
  "socks5://proxy.example": SOCKS5,
  "socks5://proxy.example:": SOCKS5,
  "socks5://proxy.example/": SOCKS5,
  "SOCKS5://proxy.example:1080": SOCKS5,
  "socks5h://proxy.example": { ...SOCKS5, resolvesNames: true },
  "http://proxy.example": HTTP,
  "http://proxy.example:80": HTTP,
  "http://proxy.example:8080/": { ...HTTP, port: 8080 },
  "socks5://127.0.0.1:1": { ...SOCKS5, host: "127.0.0.1", port: 1 },
  "socks5://[::1]:65535": { ...SOCKS5, host: "::1", port: 65_535 },
  "http://[::1]": { ...HTTP, host: "::1" },
  "http://b%C3%BCcher.example": { ...HTTP, host: "xn--bcher-kva.example" },
  "http://bücher.example": { ...HTTP, host: "xn--bcher-kva.example" },
  "socks5://user@proxy.example": { ...SOCKS5, username: "user" },
  "socks5://user:@proxy.example": { ...SOCKS5, username: "user" },
  "socks5://@proxy.example": SOCKS5,
  "socks5://user:secret@proxy.example:1": { ...SOCKS5, username: "user", password: "secret", port: 1 },
  "socks5://us%3Aer:p%40ss%2Fword@proxy.example": { ...SOCKS5, username: "us:er", password: "p@ss/word" },
  "http://user:with:colons@and@signs@proxy.example": { ...HTTP, username: "user", password: "with:colons@and@signs" },
  [`socks5://${"u".repeat(255)}:${"p".repeat(255)}@proxy.example`]: {
    ...SOCKS5,
    username: "u".repeat(255),
    password: "p".repeat(255),
  },
  "http://J%C3%BCrgen:gr%C3%BC%C3%9Fe@[::1]:3128": {
    ...HTTP,
    username: "Jürgen",
    password: "grüße",
    host: "::1",
    port: 3128,
  },
};

const WRONG_TYPES: readonly unknown[] = [null, 5, true, {}, [], new URL("socks5://user:hunter2@host")];

const BAD: readonly (readonly [string, RegExp])[] = [
  [
    "",
    /^Expected proxy to be a URL that begins with socks5:\/\/, socks5h:\/\/, http:\/\/ or https:\/\/, got something else/,
  ],
  ["proxy.example:1080", /^Expected proxy to be a URL that begins/],
  ["user:hunter2@proxy.example:1080", /^Expected proxy to be a URL that begins/],
  ["//user:hunter2@proxy.example:1080", /^Expected proxy to be a URL that begins/],
  ["socks5:proxy.example", /^Expected proxy to be a URL that begins/],
  [" socks5://proxy.example", /^Expected proxy to be a URL that begins/],
  ["wss://user:hunter2@proxy.example", /^Expected proxy to be a URL that begins .*, got "wss:\/\/"$/],
  ["socks4://user:hunter2@proxy.example", /, got "socks4:\/\/"$/],
  ["ftp://user:hunter2@proxy.example", /, got "ftp:\/\/"$/],
  ["socks5://", /^Expected proxy to have a host after socks5:\/\/, got none/],
  ["socks5://:1080", /^Expected proxy to have a host/],
  ["socks5://user:hunter2@", /^Expected proxy to have a host/],
  ["socks5://user:hunter2@:1080", /^Expected proxy to have a host/],
  ["socks5://user:hun/ter2@host", /^Expected proxy to be a scheme, then user:password@/],
  ["socks5://user:hunter2@host/path", /^Expected proxy to be a scheme/],
  ["socks5://user:hunter2@host?query", /^Expected proxy to be a scheme/],
  ["socks5://user:hunter2@host#hash", /^Expected proxy to be a scheme/],
  ["socks5://user:hunter2@[::1]x", /^Expected proxy to be a scheme/],
  ["socks5://user:hunter2@::1", /^Expected proxy to be a scheme/],
  ["socks5://user:hunter2", /^Expected the port of proxy to be a whole number from 1 to 65535/],
  ["socks5://host:0", /^Expected the port of proxy/],
  ["socks5://host:65536", /^Expected the port of proxy/],
  ["socks5://host:-1", /^Expected the port of proxy/],
  ["socks5://host:0x50", /^Expected the port of proxy/],
  ["socks5://user:hunter2@[1.2.3.4]", /^Expected the host of proxy to be an IPv6 address/],
  ["socks5://user:hunter2@[]", /^Expected the host of proxy to be an IPv6 address/],
  ["socks5://user:hunter2@ho st", /^Expected the host of proxy to be a name or an address, got/],
  ["socks5://user:hunter2@ho%0d%0ast", /^Expected the host of proxy/],
  ["socks5://user:hunter2@ho%00st", /^Expected the host of proxy/],
  ["socks5://user:hunter2@ho%zzst", /^Expected the host of proxy/],
  [`socks5://user:hunter2@${"h".repeat(256)}`, /^Expected the host of proxy/],
  ["socks5://user:hunter2%@host", /^Expected the user name and the password of proxy to be percent-encoded UTF-8/],
  ["http://%ff:hunter2@host", /^Expected the user name and the password of proxy to be percent-encoded/],
  ["socks5://:hunter2@host", /^Expected the user name of proxy to be there where there is a password, got/],
  [
    `socks5://user:hunter2${"x".repeat(249)}@host`,
    /^Expected the user name and the password of proxy to be at most 255 bytes long each/,
  ],
  [
    `socks5://${"ü".repeat(128)}:hunter2@host`,
    /^Expected the user name and the password of proxy to be at most 255 bytes long each/,
  ],
  [
    "http://us%3Aer:hunter2@host",
    /^Expected the user name and the password of proxy to be without control characters, and the name without a colon/,
  ],
  ["http://user:hunter2%0d%0a@host", /without control characters/],
];

const http = (headers: unknown): unknown => ({ url: "http://proxy.example", headers });

const WRONG_OPTIONS: readonly (readonly [name: string, options: unknown, message: RegExp])[] = [
  ["a wrong url", { url: "gopher://hunter2" }, /^Expected proxy\.url to be a URL that begins/],
  [
    "an unknown option",
    { url: "http://x", header: {} },
    /options of proxy to have no names but headers, url, tls, got "header"/,
  ],
  [
    "headers for SOCKS5",
    { url: "socks5://x", headers: { A: "hunter2" } },
    /proxy\.headers only with an http:\/\/ or https:\/\/ proxy/,
  ],
  ["TLS for a proxy in the clear", { url: "http://x", tls: {} }, /proxy\.tls only with an https:\/\/ proxy/],
  ["TLS for SOCKS5", { url: "socks5://x", tls: {} }, /proxy\.tls only with an https:\/\/ proxy/],
  ["TLS that is none", { url: "https://x", tls: true }, /proxy\.tls to be an object/],
  ["an unknown option of TLS", { url: "https://x", tls: { verify: true } }, /options of TLS to have no names but/],
  ["certificates that are none", { url: "https://x", tls: { ca: "hunter2" } }, /ca to be certificates/],
  ["headers in a string", http("A: hunter2".length), /proxy\.headers to be an object/],
  ["no name", http({ "": "hunter2" }), /the names in proxy\.headers/],
  ["a name with a value", http({ "A: hunter2": "" }), /the names in proxy\.headers/],
  ["a name with a line break", http({ "A\r\nB": "hunter2" }), /the names in proxy\.headers/],
  ["a value with a line break", http({ A: "hunter2\r\nB: c" }), /the values in proxy\.headers/],
  ["a value with a bare CR", http({ A: "hunter2\r" }), /the values in proxy\.headers/],
  ["a value with a NUL", http({ A: "hunter2\0" }), /the values in proxy\.headers/],
  ["a value beyond bytes", http({ A: "hunter2\u{2082}" }), /the values in proxy\.headers/],
  ["a value that is no string", http({ A: ["hunter2"] }), /the values in proxy\.headers/],
  ["a host of its own", http({ HOST: "hunter2" }), /none of host, content-length, transfer-encoding, got "HOST"/],
  ["a body", http({ "Content-Length": "hunter2" }), /none of host/],
  ["chunks", http({ "transfer-encoding": "hunter2" }), /none of host/],
  [
    "two ways to log in",
    { url: "http://user@proxy.example", headers: { "proxy-authorization": "hunter2" } },
    /either a user name in proxy\.url or Proxy-Authorization in proxy\.headers, got both/,
  ],
];

describe("the proxy option", () => {
  for (const [url, expected] of Object.entries(GOOD)) {
    it(`takes ${inspect(url, { maxStringLength: 60 })}`, () => assert.deepEqual(checkProxy(url), expected));
  }

  it("may be left out", () => assert.equal(checkProxy(undefined), undefined));

  for (const value of WRONG_TYPES) {
    it(`cannot be ${inspect(value)}`, () => {
      const given = value as string;
      const message = /^Expected proxy(\.url)? to be a URL.*, got /;
      assert.throws(() => checkProxy(given), { name: "TypeError", message });
      assert.throws(
        () => checkProxy(given),
        (error: Error) => !error.message.includes("hunter2"),
      );
    });
  }

  for (const [url, message] of BAD) {
    it(`cannot be ${inspect(url, { maxStringLength: 60 })}, and shows no password`, () => {
      assert.throws(
        () => checkProxy(url),
        (error: Error) => {
          assert.ok(error instanceof RangeError);
          assert.match(error.message, message);
          assert.doesNotMatch(error.message, /hunter2|ter2/);
          return true;
        },
      );
    });
  }

  for (const [url, expected] of Object.entries(GOOD)) {
    it(`takes { url: ${inspect(url, { maxStringLength: 60 })} }`, () => {
      assert.deepEqual(checkProxy({ url, headers: undefined }), expected);
    });
  }

  it("takes a proxy that is spoken to over TLS, whose certificate must be for its own name", () => {
    for (const [given, servername, protocols, port] of [
      ["https://proxy.example", "proxy.example", ["http/1.1"], 443],
      ["https://proxy.example:8443", "proxy.example", ["http/1.1"], 8443],
      [{ url: "https://proxy.example", tls: { servername: "a.test" } }, "a.test", ["http/1.1"], 443],
      [{ url: "https://proxy.example", tls: { ALPNProtocols: [] } }, "proxy.example", [], 443],
    ] as const) {
      const proxy = checkProxy(given);
      const secure = proxy?.secure ?? null;
      assert.deepEqual(proxy, { ...HTTP, port, secure });
      assert.deepEqual([secure?.servername, secure?.identity], [servername, servername]);
      assert.deepEqual(secure?.protocols, protocols);
      assert.equal(secure.rejectUnauthorized, true);
    }
    assert.equal(checkProxy("https://[::1]")?.secure?.identity, "::1");
  });

  it("takes header fields, of which those that are undefined are none", () => {
    const headers = { "Proxy-Authorization": "Bearer hunter2", "X-A": "", "x-b": "a\tb\xff", None: undefined };
    const fields = "Proxy-Authorization: Bearer hunter2\r\nX-A: \r\nx-b: a\tb\xff\r\n";
    assert.deepEqual(checkProxy({ url: "http://proxy.example", headers }), { ...HTTP, fields });
    assert.deepEqual(checkProxy({ url: "socks5://proxy.example", headers: { None: undefined } }), SOCKS5);
  });

  for (const [name, options, message] of WRONG_OPTIONS) {
    it(`cannot have ${name}, and shows no value`, () => {
      assert.throws(
        () => checkProxy(options as ProxyOptions),
        (error: Error) => {
          assert.ok(error instanceof TypeError || error instanceof RangeError);
          assert.match(error.message, message);
          assert.match(error.message, /^Expected .*, got /);
          assert.doesNotMatch(error.message, /hunter2/);
          return true;
        },
      );
    });
  }

  it("takes every user name and password, percent-encoded", () => {
    const text = fc.string({ unit: anyCharacter, minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(text, text, (username, password) => {
        const url = `socks5://${encodeURIComponent(username)}:${encodeURIComponent(password)}@host:1`;
        assert.deepEqual(checkProxy(url), { ...SOCKS5, host: "host", port: 1, username, password });
      }),
    );
  });

  it("is either taken, or refused in words, whatever it is", () => {
    const begin = fc.constantFrom("", "socks5://", "http://", "socks5h://user:pw@");
    fc.assert(
      fc.property(begin, fc.string({ unit: anyCharacter, maxLength: 40 }), (beginning, rest) => {
        try {
          assert.match(checkProxy(beginning + rest)?.host ?? "", /^(?:[\w.-]+|[0-9a-fA-F:.]+(?:%.+)?)$/s);
        } catch (error) {
          assert.ok(error instanceof RangeError, String(error));
          assert.match(error.message, /^Expected .*proxy.*, got /s);
        }
      }),
      { numRuns: runs(2000) },
    );
  });
});

describe("the host that a proxy is asked for", () => {
  const good: Readonly<Record<string, { family: string; text: string }>> = {
    "127.0.0.1": { family: "IPv4", text: "127.0.0.1" },
    "::1": { family: "IPv6", text: "::1" },
    "example.org": { family: "name", text: "example.org" },
    "_sip.example.org.": { family: "name", text: "_sip.example.org." },
    "BÜCHER.example": { family: "name", text: "xn--bcher-kva.example" },
    "127.1": { family: "name", text: "127.1" },
    [`${"a".repeat(63)}.${"b".repeat(191)}`]: { family: "name", text: `${"a".repeat(63)}.${"b".repeat(191)}` },
  };
  for (const [host, expected] of Object.entries(good)) {
    it(`can be ${inspect(host, { maxStringLength: 40 })}`, () => assert.deepEqual(checkTargetHost(host), expected));
  }

  for (const host of [
    "",
    " ",
    "a b",
    "a\r\nX: y",
    "a\r\nb",
    "ü\r\nb",
    "a:1",
    "[::1]",
    "a/b",
    "a\0",
    "fe80::1%eth0",
    "x".repeat(256),
    "\u{1f4a9}.\ud800",
  ]) {
    it(`cannot be ${inspect(host, { maxStringLength: 40 })}`, () => {
      assert.throws(() => checkTargetHost(host), { name: "RangeError", message: /^Expected host to be a name of/ });
    });
  }
});
