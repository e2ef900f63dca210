/** Relays between sockets of different kinds, and what only a network in memory or one kind can show. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type AsyncSocketDelegate, relay, type RelayOptions, type RelayResult } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import { pattern, readToEnd, Recorder, settled, thrown } from "../support/delegates.js";
import { duplexPair } from "../support/duplex-pair.js";
import { Belongings, opened, throwsBadState, timedNetwork } from "../support/lifecycle-helpers.js";
import { type Kind, KINDS, memory, SAFETY } from "../support/transports.js";
import { uncaught } from "../support/uncaught.js";

/** An end for the relay, and its other end for the test. */
interface Ends {
  readonly near: AsyncSocket;
  readonly far: AsyncSocket;
}

const FAR = { allowHalfOpen: true, limits: { writeQueue: Infinity } };

async function accepted(t: TestContext, kind: Kind): Promise<Ends> {
  const listening = await opened(t, kind);
  const [far, near] = await Promise.all([listening.connect(FAR), listening.accepted()]);
  return { near, far };
}

async function connected(t: TestContext, kind: Kind): Promise<Ends> {
  const listening = await opened(t, kind, FAR);
  const [near, far] = await Promise.all([listening.connect(), listening.accepted()]);
  return { near, far };
}

function streams(t: TestContext): Ends {
  const [one, other] = duplexPair();
  const belongings = Belongings.of(t);
  return { near: belongings.add(AsyncSocket.from(one)), far: belongings.add(AsyncSocket.from(other, FAR)) };
}

/** Whatever tells kinds apart: one of each is enough. */
const MIXED = KINDS.filter(({ name }) => /^(memory, one|TCP over IPv4|native TCP over IPv4|TLSv1.3)/.test(name));
const SEEDS = [1, 2, 3, 4, 5].map((seed) =>
  memory(`memory, seed ${seed}`, { seed, chunkBytes: [1, 3000], capacityBytes: 20_000 }),
);

async function carries(ends: Ends, others: Ends, bytes: number): Promise<void> {
  const done = relay(ends.near, others.near);
  ends.far.write(pattern(bytes, 1));
  ends.far.end();
  others.far.write(pattern(bytes, 2));
  others.far.end();
  const [one, other] = await Promise.all([readToEnd(ends.far), readToEnd(others.far)]);
  assert.ok(one.equals(pattern(bytes, 2)), "b to a");
  assert.ok(other.equals(pattern(bytes, 1)), "a to b");
  assert.deepEqual(await done, { aToB: bytes, bToA: bytes, ended: "finished", side: null, error: null });
}

describe("A relay joins", SAFETY, () => {
  for (const one of MIXED) {
    for (const other of MIXED) {
      if (one === other) continue;
      it(`${one.name} and ${other.name}`, async (t) => {
        const bytes = one.chunkBytes === 1 || other.chunkBytes === 1 ? 5000 : 500_000;
        await carries(await accepted(t, one), await connected(t, other), bytes);
      });
    }
    it(`${one.name} and a stream, whose reader keeps what it is given`, async (t) => {
      await carries(await accepted(t, one), streams(t), one.chunkBytes === 1 ? 5000 : 500_000);
    });
  }

  for (const one of SEEDS) {
    it(`two connections in ${one.name}`, async (t) => {
      await carries(await accepted(t, one), await connected(t, one), 200_000);
    });
  }

  it("two streams", async (t) => {
    await carries(streams(t), streams(t), 500_000);
  });
});

describe("A relay on a network in memory", () => {
  async function timed(t: TestContext, options: RelayOptions, delegate: AsyncSocketDelegate | null = null) {
    const { pass, transport, clock, belongings } = timedNetwork(t);
    const listener = belongings.add(new AsyncSocket({ transport, ...FAR }));
    await listener.listen({ port: 7 });
    const make = async (): Promise<Ends> => {
      const near = belongings.add(new AsyncSocket({ transport, delegate }));
      await near.connect({ port: 7 });
      const { value } = await listener.connections().next();
      assert.ok(value !== undefined);
      return { near, far: belongings.add(value) };
    };
    const [a, b] = [await make(), await make()];
    let result: RelayResult | null = null;
    const done = relay(a.near, b.near, options).then((ended) => (result = ended));
    return { pass, clock, transport, a, b, done, isOver: () => result !== null };
  }

  it("ends when no byte went either way for idleMs, and is not ended by one way that rests", async (t) => {
    const { pass, a, b, done, isOver } = await timed(t, { idleMs: 800 });
    for (let i = 0; i < 10; i++) {
      a.far.write("x");
      await pass(500);
    }
    assert.equal(isOver(), false);
    b.far.write("y");
    await pass(700);
    assert.equal(isOver(), false);
    await pass(200);
    assert.equal(isOver(), true);
    const result = await done;
    assert.deepEqual([result.ended, result.side, result.aToB, result.bToA], ["idle", null, 10, 1]);
    thrown(result.error, "IDLE_TIMEOUT");
    assert.equal(a.near.closeReason?.error, result.error);
    assert.equal(b.near.closeReason?.error, result.error);
  });

  it("has idleMs count what a slow peer takes", async (t) => {
    const { pass, a, b, done, isOver } = await timed(t, { idleMs: 800 });
    a.far.write(pattern(500_000));
    await pass(0);
    for (let i = 0; i < 10; i++) {
      await b.far.readExactly(10_000);
      await pass(700);
    }
    assert.equal(isOver(), false);
    await pass(1000);
    assert.equal((await done).ended, "idle");
    assert.ok(b.near.closeReason !== undefined && b.near.closeReason.unsentBytes > 0);
  });

  it("leaves no timer behind when it is over", async (t) => {
    const { clock, pass, a, b, done } = await timed(t, { idleMs: 800 });
    a.far.end();
    b.far.end();
    await pass(0);
    assert.equal((await done).ended, "finished");
    assert.equal(clock.size, 0);
  });

  it("delivers all that had come from a side that fails while the other one takes nothing", async (t) => {
    const transport = new MemoryNetwork({ capacityBytes: 10_000 });
    const belongings = Belongings.of(t);
    const listener = belongings.add(new AsyncSocket({ transport }));
    await listener.listen({ port: 7 });
    const make = async (): Promise<Ends> => {
      const near = belongings.add(new AsyncSocket({ transport }));
      await near.connect({ port: 7 });
      const { value } = await listener.connections().next();
      assert.ok(value !== undefined);
      return { near, far: belongings.add(value) };
    };
    const [a, b] = [await make(), await make()];
    const done = relay(a.near, b.near);
    a.far.write(pattern(160_000));
    await settled(100);
    const { bytesRead } = a.near;
    assert.ok(a.near.unreadBytes > 0 && b.near.unsentBytes > 0);
    a.far.reset();
    await a.near.closed;
    assert.ok((await readToEnd(b.far)).equals(pattern(160_000).subarray(0, bytesRead)));
    const { aToB, ended, side } = await done;
    assert.deepEqual([aToB, ended, side], [bytesRead, "failed", "a"]);
  });

  it("closes the client where the connect to the server fails", async (t) => {
    const network = new MemoryNetwork();
    const belongings = Belongings.of(t);
    const listener = belongings.add(new AsyncSocket({ transport: network }));
    await listener.listen({ port: 7 });
    const far = belongings.add(new AsyncSocket({ transport: network }));
    await far.connect({ port: 7 });
    const { value: near } = await listener.connections().next();
    assert.ok(near !== undefined);
    far.write("hello?");
    const upstream = belongings.add(new AsyncSocket({ transport: network }));
    upstream.connect({ port: 8 });
    const result = await relay(belongings.add(near), upstream);
    assert.deepEqual([result.ended, result.side, result.aToB], ["failed", "b", 0]);
    thrown(result.error, "CONNECT");
    assert.equal((await readToEnd(far)).length, 0);
    assert.equal(near.closeReason?.error, null);
  });

  it("gives up a connect whose client is gone", async (t) => {
    const network = new MemoryNetwork({ silent: ["192.0.2.1"] });
    const belongings = Belongings.of(t);
    const listener = belongings.add(new AsyncSocket({ transport: network }));
    await listener.listen({ port: 7 });
    const far = belongings.add(new AsyncSocket({ transport: network }));
    await far.connect({ port: 7 });
    const { value: near } = await listener.connections().next();
    assert.ok(near !== undefined);
    const upstream = belongings.add(new AsyncSocket({ transport: network }));
    upstream.connect({ host: "192.0.2.1", port: 8 });
    const done = relay(belongings.add(near), upstream);
    far.reset();
    const { ended, side } = await done;
    assert.deepEqual([ended, side, upstream.state], ["failed", "a", "closed"]);
  });

  it("tells delegates nothing more, so that neither a method nor a getter that throws can hurt", async (t) => {
    const errors = uncaught(t);
    const recorder = new Recorder();
    const hostile = {
      get didRead(): never {
        throw new Error("a getter");
      },
      didWrite(): never {
        throw new Error("a method");
      },
    };
    const { a, b, done } = await timed(t, {}, hostile);
    b.far.delegate = recorder;
    throwsBadState(() => (a.near.delegate = hostile), "delegate");
    a.near.delegate = null;
    a.far.write("safe");
    assert.equal(await b.far.readExactly(4, { encoding: "utf8" }), "safe");
    a.far.end();
    b.far.end();
    await done;
    await settled();
    assert.deepEqual(errors, []);
  });
});

describe("relay()'s arguments", () => {
  it("are checked at once", async (t) => {
    const transport = new MemoryNetwork();
    const [a, b] = [1, 2].map(() => Belongings.of(t).add(new AsyncSocket({ transport })));
    assert.ok(a !== undefined && b !== undefined);
    const call = relay as unknown as (...args: unknown[]) => unknown;
    for (const wrong of [undefined, null, {}, 1, "a"]) {
      assert.throws(() => call(wrong, b), /^TypeError: Expected a to be an AsyncSocket, got /);
      assert.throws(() => call(a, wrong), /^TypeError: Expected b to be an AsyncSocket, got /);
    }
    assert.throws(() => call(a, a), /^TypeError: Expected b to be another socket than a/);
    assert.throws(() => call(a, b, 1), /^TypeError: Expected options to be an object, got 1/);
    assert.throws(() => call(a, b, { idle: 1 }), /Expected options of relay to have no names but idleMs, signal, got/);
    assert.throws(() => call(a, b, { idleMs: -1 }), /^RangeError: Expected idleMs to be a non-negative number/);
    assert.throws(() => call(a, b, { signal: {} }), /^TypeError: Expected signal to be an AbortSignal/);
    assert.throws(() => call(a, b), /relay is not possible: of a, the socket is idle/);
    await settled();
  });
});
