/** What the command line says: times, sizes, addresses, certificates, the way to a connection. */

import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import type { DetailedPeerCertificate } from "node:tls";
import { describe, it } from "node:test";
import type { ConnectMessage, TLSInfo } from "asyncsocket";
import { certificateFacts, tlsSummary } from "#dist/cli/certificate.js";
import { table } from "#dist/cli/table.js";
import { parseTarget } from "#dist/cli/target.js";
import { addressInWords, bytesInWords, duration, painted } from "#dist/cli/terminal.js";
import { traceFacts, traceLines } from "#dist/cli/trace.js";

const DAY_MS = 86_400_000;

const certificate = {
  subject: { CN: "a.test", OU: ["one", "two"] },
  issuer: { CN: "b.test" },
  subjectaltname: 'DNS:a.test, URI:"x, DNS:evil.test", IP Address:192.0.2.1',
  valid_from: "Jan  1 00:00:00 2026 GMT",
  valid_to: "Jan 31 00:00:00 2026 GMT",
  fingerprint256: "AA:BB",
} as unknown as DetailedPeerCertificate;

const info: TLSInfo = {
  version: "TLSv1.3",
  cipher: "X",
  alpn: "h2",
  servername: null,
  peerCertificate: null,
  authorized: false,
  authorizationError: null,
  resumed: true,
  session: undefined,
  truncated: false,
};

describe("what the command line says", () => {
  it("of times, sizes and addresses is short", () => {
    assert.deepEqual([0.04, 9.96, 23.4, 999, 1234, 61_000].map(duration), [
      "0.0 ms",
      "10.0 ms",
      "23 ms",
      "999 ms",
      "1.2 s",
      "61 s",
    ]);
    assert.deepEqual([0, 1, 2].map(bytesInWords), ["0 bytes", "1 byte", "2 bytes"]);
    const addresses = [
      { family: "IPv6", address: "::1", port: 5 },
      { family: "unix", path: "/a" },
      { family: "unix", path: "\0b" },
      { family: "unix", path: "" },
      undefined,
    ] as const;
    assert.deepEqual(addresses.map(addressInWords), [
      "::1 port 5",
      "/a",
      "@b",
      "a nameless path",
      "an unknown address",
    ]);
    assert.deepEqual(table([["a", "b"], ["ccc"], ["d", "e", "f"]]), ["  a    b", "  ccc", "  d    e  f"]);
  });

  it("is painted only on a terminal that can be, and whose user wants it", () => {
    const stream = Object.assign(new PassThrough(), { isTTY: true });
    const paint = (env: Record<string, string>, isTTY = true): string => {
      stream.isTTY = isTTY;
      const terminal = {
        stdin: stream,
        stdout: stream,
        stderr: stream,
        env,
        interrupted: new AbortController().signal,
      };
      return painted(stream, terminal, "red", "text");
    };
    assert.equal(paint({}), "\u001b[31mtext\u001b[39m");
    for (const plain of [paint({ NO_COLOR: "1" }), paint({ TERM: "dumb" }), paint({}, false)])
      assert.equal(plain, "text");
  });

  it("of a certificate is what people look for; a quoted name cannot pass for two", () => {
    const nowMs = Date.parse("2026-01-21T00:00:00Z");
    assert.deepEqual(certificateFacts(certificate, nowMs), {
      subject: "CN=a.test, OU=one, OU=two",
      names: ["DNS:a.test", 'URI:"x, DNS:evil.test"', "IP Address:192.0.2.1"],
      issuer: "CN=b.test",
      from: "2026-01-01",
      until: "2026-01-31",
      daysLeft: 10,
      sha256: "AA:BB",
    });
    assert.equal(certificateFacts(certificate, nowMs + 20 * DAY_MS).daysLeft, -10);
    const bare = {
      ...certificate,
      subjectaltname: undefined,
      valid_from: "never",
    } as unknown as DetailedPeerCertificate;
    const { names, from } = certificateFacts(bare, nowMs);
    assert.deepEqual([names, from], [[], "?"]);
    assert.deepEqual(tlsSummary(info), ["TLSv1.3, X, ALPN h2, resumed, NOT VERIFIED: no certificate"]);
    assert.deepEqual(tlsSummary({ ...info, alpn: null, resumed: false }, false), ["TLSv1.3, X"]);
    const expired = tlsSummary({ ...info, peerCertificate: certificate, authorized: true });
    assert.equal(expired[0], "TLSv1.3, X, ALPN h2, resumed, the peer is verified");
    assert.match(expired.join("\n"), /, EXPIRED\n/);
  });

  it("of the way to a connection names every lookup, proxy and attempt", () => {
    const address = { family: "IPv4", address: "192.0.2.1", port: 7 } as const;
    const refused = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
    const lookup = { host: "a.test", family: 0 as const, error: undefined };
    const message = {
      lookups: [
        { ...lookup, ms: 5, addresses: 1 },
        { ...lookup, ms: 50, addresses: 0, error: new Error("no such name") },
        { ...lookup, ms: undefined, addresses: 0 },
      ],
      tried: [
        { address, outcome: "failed", ms: 3, error: refused },
        { address, outcome: "failed", ms: 3, error: undefined },
        { address, outcome: "canceled", ms: undefined, error: undefined },
        { address, outcome: undefined, ms: undefined, error: undefined },
        { address, outcome: "connected", ms: 12, error: undefined },
      ],
      proxy: "proxy.test:1080",
      dnsMs: 50,
      tlsMs: 20,
      ms: 80,
    } as unknown as ConnectMessage;
    assert.deepEqual(traceLines(message), [
      "Looked a.test up: 1 address, after 5.0 ms",
      "Looked a.test up: no such name, after 50 ms",
      "Looked a.test up: no answer yet",
      "Went by the proxy proxy.test:1080",
      "Tried 192.0.2.1 port 7: failed (ECONNREFUSED) after 3.0 ms",
      "Tried 192.0.2.1 port 7: failed (unknown) after 3.0 ms",
      "Tried 192.0.2.1 port 7: given up, another was faster",
      "Tried 192.0.2.1 port 7: no answer yet",
      "Tried 192.0.2.1 port 7: connected after 12 ms",
      "The TLS handshake took 20 ms",
    ]);
    const facts = JSON.parse(JSON.stringify(traceFacts(message))) as { lookups: { code: string }[]; tlsMs: number };
    assert.deepEqual([facts.lookups[1]?.code, facts.tlsMs], ["no such name", 20]);
    assert.deepEqual(traceLines({ lookups: [], tried: [] } as unknown as ConnectMessage), []);
  });

  it("takes targets as they are written elsewhere", () => {
    const clear = { tls: false };
    const targets: [string[], object][] = [
      [["a.test", "7"], { host: "a.test", port: 7, ...clear }],
      [["a.test:7"], { host: "a.test", port: 7, ...clear }],
      [["[::1]:7"], { host: "::1", port: 7, ...clear }],
      [[":7"], { host: undefined, port: 7, ...clear }],
      [["7"], { port: 7, ...clear }],
      [["a.test"], { host: "a.test", port: undefined, ...clear }],
      [["./socket"], { path: "./socket", ...clear }],
      [["@name"], { path: "\0name", ...clear }],
      [["unix:socket"], { path: "socket", ...clear }],
      [["HTTPS://a.test/"], { host: "a.test", port: 443, tls: true }],
      [["tls://[::1]:7"], { host: "::1", port: 7, tls: true }],
      [["postgres://a.test:1"], { host: "a.test", port: 1, ...clear }],
    ];
    for (const [words, target] of targets) assert.deepEqual(parseTarget(words), target, words.join(" "));
    for (const wrong of ["http://a/b", "a:b", "a:123456", "[::1", "x@y:1"])
      assert.throws(() => parseTarget([wrong]), /^Error: Expected/);
  });
});
