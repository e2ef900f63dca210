/** What a transport receives beyond the room that there is: nothing of it is lost, held back, or out of order. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { AsyncSocket } from "asyncsocket";
import { NO_UNCAUGHT } from "../support/availability.js";
import { arrived, failure, pattern, settled, until } from "../support/delegates.js";
import { connectedPair, type Kind, overEveryTransport, SAFETY } from "../support/transports.js";
import { uncaught } from "../support/uncaught.js";

/** Numbers that look random and are the same each time. */
function sequence(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state % below;
  };
}

/** Writes all of it in pieces of any size, some turns apart, and then the FIN. */
async function sendInPieces(socket: AsyncSocket, data: Buffer, largest: number, seed: number): Promise<void> {
  const next = sequence(seed);
  for (let at = 0; at < data.length;) {
    const size = 1 + next(largest);
    socket.write(data.subarray(at, at + size));
    at += size;
    if (next(3) === 0) await settled(next(4));
  }
  await socket.end();
}

/** Reads all of it in reads of any size, some of them larger than what is read ahead, some turns apart. */
async function readInPieces(socket: AsyncSocket, total: number, largest: number, seed: number): Promise<Buffer> {
  const next = sequence(seed);
  const pieces: Buffer[] = [];
  for (let at = 0; at < total;) {
    const size = Math.min(1 + next(largest), total - at);
    if (next(4) === 0) await socket.peek({ length: size });
    const piece = await socket.readExactly(size);
    pieces.push(piece);
    at += piece.length;
    if (next(3) === 0) await settled(next(4));
  }
  return Buffer.concat(pieces);
}

/** An end that has the peer's FIN, and has sent its own, with more received than it has read. */
async function endedOnBothSides(t: TestContext, kind: Kind): Promise<{ server: AsyncSocket; data: Buffer }> {
  const options = { allowHalfOpen: true, limits: { readAhead: 100 } };
  const { client, server } = await connectedPair(t, kind, {}, options);
  const data = pattern(4000);
  server.end();
  client.write(data);
  await client.end();
  await arrived(server, 100);
  await settled(20);
  return { server, data };
}

describe("what exceeds the room", () => {
  overEveryTransport((kind) => {
    for (const readAhead of [1, 5, 100, 4000, 65_536]) {
      it(`decision 8: reads of any size, chunks of any size: ${readAhead} bytes read ahead`, async (t) => {
        const { client, server } = await connectedPair(t, kind, {}, { limits: { readAhead } });
        const total = kind.chunkBytes === 1 ? 3000 : readAhead < 100 ? 30_000 : 400_000;
        const largest = kind.chunkBytes === 1 ? 300 : Math.min(readAhead * 3 + 2000, 150_000);
        const data = pattern(total);
        const sent = sendInPieces(client, data, Math.min(total, 120_000), readAhead);
        const got = await readInPieces(server, total, largest, readAhead + 1);
        assert.ok(got.equals(data));
        await failure(server.read(), "END_OF_STREAM");
        await sent;
      });
    }

    it("decision 9: a socket that has ended its side and reads slowly gets the end of the answer, too", async (t) => {
      const options = { allowHalfOpen: true, limits: { readAhead: 1000 } };
      const { client, server } = await connectedPair(t, kind, options, { allowHalfOpen: true });
      await client.end();
      const scale = kind.chunkBytes === 1 ? 10 : 1;
      const sizes = [1000, 64_000, 2000].map((size) => size / scale);
      const data = pattern(sizes.reduce((sum, size) => sum + size, 0));
      let at = 0;
      for (const size of sizes) {
        server.write(data.subarray(at, at + size));
        await settled(2);
        at += size;
      }
      server.end();
      const pieces: Buffer[] = [];
      for (let got = 0; got < data.length;) {
        await settled(5);
        const piece = await client.read({ maxLength: 1500 });
        pieces.push(piece);
        got += piece.length;
      }
      assert.ok(Buffer.concat(pieces).equals(data));
      await failure(client.read(), "END_OF_STREAM");
      const { by, error } = await client.closed;
      assert.deepEqual([by, error], ["remote", null]);
    });

    it("decision 11: a graceful close with bytes beyond the room ends well", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { limits: { readAhead: 10 } });
      client.write(pattern(2000));
      client.disconnectAfterWriting();
      await arrived(server, 10);
      assert.equal((await server.readExactly(20)).length, 20);
      const { error } = await server.disconnectAfterWriting();
      assert.equal(error, null);
      assert.equal((await client.closed).error, null);
    });

    it("decision 9: both sides ended, bytes unread: they can still be read", async (t) => {
      const { server, data } = await endedOnBothSides(t, kind);
      assert.equal(server.state, "open");
      assert.ok((await server.readExactly(3000)).equals(data.subarray(0, 3000)));
      assert.ok((await server.readExactly(1000)).equals(data.subarray(3000)));
      await failure(server.read(), "END_OF_STREAM");
      const { by, error } = await server.closed;
      assert.deepEqual([by, error], ["remote", null]);
    });

    for (const how of ["disconnect", "reset", "disconnectAfterWriting", "disconnectAfterReading"] as const) {
      it(`decision 11: both sides ended, bytes unread: ${how}() closes`, async (t) => {
        const { server } = await endedOnBothSides(t, kind);
        const { error } = await server[how]();
        assert.equal(error, null);
        await until(() => server.state === "closed", "closed");
      });
    }

    for (const turns of [0, 1, 2, 3]) {
      it(`decision 11: reset() closes ${turns} turns after end(), whatever is on its way`, async (t) => {
        const { client } = await connectedPair(t, kind);
        client.write("bye");
        client.end();
        if (turns === 0) await new Promise<void>((next) => process.nextTick(next));
        else await settled(turns);
        assert.equal((await client.reset()).error, null);
      });
    }
  });
});

type Thrower = (error: Error) => void;

/** Where user code can throw while bytes are being received. */
const THROWERS: Readonly<Record<string, Thrower>> = {
  "the delegate": (error) => {
    throw error;
  },
  "process.nextTick": (error) =>
    process.nextTick(() => {
      throw error;
    }),
  queueMicrotask: (error) =>
    queueMicrotask(() => {
      throw error;
    }),
};

describe("what is thrown while bytes are being received", { ...SAFETY, skip: NO_UNCAUGHT }, () => {
  overEveryTransport((kind) => {
    for (const [where, thrower] of Object.entries(THROWERS)) {
      it(`decision 7: by ${where}: each later byte is the peer's, and none is lost`, async (t) => {
        const errors = uncaught(t);
        const scale = kind.chunkBytes === 1 ? 50 : 1;
        const data = pattern(300_000 / scale);
        const { client, server } = await connectedPair(t, kind, {}, { limits: { readAhead: 50_000 / scale } });
        const got: Buffer[] = [];
        let thrown = 0;
        server.delegate = {
          didRead(_socket, bytes) {
            got.push(bytes);
            if (thrown++ < 3) thrower(new Error("thrown by a test"));
          },
        };
        let at = 0;
        for (const size of [10, 30_000 / scale, 7, 100_000 / scale]) {
          server.readExactly(size);
          client.write(data.subarray(at, at + 2 * size));
          at += 2 * size;
          await until(() => Buffer.concat(got).length >= Math.min(at / 2, data.length), `${at / 2} bytes read`);
          await settled(5);
        }
        client.write(data.subarray(at));
        const had = Buffer.concat(got).length;
        server.readExactly(data.length - had);
        await until(() => Buffer.concat(got).length === data.length, "all has come");
        assert.ok(Buffer.concat(got).equals(data), "each byte is the one that was sent");
        assert.equal(errors.length, 3);
      });
    }
  });
});
