/** Wrong arguments throw at once, in words, and change nothing; `undefined` is as good as an option left out. */

import assert from "node:assert/strict";
import { constants } from "node:buffer";
import { Duplex, PassThrough, Readable } from "node:stream";
import { after, before, describe, it } from "node:test";
import { inspect } from "node:util";
import { runInNewContext } from "node:vm";
import { AsyncSocket } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import { checkKeepAlive } from "#dist/transport/options.js";

/** The public face without its types: for calls that they forbid. */
type Loose = Record<string, (...args: unknown[]) => unknown>;
type Bad = readonly unknown[];

const BARE: unknown = Object.create(null);
const nothing = (): void => undefined;

const NOT_OPTIONS: Bad = [null, 1, "x", true, nothing, 1n, Symbol("s")];
const NOT_BOOLEAN: Bad = [null, 0, 1, "true", {}];
const NOT_MS: Bad = ["1", NaN, -1, -Infinity, null, true, 1n, {}];
const NOT_LENGTH: Bad = [undefined, null, "4", NaN, -1, 1.5, Infinity, -Infinity, 2 ** 53, 4n, true, {}, [4]];
const NOT_BOUND: Bad = [0, -1, 1.5, NaN, "5", null, 2 ** 53, 1n, -Infinity, {}, false];
const NOT_SIGNAL: Bad = [null, {}, "x", new EventTarget(), new AbortController()];
const NOT_POLICY: Bad = ["close", null, 1, "", true, {}];
const NOT_ENCODING: Bad = ["utf-7", "", null, 5, {}, ["utf8"]];
const NOT_MEMORY: Bad = [null, "x", [], [1, 2, 3], new ArrayBuffer(8), new DataView(new ArrayBuffer(8)), 4, {}];
const NOT_HOST: Bad = ["", 5, null, {}, ["localhost"]];
const NOT_PORT: Bad = ["80", -1, 1.5, NaN, 65_536, Infinity, null, 80n, {}];
const NOT_PATH: Bad = ["", 5, null, {}, "x".repeat(120), "/tmp/a\0b", new URL("file:///tmp/x")];
const NOT_FAMILY: Bad = [5, 0, "4", "IPv4", null, NaN];
const NOT_INTEGER: Bad = [null, -1, 1.5, NaN, Infinity, "5", true, {}];
const NOT_KEEP_ALIVE: Bad = [
  ...[null, -1, NaN, Infinity, 2 ** 31, "1", {}, [], { idle: 5 }, { count: 1, idlems: 5 }],
  ...[null, -1, NaN, Infinity, 2 ** 31, "1", true, {}].map((idleMs) => ({ idleMs })),
  ...[0, 32_767_001, ...NOT_INTEGER].map((intervalMs) => ({ intervalMs })),
  ...[0, 128, ...NOT_INTEGER].map((count) => ({ idleMs: 5, count })),
];
const NOT_FUNCTION: Bad = [null, {}, "x", 5];
const NOT_DELEGATE: Bad = [5, "x", true, nothing, Symbol("s")];
const NOT_DELIMITER: Bad = [undefined, null, 5, {}, "", new Uint8Array(0), [], [""], ["a", ""], [5], [["a"]]];
const NOT_DATA: Bad = [undefined, null, 5, true, 1n, {}, nothing, Symbol("s"), new Date(), [5], ["a", undefined]];
const MORE_NOT_DATA: Bad = [["a", null], [["a"]], [[]], new Set(["a"])];

const ABORT = new AbortController().signal;

/** Wrong values of one option, or argument. */
type Wrong = Readonly<Record<string, Bad>>;

const OPERATION: Wrong = { timeout: NOT_MS, signal: NOT_SIGNAL };
const READING: Wrong = { ...OPERATION, onFailure: NOT_POLICY };
const DATA: Wrong = { ...READING, encoding: NOT_ENCODING, into: [...NOT_MEMORY, new Uint8Array(0)] };
const FRAME: Wrong = {
  ...DATA,
  lengthBytes: [undefined, null, "4", 0, 7, 9, -4, 1.5, NaN, 4n],
  littleEndian: NOT_BOOLEAN,
  lengthIncludesHeader: NOT_BOOLEAN,
  maxLength: NOT_BOUND.filter((value) => value !== 0),
};
const LINE: Wrong = { ...READING, encoding: NOT_ENCODING, maxLength: NOT_BOUND };

interface Operation {
  readonly wrong: Wrong;
  /** The arguments, with these options. */
  readonly args: (options: unknown) => unknown[];
  /** Options without which it does not work. */
  readonly needs?: object;
}

const OPERATIONS: Readonly<Record<string, Operation>> = {
  read: { wrong: { ...DATA, maxLength: NOT_BOUND }, args: (options) => [options] },
  readExactly: { wrong: DATA, args: (options) => [4, options] },
  readUntil: { wrong: { ...DATA, maxLength: NOT_BOUND }, args: (options) => ["\n", options] },
  readLine: { wrong: LINE, args: (options) => [options] },
  readFrame: { wrong: FRAME, args: (options) => [options], needs: { lengthBytes: 4 } },
  peek: { wrong: { ...DATA, length: NOT_LENGTH }, args: (options) => [options], needs: { length: 4 } },
  skip: { wrong: READING, args: (options) => [4, options] },
  lines: { wrong: LINE, args: (options) => [options] },
  frames: { wrong: FRAME, args: (options) => [options], needs: { lengthBytes: 4 } },
  write: { wrong: OPERATION, args: (options) => ["x", options] },
};

const TCP: Wrong = {
  noDelay: NOT_BOOLEAN,
  keepAlive: NOT_KEEP_ALIVE,
  userTimeout: [...NOT_INTEGER, 2 ** 31],
  sendBuffer: [...NOT_INTEGER, 0, 2 ** 30],
  receiveBuffer: [...NOT_INTEGER, 0, 2 ** 30],
  notSentLowWater: [...NOT_INTEGER, 0, 2 ** 31],
  trafficClass: [...NOT_INTEGER, 256],
};
const CONNECT: Wrong = {
  ...TCP,
  ...OPERATION,
  host: NOT_HOST,
  port: [...NOT_PORT, undefined, 0],
  localAddress: NOT_HOST,
  localPort: NOT_PORT,
  interface: NOT_HOST,
  service: [...NOT_HOST, "_xmpp", "a.b", "-a"],
  family: NOT_FAMILY,
  preferFamily: NOT_FAMILY,
  attemptDelay: NOT_MS,
  lookup: NOT_FUNCTION,
  resolver: [...NOT_FUNCTION, "dns"],
  resolverTimeout: NOT_MS,
};
const LISTEN: Wrong = {
  ...TCP,
  host: NOT_HOST,
  port: [...NOT_PORT, undefined],
  backlog: [0, -1, 1.5, NaN, Infinity, "5", null, 2 ** 31],
  fd: [...NOT_INTEGER, 2 ** 31],
  mode: [...NOT_INTEGER, 0o1000, 0o660],
  ipv6Only: NOT_BOOLEAN,
  reusePort: NOT_BOOLEAN,
  blockList: [null, {}, 5, "10.0.0.0/8", ["10.0.0.1"], nothing],
};
const SIZE_LIMIT: Bad = [0, ...NOT_BOUND];
const LIMITS: Wrong = {
  readAhead: SIZE_LIMIT,
  readLength: SIZE_LIMIT,
  writeQueue: SIZE_LIMIT,
  handshakeMs: NOT_MS,
  lingerMs: NOT_MS,
  idleMs: NOT_MS,
  bytesPerSecond: SIZE_LIMIT,
  connections: NOT_BOUND.filter((value) => value !== 0),
  connectionsPerAddress: SIZE_LIMIT,
  ipv6PrefixLength: [...SIZE_LIMIT, 129],
  acceptsPerSecond: SIZE_LIMIT,
};
const CONSTRUCTOR: Wrong = {
  delegate: NOT_DELEGATE,
  userDataFor: [null, 5, "x", true, {}],
  allowHalfOpen: NOT_BOOLEAN,
  limits: [null, 5, "x", true, { readAhed: 1 }, { toString: 1 }, { constructor: 1 }],
  transport: [null, 5, "udp", "", true, {}, { connect: 5 }, { connect: nothing }],
};

function show(value: unknown): string {
  return inspect(value, { depth: 2, breakLength: Infinity, maxStringLength: 20 });
}

function snapshot(socket: AsyncSocket): object {
  const { state, pendingReads, pendingWrites, unreadBytes, unsentBytes, closeReason, delegate, currentRead } = socket;
  return { state, pendingReads, pendingWrites, unreadBytes, unsentBytes, closeReason, delegate, currentRead };
}

/** What is wrong with how a call was refused; null: nothing. */
function objection(call: () => unknown): string | null {
  try {
    call();
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) return `threw ${String(error)}`;
    const isInWords = /^Expected .+, got .+/s.test(error.message) && !error.message.includes('got "an instance');
    return isInWords ? null : `said: ${error.message}`;
  }
  return "was taken";
}

/** The call throws for each value what it should, and the socket is as it was. */
function assertRefused(values: Bad, call: (value: unknown) => unknown, socket?: AsyncSocket): void {
  const before = socket && snapshot(socket);
  const objections = values.flatMap((value) => {
    const text = objection(() => call(value));
    return text === null ? [] : [`${show(value)} ${text}`];
  });
  assert.deepEqual(objections, []);
  assert.deepEqual(socket && snapshot(socket), before);
}

/** One test for each option. `call` is given options that hold a wrong value. */
function itRefusesEach(
  wrong: Wrong,
  base: object,
  call: (options: object) => unknown,
  socket?: () => AsyncSocket,
): void {
  for (const [name, values] of Object.entries(wrong)) {
    it(`refuses a wrong ${name}`, () => {
      assertRefused(values, (value) => call({ ...base, [name]: value }), socket?.());
    });
  }
}

const sockets: AsyncSocket[] = [];

function idle(): AsyncSocket {
  return new AsyncSocket({ transport: new MemoryNetwork() });
}

async function openSocket(): Promise<AsyncSocket> {
  const transport = new MemoryNetwork();
  const listener = await AsyncSocket.listen({ port: 1, transport });
  const socket = await AsyncSocket.connect({ port: 1, transport });
  sockets.push(listener, socket);
  return socket;
}

after(() => Promise.all(sockets.map((socket) => socket.disconnect())));

describe("the operations", () => {
  for (const state of ["idle", "open"]) {
    describe(`of a socket that is ${state}`, () => {
      let socket: AsyncSocket;
      before(async () => {
        socket = state === "idle" ? idle() : await openSocket();
      });
      const call = (method: string, args: unknown[]): unknown => (socket as unknown as Loose)[method]?.(...args);

      for (const [method, { wrong, args, needs }] of Object.entries(OPERATIONS)) {
        describe(method, () => {
          it("refuses options that are not an object", () => {
            const values = needs === undefined ? NOT_OPTIONS : [undefined, ...NOT_OPTIONS];
            assertRefused(values, (options) => call(method, args(options)), socket);
          });
          itRefusesEach(
            wrong,
            needs ?? {},
            (options) => call(method, args(options)),
            () => socket,
          );
          if ("into" in wrong) {
            it("refuses both an encoding and memory for the bytes", () => {
              const options = { ...needs, encoding: "utf8", into: new Uint8Array(8) };
              assertRefused([options], (options) => call(method, args(options)), socket);
            });
          }
        });
      }

      const lengths: Wrong = {
        readExactly: [...NOT_LENGTH, constants.MAX_LENGTH + 1],
        skip: NOT_LENGTH,
        readUntil: NOT_DELIMITER,
        write: [...NOT_DATA, ...MORE_NOT_DATA],
        setKeepAlive: [...NOT_KEEP_ALIVE, undefined],
      };
      for (const [method, values] of Object.entries(lengths)) {
        it(`${method} refuses a wrong argument`, () => {
          assertRefused(values, (value) => call(method, [value]), socket);
        });
      }

      it("readExactly and peek refuse memory that is too small", () => {
        const into = new Uint8Array(4);
        assertRefused([5, 6, 1000], (length) => call("readExactly", [length, { into }]), socket);
        assertRefused([5, 6, 1000], (length) => call("peek", [{ length, into }]), socket);
      });

      it("readUntil refuses a bound below its shortest delimiter", () => {
        assertRefused(["\r\n", ["abc", "de"]], (delimiter) => call("readUntil", [delimiter, { maxLength: 1 }]), socket);
        const into = new Uint8Array(2);
        assertRefused(["abc", ["abc", "defg"]], (delimiter) => call("readUntil", [delimiter, { into }]), socket);
      });

      it("extend refuses a value that is not a time", () => {
        const request = socket.read({ timeout: 60_000 });
        assertRefused([undefined, ...NOT_MS], (ms) => (request as unknown as Loose)["extend"]?.(ms), socket);
        request.cancel();
      });

      it("the delegate cannot be set to a value that is not a delegate", () => {
        assertRefused(NOT_DELEGATE, (value) => ((socket as { delegate: unknown }).delegate = value), socket);
      });
    });
  }

  it("readUntil refuses a delimiter above limits.readLength", () => {
    const socket = new AsyncSocket({ limits: { readLength: 2 } });
    assertRefused(["abc"], () => socket.readUntil("abc"), socket);
  });

  it("setNoDelay refuses a value that is not a boolean", async () => {
    const socket = await openSocket();
    assertRefused(NOT_BOOLEAN, (value) => (socket as unknown as Loose)["setNoDelay"]?.(value), socket);
  });
});

describe("connect and listen", () => {
  const statics = AsyncSocket as unknown as Loose;

  for (const [method, wrong] of Object.entries({ connect: CONNECT, listen: LISTEN })) {
    /** On a new socket each time, which is idle still when the call has thrown. */
    const call = (options: unknown): unknown => {
      const socket = idle();
      try {
        return (socket as unknown as Loose)[method]?.(options);
      } catch (error) {
        assert.equal(socket.state, "idle");
        throw error;
      }
    };
    describe(method, () => {
      it("refuses options that are not an object", () => {
        assertRefused([undefined, ...NOT_OPTIONS], call);
        assertRefused([undefined, ...NOT_OPTIONS], (options) => statics[method]?.(options));
      });
      itRefusesEach(wrong, { port: 1 }, call);
      itRefusesEach({ path: NOT_PATH }, {}, call);
      it("refuses a path together with a port or a host", () => {
        const values = [{ port: 1 }, { host: "localhost" }];
        assertRefused(values, (value) => call({ path: "/tmp/x", ...(value as object) }));
      });
      it("refuses what the constructor refuses, as a static method", () => {
        const values = [{ limits: { readAhead: -1 } }, { delegate: 5 }];
        assertRefused(values, (value) => statics[method]?.({ port: 1, ...(value as object) }));
      });
    });
  }
});

describe("the constructor", () => {
  it("refuses options that are not an object", () => {
    assertRefused(NOT_OPTIONS, (options) => new AsyncSocket(options as object));
  });
  itRefusesEach(CONSTRUCTOR, {}, (options) => new AsyncSocket(options));
  describe("in limits", () => {
    itRefusesEach(LIMITS, {}, (limits) => new AsyncSocket({ limits }));
    it("takes Infinity for none", () => {
      for (const name of Object.keys(LIMITS)) assert.ok(new AsyncSocket({ limits: { [name]: Infinity } }));
    });
  });
});

describe("from", () => {
  const from = (...args: unknown[]): unknown => (AsyncSocket as unknown as Loose)["from"]?.(...args);
  it("refuses a value that is not a stream", () => {
    assertRefused([undefined, null, 5, {}, "x", new Readable(), new EventTarget()], (stream) => from(stream));
  });
  it("refuses streams of objects and of text", () => {
    const streams = [
      new Duplex({ objectMode: true }),
      new Duplex({ readableObjectMode: true }),
      new Duplex({ writableObjectMode: true }),
      new PassThrough({ encoding: "utf8" }),
    ];
    assertRefused(streams, (stream) => from(stream));
  });
  it("refuses options that are not an object", () => {
    assertRefused(NOT_OPTIONS, (options) => from(new PassThrough(), options));
  });
  it("leaves the stream alone whose options it refuses", () => {
    const stream = new PassThrough({ allowHalfOpen: false });
    assertRefused([-1], (readAhead) => from(stream, { limits: { readAhead } }));
    assert.equal(stream.allowHalfOpen, false);
    assert.deepEqual([stream.listenerCount("data"), stream.readableFlowing], [0, null]);
  });
});

describe("shutdown", () => {
  let listener: AsyncSocket;
  before(async () => {
    listener = await AsyncSocket.listen({ port: 1, transport: new MemoryNetwork() });
    sockets.push(listener);
  });
  it("refuses options that are not an object", () => {
    assertRefused(NOT_OPTIONS, (options) => (listener as unknown as Loose)["shutdown"]?.(options), listener);
  });
  itRefusesEach(
    { graceMs: NOT_MS, goodbye: [5, "bye", {}] },
    {},
    (options) => listener.shutdown(options),
    () => listener,
  );
});

/** The same options, each of them undefined. */
function undefineAll(wrong: Wrong, needs: object = {}): object {
  return { ...Object.fromEntries(Object.keys(wrong).map((name) => [name, undefined])), ...needs };
}

describe("the words of a refusal", () => {
  it("are found for values without a prototype, too", () => {
    const socket = idle() as unknown as Loose;
    assertRefused([BARE, [BARE]], (data) => socket["write"]?.(data));
    assertRefused([BARE], (timeout) => socket["read"]?.({ timeout }));
  });

  const words: readonly [call: (socket: AsyncSocket) => unknown, error: typeof TypeError, message: string][] = [
    [
      (socket) => socket.readExactly(-1),
      RangeError,
      `Expected length to be a whole number from 0 to ${constants.MAX_LENGTH}, got -1`,
    ],
    [
      (socket) => socket.read({ timeout: NaN }),
      RangeError,
      "Expected timeout to be a non-negative number of milliseconds, got NaN",
    ],
    [(socket) => socket.connect({ port: 0 }), RangeError, "Expected port to be a whole number from 1 to 65535, got 0"],
    [(socket) => socket.write(5 as never), TypeError, "Expected data to be a string, bytes, or a list of them, got 5"],
    [(socket) => socket.readUntil(""), RangeError, 'Expected delimiter to be longer than 0 bytes, got ""'],
    [(socket) => socket.listen({ port: "80" as never }), TypeError, 'Expected port to be a number, got "80"'],
  ];
  for (const [call, error, message] of words) {
    it(`are: ${message}`, () => {
      assert.throws(() => call(idle()), { constructor: error, message });
    });
  }
});

describe("an option that is undefined", () => {
  for (const [method, { wrong, args, needs }] of Object.entries(OPERATIONS)) {
    it(`is one left out, in ${method}`, () => {
      (idle() as unknown as Loose)[method]?.(...args(undefineAll({ ...wrong, tag: [] }, needs)));
    });
  }

  it("is one left out, in connect, listen, shutdown, from, the constructor and its limits", async () => {
    const limits = undefineAll(LIMITS);
    assert.ok(new AsyncSocket({ ...undefineAll(CONSTRUCTOR), userData: undefined }));
    assert.ok(new AsyncSocket({ limits }));
    assert.ok(AsyncSocket.from(new PassThrough(), { ...undefineAll(CONSTRUCTOR), limits }));
    const transport = new MemoryNetwork();
    const listening = { ...undefineAll(LISTEN), path: undefined, tls: undefined, proxyProtocol: undefined, port: 1 };
    const listener = await new AsyncSocket({ transport }).listen(listening);
    const connecting = { ...undefineAll(CONNECT), path: undefined, tls: undefined, proxy: undefined, port: 1 };
    const socket = await new AsyncSocket({ transport }).connect(connecting);
    await socket.disconnect();
    await listener.shutdown({ graceMs: undefined });
  });
});

describe("values at the edge of what is allowed", () => {
  it("are accepted", () => {
    const socket = idle();
    const calls: (() => unknown)[] = [
      () => socket.read({ maxLength: 1, timeout: 0, signal: ABORT }),
      () => socket.read({ maxLength: Infinity, timeout: Infinity }),
      () => socket.read({ timeout: 0.5, encoding: "UTF-8" as BufferEncoding }),
      () => socket.readExactly(0),
      () => socket.readExactly(4, { into: new Uint8Array(4) }),
      () => socket.readUntil("\r\n", { maxLength: 2 }),
      () => socket.readUntil(["a", Uint8Array.of(1, 2), new ArrayBuffer(3), new DataView(new ArrayBuffer(1))]),
      () => socket.readUntil(["abc", "d"], { maxLength: 2 }),
      () => socket.readLine({ maxLength: 1 }),
      () => socket.readFrame({ lengthBytes: 8, maxLength: 0 }),
      () => socket.readFrame({ lengthBytes: 8, maxLength: Infinity, onFailure: "continue" }),
      () => socket.peek({ length: 0 }),
      () => socket.skip(Number.MAX_SAFE_INTEGER),
      () => socket.write(""),
      () => socket.write([]),
      () => socket.write(["a", "", Buffer.of(1), new ArrayBuffer(1), new DataView(new ArrayBuffer(1))], { timeout: 0 }),
    ];
    for (const call of calls) assert.ok(call());
    assert.equal(socket.pendingReads, 13);
    assert.equal(socket.pendingWrites, 3);
    socket.delegate = null;
  });
});

describe("values of another realm, as vm contexts and Jest make them", () => {
  /** Bytes of various kinds, in a list. */
  const foreign = (source: string): [Uint8Array, ...(DataView | ArrayBuffer)[]] =>
    runInNewContext(`[${source}]`) as [Uint8Array, ...(DataView | ArrayBuffer)[]];

  it("are bytes to write, delimiters, and memory to read into", async () => {
    const socket = await openSocket();
    const { value: peer } = await (sockets.at(-2) ?? assert.fail()).connections().next();
    assert.ok(peer !== undefined);
    const views = "Uint8Array.of(97, 98), new DataView(Uint8Array.of(99, 100).buffer), Uint8Array.of(101, 10).buffer";
    await socket.write(foreign(views));
    await socket.write(foreign("Uint8Array.of(102, 10)")[0]);
    await socket.write(foreign("0, Uint8Array.of(103).buffer")[1] ?? assert.fail());
    assert.equal((await peer.readUntil(foreign("Uint8Array.of(101, 10)")[0])).toString(), "abcde\n");
    const [into] = foreign("new Uint8Array(4)");
    assert.equal((await peer.readExactly(3, { into })).toString(), "f\ng");
    assert.deepEqual([...into], [102, 10, 103, 0]);
  });

  it("are signals", () => {
    const controller = new AbortController();
    const { signal } = controller;
    const unlike = {
      get aborted() {
        return signal.aborted;
      },
      get reason(): unknown {
        return signal.reason as unknown;
      },
      addEventListener: signal.addEventListener.bind(signal),
      removeEventListener: signal.removeEventListener.bind(signal),
    };
    const request = idle().read({ signal: unlike as AbortSignal });
    controller.abort();
    assert.equal(request.state, "canceled");
  });
});

describe("keepAlive", () => {
  const taken = (keepAlive: number | boolean): number | false => checkKeepAlive("keepAlive", keepAlive);

  it("is rounded up to whole seconds, which is what systems count in", () => {
    for (const [ms, expected] of [
      [0, 0],
      [0.5, 1000],
      [400, 1000],
      [1000, 1000],
      [1001, 2000],
    ] as const) {
      assert.equal(taken(ms), expected);
    }
    assert.deepEqual([taken(true), taken(false)], [0, false]);
  });

  it("refuses more than the system takes, and names the bound", { skip: process.platform !== "linux" }, () => {
    assert.equal(taken(32_767_000), 32_767_000);
    assert.throws(() => taken(32_767_001), { name: "RangeError", message: /32767 s.*got 32767001/ });
    for (const call of [
      () => idle().connect({ port: 1, keepAlive: 40_000_000 }),
      () => idle().listen({ port: 1, keepAlive: 40_000_000 }),
    ]) {
      assert.throws(call, RangeError);
    }
  });
});
