/** SOCKS5, against a proxy that says what the test tells it to. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AsyncSocketError } from "asyncsocket";
import { assertFails, assertInStep, CHUNKINGS, connectedToProxy, play, type Step, WHOLE } from "./scripted-proxy.js";
import type { ProxyServer, ProxyTarget } from "#dist/connect/proxy/proxy-url.js";
import { socks5Handshake } from "#dist/connect/proxy/socks5.js";

const OPEN: ProxyServer = {
  kind: "socks5",
  resolvesNames: true,
  host: "proxy.example",
  port: 1080,
  username: null,
  password: "",
  fields: "",
  secure: null,
};
const LOCKED: ProxyServer = { ...OPEN, username: "Jürgen", password: "hunter2" };
const TARGET: ProxyTarget = { host: "example.org", port: 443 };

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

const GREETING = hex("05 01 00");
const GREETING_WITH_LOGIN = hex("05 02 00 02");
const LOGIN = Buffer.concat([hex("01 07"), Buffer.from("Jürgen"), hex("07"), Buffer.from("hunter2")]);
const REQUEST = Buffer.concat([hex("05 01 00 03 0b"), Buffer.from("example.org"), hex("01bb")]);
const NO_LOGIN = hex("05 00");
const BY_PASSWORD = hex("05 02");
const SUCCESS = hex("05 00 00 01 7f000001 04d2");

const ASKED: readonly Step[] = [
  [GREETING, NO_LOGIN],
  [REQUEST, ""],
];

interface Success {
  readonly name: string;
  readonly proxy?: ProxyServer;
  readonly target?: ProxyTarget;
  readonly steps: readonly Step[];
}

function reaching(name: string, host: string, port: number, request: Buffer): Success {
  return {
    name,
    target: { host, port },
    steps: [
      [GREETING, NO_LOGIN],
      [request, SUCCESS],
    ],
  };
}

function answering(name: string, answer: Uint8Array): Success {
  return {
    name,
    steps: [
      [GREETING, NO_LOGIN],
      [REQUEST, answer],
    ],
  };
}

const LONG_NAME = `${"a".repeat(63)}.`.repeat(3) + "b".repeat(63);

const SUCCESSES: readonly Success[] = [
  reaching("a name", "example.org", 443, REQUEST),
  reaching("an IPv4 address", "192.0.2.33", 80, hex("05 01 00 01 c0000221 0050")),
  reaching("an IPv6 address", "2001:db8::1", 65_535, hex(`05 01 00 04 20010db8${"0".repeat(23)}1 ffff`)),
  reaching("an IPv4-mapped address", "::ffff:192.0.2.33", 1, hex(`05 01 00 04 ${"0".repeat(20)}ffffc0000221 0001`)),
  reaching(
    "a name of 255 bytes",
    LONG_NAME,
    1,
    Buffer.concat([hex("05 01 00 03 ff"), Buffer.from(LONG_NAME), hex("0001")]),
  ),
  reaching(
    "a name beyond ASCII",
    "bücher.example",
    1,
    Buffer.concat([hex("05 01 00 03 15"), Buffer.from("xn--bcher-kva.example"), hex("0001")]),
  ),
  answering("an answer with an IPv6 address", hex(`05 00 00 04 ${"1".repeat(32)} 04d2`)),
  answering("an answer with a name", Buffer.concat([hex("05 00 00 03 09"), Buffer.from("localhost"), hex("04d2")])),
  answering("an answer with an empty name", hex("05 00 00 03 00 04d2")),
  answering("an answer with a name of 255 bytes", Buffer.concat([hex("05 00 00 03 ff"), Buffer.alloc(257, "n")])),
  {
    name: "a user name and a password",
    proxy: LOCKED,
    steps: [
      [GREETING_WITH_LOGIN, BY_PASSWORD],
      [LOGIN, hex("01 00")],
      [REQUEST, SUCCESS],
    ],
  },
  {
    name: "a user name and a password, accepted by another version of the exchange",
    proxy: LOCKED,
    steps: [
      [GREETING_WITH_LOGIN, BY_PASSWORD],
      [LOGIN, hex("05 00")],
      [REQUEST, SUCCESS],
    ],
  },
  {
    name: "a user name without a password",
    proxy: { ...LOCKED, password: "" },
    steps: [
      [GREETING_WITH_LOGIN, BY_PASSWORD],
      [Buffer.concat([hex("01 07"), Buffer.from("Jürgen"), hex("00")]), hex("01 00")],
      [REQUEST, SUCCESS],
    ],
  },
  {
    name: "a user name and a password that nobody asks for",
    proxy: LOCKED,
    steps: [
      [GREETING_WITH_LOGIN, NO_LOGIN],
      [REQUEST, SUCCESS],
    ],
  },
];

describe("a SOCKS5 proxy is connected through", () => {
  for (const chunking of CHUNKINGS) {
    for (const { name, proxy = OPEN, target = TARGET, steps } of SUCCESSES) {
      it(`with ${name}, ${chunking.name}`, async (t) => {
        const { socket, proxySide } = await connectedToProxy(t, chunking);
        await Promise.all([play(proxySide, steps), socks5Handshake(socket, proxy, target)]);
        await assertInStep(socket, proxySide);
      });
    }

    it(`and what the target says at once is there for the next read, ${chunking.name}`, async (t) => {
      const { socket, proxySide } = await connectedToProxy(t, chunking);
      const steps: readonly Step[] = [
        [GREETING, NO_LOGIN],
        [REQUEST, Buffer.concat([SUCCESS, Buffer.from("220 welcome\r\n")])],
      ];
      await Promise.all([play(proxySide, steps), socks5Handshake(socket, OPEN, TARGET)]);
      assert.equal(await socket.readLine(), "220 welcome");
      await assertInStep(socket, proxySide);
    });
  }
});

interface Failure {
  readonly name: string;
  readonly proxy?: ProxyServer;
  readonly steps: readonly Step[];
  readonly message: RegExp;
  readonly ends?: boolean;
}

const REPLIES: Readonly<Record<number, RegExp>> = {
  1: /: it failed, and does not say why \(reply 1\)$/,
  2: /: its rules do not allow that \(reply 2\)$/,
  3: /: no route to that network \(reply 3\)$/,
  4: /: no route to that host \(reply 4\)$/,
  5: /: nothing listens there \(reply 5\)$/,
  6: /: the way there has too many hops \(reply 6\)$/,
  7: /: it makes no outgoing connections \(reply 7\)$/,
  8: /: it does not take that kind of address \(reply 8\)$/,
  9: /: it gives a reason that nobody knows \(reply 9\)$/,
  255: /: it gives a reason that nobody knows \(reply 255\)$/,
};

const INCOMPLETE = /: it closed the connection before its answer was complete$/;

function replying(name: string, answer: Uint8Array, message: RegExp): Failure {
  return {
    name,
    steps: [
      [GREETING, NO_LOGIN],
      [REQUEST, answer],
    ],
    message,
  };
}

const FAILURES: readonly Failure[] = [
  ...Object.entries(REPLIES).map(([code, message]) =>
    replying(
      `replies ${code}`,
      Buffer.concat([hex("05"), Buffer.of(Number(code)), hex("00 01 00000000 0000")]),
      message,
    ),
  ),
  { ...replying("replies 5, and not a byte more", hex("05 05"), /nothing listens there/), ends: true },
  replying(
    "replies by another version",
    hex("04 00 00 01"),
    /does not speak SOCKS5 \(its answer begins with the bytes 4 0\)/,
  ),
  replying("replies with an unknown kind of address", hex("05 00 00 02 0000"), /unknown kind of address \(2\)/),
  { name: "speaks HTTP", steps: [[GREETING, "HTTP/1.0 400\r\n"]], message: /does not speak SOCKS5.*bytes 72 84\)/ },
  { name: "speaks SOCKS4", steps: [[GREETING, hex("00 5b")]], message: /does not speak SOCKS5/ },
  {
    name: "wants a login that there is none for",
    steps: [[GREETING, hex("05 ff")]],
    message: /: it asks for a user name and a password, or for some other way to log in$/,
  },
  {
    name: "wants another login",
    proxy: LOCKED,
    steps: [[GREETING_WITH_LOGIN, hex("05 ff")]],
    message: /: it takes no user name and password, or for some other way/,
  },
  { name: "chooses what was not offered", steps: [[GREETING, BY_PASSWORD]], message: /chose a way to log in \(2\)/ },
  {
    name: "chooses what was not offered, with a password at hand",
    proxy: LOCKED,
    steps: [[GREETING_WITH_LOGIN, hex("05 01")]],
    message: /chose a way to log in \(1\) that was not offered/,
  },
  {
    name: "does not accept the password",
    proxy: LOCKED,
    steps: [
      [GREETING_WITH_LOGIN, BY_PASSWORD],
      [LOGIN, hex("01 01")],
    ],
    message: /: it does not accept the user name and the password$/,
    ends: true,
  },
  { name: "leaves at once", steps: [["", ""]], message: INCOMPLETE, ends: true },
  { name: "leaves after a byte", steps: [[GREETING, hex("05")]], message: INCOMPLETE, ends: true },
  { name: "leaves after its choice", steps: [[GREETING, NO_LOGIN]], message: INCOMPLETE, ends: true },
  {
    name: "leaves before it accepts the password",
    proxy: LOCKED,
    steps: [
      [GREETING_WITH_LOGIN, BY_PASSWORD],
      [LOGIN, hex("01")],
    ],
    message: INCOMPLETE,
    ends: true,
  },
  ...Array.from({ length: SUCCESS.length }, (_, length): Failure => {
    const name = `leaves after ${length} bytes of its reply`;
    return { ...replying(name, SUCCESS.subarray(0, length), INCOMPLETE), ends: true };
  }),
];

describe("a SOCKS5 proxy fails in words when it", () => {
  for (const chunking of CHUNKINGS) {
    for (const { name, proxy = OPEN, ...failure } of FAILURES) {
      it(`${name}, ${chunking.name}`, (t) =>
        assertFails(t, chunking, { handshake: socks5Handshake, proxy, target: TARGET, ...failure }));
    }
  }

  it("resets the connection", async (t) => {
    const { socket, proxySide } = await connectedToProxy(t);
    const playing = play(proxySide, ASKED).then(() => proxySide.reset());
    await assert.rejects(socks5Handshake(socket, OPEN, TARGET), {
      code: "ERR_ASYNCSOCKET_PROXY",
      message: /: the connection to it was lost$/,
    });
    await playing;
  });
});

describe("the SOCKS5 handshake", () => {
  it("fails in words where the proxy has left before it began", async (t) => {
    const { socket, proxySide } = await connectedToProxy(t);
    proxySide.end();
    await socket.closed;
    await assert.rejects(socks5Handshake(socket, OPEN, TARGET), { code: "ERR_ASYNCSOCKET_PROXY", message: INCOMPLETE });
  });

  it("sends nothing for a host that no proxy can be asked for", async (t) => {
    const { socket } = await connectedToProxy(t, WHOLE);
    const target = { host: "x".repeat(256), port: 1 };
    await assert.rejects(socks5Handshake(socket, OPEN, target), {
      name: "RangeError",
      message: /^Expected host to be/,
    });
    assert.equal(socket.pendingReads + socket.pendingWrites + socket.bytesWritten, 0);
  });

  it("is not said to be the proxy's failure when this side has closed", async (t) => {
    const { socket, proxySide } = await connectedToProxy(t);
    const playing = play(proxySide, ASKED).then(() => socket.disconnect());
    await assert.rejects(
      socks5Handshake(socket, OPEN, TARGET),
      (error) => error instanceof AsyncSocketError && error.code === "ERR_ASYNCSOCKET_CLOSED",
    );
    await playing;
  });

  it("is not said to be the proxy's failure when its read was canceled", async (t) => {
    const { socket, proxySide } = await connectedToProxy(t);
    const playing = play(proxySide, ASKED).then(() => socket.cancelReads());
    await assert.rejects(socks5Handshake(socket, OPEN, TARGET), { code: "ERR_ASYNCSOCKET_CANCELED" });
    await playing;
  });
});
