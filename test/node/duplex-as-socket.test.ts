/**
 * The stream of a socket beside the runtime's own sockets: each scene is played by both against the same peer, and what
 * can be seen of them, and the order of their events, has to be the same.
 */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect as netConnect, createServer, type Server, Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import * as nodeTLS from "node:tls";
import { AsyncSocket } from "asyncsocket";
import { NO_NATIVE } from "../support/availability.js";
import { Authority } from "../support/certificates.js";
import { settled } from "../support/delegates.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";

const HOST = "127.0.0.1";
const authority = await Authority.create();
const identity = await authority.issue(["localhost", HOST]);
const ALPN = ["a/1", "b/2"];

/** A stream of ours is one by a cast only where `exactOptionalPropertyTypes` is set, as here. */
type Talker = Pick<Socket, keyof Socket>;
type SecureTalker = Pick<nodeTLS.TLSSocket, keyof nodeTLS.TLSSocket>;

interface Way {
  readonly name: string;
  /** Begins to connect. */
  dial(t: TestContext, port: number, options: { allowHalfOpen?: boolean; isSecure: boolean }): Talker;
}

const THEIRS: Way = {
  name: "node:net",
  dial(_, port, { allowHalfOpen = false, isSecure }) {
    const target = { host: HOST, port, allowHalfOpen };
    return isSecure ? nodeTLS.connect({ ...target, ca: authority.cert, ALPNProtocols: ALPN }) : netConnect(target);
  },
};

function ours(transport: "node" | "native", isIdleFirst: boolean): Way {
  return {
    name: `the stream of ${isIdleFirst ? "an idle" : "a connecting"} socket, over ${transport}`,
    dial(t, port, { allowHalfOpen = false, isSecure }) {
      const socket = Belongings.of(t).add(new AsyncSocket({ transport, allowHalfOpen }));
      const tls = isSecure ? { ca: authority.cert, ALPNProtocols: ALPN } : undefined;
      if (isIdleFirst) return socket.toDuplex().connect({ host: HOST, port, tls }) as Talker;
      void socket.connect({ host: HOST, port, tls }).catch(() => undefined);
      return socket.toDuplex() as Talker;
    },
  };
}

const TRANSPORTS = NO_NATIVE === false ? (["node", "native"] as const) : (["node"] as const);
const OURS = TRANSPORTS.flatMap((transport) => [ours(transport, true), ours(transport, false)]);

/** What happens to a socket, in order. Chunks that follow each other are one. */
class Diary {
  readonly lines: string[] = [];

  constructor(talker: Talker) {
    for (const name of ["connect", "ready", "secureConnect", "end", "finish", "timeout"] as const) {
      talker.on(name, () => this.lines.push(name));
    }
    talker.on("error", (error: NodeJS.ErrnoException) => this.lines.push(`error ${error.code ?? error.message}`));
    talker.on("close", (hadError: boolean) => this.lines.push(`close ${hadError}`));
    talker.on("data", (data: Buffer) => {
      const last = this.lines.at(-1);
      if (last?.startsWith("data ") === true) this.lines[this.lines.length - 1] = `${last}${data.toString()}`;
      else this.lines.push(`data ${data.toString()}`);
    });
  }

  get isOver(): boolean {
    return this.lines.some((line) => line.startsWith("close "));
  }

  note(facts: object): void {
    this.lines.push(JSON.stringify(facts));
  }
}

/** The facts that hold in every state. */
function stateOf(talker: Talker): object {
  const { connecting, pending, readyState, destroyed, readable, writable, writableLength } = talker;
  return { connecting, pending, readyState, destroyed, readable, writable, writableLength };
}

/** The facts of an open connection. */
function factsOf(talker: Talker): object {
  const { remoteAddress, remotePort, remoteFamily, localAddress, localFamily, localPort } = talker;
  const address = talker.address() as AddressInfo;
  const addresses = { remoteAddress, remotePort: typeof remotePort, remoteFamily, localAddress, localFamily };
  return { ...addresses, isOwn: localPort === address.port, family: address.family, address: address.address };
}

interface Stage {
  readonly talker: Talker;
  /** The other side. */
  readonly peer: Socket;
  readonly diary: Diary;
}

type Scene = (stage: Stage) => unknown;

async function serverFor(t: TestContext, isSecure: boolean): Promise<Server> {
  const options = { allowHalfOpen: true, pauseOnConnect: true };
  const server = isSecure
    ? nodeTLS.createServer({ ...options, ...identity, ALPNProtocols: ["b/2"] })
    : createServer(options);
  server.on("connection", (peer: Socket) => void Belongings.of(t).addRaw(peer));
  Belongings.of(t).addRaw(server).listen(0, HOST);
  await once(server, "listening");
  return server;
}

/** Plays a scene to its end, and gives what was seen. */
async function played(
  t: TestContext,
  way: Way,
  isSecure: boolean,
  scene: Scene,
  allowHalfOpen = false,
): Promise<string[]> {
  const server = await serverFor(t, isSecure);
  const accepted = once(server, isSecure ? "secureConnection" : "connection");
  const talker = way.dial(t, (server.address() as AddressInfo).port, { allowHalfOpen, isSecure });
  const diary = new Diary(talker);
  diary.note(stateOf(talker));
  const ready = once(talker, isSecure ? "secureConnect" : "ready");
  const [peer] = (await accepted) as [Socket];
  Belongings.of(t).addRaw(peer);
  await ready;
  await scene({ talker, peer, diary });
  if (!diary.isOver) await new Promise((resolve) => talker.once("close", resolve));
  await settled();
  diary.note(stateOf(talker));
  peer.destroy();
  server.close();
  return diary.lines;
}

const SCENES: Readonly<Record<string, Scene>> = {
  "an exchange, which the peer ends": async ({ talker, peer }) => {
    talker.write("news");
    peer.end("answer");
    await once(talker, "close");
  },
  "an exchange, which this side ends": async ({ talker, peer, diary }) => {
    talker.write("news");
    talker.write(" and more");
    const { bytesRead, bytesWritten, writableLength } = talker;
    diary.note({ bytesRead, bytesWritten, writableLength });
    peer.resume();
    talker.end();
    diary.note(stateOf(talker));
    await once(peer, "end");
    peer.end("answer");
  },
  "its facts while it is open": ({ talker, diary }) => {
    diary.note(stateOf(talker));
    diary.note(factsOf(talker));
    talker.destroy();
    diary.note(stateOf(talker));
  },
  "calls that give it back": ({ talker, diary }) => {
    const calls = [
      talker.setNoDelay(),
      talker.setNoDelay(false),
      talker.setKeepAlive(true, 1000),
      talker.setKeepAlive(),
      talker.setTimeout(5000),
      talker.setTimeout(0),
      talker.unref(),
      talker.ref(),
    ];
    diary.note({ same: calls.map((result) => result === talker), timeout: talker.timeout });
    talker.destroy();
    diary.note({ late: [talker.setNoDelay(), talker.setKeepAlive(true), talker.setTimeout(9)].length });
    diary.note({ ref: talker.unref() === talker.ref(), timeout: talker.timeout });
  },
  "cork: what was written comes at once": async ({ talker, peer, diary }) => {
    talker.cork();
    for (const part of ["a", "b", "c"]) talker.write(part);
    diary.note({ bytesWritten: talker.bytesWritten, writableCorked: talker.writableCorked });
    talker.uncork();
    const [data] = (await once(peer.resume(), "data")) as [Buffer];
    diary.note({ data: data.toString(), bytesWritten: talker.bytesWritten });
    talker.destroy();
  },
  "destroySoon with a write under way": async ({ talker, peer, diary }) => {
    let received = "";
    peer.on("data", (data: Buffer) => (received += data.toString()));
    peer.on("end", () => peer.end());
    talker.write("the last words");
    talker.destroySoon();
    diary.note(stateOf(talker));
    await Promise.all([once(talker, "close"), once(peer.resume(), "end")]);
    diary.note({ received });
  },
  "destroy with an error of the program": ({ talker }) => void talker.destroy(new Error("of the program")),
  "resetAndDestroy: the peer is told by a reset": async ({ talker, peer, diary }) => {
    const lost = new Promise<NodeJS.ErrnoException>((resolve) => void peer.on("error", resolve));
    peer.resume();
    talker.resetAndDestroy();
    const [{ code }] = await Promise.all([lost, once(talker, "close")]);
    diary.note({ code });
  },
  "resetAndDestroy when it is destroyed already": async ({ talker, diary }) => {
    talker.destroy();
    await once(talker, "close");
    talker.resetAndDestroy();
    diary.note(stateOf(talker));
  },
  "a write when the peer's end has ended this side": ({ talker, peer, diary }) => {
    peer.end("answer");
    peer.resume();
    talker.on("finish", () => {
      talker.write("late", (error) => diary.note({ code: (error as NodeJS.ErrnoException | null)?.code }));
    });
  },
  "the peer resets": ({ peer }) => void peer.resetAndDestroy(),
};

/** Scenes that a `tls.TLSSocket` plays in an order of its own. */
const CLEAR_ONLY = new Set(["resetAndDestroy: the peer is told by a reset", "the peer resets"]);

for (const isSecure of [false, true]) {
  describe(`a stream beside a socket of the runtime, ${isSecure ? "over TLS" : "in the clear"}`, SAFETY, () => {
    for (const [name, scene] of Object.entries(SCENES)) {
      if (isSecure && CLEAR_ONLY.has(name)) continue;
      it(name, async (t) => {
        const wanted = await played(t, THEIRS, isSecure, scene);
        for (const way of OURS) assert.deepEqual(await played(t, way, isSecure, scene), wanted, way.name);
      });
    }

    it("half-open: each side ends by itself", async (t) => {
      const scene: Scene = async ({ talker, peer, diary }) => {
        peer.end("answer");
        await once(talker, "end");
        await settled();
        diary.note(stateOf(talker));
        talker.end("late");
        const [data] = (await once(peer.resume(), "data")) as [Buffer];
        diary.note({ data: data.toString() });
      };
      const wanted = await played(t, THEIRS, isSecure, scene, true);
      for (const way of OURS) assert.deepEqual(await played(t, way, isSecure, scene, true), wanted, way.name);
    });
  });
}

/** What a program sees of an error, but for the words and the stack. */
function partsOf(error: NodeJS.ErrnoException): object {
  const { message, code, errno, syscall, address, port } = error as NodeJS.ErrnoException & {
    address?: unknown;
    port?: unknown;
  };
  return { message, code, errno, syscall, address, port };
}

async function failureOf(talker: Talker): Promise<{ error: NodeJS.ErrnoException; lines: readonly string[] }> {
  const diary = new Diary(talker);
  const [[error]] = await Promise.all([
    new Promise<[NodeJS.ErrnoException]>((resolve) => talker.once("error", (thrown) => resolve([thrown]))),
    new Promise((resolve) => talker.once("close", resolve)),
  ]);
  return { error, lines: diary.lines };
}

describe("the stream of a socket that cannot connect fails as a socket of the runtime", SAFETY, () => {
  const targets = {
    "a port that nobody listens on": async () => {
      const server = createServer().listen(0, HOST);
      await once(server, "listening");
      const { port } = server.address() as AddressInfo;
      await new Promise((resolve) => server.close(resolve));
      return { port, host: HOST };
    },
    "a Unix path that is not there": () => Promise.resolve({ path: "/nowhere/to-be/found" }),
  };
  for (const [name, target] of Object.entries(targets)) {
    for (const transport of TRANSPORTS) {
      it(`${name}, over ${transport}`, async (t) => {
        const options = await target();
        const wanted = await failureOf(new Socket().connect(options as { port: number }));
        const socket = Belongings.of(t).add(new AsyncSocket({ transport }));
        const got = await failureOf(socket.toDuplex().connect(options) as Talker);
        assert.deepEqual(partsOf(got.error), partsOf(wanted.error));
        assert.deepEqual(got.lines, wanted.lines);
        assert.equal(got.error.cause, socket.closeReason?.error);
        assert.equal((got.error.cause as NodeJS.ErrnoException).code, "ERR_ASYNCSOCKET_CONNECT");
      });
    }
  }

  it("a name that does not exist", async (t) => {
    const lookup = (_name: string, _options: object, done: (error: Error, found: []) => void): void =>
      done(Object.assign(new Error("getaddrinfo ENOTFOUND nobody"), { code: "ENOTFOUND", errno: -3008 }), []);
    const socket = Belongings.of(t).add(new AsyncSocket());
    const { error, lines } = await failureOf(socket.toDuplex().connect({ host: "nobody", port: 7, lookup }) as Talker);
    assert.deepEqual([error.code, error.errno], ["ENOTFOUND", -3008]);
    assert.deepEqual(lines, ["error ENOTFOUND", "close true"]);
  });

  it("a peer that is not trusted: the error is the socket's own", async (t) => {
    const server = await serverFor(t, true);
    const socket = Belongings.of(t).add(new AsyncSocket());
    const { port } = server.address() as AddressInfo;
    const { error, lines } = await failureOf(socket.toDuplex().connect({ port, host: HOST, tls: true }) as Talker);
    assert.equal(error, socket.closeReason?.error);
    assert.deepEqual(lines, ["error ERR_ASYNCSOCKET_TLS", "close true"]);
  });
});

describe("the stream of an idle socket", SAFETY, () => {
  function pairOf(t: TestContext): { theirs: Talker; ours: Talker } {
    return { theirs: new Socket(), ours: Belongings.of(t).add(new AsyncSocket()).toDuplex() as Talker };
  }

  it("looks like a socket of the runtime that was never connected", (t) => {
    const { theirs, ours } = pairOf(t);
    assert.deepEqual(stateOf(ours), stateOf(theirs));
    assert.deepEqual(ours.address(), theirs.address());
    for (const name of [
      "localAddress",
      "localPort",
      "remoteAddress",
      "remotePort",
      "remoteFamily",
      "timeout",
    ] as const) {
      assert.equal(ours[name], theirs[name], name);
    }
    assert.deepEqual([ours.bytesRead, ours.bytesWritten], [0, 0]);
    for (const socket of [theirs, ours]) socket.destroy();
  });

  const ends: Readonly<Record<string, (socket: Talker) => void>> = {
    destroy: (socket) => socket.destroy(),
    "destroy with an error": (socket) => socket.destroy(new Error("of the program")),
    "end, then destroy": (socket) => socket.end().destroy(),
    "setTimeout, then destroy": (socket) => socket.setTimeout(5).destroy(),
  };
  for (const [name, end] of Object.entries(ends)) {
    it(`ends by ${name} in the same way`, async (t) => {
      const diaries = Object.values(pairOf(t)).map((socket) => {
        const diary = new Diary(socket);
        end(socket);
        return { socket, diary };
      });
      for (const { socket, diary } of diaries) {
        if (!diary.isOver) await new Promise((resolve) => socket.once("close", resolve));
        await settled();
      }
      const [theirs, ours] = diaries.map(({ diary: { lines } }) => lines);
      // From Node 22 on, such a socket emits 'finish'. It does not say by 'close' whether there was an error.
      const toldBefore = theirs?.slice(0, -1).filter((line) => line !== "finish");
      assert.deepEqual(ours?.slice(0, -1), toldBefore);
      assert.equal(ours?.at(-1), `close ${name === "destroy with an error"}`);
    });
  }

  it("keeps what was written and set before, and connects once", async (t) => {
    const server = await serverFor(t, false);
    const accepted = once(server, "connection");
    const socket = Belongings.of(t).add(new AsyncSocket());
    const stream = socket.toDuplex();
    stream.setNoDelay(true).setKeepAlive(true, 1000).unref().ref().write("early");
    let calls = 0;
    const { port } = server.address() as AddressInfo;
    stream.connect(String(port), HOST, () => calls++);
    assert.equal(stream.connecting, true);
    assert.throws(() => stream.connect(port, HOST), { code: "ERR_ASYNCSOCKET_BAD_STATE" });
    assert.throws(() => socket.connect({ port, host: HOST }), { code: "ERR_ASYNCSOCKET_BAD_STATE" });
    const [peer] = (await accepted) as [Socket];
    Belongings.of(t).addRaw(peer);
    const [data] = (await once(peer.resume(), "data")) as [Buffer];
    assert.deepEqual([data.toString(), calls, stream.bytesWritten], ["early", 1, 5]);
    stream.destroy();
    assert.throws(() => stream.connect(port, HOST), { code: "ERR_ASYNCSOCKET_BAD_STATE" });
  });

  it("refuses to listen, to become a pair of web streams, and what connect refuses", (t) => {
    const socket = Belongings.of(t).add(new AsyncSocket());
    assert.throws(() => socket.toWeb(), { code: "ERR_ASYNCSOCKET_BAD_STATE" });
    const stream = socket.toDuplex();
    assert.throws(() => socket.listen({ port: 0 }), { code: "ERR_ASYNCSOCKET_BAD_STATE" });
    assert.throws(() => stream.connect(70_000), RangeError);
    assert.throws(() => stream.connect({ port: 7, hots: "x" } as object), /hots/);
    stream.destroy();
  });

  it("is destroyed while it connects, without an error", async (t) => {
    const server = await serverFor(t, false);
    const socket = Belongings.of(t).add(new AsyncSocket());
    const stream = socket.toDuplex().connect((server.address() as AddressInfo).port, HOST) as Talker;
    const diary = new Diary(stream);
    stream.destroy();
    await once(stream, "close");
    assert.deepEqual(diary.lines, ["close false"]);
  });
});

describe("the stream of an encrypted socket", SAFETY, () => {
  for (const transport of TRANSPORTS) {
    it(`tells what a tls.TLSSocket does, over ${transport}`, async (t) => {
      const server = await serverFor(t, true);
      const { port } = server.address() as AddressInfo;
      const talkers = [THEIRS, ours(transport, true)].map((way) => way.dial(t, port, { isSecure: true }));
      const told = await Promise.all(
        talkers.map(async (talker) => {
          t.after(() => talker.destroy());
          await once(talker, "secureConnect");
          const secure = talker as SecureTalker;
          const { encrypted, authorized, authorizationError, alpnProtocol } = secure;
          const facts = { encrypted, authorized, authorizationError, alpnProtocol };
          const [short, whole] = [secure.getPeerCertificate(), secure.getPeerCertificate(true)];
          const certificates = [
            short.subject.CN,
            "issuerCertificate" in short,
            whole.issuerCertificate.subject.CN,
            short.raw,
          ];
          return { ...facts, cipher: secure.getCipher(), protocol: secure.getProtocol(), certificates };
        }),
      );
      assert.deepEqual(told[1], told[0]);
      assert.equal(told[0]?.alpnProtocol, "b/2");
    });

    it(`tells why the peer is not verified, over ${transport}`, async (t) => {
      const server = await serverFor(t, true);
      const options = { host: HOST, port: (server.address() as AddressInfo).port };
      const theirs = nodeTLS.connect({ ...options, rejectUnauthorized: false });
      const socket = Belongings.of(t).add(new AsyncSocket({ transport }));
      const stream = socket.toDuplex().connect({ ...options, tls: { rejectUnauthorized: false } });
      Belongings.of(t).addRaw(theirs);
      assert.deepEqual(
        [stream.encrypted, stream.authorized, stream.alpnProtocol, stream.getProtocol()],
        [true, false, null, null],
      );
      await Promise.all([once(theirs, "secureConnect"), once(stream, "secureConnect")]);
      assert.equal(stream.authorizationError, theirs.authorizationError);
      assert.deepEqual([stream.authorized, stream.alpnProtocol], [theirs.authorized, theirs.alpnProtocol]);
      stream.destroy();
    });
  }

  it("has none of that in the clear", async (t) => {
    const server = await serverFor(t, false);
    const stream = Belongings.of(t).add(new AsyncSocket()).toDuplex();
    await once(stream.connect((server.address() as AddressInfo).port, HOST), "connect");
    const { encrypted, authorized, authorizationError, alpnProtocol } = stream;
    assert.deepEqual([encrypted, authorized, authorizationError, alpnProtocol], Array(4).fill(undefined));
    assert.deepEqual([stream.getPeerCertificate(), stream.getCipher(), stream.getProtocol()], [{}, undefined, null]);
    stream.destroy();
  });
});

describe("a stream of an idle socket that is given up", () => {
  it("is closed by destroySoon, also with something written", async () => {
    for (const written of [false, true]) {
      const stream = new AsyncSocket().toDuplex();
      if (written) stream.write("for nobody");
      const closed = once(stream, "close");
      stream.destroySoon();
      await closed;
    }
  });

  it("refuses to connect to nothing, in words", () => {
    for (const target of [undefined, null, true]) {
      const stream = new AsyncSocket().toDuplex();
      assert.throws(
        () => stream.connect(target as never),
        /^TypeError: Expected options to be an object, a port or a path/,
      );
      stream.destroy();
    }
  });
});
