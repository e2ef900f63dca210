/** The registry of live sockets, and what snapshots show of them. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AsyncSocket, openSockets, RunLoop, snapshot, type SocketSnapshot } from "asyncsocket";
import { MemoryNetwork, VirtualClock } from "asyncsocket/testing";
import { loopOf, moduleOf, MOVABLE, pairOf } from "../loops/helpers.js";
import { failure, until } from "../support/delegates.js";
import { connectedPair, overEveryTransport, SAFETY } from "../support/transports.js";

function of(socket: AsyncSocket): SocketSnapshot {
  const [one, ...others] = snapshot([socket]);
  assert.ok(one !== undefined && others.length === 0);
  return one;
}

function listed(...sockets: AsyncSocket[]): boolean[] {
  const ids = new Set(openSockets().map(({ id }) => id));
  return sockets.map(({ id }) => ids.has(id));
}

describe("openSockets() and snapshot()", () => {
  overEveryTransport((kind) => {
    it("list sockets from their connect, accept or listen until they are closed", async (t) => {
      const idle = new AsyncSocket();
      const { listener, client, server } = await connectedPair(t, kind);
      assert.deepEqual(listed(listener, client, server, idle), [true, true, true, false]);
      await Promise.all([client.disconnect(), server.closed]);
      assert.deepEqual(listed(listener, client, server), [true, false, false]);
      await listener.disconnect();
      assert.deepEqual(listed(listener), [false]);
    });

    it("show state, counters, TLS and both queues, without payload", async (t) => {
      const { listener, client, server } = await connectedPair(t, kind);
      client.write("the secret words");
      await server.peek({ length: 16 });
      void server
        .readUntil("\r\n", { tag: { kind: "header" }, timeout: 60_000, maxLength: 100 })
        .catch(() => undefined);
      void server.readExactly(10, { tag: "body" }).catch(() => undefined);
      await until(() => server.currentRead !== undefined, "the read is current");
      const { reads, limits, tls, ...seen } = of(server);
      assert.deepEqual(
        reads.map(({ kind: name, tag, state, bytesTotal, maxLength, timeoutMs }) => [
          name,
          tag,
          state,
          bytesTotal,
          maxLength,
          timeoutMs,
        ]),
        [
          ["readUntil", "{ kind: 'header' }", "current", null, 100, 60_000],
          ["readExactly", "'body'", "queued", 10, reads[1]?.maxLength, null],
        ],
      );
      const [first, second] = reads;
      assert.equal(first?.bytesDone, 16);
      assert.ok(first.dueInMs !== null && first.dueInMs <= 60_000 && first.currentMs !== null && first.ageMs >= 0);
      assert.equal(second?.dueInMs, null);
      assert.deepEqual([seen.state, seen.bytesRead, seen.unreadBytes, seen.pendingReads], ["open", 16, 16, 2]);
      assert.equal(seen.transport, server.transport);
      assert.deepEqual(limits.readAhead, { used: 16, limit: 65_536 });
      assert.deepEqual([tls?.isSecure ?? false, tls?.version ?? null], [kind.isSecure, server.tls?.version ?? null]);
      assert.deepEqual(of(listener).limits.connections, { used: 1, limit: 65_536 });
      const text = JSON.stringify(snapshot());
      assert.ok(!text.includes("secret"));
      assert.equal(structuredClone(of(client)).id, client.id);
    });

    it("tell why a socket was closed", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const error = await failure(server.readLine({ timeout: 0 }));
      await server.closed;
      await client.closed;
      assert.deepEqual(of(server).closeReason, { by: "error", code: error.code, message: error.message });
      assert.deepEqual(of(client).closeReason?.by, client.closeReason?.by);
    });
  });
});

describe("the ages of a snapshot", SAFETY, () => {
  it("grow from the first one on, by the clock of the network, and deadlines tick", async () => {
    const clock = new VirtualClock();
    const transport = new MemoryNetwork({ clock });
    const listener = await clock.run(AsyncSocket.listen({ transport, port: 7 }));
    const client = await clock.run(AsyncSocket.connect({ transport, port: 7 }));
    const read = client.readLine({ timeout: 1000 });
    void client.readLine().catch(() => undefined);
    await clock.runFor(100);
    assert.deepEqual(
      of(client).reads.map(({ ageMs, currentMs, dueInMs }) => [ageMs, currentMs, dueInMs]),
      [
        [0, 0, 900],
        [0, null, null],
      ],
    );
    await clock.runFor(400);
    assert.deepEqual(
      of(client).reads.map(({ ageMs, currentMs, dueInMs }) => [ageMs, currentMs, dueInMs]),
      [
        [400, 400, 500],
        [400, null, null],
      ],
    );
    await clock.run(failure(read));
    await clock.run(Promise.all([client.closed, listener.disconnect()]));
  });

  it("format no more properties of a tag than they show", async () => {
    const transport = new MemoryNetwork();
    const listener = await AsyncSocket.listen({ transport, port: 1 });
    const client = await AsyncSocket.connect({ transport, port: 1 });
    let formatted = 0;
    const value = {
      get [Symbol.toStringTag](): string {
        return `Value ${formatted++}`;
      },
    };
    const tag = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`key${i}`, value]));
    void client.read({ tag }).catch(() => undefined);
    void client.read({ tag: Object.fromEntries(Array.from("abcd", (key) => [key, 1])) }).catch(() => undefined);
    const [many = "", few] = of(client).reads.map((read) => read.tag ?? "");
    assert.match(many, /^\{ key0: .*, key1: .*…$/);
    assert.ok(formatted < 500, `${formatted} were looked at`);
    assert.equal(few, "{ a: 1, b: 1, c: 1, d: 1 }");
    await Promise.all([client.disconnect(), listener.disconnect()]);
  });

  it("survive tags that cannot be printed, and shorten long ones", async () => {
    const transport = new MemoryNetwork();
    const listener = await AsyncSocket.listen({ transport, port: 7 });
    const client = await AsyncSocket.connect({ transport, port: 7 });
    const hostile = new Proxy(
      {},
      {
        get: () => {
          throw new Error("no");
        },
        ownKeys: () => {
          throw new Error("no");
        },
      },
    );
    for (const tag of [hostile, "x".repeat(100_000), { a: "two\nlines" }])
      void client.read({ tag }).catch(() => undefined);
    const tags = of(client).reads.map(({ tag }) => tag ?? "");
    assert.ok(
      tags.every((tag) => tag.length <= 120 && !tag.includes("\n")),
      tags.join(),
    );
    await Promise.all([client.disconnect(), listener.disconnect()]);
  });
});

for (const transport of MOVABLE) {
  describe(`RunLoop.snapshot, on the ${transport} transport`, SAFETY, () => {
    it("shows the sockets of another thread, and nothing of one that has ended", async (t) => {
      const loop = await loopOf(
        t,
        moduleOf(`RunLoop.current.onSocket((socket) => void socket.readLine({ tag: "there" }));`),
      );
      const { accepted } = await pairOf(t, { transport });
      await accepted.moveTo(loop);
      const { name, sockets, answerMs } = await loop.snapshot();
      assert.equal(name, loop.name);
      assert.deepEqual(
        sockets.map(({ reads }) => reads.map(({ tag }) => tag)),
        [["'there'"]],
      );
      assert.ok(answerMs >= 0);
      assert.ok(RunLoop.all.includes(loop) && RunLoop.all.includes(RunLoop.current));
      assert.equal((await RunLoop.current.snapshot()).sockets.length, openSockets().length);
      await loop.worker?.terminate();
      await loop.closed;
      assert.deepEqual((await loop.snapshot()).sockets, []);
      assert.ok(!RunLoop.all.includes(loop));
    });
  });
}
