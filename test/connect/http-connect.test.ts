/** CONNECT, against a proxy that says what the test tells it to. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertFails, assertInStep, CHUNKINGS, connectedToProxy, play, type Step, WHOLE } from "./scripted-proxy.js";
import { HEADER_MAX_BYTES, httpConnectHandshake } from "#dist/connect/proxy/http-connect.js";
import type { ProxyServer, ProxyTarget } from "#dist/connect/proxy/proxy-url.js";

const OPEN: ProxyServer = {
  kind: "http",
  resolvesNames: true,
  host: "proxy.example",
  port: 8080,
  username: null,
  password: "",
  fields: "",
  secure: null,
};
const LOCKED: ProxyServer = { ...OPEN, username: "Jürgen", password: "hunter2" };
const TARGET: ProxyTarget = { host: "example.org", port: 443 };

const REQUEST = "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n";
const LOGIN = Buffer.from("Jürgen:hunter2").toString("base64");
const REQUEST_WITH_LOGIN = REQUEST.replace("\r\n\r\n", `\r\nProxy-Authorization: Basic ${LOGIN}\r\n\r\n`);
const SUCCESS = "HTTP/1.1 200 Connection established\r\n\r\n";

interface Success {
  readonly name: string;
  readonly proxy?: ProxyServer;
  readonly target?: ProxyTarget;
  readonly step: Step;
}

function reaching(name: string, host: string, port: number, authority: string): Success {
  return { name, target: { host, port }, step: [REQUEST.replaceAll("example.org:443", authority), SUCCESS] };
}

/** An answer of so many bytes. */
function answerOf(length: number): string {
  const rest = "HTTP/1.1 200 OK\r\nX: \r\n\r\n";
  return rest.replace("X: ", `X: ${"x".repeat(length - rest.length)}`);
}

const SUCCESSES: readonly Success[] = [
  { name: "a name", step: [REQUEST, SUCCESS] },
  reaching("an IPv4 address", "192.0.2.33", 80, "192.0.2.33:80"),
  reaching("an IPv6 address", "2001:db8::1", 65_535, "[2001:db8::1]:65535"),
  reaching("a name beyond ASCII", "bücher.example", 1, "xn--bcher-kva.example:1"),
  { name: "a user name and a password", proxy: LOCKED, step: [REQUEST_WITH_LOGIN, SUCCESS] },
  {
    name: "header fields",
    proxy: { ...LOCKED, fields: "X-A: ü\r\nX-B: b\r\n" },
    step: [Buffer.from(REQUEST_WITH_LOGIN.replace(/\r\n$/, "X-A: ü\r\nX-B: b\r\n\r\n"), "latin1"), SUCCESS],
  },
  { name: "no reason phrase", step: [REQUEST, "HTTP/1.1 200\r\n\r\n"] },
  { name: "HTTP/1.0", step: [REQUEST, "HTTP/1.0 200 OK\r\n\r\n"] },
  { name: "another 2xx", step: [REQUEST, "HTTP/1.1 299 Why not\r\n\r\n"] },
  {
    name: "fields, a length that means nothing among them",
    step: [REQUEST, "HTTP/1.1 200 OK\r\nVia: x\r\nContent-Length: 5\r\n\r\n"],
  },
  { name: "bare line feeds", step: [REQUEST, "HTTP/1.1 200 OK\nVia: x\n\n"] },
  { name: "fields that are nearly empty", step: [REQUEST, "HTTP/1.1 200 OK\r\nx\n\rx\n\r\n"] },
  { name: "mixed line ends", step: [REQUEST, "HTTP/1.1 200 OK\r\nVia: x\n\r\n"] },
  {
    name: "interim answers",
    step: [REQUEST, `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX: y\r\n\r\n${SUCCESS}`],
  },
];

describe("an HTTP proxy is connected through", () => {
  for (const chunking of CHUNKINGS) {
    for (const { name, proxy = OPEN, target = TARGET, step } of SUCCESSES) {
      it(`with ${name}, ${chunking.name}`, async (t) => {
        const { socket, proxySide } = await connectedToProxy(t, chunking);
        await Promise.all([play(proxySide, [step]), httpConnectHandshake(socket, proxy, target)]);
        await assertInStep(socket, proxySide);
      });
    }

    it(`and what the target says at once is there for the next read, ${chunking.name}`, async (t) => {
      const { socket, proxySide } = await connectedToProxy(t, chunking);
      const step: Step = [REQUEST, `${SUCCESS}\r\n220 welcome\r\n`];
      await Promise.all([play(proxySide, [step]), httpConnectHandshake(socket, OPEN, TARGET)]);
      assert.equal(await socket.readLine(), "");
      assert.equal(await socket.readLine(), "220 welcome");
      await assertInStep(socket, proxySide);
    });
  }

  for (const [name, answer] of [
    ["its last line ended by CR and LF", answerOf(HEADER_MAX_BYTES)],
    ["its last line a bare LF", answerOf(HEADER_MAX_BYTES + 1).replace(/\r\n$/, "\n")],
  ] as const) {
    it(`with an answer of 16 KiB, which is the most, ${name}`, async (t) => {
      const { socket, proxySide } = await connectedToProxy(t);
      const step: Step = [REQUEST, answer];
      await Promise.all([play(proxySide, [step]), httpConnectHandshake(socket, OPEN, TARGET)]);
      await assertInStep(socket, proxySide);
    });
  }
});

interface Failure {
  readonly name: string;
  readonly proxy?: ProxyServer;
  readonly answer: Uint8Array | string;
  readonly message: RegExp;
  readonly ends?: boolean;
}

function answering(line: string, message: RegExp): Failure {
  return { name: `answers ${line}`, answer: `HTTP/1.1 ${line}\r\nContent-Length: 4\r\n\r\nbody`, message };
}

const INCOMPLETE = /: it closed the connection before its answer was complete$/;

const FAILURES: readonly Failure[] = [
  answering("400 Bad Request", /: it does not understand the request \("HTTP\/1.1 400 Bad Request"\)$/),
  answering("403 Filtered", /: its rules do not allow that \("HTTP\/1.1 403 Filtered"\)$/),
  answering("404 Not Found", /: it takes no such requests, and is perhaps no proxy \("HTTP\/1.1 404 Not Found"\)$/),
  answering("405 Method Not Allowed", /: it takes no such requests/),
  answering("407 Proxy Authentication Required", /: it asks for a user name and a password \("HTTP\/1.1 407 /),
  answering("418 I am a teapot", /: it answered "HTTP\/1.1 418 I am a teapot"$/),
  answering("501 Not Implemented", /: it takes no such requests/),
  answering("502 Bad Gateway", /: it cannot reach that host \(/),
  answering("503 Service Unavailable", /: it cannot reach that host now \(/),
  answering("504 Gateway Timeout", /: it had no answer from that host \(/),
  answering("300 Multiple Choices", /: it answered "HTTP\/1.1 300 Multiple Choices"$/),
  answering("302 Found", /: it answered "HTTP\/1.1 302 Found"$/),
  answering("101 Switching Protocols", /: it answered "HTTP\/1.1 101 Switching Protocols"$/),
  {
    ...answering("407 Wrong", /: it does not accept the user name and the password \("HTTP\/1.1 407 Wrong"\)$/),
    proxy: LOCKED,
    name: "answers 407 to a password",
  },
  { ...answering("403 No", /: its rules do not allow that \(/), proxy: LOCKED, name: "answers 403 to a password" },
  {
    name: "answers with control characters, which are not shown",
    answer: Buffer.from("HTTP/1.1 500 \x1b[2J\x9b\r\rno\r\n\r\n", "latin1"),
    message: /: it answered "HTTP\/1.1 500 \?\[2J\?\?\?no"$/,
  },
  {
    name: "answers with a long reason",
    answer: `HTTP/1.1 500 ${"x".repeat(5000)}\r\n\r\n`,
    message: /: it answered "HTTP\/1.1 500 x{107}…"$/,
  },
  {
    name: "answers with a reason that is just not too long",
    answer: `HTTP/1.1 500 ${"x".repeat(107)}\r\n\r\n`,
    message: /: it answered "HTTP\/1.1 500 x{107}"$/,
  },
  { name: "says something before", answer: "X HTTP/1.1 200 OK\r\n\r\n", message: /begins with "X HTTP\/1.1 200 OK"\)/ },
  { name: "ends its lines by a bare LF", answer: "220 mail\n", message: /its answer begins with "220 mail"\)/ },
  {
    name: "speaks SMTP",
    answer: "220 mail.example ESMTP\r\n",
    message: /does not speak HTTP\/1.1 \(its answer begins with "220 mail/,
  },
  { name: "speaks another HTTP", answer: "HTTP/2 200\r\n", message: /does not speak HTTP\/1.1/ },
  { name: "has no status", answer: "HTTP/1.1 20 OK\r\n", message: /does not speak HTTP\/1.1/ },
  { name: "has a status too long", answer: "HTTP/1.1 2000 OK\r\n", message: /does not speak HTTP\/1.1/ },
  { name: "has a status that is none", answer: "HTTP/1.1 600 OK\r\n", message: /does not speak HTTP\/1.1/ },
  {
    name: "begins with an empty line",
    answer: "\r\n",
    message: /does not speak HTTP\/1.1 \(its answer begins with ""\)/,
  },
  { name: "leaves at once", answer: "", message: INCOMPLETE, ends: true },
  ...Array.from({ length: SUCCESS.length - 1 }, (_, index): Failure => {
    const name = `leaves after ${index + 1} bytes of its answer`;
    return { name, answer: SUCCESS.slice(0, index + 1), message: INCOMPLETE, ends: true };
  }),
];

const TOO_LONG = /: its answer has no end within 16384 bytes$/;

const GIANTS: readonly Failure[] = [
  { name: "has an answer of one byte too many", answer: answerOf(HEADER_MAX_BYTES + 1), message: TOO_LONG },
  { name: "never ends its first line", answer: Buffer.alloc(HEADER_MAX_BYTES, "x"), message: TOO_LONG },
  { name: "never ends a field", answer: `HTTP/1.1 200 OK\r\nX: ${"x".repeat(20_000)}`, message: TOO_LONG },
  { name: "has fields without end", answer: `HTTP/1.1 200 OK\r\n${"X: y\r\n".repeat(4000)}`, message: TOO_LONG },
  { name: "has interim answers without end", answer: "HTTP/1.1 100 Continue\r\n\r\n".repeat(800), message: TOO_LONG },
  {
    name: "has its empty line right behind the limit",
    answer: `HTTP/1.1 200 OK\r\n${"X: y\r\n".repeat(2727)}YZ:\r\n\r\n`,
    message: TOO_LONG,
  },
];

describe("an HTTP proxy fails in words when it", () => {
  for (const chunking of CHUNKINGS) {
    for (const { name, proxy = OPEN, answer, ...failure } of FAILURES) {
      const steps: readonly Step[] = [[proxy === OPEN ? REQUEST : REQUEST_WITH_LOGIN, answer]];
      it(`${name}, ${chunking.name}`, (t) =>
        assertFails(t, chunking, { handshake: httpConnectHandshake, proxy, target: TARGET, steps, ...failure }));
    }
  }

  for (const { name, answer, ...failure } of GIANTS) {
    const steps: readonly Step[] = [[REQUEST, answer]];
    it(name, (t) =>
      assertFails(t, WHOLE, { handshake: httpConnectHandshake, proxy: OPEN, target: TARGET, steps, ...failure }),
    );
  }
});

describe("the CONNECT handshake", () => {
  for (const host of ["x".repeat(256), "a\r\nX-Injected: yes", "fe80::1%eth0"]) {
    it(`sends nothing for the host ${JSON.stringify(host.slice(0, 30))}`, async (t) => {
      const { socket } = await connectedToProxy(t);
      await assert.rejects(httpConnectHandshake(socket, OPEN, { host, port: 1 }), { name: "RangeError" });
      assert.equal(socket.pendingReads + socket.pendingWrites + socket.bytesWritten, 0);
    });
  }

  it("is not said to be the proxy's failure when its read was canceled", async (t) => {
    const { socket, proxySide } = await connectedToProxy(t);
    const playing = play(proxySide, [[REQUEST, "HTTP/1.1 200"]]).then(() => socket.cancelReads());
    await assert.rejects(httpConnectHandshake(socket, OPEN, TARGET), { code: "ERR_ASYNCSOCKET_CANCELED" });
    await playing;
  });
});
