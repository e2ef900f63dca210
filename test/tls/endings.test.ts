import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { connect as connectTLS, createSecureContext, TLSSocket } from "node:tls";
import { AsyncSocket, type AsyncSocketOptions, type TLSOptions } from "asyncsocket";
import { arrived, failure, pattern, readToEnd, settled, until } from "../support/delegates.js";
import { allOf, Belongings, codeOf } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";
import {
  authority,
  CLEAR,
  closedBy,
  HOST,
  identity,
  idle,
  listening,
  nodeClient,
  nodeServer,
  overMemory,
  rawServer,
  secured,
  securePair,
  streamPair,
  trusting,
} from "./helpers.js";

interface Peer {
  /** On node:tls. */
  readonly secure: TLSSocket;
  /** What is below it. */
  readonly below: Socket;
}

/** A client of ours whose server can be cut off below TLS. */
async function cuttable(t: TestContext, client: AsyncSocket, tls: TLSOptions = {}): Promise<Peer> {
  const { target, connection } = await rawServer(t);
  const connecting = client.connect({ ...target, tls: { ...trusting, ...tls } });
  const below = await connection();
  const secureContext = createSecureContext({ ...identity, maxVersion: tls.maxVersion ?? "TLSv1.3" });
  const secure = Belongings.of(t).addRaw(new TLSSocket(below, { isServer: true, secureContext }));
  await connecting;
  return { secure, below };
}

/** A FIN alone, and a proper end. */
const ENDINGS: Readonly<Record<string, { readonly cut: boolean; readonly end: (peer: Peer) => void }>> = {
  "a FIN without close_notify": { cut: true, end: ({ below }) => void below.end() },
  "close_notify and a FIN": { cut: false, end: ({ secure }) => void secure.end() },
};

describe("The end of an encrypted stream", SAFETY, () => {
  for (const [how, { cut, end }] of Object.entries(ENDINGS)) {
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      it(`${how}, ${maxVersion}: tls.truncated is ${cut}`, async (t) => {
        const client = idle(t);
        const peer = await cuttable(t, client, { maxVersion });
        peer.secure.write("last words");
        assert.equal(String(await client.readExactly(10)), "last words");
        assert.equal(client.tls?.truncated, false);
        end(peer);
        const reason = await client.closed;
        assert.deepEqual([reason.by, reason.error, client.tls.truncated], ["remote", null, cut]);
      });

      it(`${how}, ${maxVersion}, where close_notify is required`, async (t) => {
        const client = idle(t);
        const peer = await cuttable(t, client, { maxVersion, requireCloseNotify: true });
        peer.secure.write("last words");
        assert.equal(String(await client.readExactly(10)), "last words");
        end(peer);
        if (cut) assert.match((await closedBy(client, "TLS")).message, /close_notify/);
        else assert.equal((await client.closed).by, "remote");
        assert.equal(client.tls?.truncated, cut);
      });

      it(`${how}, ${maxVersion}, while nothing is read`, async (t) => {
        const client = idle(t, { limits: { readAhead: 16 } });
        const peer = await cuttable(t, client, { maxVersion });
        peer.secure.write(pattern(100_000), () => end(peer));
        await settled(100);
        assert.ok(client.unreadBytes <= 16);
        assert.ok((await client.readExactly(100_000)).equals(pattern(100_000)));
        await client.closed;
        assert.equal(client.tls?.truncated, cut);
      });
    }
  }

  it("data and close_notify in one segment: nothing is lost, nothing truncated", async (t) => {
    const client = idle(t, { limits: { readAhead: 16 } });
    const peer = await cuttable(t, client, { requireCloseNotify: true });
    peer.secure.end(pattern(3000));
    await arrived(client, 16);
    await settled();
    assert.equal(client.tls?.truncated, false);
    assert.ok((await client.readExactly(3000)).equals(pattern(3000)));
    assert.deepEqual([(await client.closed).by, client.tls.truncated], ["remote", false]);
  });

  it("unread bytes are there when close_notify is required and missing", async (t) => {
    const client = idle(t);
    const peer = await cuttable(t, client, { requireCloseNotify: true });
    peer.secure.write("half a mess", () => peer.below.end());
    await closedBy(client, "TLS");
    assert.equal(String(client.closeReason?.unread), "half a mess");
  });
});

/** Ways of cutting off without close_notify, between sides of ours. */
const OURS: Readonly<
  Record<string, (t: TestContext, options: AsyncSocketOptions) => Promise<[AsyncSocket, AsyncSocket]>>
> = {
  "two streams": async (t, options) => {
    const { client, server } = await (CLEAR["two streams"] as (typeof CLEAR)[string])(t, options);
    return [client, server];
  },
  "a network in memory": async (t, options) => {
    const { client, server } = await overMemory(t, {}, options);
    return [client, server];
  },
};

describe("Over a stream that is no net.Socket", SAFETY, () => {
  for (const [kind, connected] of Object.entries(OURS)) {
    for (const readAhead of [65_536, 16]) {
      for (const isProper of [true, false]) {
        it(`${kind}, readAhead ${readAhead}: ${isProper ? "close_notify is seen" : "its lack is seen"}`, async (t) => {
          const [client, server] = await connected(t, { limits: { readAhead } });
          server.startTLS({ ...identity, isServer: true });
          await client.startTLS({ ...trusting, servername: HOST, requireCloseNotify: true });
          await secured(client, server);
          await server.write(pattern(3000));
          await until(() => client.unreadBytes >= Math.min(readAhead, 3000), "what fits");
          if (isProper) server.disconnectAfterWriting();
          else server.disconnect();
          await settled(50);
          if (isProper) {
            assert.ok((await client.readExactly(3000)).equals(pattern(3000)));
            assert.equal((await client.closed).by, "remote");
            assert.equal((await server.closed).error, null);
          } else if (readAhead > 16) await closedBy(client, "TLS");
          else {
            await readToEnd(client);
            assert.equal((await client.closed).by, "error");
          }
          assert.equal(client.tls?.truncated, !isProper);
        });
      }
    }
  }
});

describe("A graceful end right after the handshake loses nothing and sends close_notify", SAFETY, () => {
  const ends = ["disconnectAfterWriting", "end", "asyncDispose"] as const;
  const finish = (socket: AsyncSocket, how: (typeof ends)[number]): void => {
    if (how === "asyncDispose") void socket[Symbol.asyncDispose]();
    else void socket[how]();
  };
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    for (const how of ends) {
      it(`${how} of a client, ${maxVersion}`, async (t) => {
        const theirs = await nodeServer(t, { maxVersion });
        const client = idle(t);
        client.connect({ ...theirs.target, tls: trusting });
        client.write(pattern(100_000));
        finish(client, how);
        const peer = await theirs.secured();
        assert.ok((await allOf(peer)).equals(pattern(100_000)));
        peer.end();
        assert.equal(codeOf(await client.closed), null);
      });

      it(`${how} of a server, ${maxVersion}`, async (t) => {
        const { target } = await listening(
          t,
          { ...identity, maxVersion },
          {
            delegate: {
              didAccept(_, socket) {
                Belongings.of(t).add(socket).write(pattern(100_000));
                finish(socket, how);
              },
            },
          },
        );
        const peer = nodeClient(t, target.port);
        assert.ok((await allOf(peer)).equals(pattern(100_000)));
        peer.end();
      });

      it(`${how} of both sides, ${maxVersion}, seen as no truncation`, async (t) => {
        const { client, server } = await securePair(t, { maxVersion }, { requireCloseNotify: true });
        server.write(pattern(50_000));
        finish(server, how);
        assert.ok((await readToEnd(client)).equals(pattern(50_000)));
        assert.equal(codeOf(await client.closed), null);
        assert.equal(client.tls?.truncated, false);
      });
    }
  }

  it("disconnect() drops, and the peer sees a truncated stream", async (t) => {
    const { client, server } = await securePair(t);
    server.disconnect();
    await client.closed;
    assert.equal(client.tls?.truncated, true);
  });
});

describe("Half of an encrypted connection may end", SAFETY, () => {
  it("our side ends first: a node:tls peer continues", async (t) => {
    const theirs = await nodeServer(t);
    const client = idle(t, { allowHalfOpen: true });
    await client.connect({ ...theirs.target, tls: trusting });
    const peer = await theirs.secured();
    client.write("question");
    await client.end();
    assert.equal(String(await allOf(peer)), "question");
    peer.write("answer, ");
    await settled();
    peer.end("late");
    assert.equal(String(await readToEnd(client)), "answer, late");
    assert.equal((await client.closed).error, null);
  });

  it("a node:tls peer ends first: our side continues", async (t) => {
    const { target, accepted } = await listening(t, identity, { allowHalfOpen: true });
    const peer = nodeClient(t, target.port);
    const server = await accepted();
    peer.end("question");
    assert.equal(String(await server.readExactly(8)), "question");
    await failure(server.read(), "END_OF_STREAM");
    await server.write("answer");
    server.end();
    assert.equal(String(await allOf(peer)), "answer");
  });
});

/** A sequence of sizes that is the same in every run. */
function sizes(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
    return 1 + ((state >> 8) ** 1 % 5000);
  };
}

describe("1 MiB both ways", SAFETY, () => {
  it("cut at random over a pair of streams, read by all kinds of lengths", async (t) => {
    const [near, far] = streamPair(sizes(42));
    const belongings = Belongings.of(t);
    const client = belongings.add(AsyncSocket.from(near, { limits: { readAhead: 5000 } }));
    const server = belongings.add(AsyncSocket.from(far));
    server.startTLS({ ...identity, isServer: true });
    client.startTLS({ ...trusting, servername: HOST });
    const [up, down] = [pattern(1 << 20, 1), pattern(1 << 20, 2)];
    for (let at = 0, size = sizes(7); at < up.length;) {
      const end = at + size();
      client.write(up.subarray(at, end));
      server.write(down.subarray(at, end));
      at = end;
    }
    const [there, here] = await Promise.all([
      collect(server, up.length, sizes(3)),
      collect(client, up.length, sizes(4)),
    ]);
    assert.ok(there.equals(up));
    assert.ok(here.equals(down));
    assert.deepEqual([client.bytesRead, server.bytesRead], [1 << 20, 1 << 20]);
  });

  it("with a node:tls peer over a stream", async (t) => {
    const [near, far] = streamPair(sizes(5));
    const socket = Belongings.of(t).add(AsyncSocket.from(near));
    socket.startTLS({ ...identity, isServer: true });
    const peer = Belongings.of(t).addRaw(connectTLS({ socket: far, ca: authority.cert, host: HOST }));
    await once(peer, "secureConnect");
    const data = pattern(1 << 20);
    socket.write(data);
    socket.end();
    peer.write(data);
    const [there, here] = await Promise.all([allOf(peer), collect(socket, data.length, sizes(9))]);
    assert.ok(there.equals(data));
    assert.ok(here.equals(data));
  });
});

async function collect(socket: AsyncSocket, total: number, size: () => number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (let rest = total; rest > 0;) {
    const chunk = await socket.readExactly(Math.min(rest, size()));
    chunks.push(chunk);
    rest -= chunk.length;
  }
  return Buffer.concat(chunks);
}
