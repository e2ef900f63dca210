import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { MemoryNetwork, VirtualClock } from "asyncsocket/testing";
import { failure, pattern, settled } from "../support/delegates.js";
import { Belongings, errnoOf } from "../support/lifecycle-helpers.js";
import { portOf, SAFETY } from "../support/transports.js";

async function pair(t: TestContext, transport: MemoryNetwork): Promise<[AsyncSocket, AsyncSocket, AsyncSocket]> {
  const belongings = Belongings.of(t);
  const limits = { readAhead: 1024 };
  const listener = belongings.add(await AsyncSocket.listen({ transport, port: 0, limits }));
  const client = belongings.add(await AsyncSocket.connect({ transport, port: portOf(listener), limits }));
  const { value: server } = await listener.connections().next();
  assert.ok(server !== undefined);
  return [client, belongings.add(server), listener];
}

describe("a network in memory", SAFETY, () => {
  it("has ports of its own: port 0 finds a free one, and a taken one is LISTEN", async (t) => {
    const transport = new MemoryNetwork();
    const [client, server, listener] = await pair(t, transport);
    const port = portOf(listener);
    assert.ok(port > 0);
    assert.deepEqual(client.remote, server.local);
    assert.deepEqual(server.remote, client.local);
    const error = await failure(AsyncSocket.listen({ transport, port }), "LISTEN");
    assert.equal(errnoOf(error), "EADDRINUSE");
    const elsewhere = new MemoryNetwork();
    Belongings.of(t).add(await AsyncSocket.listen({ transport: elsewhere, port }));
  });

  it("has paths of its own, which leave no file", async (t) => {
    const transport = new MemoryNetwork();
    const belongings = Belongings.of(t);
    const listener = belongings.add(await AsyncSocket.listen({ transport, path: "/nowhere/at/all" }));
    const client = belongings.add(await AsyncSocket.connect({ transport, path: "/nowhere/at/all" }));
    assert.deepEqual(client.remote, { family: "unix", path: "/nowhere/at/all" });
    assert.equal(listener.state, "listening");
    assert.equal(errnoOf(await failure(AsyncSocket.connect({ transport, path: "/other" }), "CONNECT")), "ENOENT");
  });

  it("refuses where nobody listens, in words", async () => {
    const connecting = AsyncSocket.connect({ transport: new MemoryNetwork(), host: "name.test", port: 9 });
    const error = await failure(connecting, "CONNECT");
    assert.equal(errnoOf(error), "ECONNREFUSED");
    assert.match(error.message, /name\.test.*9.*nothing listens there/);
  });

  it("cuts the bytes as it is told, and pushes back", async (t) => {
    const cuts: number[] = [];
    const chunkBytes = (): number => {
      cuts.push((cuts.length % 7) + 1);
      return cuts.at(-1) ?? 1;
    };
    const [client, server] = await pair(t, new MemoryNetwork({ chunkBytes, capacityBytes: 512 }));
    const bytes = pattern(10_000);
    const write = client.write(bytes);
    await settled(2000);
    assert.equal(write.state, "current");
    assert.ok(server.unreadBytes <= 1024 + 7, `${server.unreadBytes} unread`);
    assert.ok((await server.readExactly(10_000)).equals(bytes));
    await write;
    assert.ok(cuts.length > 10_000 / 8);
  });

  it("lives by a virtual clock, which stands still until it is told to go on", async (t) => {
    const clock = new VirtualClock();
    const [client] = await pair(t, new MemoryNetwork({ clock }));
    const order: string[] = [];
    const late = client.peek({ length: 1, timeout: 1e12, onFailure: "continue" });
    late.catch(() => order.push("late"));
    await settled();
    assert.equal(clock.now(), 0);
    clock.advance(1e12 - 1);
    await settled();
    assert.deepEqual(order, []);
    clock.advance(1);
    await settled();
    assert.deepEqual(order, ["late"]);
    assert.equal(clock.now(), 1e12);
  });

  it("loses nothing of a thousand connections at once", async (t) => {
    const transport = new MemoryNetwork({ chunkBytes: () => 3 });
    const belongings = Belongings.of(t);
    const listener = belongings.add(
      await AsyncSocket.listen({
        transport,
        port: 1,
        delegate: {
          didAccept: (_listener, socket) => void socket.readLine(),
          didReadText(socket, text) {
            socket.write(`${text}\n`);
            socket.disconnectAfterWriting();
          },
        },
      }),
    );
    const answers = await Promise.all(
      Array.from({ length: 1000 }, async (_, i) => {
        const socket = await AsyncSocket.connect({ transport, port: 1 });
        socket.write(`number ${i}\n`);
        const line = await socket.readLine();
        await socket.closed;
        return line;
      }),
    );
    assert.deepEqual(
      answers,
      Array.from({ length: 1000 }, (_, i) => `number ${i}`),
    );
    assert.equal((await listener.shutdown()).forced, 0);
  });
});
