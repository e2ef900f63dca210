/** `connect({ proxyProtocol })`: the header goes out first, and the connection is as any other behind it. */

import assert from "node:assert/strict";
import { after, describe, it, type TestContext } from "node:test";
import {
  type Address,
  AsyncSocket,
  type ConnectOptions,
  type ProxyHeaderOptions,
  reconnect,
  type SocketRequest,
} from "asyncsocket";
import { MemoryNetwork, type MemoryNetworkOptions, VirtualClock } from "asyncsocket/testing";
import { failure } from "../support/delegates.js";
import { assertNothingLeft, type Kind, overEveryTransport, turn } from "../support/transports.js";
import { assertInStep, CHUNKINGS, play } from "./scripted-proxy.js";

const SOURCE: Address = { family: "IPv4", address: "192.0.2.1", port: 1234 };
const DESTINATION: Address = { family: "IPv4", address: "192.0.2.2", port: 443 };
const ENDS = { source: SOURCE, destination: DESTINATION };
const PROXIED = { local: DESTINATION, remote: SOURCE };
const LINE = "PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\r\n";

after(assertNothingLeft);

async function next(listener: AsyncSocket): Promise<AsyncSocket> {
  const { value } = await listener.connections().next();
  assert.ok(value !== undefined);
  return value;
}

// -------------------------------------------------------------------- from our connect to our listener

async function connected(t: TestContext, kind: Kind, proxyProtocol: ProxyHeaderOptions) {
  const wire = kind.open();
  const listener = new AsyncSocket(wire.options);
  await listener.listen({ ...wire.listen, proxyProtocol: true });
  const client = new AsyncSocket(wire.options);
  const early = client.write("early\n");
  const [server] = await Promise.all([next(listener), client.connect({ ...wire.connect(listener), proxyProtocol })]);
  t.after(async () => {
    await Promise.all([client.disconnect(), server.disconnect(), listener.disconnect()]);
    wire.dispose();
    await assertNothingLeft();
  });
  return { client, server, early };
}

const TLVS = {
  alpn: "h2",
  authority: "example.test",
  uniqueId: Buffer.alloc(128, 1),
  tls: {
    isSecure: true,
    certificateInConnection: true,
    certificateInSession: false,
    verify: 0,
    version: "TLSv1.3",
    commonName: "someone",
    others: new Map<number, Buffer>(),
  },
  crc32c: true,
  others: new Map([[0xe0, Buffer.alloc(3_000, 2)]]),
};

const SENT: readonly (readonly [name: string, options: ProxyHeaderOptions, proxied: unknown])[] = [
  ["version 1", { version: 1, ...ENDS }, PROXIED],
  ["version 2", { version: 2, ...ENDS }, PROXIED],
  ["version 2 with many extensions", { version: 2, ...ENDS, tlvs: TLVS }, { ...PROXIED, tlvs: TLVS }],
  [
    "version 2 of paths",
    { version: 2, source: { family: "unix", path: "" }, destination: { family: "unix", path: "/run/x" } },
    { local: { family: "unix", path: "/run/x" }, remote: { family: "unix", path: "" } },
  ],
];

describe("a connection that begins with a PROXY header", () => {
  overEveryTransport((kind) => {
    for (const [name, options, proxied] of SENT) {
      it(`tells the listener whose it is, by ${name}`, async (t) => {
        const { client, server, early } = await connected(t, kind, options);
        assert.deepEqual(server.proxied, proxied);
        assert.equal(await server.readLine(), "early");
        server.write("answer\n");
        assert.equal(await client.readLine(), "answer");
        assert.equal(client.isSecure, kind.isSecure);
        await early;
        assert.deepEqual([client.bytesWritten, server.bytesRead], [6, 6], "the header is not the application's");
      });
    }

    for (const version of [1, 2] as const) {
      it(`names its own ends where there is no other client, by version ${version}`, async (t) => {
        const { client, server } = await connected(t, kind, { version });
        const { local, remote } = client;
        const expected = remote?.family === "unix" ? undefined : { local: remote, remote: local };
        assert.deepEqual(server.proxied, expected);
      });
    }
  });
});

// -------------------------------------------------------------------- what is on the wire

/** Between ends that take so little, a header gets stuck until it is read. */
const NARROW = { capacityBytes: 8, readAhead: 8 };

interface StageOptions extends MemoryNetworkOptions {
  /** Of the accepted side. */
  readonly readAhead?: number;
}

interface Stage {
  readonly clock: VirtualClock;
  readonly network: MemoryNetwork;
  readonly socket: AsyncSocket;
  /** Connects with a header of version 1. */
  readonly connect: (given?: Partial<ConnectOptions>) => SocketRequest<AsyncSocket>;
  /** The other end of the next connection. */
  readonly accept: () => Promise<AsyncSocket>;
}

async function stage(t: TestContext, { readAhead, ...options }: StageOptions = {}): Promise<Stage> {
  const clock = new VirtualClock();
  const network = new MemoryNetwork({ clock, ...options });
  const listener = await AsyncSocket.listen({ port: 7, transport: network, limits: { readAhead } });
  const socket = new AsyncSocket({ transport: network });
  const accepted: AsyncSocket[] = [];
  t.after(() => Promise.all([...accepted, socket, listener].map((one) => one.disconnect())));
  return {
    clock,
    network,
    socket,
    connect: (given) => socket.connect({ port: 7, proxyProtocol: { version: 1, ...ENDS }, ...given }),
    async accept() {
      const peer = await next(listener);
      accepted.push(peer);
      return peer;
    },
  };
}

describe("a PROXY header on its way", () => {
  for (const { name, chunkBytes } of CHUNKINGS) {
    it(`loses no byte of a peer that speaks first, and its FIN neither, ${name}`, async (t) => {
      const { connect, accept, socket } = await stage(t, { chunkBytes });
      const line = socket.readLine();
      const connecting = connect();
      const peer = await accept();
      peer.write("welcome\nrest");
      peer.end();
      await connecting;
      assert.equal(await line, "welcome");
      assert.equal(await peer.readExactly(LINE.length, { encoding: "latin1" }), LINE);
      assert.equal(peer.unreadBytes, 0);
      let rest = "";
      for await (const bytes of socket) rest += bytes.toString();
      assert.equal(rest, "rest");
    });
  }

  it("lets in no more than the read-ahead of a peer that speaks first, and loses nothing of it", async (t) => {
    const { connect, accept, socket } = await stage(t, NARROW);
    const connecting = connect();
    const peer = await accept();
    const much = Buffer.alloc(300_000, "0123456789");
    const sent = peer.write(much);
    for (let turns = 0; turns < 50; turns++) await turn();
    assert.equal(socket.state, "connecting", "the peer has not read the header");
    assert.ok(peer.unsentBytes > much.length - 70_000, `${peer.unsentBytes} are held up`);
    assert.equal(await peer.readExactly(LINE.length, { encoding: "latin1" }), LINE);
    await connecting;
    assert.ok((await socket.readExactly(much.length)).equals(much));
    await sent;
  });

  for (const [proxy, question, answer] of [
    [
      "http://127.0.0.1:7",
      "CONNECT target.test:80 HTTP/1.1\r\nHost: target.test:80\r\n\r\n",
      "HTTP/1.1 200 OK\r\n\r\n",
    ],
  ] as const) {
    it(`comes behind the talk with ${proxy}, and before everything else`, async (t) => {
      const { connect, accept, socket } = await stage(t);
      const line = socket.readLine();
      const connecting = connect({ host: "target.test", port: 80, proxy });
      const peer = await accept();
      await play(peer, [[question, `${answer}welcome\n`]]);
      await Promise.all([play(peer, [[LINE, ""]]), connecting]);
      assert.equal(await line, "welcome");
      await assertInStep(socket, peer);
    });
  }

  it("loses neither bytes nor the FIN that came with the proxy's answer", async (t) => {
    const { connect, accept, socket } = await stage(t);
    const line = socket.readLine();
    const connecting = connect({ host: "target.test", port: 80, proxy: "http://127.0.0.1:7" });
    const peer = await accept();
    await peer.readUntil("\r\n\r\n");
    peer.write("HTTP/1.1 200 OK\r\n\r\nwelcome\nrest");
    peer.end();
    await connecting;
    assert.equal(await line, "welcome");
    assert.equal(await peer.readExactly(LINE.length, { encoding: "latin1" }), LINE);
    let rest = "";
    for await (const bytes of socket) rest += bytes.toString();
    assert.equal(rest, "rest");
  });

  it("goes out anew with each connection of a socket that is used again, and of reconnect", async (t) => {
    const { connect, accept, socket, network } = await stage(t);
    for (let round = 0; round < 2; round++) {
      const [peer] = await Promise.all([accept(), connect()]);
      await play(peer, [[LINE, ""]]);
      await assertInStep(socket, peer);
      await socket.disconnect();
    }
    const again = reconnect({ port: 7, proxyProtocol: { version: 1, ...ENDS }, transport: network });
    for await (const [other, peer] of (async function* () {
      for await (const one of again) yield [one, await accept()] as const;
    })()) {
      await play(peer, [[LINE, ""]]);
      await other.disconnect();
      break;
    }
  });

  it("holds up the connect, which says so when its time is over", async (t) => {
    const { connect, accept, clock, socket } = await stage(t, NARROW);
    const connecting = failure(connect({ timeout: 500 }));
    const peer = await accept();
    while (peer.unreadBytes < 8) await turn();
    clock.advance(500);
    const error = await connecting;
    assert.equal(error.code, "ERR_ASYNCSOCKET_CONNECT_TIMEOUT");
    assert.match(error.message, /the PROXY header is not out yet/);
    assert.equal((await socket.closed).error, error);
    assert.equal(clock.size, 0);
  });

  it("is given up with the signal", async (t) => {
    const { connect, accept, socket } = await stage(t, NARROW);
    const controller = new AbortController();
    const connecting = failure(connect({ signal: controller.signal }));
    await accept();
    controller.abort();
    const error = await connecting;
    assert.equal(error.code, "ERR_ASYNCSOCKET_CANCELED");
    assert.equal((await socket.closed).error, error);
  });

  it("that cannot go out fails the connect, with the cause", async (t) => {
    const { connect, accept, socket } = await stage(t, NARROW);
    const connecting = failure(connect());
    const peer = await accept();
    while (peer.unreadBytes < 8) await turn();
    peer.reset();
    const error = await connecting;
    assert.equal(error.code, "ERR_ASYNCSOCKET_CONNECT");
    assert.match(error.message, /port 7: the PROXY header could not be sent: /);
    assert.equal((await socket.closed).error, error);
  });

  it("changes nothing of what a failed connect says", async (t) => {
    const { connect } = await stage(t);
    const error = await failure(connect({ port: 8 }));
    assert.equal(error.code, "ERR_ASYNCSOCKET_CONNECT");
    assert.match(error.message, /nothing listens there/);
  });

  it("is checked at once", async (t) => {
    const { connect, socket } = await stage(t);
    assert.throws(() => void connect({ proxyProtocol: { version: 3 as 2 } }), /proxyProtocol\.version/);
    assert.equal(socket.state, "idle");
  });
});

describe("a relay that speaks the PROXY protocol on both sides", () => {
  it("passes on whom it was told of, extensions and all, and whom it sees itself", async (t) => {
    const transport = new MemoryNetwork();
    const front = await AsyncSocket.listen({ port: 1, transport, proxyProtocol: true });
    const back = await AsyncSocket.listen({ port: 2, transport, proxyProtocol: true });
    t.after(() => Promise.all([front.shutdown({ graceMs: 0 }), back.shutdown({ graceMs: 0 })]));
    for (const [proxyProtocol, isTold] of [
      [{ version: 2, ...ENDS, tlvs: TLVS }, true],
      [{ version: 2, source: { family: "unix", path: "" }, destination: { family: "unix", path: "/a" } }, true],
      [{ version: 1, ...ENDS }, true],
      [{ version: 1 }, true],
    ] as readonly (readonly [ProxyHeaderOptions, boolean])[]) {
      const [client, met] = await Promise.all([
        AsyncSocket.connect({ port: 1, transport, proxyProtocol }),
        next(front),
      ]);
      assert.equal(met.proxied !== undefined, isTold);
      const { remote: source, local: destination } = met.proxied ?? met;
      const tlvs = met.proxied?.tlvs;
      const [relayed, reached] = await Promise.all([
        AsyncSocket.connect({ port: 2, transport, proxyProtocol: { version: 2, source, destination, tlvs } }),
        next(back),
      ]);
      assert.deepEqual(reached.proxied, met.proxied);
      await Promise.all([client.disconnect(), relayed.disconnect()]);
    }
  });
});
