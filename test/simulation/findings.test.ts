/** What the simulation has found, each as small as it could be made. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AsyncSocket, type AsyncSocketDelegate } from "asyncsocket";
import { MemoryNetwork, VirtualClock } from "asyncsocket/testing";
import { WriteQueue } from "#dist/pump/write-queue.js";
import { Recorder, shortCode } from "../conformance/delegates.js";
import { writeEntry } from "../pump/entries.js";

const SERVER = "192.0.2.1";

async function world(delegate: AsyncSocketDelegate = {}): Promise<{ clock: VirtualClock; transport: MemoryNetwork }> {
  const clock = new VirtualClock();
  const transport = new MemoryNetwork({ clock });
  await clock.run(AsyncSocket.listen({ transport, host: SERVER, port: 7, delegate }));
  return { clock, transport };
}

describe("found by the simulation", () => {
  it("an empty write is not done before there is a connection, nor where there never is one", async () => {
    const { clock, transport } = await world();
    for (const port of [7, 8]) {
      const delegate = new Recorder();
      const socket = new AsyncSocket({ transport, delegate });
      const write = socket.write("", { tag: "empty" });
      await clock.run();
      assert.equal(write.state, "queued");
      socket.connect({ host: SERVER, port });
      await clock.run();
      if (port === 7) assert.deepEqual(delegate.names, ["didConnect", "didWrite"]);
      else assert.deepEqual(delegate.names, ["didFailWrite", "didDisconnect"]);
      socket.disconnect();
    }
  });
});
