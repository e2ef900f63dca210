/** The graces of listeners and loops end as every deadline does: what came while a thread was busy counts (decision 3). */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type RunLoop } from "asyncsocket";
import { BusyPeer } from "../support/busy-peer.js";
import { settled, until } from "../support/delegates.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { portOf, SAFETY } from "../support/transports.js";
import { loopOf, MOVABLE, moduleOf } from "./helpers.js";

const GRACE_MS = 40;

/**
 * Is busy when it is told to, until it is released and its grace is over, if it is to close itself. Tells how each socket
 * ends, a turn after the listener's thread was told of it.
 */
const BUSY = moduleOf(`
  const { flag } = workerData;
  parentPort.on("message", (graceMs) => {
    if (graceMs > 0) RunLoop.current.close({ graceMs });
    const dueAt = performance.now() + graceMs + 2;
    Atomics.store(flag, 0, 1);
    Atomics.wait(flag, 0, 1);
    while (performance.now() <= dueAt);
  });
  const told = ({ by }) => {
    parentPort.postMessage(by);
    Atomics.add(flag, 1, 1);
    Atomics.notify(flag, 1);
  };
  RunLoop.current.onSocket((socket) => {
    Atomics.add(flag, 2, 1);
    socket.delegate = { didDisconnect: (_, reason) => setImmediate(() => setImmediate(told, reason)) };
  });`);

interface Scene {
  readonly loop: RunLoop;
  readonly listener: AsyncSocket;
  /** At 0: whether the loop is busy, which 2 ends. At 1: how many of its sockets have ended. At 2: how many it has got. */
  readonly flag: Int32Array;
}

async function scene(t: TestContext): Promise<Scene> {
  const flag = new Int32Array(new SharedArrayBuffer(12));
  const loop = await loopOf(t, BUSY, { workerData: { flag } });
  const listener = await AsyncSocket.listen({ host: "127.0.0.1", port: 0, loops: loop });
  return { loop, listener: Belongings.of(t).add(listener), flag };
}

/** A connection on the loop. */
async function connected(t: TestContext, { listener, flag }: Scene): Promise<Socket> {
  const client = connect({ host: "127.0.0.1", port: portOf(listener), allowHalfOpen: true });
  t.after(() => client.destroy());
  await once(client, "connect");
  await until(() => Atomics.load(flag, 2) === 1, "it is on the loop");
  return client;
}

/** Keeps the loop busy until the FIN is out, and whatever `meanwhile` does is done. */
async function endWhileBusy(
  { loop, flag }: Scene,
  client: Socket,
  graceMs: number,
  meanwhile: () => Promise<void>,
): Promise<void> {
  loop.worker?.postMessage(graceMs);
  await until(() => Atomics.load(flag, 0) === 1, "the loop is busy");
  await new Promise<void>((done) => client.end(done));
  await meanwhile();
  Atomics.store(flag, 0, 2);
  Atomics.notify(flag, 0);
}

describe("a grace that ends while a thread is busy", { ...SAFETY, skip: MOVABLE.length === 0 }, () => {
  it("decision 3: of a loop that closes lets connections finish whose FIN has come", async (t) => {
    const stage = await scene(t);
    const client = await connected(t, stage);
    let closing: PromiseLike<unknown> | undefined;
    await endWhileBusy(stage, client, GRACE_MS, async () => {
      closing = stage.loop.close({ graceMs: GRACE_MS });
      await settled();
    });
    assert.deepEqual(await closing, { finished: 1, forced: 0 });
  });

  it("decision 3: of a listener lets connections on a busy loop end by the FIN that has come there", async (t) => {
    const stage = await scene(t);
    const client = await connected(t, stage);
    const ends = once(stage.loop.worker as NonNullable<RunLoop["worker"]>, "message");
    let shutdown: PromiseLike<unknown> | undefined;
    await endWhileBusy(stage, client, 0, async () => {
      shutdown = stage.listener.shutdown({ graceMs: 1 });
      await new Promise((done) => setTimeout(done, 1));
      await settled();
    });
    assert.deepEqual(await ends, ["remote"]);
    await shutdown;
  });

  it("decision 3: of a listener counts connections on a loop that have ended before", async (t) => {
    const peer = await BusyPeer.start(t);
    const { listener, flag } = await scene(t);
    peer.connectTo(portOf(listener), 1);
    await until(() => Atomics.load(flag, 2) === 1, "it is on the loop");
    const shutdown = listener.shutdown({ graceMs: GRACE_MS });
    await settled();
    peer.doWhileBusy("end", performance.now() + GRACE_MS + 2, "", 1);
    assert.notEqual(Atomics.wait(flag, 1, 0, 10_000), "timed-out");
    assert.deepEqual(await shutdown, { finished: 1, forced: 0 });
  });
});
