/** Delegates that throw: each exception surfaces once, before anything more is told, and the socket goes on. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type AcceptInfo, type AsyncSocket, type AsyncSocketError, reconnect } from "asyncsocket";
import { VirtualClock } from "asyncsocket/testing";
import { NO_UNCAUGHT } from "../support/availability.js";
import { arrived, settled, shortCode, until } from "../support/delegates.js";
import { opened } from "../support/lifecycle-helpers.js";
import { connectedPair, overEveryTransport } from "../support/transports.js";
import { logOfUncaught, uncaught } from "../support/uncaught.js";

describe("a delegate that throws", { skip: NO_UNCAUGHT }, () => {
  overEveryTransport((kind) => {
    it("decision 13: is told nothing more before that has surfaced", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const log = logOfUncaught(t);
      client.write("1\n2\n3\n");
      await arrived(server, 6);
      server.delegate = {
        didReadText(_socket, text) {
          log.push(text);
          throw new Error(text);
        },
        didFailRead: () => void log.push("failed"),
      };
      for (let i = 0; i < 3; i++) server.readLine();
      await until(() => log.length === 6, "three exceptions");
      assert.deepEqual(log, ["1", "uncaught 1", "2", "uncaught 2", "3", "uncaught 3"]);
    });

    it("decision 13: is told of no further write or failure before that has surfaced", async (t) => {
      const { client } = await connectedPair(t, kind);
      const log = logOfUncaught(t);
      const tell = (what: string): never => {
        log.push(what);
        throw new Error(what);
      };
      client.delegate = {
        didWrite: (_socket, tag) => tell(`wrote ${String(tag)}`),
        didFailRead: (_socket, _error, tag) => tell(`failed ${String(tag)}`),
      };
      client.write("a", { tag: 1 });
      client.write("b", { tag: 2 });
      await until(() => log.length === 4, "two exceptions");
      client.readLine({ tag: 1 });
      client.readLine({ tag: 2 });
      client.cancelReads();
      await until(() => log.length === 8, "two more");
      const expected = ["wrote 1", "wrote 2", "failed 1", "failed 2"].flatMap((one) => [one, `uncaught ${one}`]);
      assert.deepEqual(log, expected);
    });

    it("decision 13: that throws while many sockets are told takes nothing from the others", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const log = logOfUncaught(t);
      const told = (socket: AsyncSocket, data: Buffer): void => {
        log.push(data.toString());
        if (socket === server) throw new Error("thrown");
      };
      client.delegate = server.delegate = { didRead: told };
      client.readExactly(1);
      server.readExactly(1);
      client.write("s");
      server.write("c");
      await until(() => log.length === 3, "both and an exception");
      assert.deepEqual([...log].sort(), ["c", "s", "uncaught thrown"]);
    });

    it("decision 13: in goodbye of a shutdown, keeps no other socket from its own", async (t) => {
      const { listener, connect, accepted } = await opened(t, kind);
      const clients: AsyncSocket[] = [];
      const servers: AsyncSocket[] = [];
      for (let i = 0; i < 3; i++) {
        clients.push(await connect());
        servers.push(await accepted());
      }
      const log = logOfUncaught(t);
      const shutdown = listener.shutdown({
        goodbye(socket) {
          if (socket === servers[1]) throw new Error("no goodbye");
          socket.disconnectAfterWriting();
        },
      });
      await Promise.all([clients[0]?.closed, clients[2]?.closed, until(() => log.length > 0, "an exception")]);
      assert.deepEqual(log, ["uncaught no goodbye"]);
      assert.equal(servers[1]?.state, "open");
      servers[1].write("still here\n");
      assert.equal(await clients[1]?.readLine(), "still here");
      await servers[1].disconnect();
      assert.deepEqual(await shutdown, { finished: 3, forced: 0 });
    });

    it("decision 13: in userDataFor, refuses that connection, and leaves the listener as it is", async (t) => {
      const surfaced = uncaught(t);
      const refused: [AsyncSocketError, AcceptInfo][] = [];
      const broken = new Error("the database is away");
      let isBroken = true;
      const { connect, accepted, listener } = await opened(t, kind, {
        userDataFor() {
          if (isBroken) throw broken;
          return "mine";
        },
        delegate: { didFailAccept: (_listener, error, info) => void refused.push([error, info]) },
      });
      const client = connect();
      await until(() => refused.length > 0 && surfaced.length > 0, "it is refused");
      const [error, info] = refused[0] ?? [];
      assert.equal(shortCode(error), "ACCEPT");
      assert.match(String(error), /A connection was refused: no socket could be made for it: the database is away/);
      assert.equal(error?.cause, broken);
      assert.deepEqual(info?.local, listener.local);
      await client.then(
        (socket) => socket.closed,
        () => undefined,
      );
      assert.deepEqual(surfaced, [broken]);
      assert.deepEqual([...listener.sockets], []);
      isBroken = false;
      connect();
      assert.equal((await accepted()).userData, "mine");
      assert.equal(refused.length, 1);
    });
  });
});

describe("an onRetry that throws", { skip: NO_UNCAUGHT }, () => {
  it("surfaces, and the loop goes on", async (t) => {
    const log = logOfUncaught(t);
    const clock = new VirtualClock();
    let tries = 0;
    const loop = reconnect(() => Promise.reject(new Error(`failure ${++tries}`)), {
      clock,
      attempts: 3,
      onRetry(_error, _waitMs, attempt) {
        throw new Error(`retry ${attempt}`);
      },
    });
    const failed = assert.rejects(loop.next(), { message: "failure 3" });
    for (const waits of [1, 2]) {
      await until(() => log.length === waits, "an exception");
      await settled();
      clock.advance(60_000);
    }
    await failed;
    assert.deepEqual(log, ["uncaught retry 1", "uncaught retry 2"]);
  });
});
