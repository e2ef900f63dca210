/** Proxies that are spoken to over TLS, and what the target is spoken to inside of that. */

import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { createServer, TLSSocket } from "node:tls";
import { after, describe, it, type TestContext } from "node:test";
import { AsyncSocket, AsyncSocketError, type AsyncSocketOptions, type ConnectOptions } from "asyncsocket";
import { MemoryNetwork, VirtualClock } from "asyncsocket/testing";
import { failure } from "../support/delegates.js";
import { NO_NATIVE } from "../support/availability.js";
import { Authority } from "../support/certificates.js";
import { assertNothingLeft, portOf, turn } from "../support/transports.js";
import { assertInStep, CHUNKINGS, play } from "./scripted-proxy.js";

const TARGET = { host: "target.test", port: 80 };
const REQUEST = "CONNECT target.test:80 HTTP/1.1\r\nHost: target.test:80\r\n\r\n";
const DONE = "HTTP/1.1 200 OK\r\n\r\n";
const MUCH = Buffer.alloc(500_000, "0123456789");

const ofProxy = await Authority.create("CN=The authority of the proxy");
const ofTarget = await Authority.create("CN=The authority of the target");
const proxyIdentity = await ofProxy.issue(["localhost"]);
const targetIdentity = await ofTarget.issue(["target.test"]);

after(assertNothingLeft);

interface Stage {
  readonly socket: AsyncSocket;
  /** Connects to the target, through a proxy that is trusted. */
  readonly connect: (options?: Partial<ConnectOptions>) => Promise<AsyncSocket>;
  readonly accept: () => Promise<AsyncSocket>;
  readonly url: string;
}

async function stage(t: TestContext, { transport, ...options }: AsyncSocketOptions = {}): Promise<Stage> {
  const isReal = transport === undefined || typeof transport === "string";
  const port = isReal ? 0 : 443;
  const listener = await AsyncSocket.listen({ port, host: "localhost", transport, tls: proxyIdentity });
  const socket = new AsyncSocket({ transport, ...options });
  const accepted: AsyncSocket[] = [];
  t.after(() => Promise.all([...accepted, socket, listener].map((one) => one.disconnect())));
  const url = `https://localhost:${portOf(listener)}`;
  return {
    socket,
    connect: async (given) => await socket.connect({ ...TARGET, proxy: { url, tls: { ca: ofProxy.cert } }, ...given }),
    async accept() {
      const { value } = await listener.connections().next();
      assert.ok(value !== undefined);
      accepted.push(value);
      return value;
    },
    url,
  };
}

type Made = readonly [name: string, make: () => AsyncSocketOptions["transport"]];

const NATIVE: Made = ["native TCP", () => "native"];
const TRANSPORTS: readonly Made[] = [
  ["TCP", () => "node"],
  ...(NO_NATIVE === false ? [NATIVE] : []),
  ["memory", () => new MemoryNetwork()],
  ...CHUNKINGS.map(({ name, chunkBytes }) => [`memory ${name}`, () => new MemoryNetwork({ chunkBytes })] as const),
];

/** The target, as the proxy passes it on. */
async function behind(proxySide: AsyncSocket): Promise<AsyncSocket> {
  const target = AsyncSocket.from(proxySide.toDuplex());
  await target.startTLS({ ...targetIdentity, isServer: true });
  return target;
}

async function secured({ connect, accept }: Stage): Promise<AsyncSocket> {
  const connecting = connect({ tls: { ca: ofTarget.cert } });
  const peer = await accept();
  await play(peer, [[REQUEST, DONE]]);
  const [target] = await Promise.all([behind(peer), connecting]);
  return target;
}

describe("a proxy that is spoken to over TLS", () => {
  for (const [name, make] of TRANSPORTS) {
    it(`leads to a target in the clear, over ${name}`, async (t) => {
      const { connect, accept, socket } = await stage(t, { transport: make() });
      const connecting = connect();
      const peer = await accept();
      await Promise.all([play(peer, [[REQUEST, `${DONE}welcome\n`]]), connecting]);
      assert.ok(peer.isSecure);
      assert.ok(!socket.isSecure, "the target is not spoken to over TLS");
      assert.equal(socket.tls, undefined);
      assert.deepEqual([socket.bytesWritten, await socket.readLine()], [0, "welcome"]);
      await assertInStep(socket, peer);
      peer.end();
      assert.equal((await socket.closed).by, "remote");
    });

    it(`leads to a target over TLS of its own, over ${name}`, async (t) => {
      const one = await stage(t, { transport: make() });
      const peer = await secured(one);
      const { socket } = one;
      assert.deepEqual([socket.isSecure, socket.tls?.servername, socket.tls?.alpn], [true, "target.test", null]);
      await assertInStep(socket, peer);
      const much = MUCH.subarray(0, name.includes("chunks") ? 20_000 : MUCH.length);
      const [there, back] = await Promise.all([
        peer.readExactly(much.length),
        socket.readExactly(much.length),
        socket.write(much),
        peer.write([much]),
      ]);
      assert.ok(there.equals(much) && back.equals(much));
      // An end that is cut in pieces meets a target that is through with the inner stream, and has closed the outer one.
      if (name.includes("chunks")) return;
      assert.equal((await socket.disconnectAfterWriting()).error, null);
      assert.deepEqual([(await peer.closed).by, peer.tls?.truncated], ["remote", false]);
    });
  }

  it("begins with a PROXY header for the target, inside", async (t) => {
    const { connect, accept, socket } = await stage(t, { transport: new MemoryNetwork() });
    const connecting = connect({ proxyProtocol: { version: 1 }, tls: { ca: ofTarget.cert } });
    const peer = await accept();
    await play(peer, [
      [REQUEST, DONE],
      ["PROXY UNKNOWN\r\n", ""],
    ]);
    const [target] = await Promise.all([behind(peer), connecting]);
    await assertInStep(socket, target);
  });

  it("hears nothing, and no password, if it is not to be trusted", async (t) => {
    const { connect, accept, url, socket } = await stage(t, { transport: "node" });
    const proxy = url.replace("//", "//user:hunter2@");
    const connecting = failure(connect({ proxy }));
    const peer = await accept();
    const error = await connecting;
    assert.equal(error.code, "ERR_ASYNCSOCKET_PROXY");
    const { port } = new URL(url);
    const words = `Cannot connect to target.test port 80 through the proxy localhost:${port}: The peer is not to be trusted`;
    assert.ok(error.message.startsWith(words), error.message);
    assert.ok(error.cause instanceof AsyncSocketError && error.cause.code === "ERR_ASYNCSOCKET_TLS");
    assert.equal((await socket.closed).error, error);
    const { bytesRead } = await peer.closed;
    assert.equal(bytesRead, 0);
  });

  it("is asked for its own name, and its certificate must be for that", async (t) => {
    const { connect, accept, url } = await stage(t, { transport: "node" });
    const tls = { ca: ofProxy.cert, servername: "other.test" };
    const connecting = failure(connect({ proxy: { url, tls } }));
    await accept();
    assert.match((await connecting).message, /The peer is not to be trusted: .*other\.test/);
  });

  it("fails in words where it speaks no TLS", async (t) => {
    const listener = await AsyncSocket.listen({ port: 0, host: "127.0.0.1" });
    t.after(() => listener.shutdown({ graceMs: 0 }));
    const socket = new AsyncSocket();
    const connecting = failure(socket.connect({ ...TARGET, proxy: `https://127.0.0.1:${portOf(listener)}` }));
    const { value: peer } = await listener.connections().next();
    peer?.write("220 mail\r\n");
    const error = await connecting;
    assert.equal(error.code, "ERR_ASYNCSOCKET_PROXY");
    assert.match(error.message, /through the proxy 127\.0\.0\.1:\d+: /);
    await socket.closed;
  });

  it("has limits.handshakeMs for its handshake", async (t) => {
    const clock = new VirtualClock();
    const transport = new MemoryNetwork({ clock });
    const listener = await AsyncSocket.listen({ port: 443, transport });
    t.after(() => listener.shutdown({ graceMs: 0 }));
    const socket = new AsyncSocket({ transport, limits: { handshakeMs: 700 } });
    const connecting = failure(socket.connect({ ...TARGET, proxy: "https://localhost" }));
    const { value: peer } = await listener.connections().next();
    while ((peer?.unreadBytes ?? 0) === 0) await turn();
    clock.advance(700);
    const error = await connecting;
    assert.equal(error.code, "ERR_ASYNCSOCKET_PROXY");
    assert.match(error.message, /limits\.handshakeMs, 700 ms/);
    await socket.closed;
    assert.equal(clock.size, 0);
  });

  for (const isSecure of [false, true]) {
    it(`that breaks off is a lost connection, ${isSecure ? "over TLS" : "in the clear"} to the target`, async (t) => {
      const below: Socket[] = [];
      const server = createServer(proxyIdentity, (proxySide) => {
        proxySide.on("error", () => undefined);
        proxySide.once("data", () => {
          proxySide.write(DONE);
          if (isSecure) new TLSSocket(proxySide, { ...targetIdentity, isServer: true }).on("error", () => undefined);
        });
      });
      server.on("connection", (socket: Socket) => below.push(socket));
      server.listen(0, "localhost");
      await once(server, "listening");
      t.after(() => server.close());
      const url = `https://localhost:${(server.address() as AddressInfo).port}`;
      const socket = new AsyncSocket();
      await socket.connect({
        ...TARGET,
        proxy: { url, tls: { ca: ofProxy.cert } },
        tls: isSecure && { ca: ofTarget.cert },
      });
      for (const one of below) one.resetAndDestroy();
      const { error, by } = await socket.closed;
      assert.deepEqual([by, error?.code], ["error", "ERR_ASYNCSOCKET_CONNECTION_LOST"]);
    });
  }

  it("passes settings on to the connection itself, through both layers", async (t) => {
    const network = new MemoryNetwork();
    const heard: string[] = [];
    const original = network.connect.bind(network);
    network.connect = (...given) => {
      const transport = original(...given);
      transport.setNoDelay = (on) => void heard.push(`noDelay ${on}`);
      transport.setKeepAlive = (ms) => void heard.push(`keepAlive ${ms}`);
      transport.ref = () => void heard.push("ref");
      transport.unref = () => void heard.push("unref");
      return transport;
    };
    const one = await stage(t, { transport: network });
    const peer = await secured(one);
    heard.length = 0;
    one.socket.setNoDelay(false);
    one.socket.setKeepAlive(5_000);
    one.socket.unref();
    one.socket.ref();
    assert.deepEqual(heard, ["noDelay false", "keepAlive 5000", "unref", "ref"]);
    await assertInStep(one.socket, peer);
  });
});
