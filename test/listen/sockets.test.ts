/** What a listener knows of its sockets: `sockets`, `port`, and `goodbye` at a shutdown. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { settled, until } from "../support/delegates.js";
import { Belongings, type Opened, opened, timedNetwork } from "../support/lifecycle-helpers.js";
import { type Kind, overEveryTransport, SAFETY } from "../support/transports.js";

interface Served extends Opened {
  readonly clients: AsyncSocket[];
  readonly servers: AsyncSocket[];
}

/** A listener with some connections, in the order in which they were accepted. */
async function served(t: TestContext, kind: Kind, count: number): Promise<Served> {
  const all = await opened(t, kind);
  const clients: AsyncSocket[] = [];
  const servers: AsyncSocket[] = [];
  for (let i = 0; i < count; i++) {
    clients.push(await all.connect());
    servers.push(await all.accepted());
  }
  return { ...all, clients, servers };
}

describe("the sockets of a listener", () => {
  overEveryTransport((kind) => {
    it("are those that are open, in the order in which they were accepted", async (t) => {
      const { listener, servers } = await served(t, kind, 3);
      assert.deepEqual([...listener.sockets], servers);
      assert.deepEqual([...listener.sockets], servers, "they can be gone through again");
      servers[1]?.disconnect();
      assert.deepEqual([...listener.sockets], [servers[0], servers[2]]);
      await servers[1]?.closed;
      assert.deepEqual([...listener.sockets], [servers[0], servers[2]]);
      await listener.disconnect();
      assert.deepEqual([...listener.sockets], [servers[0], servers[2]], "they outlive the listener");
    });

    it("may close and be closed while one goes through them", async (t) => {
      const { listener, servers } = await served(t, kind, 4);
      const seen: AsyncSocket[] = [];
      for (const socket of listener.sockets) {
        seen.push(socket);
        await socket.disconnect();
        if (seen.length === 1) servers[2]?.reset();
      }
      assert.deepEqual(seen, [servers[0], servers[1], servers[3]]);
      assert.deepEqual([...listener.sockets], []);
    });

    it("are told goodbye once each at a shutdown, which then waits for them", async (t) => {
      const { listener, clients, servers } = await served(t, kind, 3);
      const told: AsyncSocket[] = [];
      const shutdown = listener.shutdown({
        graceMs: 60_000,
        goodbye(socket) {
          told.push(socket);
          socket.write("221 bye\r\n");
          socket.disconnectAfterWriting();
        },
      });
      assert.deepEqual(told, [], "nobody is called inside the call");
      for (const client of clients) {
        assert.equal(await client.readLine(), "221 bye");
        assert.equal((await client.closed).by, "remote");
      }
      assert.deepEqual(await shutdown, { finished: 3, forced: 0 });
      assert.deepEqual(told, servers);
    });

    it("are not told goodbye where they end already, or belong to a stream", async (t) => {
      const { listener, servers } = await served(t, kind, 4);
      servers[0]?.disconnect();
      servers[1]?.disconnectAfterWriting();
      servers[2]?.toDuplex().resume();
      const told: AsyncSocket[] = [];
      const shutdown = listener.shutdown({
        goodbye(socket) {
          told.push(socket);
          socket.disconnect();
        },
      });
      await until(() => told.length > 0, "a goodbye");
      await settled();
      assert.deepEqual(told, [servers[3]]);
      for (const socket of servers) await socket.disconnect();
      assert.deepEqual(await shutdown, { finished: 4, forced: 0 });
    });

    it("are reached by a port, where there is one", async (t) => {
      const { listener, connect } = await opened(t, kind);
      const { local } = listener;
      assert.equal(listener.port, local?.family === "unix" ? undefined : local?.port);
      if (local?.family !== "unix") assert.ok(Number(listener.port) > 0);
      assert.equal((await connect()).port, undefined);
    });
  });

  it("are none for a socket that does not listen, which has no port either", () => {
    const socket = new AsyncSocket();
    assert.deepEqual([...socket.sockets], []);
    assert.equal(socket.port, undefined);
  });

  it("are told goodbye in many turns where they are many, before the grace is over", SAFETY, async (t) => {
    const { transport, pass } = timedNetwork(t);
    const belongings = Belongings.of(t);
    const listener = belongings.add(await AsyncSocket.listen({ transport, port: 1 }));
    for (let i = 0; i < 1200; i++) belongings.add(await AsyncSocket.connect({ transport, port: 1 }));
    const accepted = listener.connections();
    for (let i = 0; i < 1200; i++) await accepted.next();
    let told = 0;
    const shutdown = listener.shutdown({ graceMs: 0, goodbye: () => told++ });
    await Promise.resolve();
    assert.ok(told < 1200, `${told} at once`);
    await pass(0);
    assert.equal(told, 1200);
    await pass(1);
    assert.deepEqual(await shutdown, { finished: 0, forced: 1200 });
  });
});
