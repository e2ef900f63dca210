/** What run loops are for: their sockets go on while the main thread cannot. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { AsyncSocket } from "asyncsocket";
import { NO_NATIVE } from "../support/availability.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { portOf, SAFETY } from "../support/transports.js";
import { loopOf, moduleOf } from "./helpers.js";

const TICKS = 25;
/** A safety net: while the main thread waits, no test runner's deadline comes. */
const PATIENCE_MS = 20_000;

/** Sends a byte again and again. */
const SENDER = moduleOf(`
  RunLoop.current.onSocket((socket) => {
    const timer = setInterval(() => socket.write("."), 1);
    socket.delegate = { didDisconnect: () => clearInterval(timer) };
  });`);

/** Tells of the first byte, and wakes whoever waits when many more have come. */
const LISTENER = moduleOf(`
  const { port, shared, news } = workerData;
  const socket = await AsyncSocket.connect({ host: "127.0.0.1", port });
  void (async () => {
    await socket.readExactly(1);
    news.postMessage("playing");
    await socket.readExactly(${TICKS});
    Atomics.store(shared, 0, 1);
    Atomics.notify(shared, 0);
    await socket.disconnect();
  })();`);

describe("a main thread that is held up", { ...SAFETY, skip: NO_NATIVE }, () => {
  it("does not hold up the sockets of a run loop", async (t) => {
    const loop = await loopOf(t, SENDER);
    const listener = Belongings.of(t).add(new AsyncSocket({ delegate: { wantsRunLoopForNewSocket: () => loop } }));
    await listener.listen({ port: 0, host: "127.0.0.1" });
    const shared = new Int32Array(new SharedArrayBuffer(4));
    // A port keeps what is said before somebody listens.
    const { port1, port2 } = new MessageChannel();
    const workerData = { port: portOf(listener), shared, news: port2 };
    await loopOf(t, LISTENER, { workerData, transferList: [port2] });
    await once(port1, "message");
    port1.close();
    // Until the bytes have come, this thread does nothing at all.
    assert.notEqual(Atomics.wait(shared, 0, 0, PATIENCE_MS), "timed-out");
    assert.equal(shared[0], 1);
  });
});
