import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { connect as connectTLS, createSecureContext, TLSSocket } from "node:tls";
import type { AsyncSocket, AsyncSocketOptions } from "asyncsocket";
import { VirtualClock } from "asyncsocket/testing";
import { failure, readToEnd, settled, shortCode, until } from "../support/delegates.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";
import {
  assertWords,
  authority,
  closedBy,
  HOST,
  identity,
  idle,
  listening,
  nodeClient,
  overMemory,
  rawServer,
  SecureRecorder,
  streamPair,
  trusting,
} from "./helpers.js";

const asClient = { ...trusting, servername: HOST, isServer: false };
const asServer = { ...identity, isServer: true };

/** A record of handshake messages that claims more than there may be (RFC 8446, section 5.1). */
const HUGE_RECORD = Buffer.concat([Buffer.from([22, 3, 1, 0xff, 0xff]), Buffer.alloc(65_535)]);
const HUGE_HELLO = Buffer.concat([Buffer.from([22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff]), Buffer.alloc(16_380)]);
const ALERT = Buffer.from([21, 3, 3, 0, 2, 2, 40]);

interface Attack {
  readonly name: string;
  readonly do: (peer: Socket) => void;
  readonly codes: readonly string[];
}

const ATTACKS: readonly Attack[] = [
  { name: "sends garbage", do: (peer) => void peer.write("GET / HTTP/1.1\r\n\r\n"), codes: ["TLS"] },
  { name: "sends zeroes without end", do: (peer) => void peer.write(Buffer.alloc(200_000)), codes: ["TLS"] },
  { name: "sends a record that is too long", do: (peer) => void peer.write(HUGE_RECORD), codes: ["TLS"] },
  { name: "announces a huge message", do: (peer) => void peer.write(HUGE_HELLO), codes: ["TLS"] },
  { name: "sends a fatal alert", do: (peer) => void peer.write(ALERT), codes: ["TLS"] },
  { name: "ends", do: (peer) => void peer.end(), codes: ["TLS"] },
  { name: "ends within a record", do: (peer) => void peer.end(HUGE_HELLO.subarray(0, 100)), codes: ["TLS"] },
  { name: "resets", do: (peer) => void peer.resetAndDestroy(), codes: ["TLS", "CONNECTION_LOST"] },
];

/** A connection of node:net to a listener of ours. */
async function rawClient(t: TestContext, port: number): Promise<Socket> {
  const peer = Belongings.of(t).addRaw(connect({ host: HOST, port, allowHalfOpen: true }));
  peer.resume();
  await until(() => !peer.pending, "the connection");
  return peer;
}

describe("In place of a handshake, a server", SAFETY, () => {
  for (const { name, do: attack, codes } of ATTACKS) {
    it(`${name}: connect fails`, async (t) => {
      const { target, connection } = await rawServer(t);
      const delegate = new SecureRecorder();
      const client = idle(t, { delegate });
      const connecting = client.connect({ ...target, tls: trusting });
      client.write("secret");
      const peer = await connection();
      const seen: Buffer[] = [];
      peer.on("data", (chunk: Buffer) => seen.push(chunk));
      attack(peer);
      const error = await failure(connecting);
      assert.ok(codes.includes(shortCode(error)), error.message);
      assert.equal((await client.closed).error, error);
      assert.deepEqual(delegate.names, ["didFailWrite", "didDisconnect"]);
      assert.equal(Buffer.concat(seen).includes("secret"), false);
    });
  }
});

describe("In place of a handshake, a client", SAFETY, () => {
  for (const { name, do: attack, codes } of ATTACKS) {
    it(`${name}: the accepted socket is closed, and the listener goes on`, async (t) => {
      const delegate = new SecureRecorder();
      const { listener, target, accepted } = await listening(t, identity, { delegate });
      const peer = await rawClient(t, target.port);
      const server = await accepted();
      const read = server.read();
      attack(peer);
      await failure(read);
      const { error } = await server.closed;
      assert.ok(error !== null && codes.includes(shortCode(error)), error?.message);
      assert.equal(delegate.names.includes("didSecure"), false);
      assert.equal(server.bytesRead, 0);
      assert.equal(listener.state, "listening");
      await idle(t).connect({ ...target, tls: trusting });
    });
  }
});

describe("A peer that is silent in the handshake", SAFETY, () => {
  const limits = { handshakeMs: 60 };

  it("as a server: connect fails after limits.handshakeMs", async (t) => {
    const { target } = await rawServer(t);
    const client = idle(t, { limits });
    const error = await failure(client.connect({ ...target, tls: trusting }), "TLS_TIMEOUT");
    assert.match(error.message, /^The TLS handshake timed out after limits\.handshakeMs, 60 ms/);
    assert.equal(await closedBy(client, "TLS_TIMEOUT"), error);
  });

  it("as a client: the accepted socket is closed after limits.handshakeMs", async (t) => {
    const { target, accepted } = await listening(t, identity, { limits });
    await rawClient(t, target.port);
    await closedBy(await accepted(), "TLS_TIMEOUT");
  });

  it("as a client that sends a little now and then: it is the total that counts", async (t) => {
    const clock = new VirtualClock();
    const options: AsyncSocketOptions = { limits: { handshakeMs: 100 } };
    const { client, server } = await overMemory(t, { clock }, options, options);
    const upgrade = server.startTLS(asServer);
    for (let ms = 0; ms < 100; ms += 10) {
      assert.equal(server.state, "open");
      client.write(HUGE_HELLO.subarray(ms / 10, ms / 10 + 1));
      await settled();
      clock.advance(10);
    }
    await failure(upgrade, "TLS_TIMEOUT");
  });

  it("does not keep others waiting", async (t) => {
    const { target, accepted } = await listening(t, identity);
    await rawClient(t, target.port);
    await accepted();
    await idle(t).connect({ ...target, tls: trusting });
  });
});

describe("One side in the clear, the other encrypted", SAFETY, () => {
  it("a client in the clear of a TLS listener is closed upon", async (t) => {
    const { target, accepted } = await listening(t, identity);
    const client = idle(t);
    await client.connect(target);
    client.write("EHLO me\r\n");
    await closedBy(await accepted(), "TLS");
    await readToEnd(client);
    await client.closed;
  });

  it("a TLS client of a listener in the clear: connect fails when the server answers", async (t) => {
    const { target, accepted } = await listening(t);
    const connecting = idle(t).connect({ ...target, tls: trusting });
    const server = await accepted();
    server.write("220 ready\r\n");
    assertWords(await failure(connecting, "TLS"), /handshake failed/);
  });
});

/** What the error's words are when the peer goes away in the middle. */
async function cutInTheMiddle(ours: AsyncSocket, theirs: AsyncSocket, isServer: boolean): Promise<void> {
  const upgrade = ours.startTLS(isServer ? asServer : asClient);
  const behind = ours.write("secret");
  if (isServer) {
    theirs.startTLS(asClient);
    await settled(5);
  } else await until(() => theirs.unreadBytes > 0, "a ClientHello");
  theirs.disconnect();
  const error = await failure(upgrade);
  assert.ok(["TLS", "CONNECTION_LOST", "CLOSED"].includes(shortCode(error)), error.message);
  await failure(behind);
  await ours.closed;
  assert.equal(ours.isSecure, false);
}

describe("A peer that closes in the middle of the handshake", SAFETY, () => {
  for (const isServer of [true, false]) {
    it(`closes ${isServer ? "a server" : "a client"} of startTLS`, async (t) => {
      const { client, server } = await overMemory(t, { chunkBytes: () => 20 });
      await cutInTheMiddle(server, client, isServer);
    });
  }

  it("closes a server whose client of node:tls is destroyed", async (t) => {
    const { target, accepted } = await listening(t, identity);
    const raw = await rawClient(t, target.port);
    const peer = Belongings.of(t).addRaw(connectTLS({ socket: raw, ca: authority.cert, host: HOST }));
    const server = await accepted();
    peer.destroy();
    raw.destroy();
    assert.equal((await server.closed).by, "error");
  });
});

/** An encrypted peer on `raw` that others can write to as well. */
function overRelay(t: TestContext, raw: Socket, isServer: boolean): TLSSocket {
  const [near, far] = streamPair();
  near.pipe(raw).pipe(near);
  const peer = isServer
    ? new TLSSocket(far, { isServer, secureContext: createSecureContext(identity) })
    : connectTLS({ socket: far, ca: authority.cert, host: HOST });
  return Belongings.of(t).addRaw(peer);
}

/** Of application data, encrypted by nobody. */
const FORGED_RECORD = Buffer.concat([Buffer.from([23, 3, 3, 0, 40]), Buffer.alloc(40, 7)]);

describe("A record that somebody has forged, after the handshake", SAFETY, () => {
  it("closes a client with TLS, and its bytes reach no read", async (t) => {
    const { target, connection } = await rawServer(t);
    const client = idle(t);
    const connecting = client.connect({ ...target, tls: trusting });
    const raw = await connection();
    overRelay(t, raw, true).write("true\n");
    await connecting;
    assert.equal(await client.readLine(), "true");
    const read = client.read();
    raw.write(FORGED_RECORD);
    assertWords(await closedBy(client, "TLS"), /connection failed/);
    await failure(read, "CLOSED");
  });

  it("closes a server with TLS, and its bytes reach no read", async (t) => {
    const { target, accepted } = await listening(t, identity);
    const raw = await rawClient(t, target.port);
    overRelay(t, raw, false).write("true\n");
    const server = await accepted();
    assert.equal(await server.readLine(), "true");
    const read = server.read();
    raw.write(FORGED_RECORD);
    assertWords(await closedBy(server, "TLS"), /connection failed/);
    await failure(read, "CLOSED");
  });
});

describe("A client of TLS 1.2 that asks for new keys again and again", SAFETY, () => {
  it("is closed upon, since that costs a server far more than the client", async (t) => {
    const { target, accepted } = await listening(t, identity);
    const peer = nodeClient(t, target.port, { maxVersion: "TLSv1.2" });
    const again = (): void => void peer.renegotiate({}, (error) => (error === null ? again() : undefined));
    peer.on("secureConnect", again).on("error", () => undefined);
    assertWords(await closedBy(await accepted(), "TLS"), /renegotiates too often/);
  });
});
