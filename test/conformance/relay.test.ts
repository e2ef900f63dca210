import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { relay, type RelayResult } from "asyncsocket";
import { arrived, failure, pattern, readToEnd, settled, thrown } from "../support/delegates.js";
import { muchFor, opened, throwsBadState } from "../support/lifecycle-helpers.js";
import { road } from "../support/road.js";
import { overEveryTransport } from "../support/transports.js";

const FINISHED = { ended: "finished", side: null, error: null } as const;

function failed(result: RelayResult, side: "a" | "b", code: string): void {
  assert.deepEqual([result.ended, result.side], ["failed", side]);
  thrown(result.error, code);
}

describe("relay()", () => {
  overEveryTransport((kind) => {
    const big = muchFor(kind);

    it("carries more than fits at once both ways, and is finished when both peers have ended", async (t) => {
      const { left, a, b, right } = await road(t, kind);
      const done = relay(a, b);
      for (const [socket, seed] of [
        [left, 1],
        [right, 2],
      ] as const) {
        const bytes = pattern(big, seed);
        for (let at = 0; at < big; at += 1 + (at % 100_000)) socket.write(bytes.subarray(at, at + 1 + (at % 100_000)));
        socket.end();
      }
      const [atLeft, atRight] = await Promise.all([readToEnd(left), readToEnd(right)]);
      assert.ok(atRight.equals(pattern(big, 1)));
      assert.ok(atLeft.equals(pattern(big, 2)));
      assert.deepEqual(await done, { aToB: big, bToA: big, ...FINISHED });
      assert.deepEqual([a.closeReason?.by, b.closeReason?.by], ["remote", "remote"]);
    });

    it("begins with the bytes that are unread, behind the writes that are queued, which it does not count", async (t) => {
      const { left, a, b, right } = await road(t, kind);
      left.write("head\nbody ");
      assert.equal(await a.readLine(), "head");
      await arrived(a, 5);
      b.write("first ");
      const done = relay(a, b);
      left.write("tail");
      left.end();
      assert.equal((await readToEnd(right)).toString(), "first body tail");
      right.end();
      assert.equal((await readToEnd(left)).length, 0);
      assert.deepEqual(await done, { aToB: 9, bToA: 0, ...FINISHED });
    });

    for (const allowHalfOpen of [false, true]) {
      it(`passes either end on by itself, with allowHalfOpen: ${allowHalfOpen}`, async (t) => {
        const { left, a, b, right } = await road(t, kind, { allowHalfOpen });
        const done = relay(a, b);
        right.write("greeting");
        right.end();
        assert.equal((await readToEnd(left)).toString(), "greeting");
        await settled();
        for (const word of ["still ", "open"]) {
          left.write(word);
          assert.equal(await right.readExactly(word.length, { encoding: "utf8" }), word);
        }
        left.end();
        assert.equal((await readToEnd(right)).length, 0);
        assert.deepEqual(await done, { aToB: 10, bToA: 8, ...FINISHED });
      });
    }

    it("answers messages one by one", async (t) => {
      const { left, a, b, right } = await road(t, kind);
      const done = relay(a, b);
      for (let i = 0; i < 100; i++) {
        left.write(`ping ${i}\n`);
        assert.equal(await right.readLine(), `ping ${i}`);
        right.write(`pong ${i}\n`);
        assert.equal(await left.readLine(), `pong ${i}`);
      }
      left.end();
      right.end();
      assert.equal((await done).ended, "finished");
    });

    it("holds one side up while the other takes nothing, with little in memory", async (t) => {
      const { left, a, b, right } = await road(t, kind, { limits: { writeQueue: 1000 } });
      const done = relay(a, b);
      const length = 3 * big;
      const write = left.write(pattern(length));
      left.end();
      await settled(100);
      assert.equal(write.state, "current");
      // A runtime delivers what it likes at once: Bun half a megabyte.
      const most = kind.isReal ? 600_000 : 65_536;
      assert.ok(a.unreadBytes <= most && b.unsentBytes <= 65_536, `${a.unreadBytes} and ${b.unsentBytes} in memory`);
      right.write("the other way is free");
      assert.equal(await left.readExactly(21, { encoding: "utf8" }), "the other way is free");
      const all = readToEnd(right);
      right.end();
      assert.ok((await all).equals(pattern(length)));
      assert.deepEqual(await done, { aToB: length, bToA: 21, ...FINISHED });
    });

    it(
      "delivers what came from a side that fails, closes the other, and says which",
      { skip: !kind.hasReset },
      async (t) => {
        const { left, a, b, right } = await road(t, kind);
        const done = relay(a, b);
        left.write(pattern(20_000));
        if (kind.isSecure) await arrived(right, 1);
        left.reset();
        const got = await readToEnd(right);
        assert.equal(got.length, a.bytesRead);
        assert.ok(got.equals(pattern(20_000).subarray(0, got.length)));
        right.end();
        const result = await done;
        failed(result, "a", "CONNECTION_LOST");
        assert.equal(result.error, a.closeReason?.error);
        assert.equal(result.aToB, got.length);
        assert.deepEqual([b.closeReason?.by, b.closeReason?.error], ["local", null]);
      },
    );

    it("says so where the other side fails, too", { skip: !kind.hasReset }, async (t) => {
      const { left, a, b, right } = await road(t, kind);
      const done = relay(a, b);
      right.write("last words");
      assert.equal(await left.readExactly(10, { encoding: "utf8" }), "last words");
      right.reset();
      assert.equal((await readToEnd(left)).length, 0);
      left.end();
      failed(await done, "b", "CONNECTION_LOST");
      assert.equal(a.closeReason?.error, null);
    });

    it("is ended by its signal, and closes both sides at once", async (t) => {
      const { left, a, b, right } = await road(t, kind);
      const controller = new AbortController();
      const done = relay(a, b, { signal: controller.signal });
      left.write("hello");
      await right.readExactly(5);
      await settled();
      controller.abort("enough");
      const result = await done;
      assert.deepEqual([result.ended, result.side, result.aToB], ["aborted", null, 5]);
      assert.equal(thrown(result.error, "CANCELED").cause, "enough");
      assert.deepEqual([a.state, b.state], ["closed", "closed"]);
      assert.equal(a.closeReason?.error, result.error);
      assert.equal(b.closeReason?.error, result.error);
      await Promise.all([failure(left.read()), failure(right.read())]);
    });

    it("with a signal that is aborted already resets the side for which bytes had come", async (t) => {
      const { left, a, b, right } = await road(t, kind);
      left.write("hello");
      await arrived(a, 5);
      const result = await relay(a, b, { signal: AbortSignal.abort() });
      assert.deepEqual([result.ended, result.aToB], ["aborted", 0]);
      if (!kind.hasReset) return;
      assert.equal((await right.closed).error?.code, "ERR_ASYNCSOCKET_CONNECTION_LOST");
    });

    it("closes the other side gracefully where this program closes one", async (t) => {
      const { left, a, b, right } = await road(t, kind);
      const done = relay(a, b);
      left.write("hello");
      await right.readExactly(5);
      await settled();
      void b.disconnect();
      assert.equal((await readToEnd(left)).length, 0);
      left.end();
      assert.deepEqual(await done, { aToB: 5, bToA: 0, ended: "closed", side: "b", error: null });
      assert.deepEqual([a.closeReason?.by, a.closeReason?.error], ["local", null]);
      await readToEnd(right);
    });

    it("takes a socket that still connects", async (t) => {
      const one = await opened(t, kind);
      const other = await opened(t, kind, { allowHalfOpen: true });
      const [left, a] = await Promise.all([one.connect({ allowHalfOpen: true }), one.accepted()]);
      left.write("early");
      const b = other.socket();
      b.connect(other.target);
      const done = relay(a, b);
      const right = await other.accepted();
      assert.equal(await right.readExactly(5, { encoding: "utf8" }), "early");
      right.write("answer");
      right.end();
      assert.equal((await readToEnd(left)).toString(), "answer");
      left.end();
      assert.deepEqual(await done, { aToB: 5, bToA: 6, ...FINISHED });
    });

    it("refuses sockets that cannot be joined, and then leaves both as they are", async (t) => {
      const { left, a, b, right } = await road(t, kind);
      const one = await opened(t, kind);
      throwsBadState(() => relay(a, one.socket()), "relay");
      throwsBadState(() => relay(one.listener, b), "relay");
      const read = b.read();
      throwsBadState(() => relay(a, b), "relay");
      read.cancel();
      left.write("x");
      assert.equal(await a.read({ encoding: "utf8" }), "x");
      const done = relay(a, b);
      for (const call of [() => relay(a, right), () => relay(right, b), () => a.read(), () => b.write("x")]) {
        throwsBadState(call);
      }
      throwsBadState(() => a.toDuplex(), "toDuplex");
      assert.throws(() => a.lines(), /given to relay\(\)/);
      right.end();
      throwsBadState(() => relay(right, left), "relay");
      left.end();
      assert.equal((await done).ended, "finished");
      throwsBadState(() => b.connect(one.target), "connect");
    });

    it("takes a socket that is closed already for one that has closed", async (t) => {
      const { left, a, b, right } = await road(t, kind);
      left.write("bye");
      await arrived(a, 3);
      await a.disconnect();
      const done = relay(a, b);
      assert.equal((await readToEnd(right)).toString(), "bye");
      right.end();
      assert.deepEqual(await done, { aToB: 3, bToA: 0, ended: "closed", side: "a", error: null });
    });

    it("goes on where the application tries to cancel its reads", async (t) => {
      const { left, a, b, right } = await road(t, kind);
      const done = relay(a, b);
      await settled();
      throwsBadState(() => a.cancelReads(), "cancelReads");
      left.write("still here");
      assert.equal(await right.readExactly(10, { encoding: "utf8" }), "still here");
      left.end();
      right.end();
      assert.equal((await done).ended, "finished");
    });
  });
});
