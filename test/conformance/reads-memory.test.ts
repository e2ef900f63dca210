import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type AsyncSocketOptions } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import { heldBytes } from "../memory-use.js";
import { arrived, failure, pattern, settled, until } from "../support/delegates.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { connectedPair, type Kind, memory, overEveryTransport, SAFETY } from "../support/transports.js";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Memory that these buffers keep from being freed. */
function pinned(buffers: readonly Buffer[]): number {
  let total = 0;
  for (const memory of new Set(buffers.map((buffer) => buffer.buffer))) total += memory.byteLength;
  return total;
}

/** Sends for ever, as fast as it is taken, until the socket is closed. */
async function flood(socket: AsyncSocket, piece: Buffer): Promise<void> {
  try {
    for (;;) await socket.write(piece);
  } catch {
    // Closed.
  }
}

/** A client that is connected to a listener with these options. */
async function connectedTo(t: TestContext, kind: Kind, accepting: AsyncSocketOptions): Promise<AsyncSocket> {
  const wire = kind.open();
  t.after(() => wire.dispose());
  const listener = Belongings.of(t).add(new AsyncSocket({ ...wire.options, ...accepting }));
  await listener.listen(wire.listen);
  const client = Belongings.of(t).add(new AsyncSocket(wire.options));
  await client.connect(wire.connect(listener));
  return client;
}

/** For a delegate, whose methods give nothing. */
function send(socket: AsyncSocket, data: Buffer): void {
  socket.write(data);
}

describe("what is read", () => {
  overEveryTransport((kind) => {
    it("decision 7: is the user's: kept buffers are never overwritten", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const total = kind.chunkBytes === 1 ? 8000 : 800_000;
      const data = pattern(total);
      const kept: Buffer[] = [];
      const sending = (async () => {
        for (let at = 0; at < total; at += 997) await client.write(data.subarray(at, at + 997));
      })();
      let at = 0;
      const sizes = [1, 100, 3000, 7, 40, 1460, 64];
      for (let i = 0; at < total; i++) {
        const size = Math.min(sizes[i % sizes.length] ?? 1, total - at);
        const piece =
          i % 5 === 0
            ? await server.peek({ length: size }).then((seen) => {
                kept.push(seen);
                return server.readExactly(size);
              })
            : i % 3 === 0
              ? await server.read({ maxLength: size })
              : await server.readExactly(size);
        if (i % 5 === 0) kept.pop();
        kept.push(piece);
        at += piece.length;
      }
      await sending;
      client.write(Buffer.alloc(Math.min(total, 100_000), 0xff));
      await server.skip(Math.min(total, 100_000));
      assert.ok(Buffer.concat(kept).equals(data));
    });

    it("decision 7: may be changed by the user without harm to what comes after", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const data = pattern(4000);
      client.write(data);
      await arrived(server, 4000);
      for (let at = 0; at < 4000; at += 100) {
        const piece = await server.readExactly(100);
        assert.ok(piece.equals(data.subarray(at, at + 100)));
        piece.fill(0xee);
      }
    });

    it("decision 7: takes nothing along that is unread, here or on another socket, where it is sent to another thread", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const both = [client, server];
      for (const socket of both) socket.write("first second third");
      for (const socket of both) await arrived(socket, 18);
      const data = await server.readExactly(5);
      const beside = await client.readExactly(5);
      try {
        structuredClone(data, { transfer: [data.buffer as ArrayBuffer] });
      } catch (error) {
        // Later versions of Node say so, and Deno in other words; Node 20 leaves the memory where it is.
        assert.match((error as Error).name, /^(?:DataCloneError|TypeError)$/);
      }
      assert.equal(String(beside), "first");
      for (const socket of both) {
        assert.equal(String(socket.unread), " second third");
        assert.equal(String(await socket.readExactly(7)), " second");
        assert.equal(String(await socket.readUntil("third")), " third");
      }
    });

    it("decision 7: what was looked at is a copy, and so is partial", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("abcdef");
      await arrived(server, 6);
      (await server.peek({ length: 6 })).fill(0);
      const error = await failure(server.readExactly(9, { timeout: 0, onFailure: "continue" }), "READ_TIMEOUT");
      error.partial?.fill(0);
      server.unread.fill(0);
      assert.equal(String(await server.readExactly(6)), "abcdef");
    });

    it("decision 7: a small message does not pin a large chunk", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const rounds = kind.chunkBytes === 1 ? 2 : 200;
      const bulk = kind.chunkBytes === 1 ? 10 * KIB : 50 * KIB;
      const kept: Buffer[] = [];
      for (let i = 0; i < rounds; i++) {
        client.write([`message ${i}\n`, Buffer.alloc(bulk)]);
        kept.push(await server.readUntil("\n"));
        await server.skip(bulk);
      }
      assert.ok(pinned(kept) <= rounds * 16 * KIB, `${pinned(kept)} bytes for ${rounds} messages`);
    });

    it("decision 7: a small message behind a large one does not pin it either", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const rounds = kind.chunkBytes === 1 ? 2 : 100;
      const bulk = kind.chunkBytes === 1 ? 10 * KIB : 60 * KIB;
      const kept: Buffer[] = [];
      for (let i = 0; i < rounds; i++) {
        client.write([Buffer.alloc(bulk), `message ${i}\n`]);
        if (i % 2 === 0) await arrived(server, bulk);
        await server.readExactly(bulk);
        kept.push(await server.readUntil("\n"));
      }
      assert.ok(pinned(kept) <= rounds * 16 * KIB, `${pinned(kept)} bytes for ${rounds} messages`);
    });
  });
});

describe("backpressure of reads", () => {
  overEveryTransport((kind) => {
    for (const readAhead of [1, 1000, 16 * KIB, undefined]) {
      const most = readAhead ?? 64 * KIB;
      // One byte at a time is slow.
      if (kind.chunkBytes === 1 && most > 1000) continue;

      it(`decision 8: with no read waiting, at most readAhead is taken: ${readAhead ?? "the default, 64 KiB"}`, async (t) => {
        const { client, server } = await connectedPair(t, kind, {}, { limits: { readAhead } });
        const sending = flood(client, pattern(10_000));
        let seen = 0;
        for (let i = 0; i < 300; i++) {
          await settled(1);
          seen = Math.max(seen, server.unreadBytes);
        }
        await until(() => server.unreadBytes > 0, "something has come");
        assert.ok(seen <= most, `${seen} bytes were taken`);
        client.disconnect();
        await sending;
      });
    }

    it("decision 8: then the peer is pushed back, and goes on when there is room", async (t) => {
      const limits = { readAhead: 100, writeQueue: Infinity };
      const { client, server } = await connectedPair(t, kind, { limits }, { limits });
      const total = kind.isReal ? 16_000_000 : 100_000;
      const data = pattern(total);
      const write = client.write(data);
      await settled(200);
      assert.equal(write.state, "current");
      assert.ok(server.unreadBytes <= 100);
      const pieces: Buffer[] = [];
      let got = 0;
      while (got < total) {
        const piece = await server.read();
        pieces.push(piece);
        got += piece.length;
      }
      await write;
      assert.ok(Buffer.concat(pieces).equals(data));
    });

    it("decision 8: while a read is current, it may grow to what that takes and readAhead", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { limits: { readAhead: 1000 } });
      const length = kind.chunkBytes === 1 ? 3000 : 300_000;
      let most = 0;
      const sending = flood(client, pattern(10_000));
      const watching = (async () => {
        while (server.state === "open") {
          most = Math.max(most, server.unreadBytes);
          await settled(1);
        }
      })();
      for (let i = 0; i < 5; i++) {
        await server.readExactly(length);
        most = Math.max(most, server.unreadBytes);
      }
      await settled(100);
      most = Math.max(most, server.unreadBytes);
      assert.ok(server.unreadBytes <= 1000, `${server.unreadBytes} bytes unread after the last read`);
      assert.ok(most <= length + 1000, `${most} bytes unread at most`);
      client.disconnect();
      server.disconnect();
      await Promise.all([sending, watching]);
    });

    it("decision 8: a read longer than readAhead is served", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { limits: { readAhead: 10 } });
      const length = kind.chunkBytes === 1 ? 5000 : 500_000;
      const data = pattern(length);
      client.write(data);
      await settled(20);
      assert.ok((await server.readExactly(length)).equals(data));
      client.write(`${"x".repeat(4000)}\n`);
      await settled(20);
      assert.equal((await server.readLine()).length, 4000);
    });
  });

  overEveryTransport((kind) => {
    if (kind.chunkBytes === 1) return;
    it("decision 8: a room of a byte is not filled byte by byte: memory is bounded by bytes", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { limits: { readAhead: 65_536 } });
      const before = await heldBytes();
      client.write("x\n");
      await server.readLine();
      client.write(pattern(65_535));
      await arrived(server, 65_535);
      client.write(pattern(65_536));
      await settled(50);
      const held = (await heldBytes()) - before;
      assert.ok(held < MIB, `${held} bytes for ${server.unreadBytes} unread`);
      assert.equal((await server.readExactly(131_071)).length, 131_071);
    });
  });

  overEveryTransport((kind) => {
    if (kind.chunkBytes === 1) return;
    it("decision 8: the very first bytes are bounded as well: those of a peer that sends before anything is read", async (t) => {
      const data = pattern(2 * MIB);
      const accepting = { delegate: { didAccept: (_: AsyncSocket, socket: AsyncSocket) => send(socket, data) } };
      const client = await connectedTo(t, kind, accepting);
      let most = 0;
      for (let i = 0; i < 300; i++) {
        most = Math.max(most, client.unreadBytes);
        await settled(1);
      }
      await until(() => client.unreadBytes > 0, "something has come");
      assert.ok(most <= 64 * KIB, `${most} bytes were taken`);
      assert.ok((await client.readExactly(data.length)).equals(data));
    });
  });

  for (const proxyProtocol of [false, true]) {
    const what = proxyProtocol ? "behind a PROXY header" : "of a network that delivers 1 MiB at once";
    it(`decision 8: so are the first bytes ${what}`, SAFETY, async (t) => {
      const transport = new MemoryNetwork({ capacityBytes: MIB });
      const listener = await AsyncSocket.listen({ port: 1, transport, proxyProtocol, allowHalfOpen: true });
      const belongings = Belongings.of(t);
      belongings.add(listener);
      const client = belongings.add(await AsyncSocket.connect({ port: 1, transport }));
      const data = pattern(MIB);
      client.write([proxyProtocol ? "PROXY UNKNOWN\r\n" : "", data]);
      const { value } = await listener.connections().next();
      const server = belongings.add(value ?? assert.fail());
      await arrived(server, 64 * KIB);
      await settled(20);
      assert.equal(server.unreadBytes, 64 * KIB);
      assert.ok((await server.readExactly(MIB)).equals(data));
    });
  }

  it("decision 8: so are the first bytes of a stream that gives 1 MiB at once", SAFETY, async (t) => {
    const data = pattern(MIB);
    const stream = new Duplex({ read: () => undefined });
    stream.push(data);
    const socket = Belongings.of(t).add(AsyncSocket.from(stream));
    await settled(20);
    assert.equal(socket.unreadBytes, 64 * KIB);
    assert.ok((await socket.readExactly(MIB)).equals(data));
  });

  it("decision 8: a peer that sends for ever cannot make a reader hold more", SAFETY, async (t) => {
    const { client, server } = await connectedPair(t, memory("memory"));
    const before = await heldBytes();
    const sending = flood(client, pattern(50_000));
    for (let i = 0; i < 20; i++) {
      await settled(20);
      assert.ok(server.unreadBytes <= 64 * KIB);
    }
    assert.ok((await heldBytes()) - before < 4 * MIB);
    client.disconnect();
    await sending;
  });

  it("decision 8: tiny chunks are joined: memory is bounded by bytes", SAFETY, async (t) => {
    const { client, server } = await connectedPair(t, memory("memory", { chunkBytes: () => 1 }));
    const count = 60_000;
    const before = await heldBytes();
    client.write(Buffer.alloc(count));
    await arrived(server, count);
    const held = (await heldBytes()) - before;
    // As many objects would be ten times as much.
    assert.ok(held < 2 * MIB, `${held} bytes for ${count}`);
    assert.equal((await server.readExactly(count)).length, count);
  });
});
