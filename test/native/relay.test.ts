/** Relays whose bytes pass natively: none of them enters JavaScript, and yet all is as it is elsewhere. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { describe, it, type TestContext } from "node:test";
import { type AsyncSocket, type BytesMessage, relay } from "asyncsocket";
import { Connection } from "#dist/connection/connection.js";
import { NO_NATIVE } from "../support/availability.js";
import { pattern, readToEnd, settled, shortCode, thrown, until } from "../support/delegates.js";
import { child, errnoOf } from "../support/lifecycle-helpers.js";
import { type Road, road } from "../support/road.js";
import { type Kind, KINDS, SAFETY, turn } from "../support/transports.js";

const CLEAR = KINDS.filter(({ name }) => /^native TCP over IPv4|^a native Unix/.test(name));
const TCP = CLEAR.filter(({ hasReset }) => hasReset);
const CHUNK = 65_536;
const MIB = 1024 * 1024;

/** Counts the bytes that enter JavaScript from the near sockets of a road. */
function watch(t: TestContext, { a, b }: Road): () => number {
  let bytes = 0;
  type Receive = (this: Connection, chunk: Buffer, start: number, length: number) => void;
  const prototype: { didReceive: Receive } = Connection.prototype;
  const original = prototype.didReceive;
  prototype.didReceive = function (chunk, start, length) {
    if ([a, b].includes(this.socket as unknown as AsyncSocket)) bytes += length;
    original.call(this, chunk, start, length);
  };
  t.after(() => (prototype.didReceive = original));
  return () => bytes;
}

/** Sends `total` bytes in pieces of odd lengths. @returns their hash */
async function send(socket: AsyncSocket, total: number, seed: number): Promise<string> {
  const hash = createHash("sha256");
  const bytes = pattern(200_003, seed);
  for (let sent = 0, i = seed; sent < total; i++) {
    const length = Math.min(total - sent, i % 5 === 0 ? 1 + (i % 100) : 1 + ((i * 7919) % bytes.length));
    const piece = bytes.subarray(0, length);
    hash.update(piece);
    sent += length;
    await socket.write(piece);
  }
  await socket.end();
  return hash.digest("hex");
}

async function receive(socket: AsyncSocket): Promise<string> {
  const hash = createHash("sha256");
  try {
    for (;;) hash.update(await socket.read());
  } catch (error) {
    assert.equal(shortCode(error), "END_OF_STREAM");
  }
  return hash.digest("hex");
}

/** Writes to `left` until nothing more gets through to a `right` that reads nothing. @returns how much was written */
async function stall({ left, a }: Road): Promise<number> {
  const bytes = pattern(256 * CHUNK);
  void left.write(bytes);
  let [before, quiet] = [-1, 0];
  await until(() => {
    const now = left.bytesWritten + a.bytesRead;
    quiet = now === before ? quiet + 1 : 0;
    before = now;
    return quiet > 50;
  }, "nothing gets through any more");
  return bytes.length;
}

describe("a relay of native sockets", { ...SAFETY, skip: NO_NATIVE }, () => {
  for (const kind of CLEAR) {
    describe(`over ${kind.name}`, SAFETY, () => {
      it("passes bulk both ways, without a byte entering JavaScript", async (t) => {
        const way = await road(t, kind);
        const { left, a, b, right } = way;
        const entered = watch(t, way);
        const done = relay(a, b);
        const [sentLeft, sentRight, atLeft, atRight] = await Promise.all([
          send(left, 8 * MIB, 1),
          send(right, 6 * MIB, 2),
          receive(left),
          receive(right),
        ]);
        assert.deepEqual([atRight, atLeft], [sentLeft, sentRight]);
        const result = await done;
        assert.deepEqual(result, { aToB: 8 * MIB, bToA: 6 * MIB, ended: "finished", side: null, error: null });
        assert.deepEqual([a.bytesRead, a.bytesWritten], [8 * MIB, 6 * MIB]);
        assert.deepEqual([b.bytesRead, b.bytesWritten], [6 * MIB, 8 * MIB]);
        assert.equal(entered(), 0);
      });

      it("passes small messages there and back, and counts them at once", async (t) => {
        const way = await road(t, kind);
        const { left, a, b, right } = way;
        const entered = watch(t, way);
        const done = relay(a, b);
        for (let i = 1; i <= 50; i++) {
          left.write(Buffer.alloc(64, i));
          assert.deepEqual(await right.readExactly(64), Buffer.alloc(64, i));
          assert.deepEqual([a.bytesRead, b.bytesWritten], [64 * i, 64 * i]);
          right.write(Buffer.alloc(3, i));
          assert.deepEqual(await left.readExactly(3), Buffer.alloc(3, i));
          assert.deepEqual([b.bytesRead, a.bytesWritten], [3 * i, 3 * i]);
        }
        left.end();
        right.end();
        assert.equal((await done).ended, "finished");
        assert.equal(entered(), 0);
      });

      it("passes a FIN on behind bytes that a slow reader takes late, and the other way goes on", async (t) => {
        const { left, a, b, right } = await road(t, kind);
        const done = relay(a, b);
        left.write(pattern(3 * MIB));
        left.end();
        await settled(50);
        right.write("still open");
        assert.equal(await left.readExactly(10, { encoding: "utf8" }), "still open");
        assert.ok((await readToEnd(right)).equals(pattern(3 * MIB)));
        right.write("and after");
        assert.equal(await left.readExactly(9, { encoding: "utf8" }), "and after");
        right.end();
        assert.deepEqual(await done, { aToB: 3 * MIB, bToA: 19, ended: "finished", side: null, error: null });
      });

      it("holds at most one chunk while one side takes nothing", async (t) => {
        const way = await road(t, kind);
        const { a, b, right } = way;
        const controller = new AbortController();
        const done = relay(a, b, { signal: controller.signal });
        await stall(way);
        right.write("the other way is free");
        await way.left.readExactly(21);
        controller.abort();
        const { ended, aToB } = await done;
        assert.deepEqual([ended, aToB], ["aborted", b.bytesWritten]);
        const { length } = a.closeReason?.unread ?? [];
        assert.ok(length > 0 && length <= CHUNK, `${length} bytes were on their way`);
        assert.equal(a.bytesRead, aToB + length);
        await readToEnd(right);
        if (kind.hasReset) assert.equal((await right.closed).error?.code, "ERR_ASYNCSOCKET_CONNECTION_LOST");
      });

      it("sends what is on its way before it closes a side gracefully", async (t) => {
        const way = await road(t, kind);
        const { a, b, right } = way;
        const done = relay(a, b);
        const length = await stall(way);
        void b.disconnectAfterWriting();
        const got = await readToEnd(right);
        assert.ok(got.equals(pattern(length).subarray(0, got.length)));
        right.end();
        void way.left.disconnect();
        const { ended, side, aToB } = await done;
        assert.deepEqual([ended, side, aToB], ["closed", "b", got.length]);
        assert.equal(b.closeReason?.unsentBytes, 0);
        assert.equal(b.bytesWritten, got.length);
      });

      it("tells how much was on its way to a side that this program closes", async (t) => {
        const way = await road(t, kind);
        const { a, b } = way;
        const done = relay(a, b);
        await stall(way);
        void b.disconnect();
        way.left.reset();
        const { ended, side, aToB } = await done;
        assert.deepEqual([ended, side, aToB], ["closed", "b", b.bytesWritten]);
        const unsent = b.closeReason?.unsentBytes ?? 0;
        assert.ok(a.bytesRead >= aToB + unsent, `${a.bytesRead} read, ${aToB} written, ${unsent} unsent`);
      });
    });
  }

  for (const kind of TCP) {
    it("delivers what is on its way when one side is reset while the other takes nothing", async (t) => {
      const way = await road(t, kind);
      const { left, a, b, right } = way;
      const done = relay(a, b);
      const length = await stall(way);
      void left.reset();
      const got = await readToEnd(right);
      right.end();
      const result = await done;
      assert.deepEqual([result.ended, result.side, result.aToB], ["failed", "a", got.length]);
      assert.equal(errnoOf(thrown(result.error, "CONNECTION_LOST")), "ECONNRESET");
      assert.equal(a.bytesRead, got.length);
      assert.ok(got.equals(pattern(length).subarray(0, got.length)));
      assert.deepEqual([b.closeReason?.by, b.closeReason?.error], ["local", null]);
    });

    it("tells side and errno of a reset in the middle of bulk both ways", async (t) => {
      const { left, a, b, right } = await road(t, kind);
      const done = relay(a, b);
      for (const socket of [left, right]) void socket.write(pattern(64 * CHUNK));
      await left.readExactly(3 * CHUNK);
      await right.readExactly(3 * CHUNK);
      void right.reset();
      await readToEnd(left);
      left.end();
      const { ended, side, error } = await done;
      assert.deepEqual([ended, side], ["failed", "b"]);
      assert.match(String(errnoOf(error)), /^(ECONNRESET|EPIPE)$/);
      assert.deepEqual([a.closeReason?.by, a.closeReason?.error], ["local", null]);
    });

    it("keeps limits.idleMs, for which every byte counts that passes", async (t) => {
      const idleMs = 300;
      const way = await road(t, kind, { limits: { idleMs } });
      const { left, a, b, right } = way;
      const entered = watch(t, way);
      const done = relay(a, b);
      for (const endAt = performance.now() + 3 * idleMs; performance.now() < endAt; await turn()) {
        left.write("x");
        await right.readExactly(1);
      }
      assert.deepEqual([a.state, b.state], ["open", "open"]);
      const { ended, error } = await done;
      assert.equal(ended, "failed");
      thrown(error, "IDLE_TIMEOUT");
      assert.equal(entered(), 0);
    });

    it("leaves sockets with limits.bytesPerSecond to JavaScript, which sees their pace", async (t) => {
      const way = await road(t, kind, { limits: { bytesPerSecond: 1 } });
      const { left, a, b, right } = way;
      const entered = watch(t, way);
      const done = relay(a, b);
      left.write("hello");
      assert.equal(await right.readExactly(5, { encoding: "utf8" }), "hello");
      left.end();
      right.end();
      assert.equal((await done).ended, "finished");
      assert.equal(entered(), 5);
    });
  }

  it("leaves bytes to JavaScript while a diagnostics channel is to tell of them", async (t) => {
    const way = await road(t, TCP[0] as Kind);
    const { left, a, b, right } = way;
    let seen = 0;
    const listen = (message: unknown): void => void (seen += (message as BytesMessage).bytes.length);
    subscribe("asyncsocket:bytes", listen);
    t.after(() => unsubscribe("asyncsocket:bytes", listen));
    const entered = watch(t, way);
    const done = relay(a, b);
    left.write("hello");
    assert.equal(await right.readExactly(5, { encoding: "utf8" }), "hello");
    left.end();
    right.end();
    await done;
    assert.deepEqual([entered(), seen], [5, 20]);
  });

  it("serves 200 relays at once in a process that has no descriptor left", async (t) => {
    const { line, ended } = child(
      t,
      `import { openSync, closeSync } from "node:fs";
       import { createHash } from "node:crypto";
       import { AsyncSocket, relay } from "asyncsocket";
       const [RELAYS, BYTES] = [200, 300_000];
       const open = () => AsyncSocket.listen({ port: 0, host: "127.0.0.1", transport: "native", allowHalfOpen: true });
       const connect = ({ port }) => AsyncSocket.connect({ port, host: "127.0.0.1", transport: "native", allowHalfOpen: true });
       const [one, other] = [await open(), await open()];
       const [ones, others] = [one.connections(), other.connections()];
       const roads = [];
       for (let i = 0; i < RELAYS; i++) {
         const left = await connect(one), a = (await ones.next()).value;
         const b = await connect(other), right = (await others.next()).value;
         roads.push({ left, right, a, b });
       }
       const extra = [];
       try { for (;;) extra.push(openSync("/dev/null")); } catch (error) { console.log(error.code); }
       const bytes = createHash("shake256", { outputLength: BYTES }).update("seed").digest();
       const results = await Promise.all(roads.map(async ({ left, right, a, b }) => {
         const done = relay(a, b);
         left.write(bytes);
         right.write(bytes);
         left.end();
         right.end();
         const got = await Promise.all([left.readExactly(BYTES), right.readExactly(BYTES)]);
         const { ended, aToB, bToA } = await done;
         return got.every((all) => all.equals(bytes)) && ended === "finished" && aToB === BYTES && bToA === BYTES;
       }));
       console.log(results.filter((isRight) => isRight).length);
       extra.forEach((fd) => closeSync(fd));
       await Promise.all([one.disconnect(), other.disconnect()]);`,
      [],
      900,
    );
    assert.equal(await line(), "EMFILE");
    assert.equal(await line(), "200");
    assert.deepEqual(await ended, { code: 0, signal: null, errors: "" });
  });
});
