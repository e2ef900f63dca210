/**
 * Relays in networks that cut bytes into random pieces, take little at a time, stall and break, between peers that write,
 * read, rest, end, reset and disconnect at random. Each seed is one such life; what may never be is checked in each.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AsyncSocket, relay, type RelayResult } from "asyncsocket";
import { MemoryNetwork, seededRandom } from "asyncsocket/testing";
import { pattern, shortCode } from "../support/delegates.js";
import { runs } from "../support/runs.js";
import { SAFETY, turn } from "../support/transports.js";

const LIVES = 200;
const AT_ONCE = 20;
const MOST_BYTES = 300_000;
const READ_AHEAD = [1, 100, 65_536] as const;
const CHUNK = 65_536;

type Pick = (limit: number) => number;

/** A peer of the relay: writes a pattern in pieces, and reads until the end, which it answers with its own. */
class Peer {
  readonly received: Buffer[] = [];
  sent = 0;
  readonly #socket: AsyncSocket;
  readonly #bytes: Buffer;
  readonly #pick: Pick;

  constructor(socket: AsyncSocket, bytes: Buffer, pick: Pick) {
    this.#socket = socket;
    this.#bytes = bytes;
    this.#pick = pick;
  }

  async write(): Promise<void> {
    while (this.sent < this.#bytes.length && this.#socket.state === "open") {
      const count = 1 + this.#pick(this.#pick(2) === 0 ? 100 : 80_000);
      const piece = this.#bytes.subarray(this.sent, this.sent + count);
      this.sent += piece.length;
      try {
        await this.#socket.write(piece);
      } catch {
        return;
      }
      await this.#rest();
    }
    if (this.#socket.state === "open") void this.#socket.end();
  }

  async read(): Promise<void> {
    for (;;) {
      try {
        this.received.push(await this.#socket.read({ maxLength: 1 + this.#pick(100_000) }));
      } catch {
        return;
      }
      await this.#rest();
    }
  }

  async #rest(): Promise<void> {
    for (let turns = this.#pick(8) === 0 ? this.#pick(30) : 0; turns > 0; turns--) await turn();
  }
}

interface Life {
  readonly a: AsyncSocket;
  readonly b: AsyncSocket;
  readonly left: Peer;
  readonly right: Peer;
  readonly isPeaceful: boolean;
  readonly result: RelayResult;
}

/**
 * What goes wrong in a life: nothing in half of them.
 * @returns whether nothing did. A peer that has ended its side can be lost when all was sent to it, and it has not read it
 */
function trouble(
  pick: Pick,
  network: MemoryNetwork,
  near: readonly AsyncSocket[],
  far: readonly AsyncSocket[],
): boolean {
  const which = pick(2);
  const connection = network.connections[which];
  const bytes = pick(MOST_BYTES);
  const acts = [
    () => connection?.up.breakAfter(bytes),
    () => connection?.down.breakAfter(bytes),
    () => connection?.reset(),
    () => void far[which]?.reset(),
    () => void far[which]?.disconnect(),
    () => void near[which]?.disconnect(),
    () => void near[which]?.disconnectAfterWriting(),
    () => assert.throws(() => near[which]?.cancelReads(), /given to relay/),
  ];
  const act = acts[pick(2 * acts.length)];
  act?.();
  return act === undefined;
}

async function live(seed: number): Promise<Life> {
  const random = seededRandom(seed);
  const pick: Pick = (limit) => Math.floor(random() * limit);
  const among = <T>(list: readonly T[]): T => list[pick(list.length)] as T;
  const transport = new MemoryNetwork({
    seed,
    chunkBytes: [1 + pick(100), 101 + pick(100_000)],
    writeBytes: among([Infinity, 0, [1000, 50_000]]),
    capacityBytes: 1 + pick(100_000),
  });
  const limits = (): { lingerMs: number; readAhead: number } => ({ lingerMs: 500, readAhead: among(READ_AHEAD) });
  const listener = new AsyncSocket({ transport, allowHalfOpen: true, limits: limits() });
  await listener.listen({ port: 7 });
  const join = async (): Promise<[near: AsyncSocket, far: AsyncSocket]> => {
    const near = new AsyncSocket({ transport, allowHalfOpen: pick(2) === 0, limits: limits() });
    await near.connect({ port: 7 });
    return [near, (await listener.connections().next()).value as AsyncSocket];
  };
  const [[a, farA], [b, farB]] = [await join(), await join()];
  const peers = [farA, farB].map((far, i) => new Peer(far, pattern(pick(MOST_BYTES), i), pick)) as [Peer, Peer];
  const [left, right] = peers;
  const all = peers.flatMap((peer) => [peer.write(), peer.read()]);
  for (let turns = pick(10); turns > 0; turns--) await turn();
  const done = relay(a, b);
  let result: RelayResult | null = null;
  const noted = done.then((ended) => (result = ended));
  const troubleAt = pick(60);
  let isPeaceful = true;
  for (let turns = 0; (result as RelayResult | null) === null; turns++) {
    if (turns === troubleAt) isPeaceful = trouble(pick, transport, [a, b], [farA, farB]);
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      assert.ok(from.unreadBytes <= CHUNK + 100_000, `${from.unreadBytes} bytes unread`);
      assert.ok(to.unsentBytes <= CHUNK + 100_000, `${to.unsentBytes} bytes unsent`);
    }
    await turn();
  }
  await Promise.all(all);
  await Promise.all([farA.disconnect(), farB.disconnect(), listener.disconnect()]);
  return { a, b, left, right, isPeaceful, result: await noted };
}

/** One direction: what came is what was sent, from the beginning and as far as it came. */
function carried(from: Peer, near: AsyncSocket, to: Peer, bytes: number, seedOfBytes: number, isWhole: boolean): void {
  const received = Buffer.concat(to.received);
  assert.ok(received.equals(pattern(received.length, seedOfBytes)), "what came is what was sent");
  assert.ok(received.length <= bytes && bytes <= near.bytesRead && near.bytesRead <= from.sent, "no byte too many");
  if (isWhole) assert.equal(received.length, near.bytesRead);
}

function check({ a, b, left, right, isPeaceful, result }: Life): void {
  const { ended, side, error, aToB, bToA } = result;
  assert.deepEqual([a.state, b.state], ["closed", "closed"]);
  const isFinished = ended === "finished";
  if (isPeaceful) assert.equal(ended, "finished");
  carried(left, a, right, aToB, 0, isPeaceful);
  carried(right, b, left, bToA, 1, isPeaceful);
  if (isFinished) {
    assert.deepEqual([aToB, bToA, side, error], [a.bytesRead, b.bytesRead, null, null]);
    if (isPeaceful) assert.deepEqual([aToB, bToA], [left.sent, right.sent]);
    return;
  }
  const [first, other] = side === "a" ? [a, b] : [b, a];
  assert.ok(side !== null);
  assert.equal(error, first.closeReason?.error);
  assert.equal(error === null, ended === "closed");
  // The other side was closed gracefully, unless something happened to it as well.
  const otherError = other.closeReason?.error ?? null;
  if (otherError !== null) assert.match(shortCode(otherError), /CONNECTION_LOST|LINGER_TIMEOUT/);
  else if (error !== null && shortCode(error) === "CONNECTION_LOST") {
    assert.equal(side === "a" ? aToB : bToA, first.bytesRead, "what had come from the side that is lost is sent");
  }
}

describe("Relays in random networks", SAFETY, () => {
  it(`carry what came, keep little in memory, and end both sides (${runs(LIVES)} lives)`, async (t) => {
    const alive = setTimeout(() => undefined, 2 * SAFETY.timeout);
    t.after(() => clearTimeout(alive));
    const ends = new Map<string, number>();
    const one = async (seed: number): Promise<void> => {
      try {
        const life = await live(seed);
        check(life);
        ends.set(life.result.ended, (ends.get(life.result.ended) ?? 0) + 1);
      } catch (error) {
        throw new Error(`Seed ${seed}`, { cause: error });
      }
    };
    // Some wait for lingerMs, so several live at once. No life has anything to do with another.
    for (let first = 1; first <= runs(LIVES); first += AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => one(first + i)));
    }
    if (runs(LIVES) >= LIVES) {
      for (const ended of ["finished", "failed", "closed"]) assert.ok((ends.get(ended) ?? 0) >= 10, `few ${ended}`);
    }
    t.diagnostic(JSON.stringify([...ends]));
  });
});
