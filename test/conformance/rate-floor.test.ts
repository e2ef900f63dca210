/** limits.bytesPerSecond: peers that send or take a message too slowly are not waited for. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type AsyncSocketOptions, type Limits } from "asyncsocket";
import { VirtualClock } from "asyncsocket/testing";
import { RateFloor, type RateFloorOwner } from "#dist/connection/rate-floor.js";
import { arrived, failure, pattern, settled } from "../support/delegates.js";
import { codeOf } from "../support/lifecycle-helpers.js";
import { connectedPair, memory, type Pair, SAFETY } from "../support/transports.js";

interface Timed extends Pair {
  readonly clock: VirtualClock;
  /** Lets time pass, and then whatever follows from it happen. */
  readonly pass: (ms: number) => Promise<void>;
}

/** A pair whose accepted side has limits. */
async function timedPair(t: TestContext, limits: Limits, options?: AsyncSocketOptions): Promise<Timed> {
  const clock = new VirtualClock();
  const pair = await connectedPair(t, memory("memory", { clock, capacityBytes: 1024 }), options, { limits });
  const pass = async (ms: number): Promise<void> => {
    await settled();
    clock.advance(ms);
    await settled();
  };
  return { ...pair, clock, pass };
}

describe("limits.bytesPerSecond, of a read", SAFETY, () => {
  it("fails the read with READ_TIMEOUT when fewer bytes have come than the rate asks for", async (t) => {
    const { client, server, pass } = await timedPair(t, { bytesPerSecond: 100 });
    const read = server.readLine({ tag: "line" });
    client.write("0123456789");
    await arrived(server, 10);
    await pass(5_099);
    assert.equal(read.state, "current");
    await pass(1);
    const error = await failure(read, "READ_TIMEOUT");
    assert.equal(
      error.message,
      "readLine was slower than limits.bytesPerSecond, 100; 10 bytes had come for it and stay unread",
    );
    assert.deepEqual([error.tag, error.bytesDone, String(error.partial)], ["line", 10, "0123456789"]);
    assert.equal((await server.closed).error, error);
  });

  it("waits for the first byte, however long", async (t) => {
    const { client, server, pass, clock } = await timedPair(t, { bytesPerSecond: 1_000_000 });
    const read = server.readLine();
    await pass(3_600_000);
    assert.equal(read.state, "current");
    assert.equal(clock.size, 0, "no timer runs");
    client.write("hello\n");
    assert.equal(await read, "hello");
  });

  it("moves the deadline with each byte, so that a read may take long at that rate", async (t) => {
    const { client, server, pass } = await timedPair(t, { bytesPerSecond: 100 });
    const read = server.readExactly(12_000);
    for (let seconds = 0; seconds < 120; seconds++) {
      client.write(pattern(100));
      await pass(1_000);
    }
    assert.equal((await read).length, 12_000);
  });

  it("fails a read whose bytes trickle", async (t) => {
    const { client, server, pass } = await timedPair(t, { bytesPerSecond: 2 });
    const read = server.readLine();
    await settled();
    for (let seconds = 0; seconds < 10; seconds++) {
      assert.equal(read.state, "current");
      client.write("x");
      await pass(seconds < 9 ? 1_000 : 999);
    }
    assert.equal(read.state, "current", "10 bytes in 9.999 s");
    await pass(1);
    assert.equal((await failure(read, "READ_TIMEOUT")).bytesDone, 10);
  });

  it("counts for each read by itself, from when it is the current one", async (t) => {
    const { client, server, pass } = await timedPair(t, { bytesPerSecond: 1000 });
    const first = server.readExactly(2);
    const second = server.readExactly(3);
    client.write("ab");
    await first;
    await pass(60_000);
    client.write("c");
    await pass(5_000);
    assert.equal(second.state, "current");
    await pass(1);
    await failure(second, "READ_TIMEOUT");
  });

  it("gives a read its whole grace after another has failed on the same bytes", async (t) => {
    const { client, server, pass } = await timedPair(t, { bytesPerSecond: 1000 });
    const first = server.readLine({ onFailure: "continue" });
    client.write("ab");
    await pass(5_002);
    await failure(first, "READ_TIMEOUT");
    const second = server.readLine();
    await pass(5_001);
    assert.equal(second.state, "current");
    client.write("\n");
    assert.equal(await second, "ab");
    assert.equal(server.state, "open");
  });

  it("counts the bytes that a skip has dropped", async (t) => {
    const { client, server, pass } = await timedPair(t, { bytesPerSecond: 100, readAhead: 64 });
    const skip = server.skip(10_000);
    client.write(pattern(1_000));
    await pass(14_999);
    assert.equal(skip.state, "current");
    await pass(1);
    assert.equal((await failure(skip, "READ_TIMEOUT")).bytesDone, 1_000);
  });

  it("asks nobody for more time, and a timeout that passes before counts as before", async (t) => {
    const { client, server, pass } = await timedPair(t, { bytesPerSecond: 1000 });
    const asked: unknown[] = [];
    server.delegate = { shouldExtendReadTimeout: (_socket, tag) => (asked.push(tag), 0) };
    const first = server.readLine({ timeout: 4_000, onFailure: "continue", tag: 1 });
    client.write("a");
    await pass(4_000);
    assert.match((await failure(first, "READ_TIMEOUT")).message, /timed out after 4000 ms/);
    const second = server.readLine({ timeout: 60_000, tag: 2 });
    await pass(5_001);
    await failure(second, "READ_TIMEOUT");
    assert.deepEqual(asked, [1]);
  });

  it("asks the system once more before it strikes", async (t) => {
    const { client, server, clock } = await timedPair(t, { bytesPerSecond: 100 });
    const read = server.readExactly(11);
    client.write("0123456789");
    await arrived(server, 10);
    client.write("!");
    await new Promise<void>((done) => process.nextTick(done));
    assert.equal(server.unreadBytes, 10, "the last byte is on its way");
    clock.advance(60_000);
    assert.equal(String(await read), "0123456789!");
  });

  it("sets no timer where it is not set", async (t) => {
    const { client, server, pass, clock } = await timedPair(t, {});
    const read = server.readLine();
    client.write("abc");
    await pass(3_600_000);
    assert.deepEqual([read.state, clock.size], ["current", 0]);
  });
});

describe("limits.bytesPerSecond, of writes", SAFETY, () => {
  /** A client that reads so many bytes each second while so much is written to it. */
  async function slowReader(t: TestContext, bytesPerSecond: number, bytesASecond: number): Promise<AsyncSocket> {
    const { client, server, pass } = await timedPair(t, { bytesPerSecond }, { limits: { readAhead: 1 } });
    server.delegate = {
      shouldExtendWriteTimeout: () => assert.fail("nobody is asked"),
      didFailWrite: (_socket, error, tag) => assert.deepEqual([error.tag, tag], ["big", "big"]),
    };
    server.write(pattern(20_000), { tag: "big" });
    for (let seconds = 0; seconds < 100 && server.state === "open"; seconds++) {
      if (bytesASecond > 0) client.readExactly(bytesASecond);
      await pass(1_000);
    }
    return server;
  }

  it("fails the write with WRITE_TIMEOUT, and closes, where the peer takes nothing", async (t) => {
    const server = await slowReader(t, 1_000_000, 0);
    const { error } = await server.closed;
    assert.equal(error?.code, "ERR_ASYNCSOCKET_WRITE_TIMEOUT");
    assert.match(error.message, /^write was slower than limits.bytesPerSecond, 1000000; \d+ of 20000 bytes are out$/);
  });

  it("fails it where the peer takes less than that rate", async (t) => {
    assert.equal(codeOf(await (await slowReader(t, 150, 100)).closed), "WRITE_TIMEOUT");
  });

  it("waits for a peer that takes as many", async (t) => {
    assert.equal((await slowReader(t, 100, 100)).state, "open");
  });

  it("counts on while one write after the other waits", async (t) => {
    const { client, server, pass } = await timedPair(t, { bytesPerSecond: 1000 }, { limits: { readAhead: 1 } });
    for (let i = 0; i < 100; i++) server.write(pattern(100));
    for (let seconds = 0; seconds < 7 && server.state === "open"; seconds++) {
      client.readExactly(100);
      await pass(1_000);
    }
    assert.equal(codeOf(await server.closed), "WRITE_TIMEOUT");
  });

  it("counts the whole batch in hand where nobody can tell which part of it is out", () => {
    const clock = { now: () => now } as RateFloorOwner["clock"];
    const transport = { inHandBytes: 3_000, underWayBytes: 500, countsInHand: false };
    const struck: number[] = [];
    let now = 0;
    const floor = new RateFloor({
      clock,
      limits: { bytesPerSecond: 1000 },
      bytesRead: 0,
      transport,
      reading: { waiting: null },
      isCarrying: true,
      writing: { isBusy: true, bytesWritten: 10_000, expireSlow: () => void struck.push(now) },
    } as unknown as RateFloorOwner);
    assert.equal(floor.dueAt(), 5_000);
    now = 5_000;
    floor.look(now);
    assert.equal(floor.dueAt(), 8_000);
    transport.underWayBytes = 0;
    now = 8_000;
    floor.look(now);
    assert.equal(floor.dueAt(), 8_500);
    transport.countsInHand = true;
    now = 8_500;
    floor.expire(now);
    assert.deepEqual(struck, [8_500]);
  });
});
