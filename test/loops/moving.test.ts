/** Moving live sockets to other threads. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { AsyncSocket, RunLoop } from "asyncsocket";
import { NO_NATIVE } from "../support/availability.js";
import { failure, pattern, shortCode, until } from "../support/delegates.js";
import { Belongings, throwsBadState } from "../support/lifecycle-helpers.js";
import { openSockets } from "../support/open-sockets.js";
import { portOf, SAFETY } from "../support/transports.js";
import { loopOf, moduleOf, MOVABLE, pairOf } from "./helpers.js";

/** Tells by message what arrived, and what it looks like. */
const TELLS = moduleOf(`
  RunLoop.current.onSocket(async (socket, { userData, info }) => {
    const { bytesRead, bytesWritten, unreadBytes, allowHalfOpen, state, local, remote } = socket;
    parentPort.postMessage({ bytesRead, bytesWritten, unreadBytes, allowHalfOpen, state, local, remote, userData, info,
      own: socket.userData });
    socket.write("at " + (await socket.readLine()) + "\\n");
  });`);

for (const transport of MOVABLE) {
  describe(`moving a socket of the ${transport} transport`, SAFETY, () => {
    it("takes unread bytes, counters, options, addresses and userData along", async (t) => {
      const loop = await loopOf(t, TELLS);
      const { accepted, client } = await pairOf(t, { transport, allowHalfOpen: true });
      client.write("one\ntwo\nthr");
      assert.equal(await accepted.readLine(), "one");
      await accepted.write("hello");
      await until(() => accepted.unreadBytes === 7, "all has come");
      const { local, remote } = accepted;
      const told = once(loop.worker as NonNullable<typeof loop.worker>, "message");
      const userData = { when: new Date(0), list: [1n, new Map([["a", 1]])] };
      accepted.userData = userData;
      await accepted.moveTo(loop);
      const [seen] = (await told) as [unknown];
      assert.deepEqual(seen, {
        bytesRead: 11,
        bytesWritten: 5,
        unreadBytes: 7,
        allowHalfOpen: true,
        state: "open",
        local,
        remote,
        userData,
        info: { local, remote },
        own: userData,
      });
      assert.equal(String(await client.readExactly(5)), "hello");
      assert.equal(await client.readLine(), "at two");
      const reason = await accepted.closed;
      assert.equal(reason.by, "local");
      assert.equal(reason.error, null);
      assert.equal(reason.movedTo, loop);
      assert.equal(reason.bytesRead, 11);
      assert.equal(accepted.unreadBytes, 0);
    });

    it("decision 17: leaves a socket that cannot be used again, and tells didDisconnect alone", async (t) => {
      const loop = await loopOf(t);
      const { accepted } = await pairOf(t, { transport });
      const calls: string[] = [];
      accepted.delegate = {
        willDisconnect: () => void calls.push("willDisconnect"),
        didDisconnect: () => void calls.push("didDisconnect"),
      };
      const request = accepted.moveTo(loop);
      assert.equal(request.kind, "moveTo");
      assert.equal(accepted.state, "closing");
      await failure(accepted.read(), "CLOSED");
      await request;
      await accepted.closed;
      assert.equal(accepted.state, "closed");
      assert.deepEqual(calls, ["didDisconnect"]);
      throwsBadState(() => accepted.connect({ port: 1 }), "connect");
    });

    it("counts it on the other thread, until it is closed there", async (t) => {
      const loop = await loopOf(t);
      const { accepted, client } = await pairOf(t, { transport });
      const before = RunLoop.current.sockets;
      assert.equal(loop.sockets, 0);
      const request = accepted.moveTo(loop);
      assert.equal(client.state, "open");
      await request;
      assert.equal(loop.sockets, 1);
      await accepted.closed;
      assert.equal(RunLoop.current.sockets, before - 1);
      await client.disconnect();
      await until(() => loop.sockets === 0, "it is closed there");
    });

    it("takes the peer's FIN, and its own, along", async (t) => {
      const loop = await loopOf(
        t,
        moduleOf(`RunLoop.current.onSocket(async (socket) => {
          let error;
          try { socket.write(""); } catch (thrown) { error = thrown; }
          const rest = await socket.readExactly(4);
          await socket.read().catch(() => {});
          if (error === undefined) socket.end();
          parentPort.postMessage([error?.code, String(rest), socket.peerEnded, (await socket.closed).by]);
        });`),
      );
      const { accepted, client } = await pairOf(t, { transport, allowHalfOpen: true });
      // With both ends' FINs the runtime closes the descriptor by itself.
      if (transport === "native") await accepted.end();
      client.write("rest");
      await client.end();
      await until(() => accepted.peerEnded && accepted.unreadBytes === 4, "the FIN has come");
      const told = once(loop.worker as NonNullable<typeof loop.worker>, "message");
      await accepted.moveTo(loop);
      const code = transport === "native" ? "ERR_ASYNCSOCKET_BAD_STATE" : undefined;
      assert.deepEqual(await told, [[code, "rest", true, "remote"]]);
    });

    it("comes back to the thread it came from", async (t) => {
      const loop = await loopOf(
        t,
        moduleOf(`RunLoop.current.onSocket(async (socket) => {
          socket.write("over there\\n");
          await socket.readLine();
          await socket.moveTo(RunLoop.current.parent, { userData: "back" });
        });`),
      );
      const { accepted, client } = await pairOf(t, { transport });
      await accepted.moveTo(loop);
      assert.equal(await client.readLine(), "over there");
      const arrived = new Promise<AsyncSocket>((resolve) => {
        RunLoop.current.onSocket((socket, { userData }) => {
          assert.equal(userData, "back");
          resolve(socket);
        });
      });
      client.write("come back\nand say hello\n");
      const socket = Belongings.of(t).add(await arrived);
      assert.equal(await socket.readLine(), "and say hello");
      socket.write("hello\n");
      assert.equal(await client.readLine(), "hello");
      await until(() => loop.sockets === 0, "it has left");
    });

    it(
      "takes a socket that connected, over a Unix-domain socket too",
      { skip: process.platform === "win32" },
      async (t) => {
        const loop = await loopOf(t, TELLS);
        const belongings = Belongings.of(t);
        const folder = mkdtempSync(join(tmpdir(), "asyncsocket-"));
        t.after(() => rmSync(folder, { recursive: true, force: true }));
        const path = join(folder, "s");
        const listener = belongings.add(await AsyncSocket.listen({ path }));
        const client = belongings.add(new AsyncSocket({ transport }));
        await client.connect({ path });
        const { value: peer } = await listener.connections().next();
        belongings.add(peer as AsyncSocket);
        peer?.write("one\ntwo\n");
        assert.equal(await client.readLine(), "one");
        const told = once(loop.worker as NonNullable<typeof loop.worker>, "message");
        await client.moveTo(loop);
        const [{ remote, unreadBytes }] = (await told) as [{ remote: unknown; unreadBytes: number }];
        assert.deepEqual(remote, { family: "unix", path });
        assert.equal(unreadBytes, 4);
        assert.equal(await peer?.readLine(), "at two");
      },
    );

    it("closes no descriptor twice: another socket that got its number is left alone", async (t) => {
      const loop = await loopOf(t);
      const { accepted, client } = await pairOf(t, { transport });
      await accepted.moveTo(loop);
      // They take the numbers that are free now.
      const strangers = Array.from({ length: 20 }, () => openSync(fileURLToPath(import.meta.url), "r"));
      await accepted.disconnect();
      accepted.reset();
      await client.disconnect();
      await until(() => loop.sockets === 0, "it is closed there");
      await loop.close();
      for (const stranger of strangers) {
        assert.ok(fstatSync(stranger).isFile());
        closeSync(stranger);
      }
    });

    it("loses, doubles and reorders no byte of a stream that goes on meanwhile, in either direction", async (t) => {
      const before = openSockets().length;
      const loops = await Promise.all([1, 2].map(() => loopOf(t, PASSES_ON)));
      const belongings = Belongings.of(t);
      let moved = 0;
      const listener = belongings.add(
        new AsyncSocket({
          transport,
          delegate: {
            didAccept: (_listener, socket) => void socket.readExactly(1000 + (socket.id % 777)),
            didRead(socket, data) {
              socket.userData = data.length;
              socket.write(data, { tag: "echoed" });
            },
            didWrite(socket) {
              socket.moveTo(loops[socket.id % 2] as RunLoop);
              moved++;
            },
          },
        }),
      );
      await listener.listen({ port: 0, host: "127.0.0.1" });
      const target = { host: "127.0.0.1", port: portOf(listener) };
      const bytes = pattern(100_000, 3);
      for (let wave = 0; wave < 4; wave++) {
        await Promise.all(
          Array.from({ length: 50 }, async () => {
            const client = await AsyncSocket.connect(target);
            void pour(client, bytes);
            const echoed = await client.readExactly(bytes.length);
            assert.ok(echoed.equals(bytes), "every byte, in order");
            await client.disconnectAfterWriting();
          }),
        );
      }
      assert.equal(moved, 200);
      await listener.disconnect();
      await until(() => openSockets().length <= before, "all descriptors are closed");
      for (const loop of loops) await until(() => loop.sockets === 0, "no socket is left");
    });
  });
}

/** Echoes whatever comes. */
const PASSES_ON = moduleOf(`
  const delegate = {
    didRead(socket, data) { socket.write(data); socket.read(); },
  };
  RunLoop.current.onSocket((socket) => { socket.delegate = delegate; socket.read(); });`);

/** In pieces that come together with the move. */
async function pour(socket: AsyncSocket, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; at += 7919) await socket.write(bytes.subarray(at, at + 7919));
}

describe("a socket that cannot move", { ...SAFETY, skip: NO_NATIVE }, () => {
  it("is refused by BAD_STATE with entries queued, and stays as it is", async (t) => {
    const loop = await loopOf(t);
    const { accepted, client } = await pairOf(t);
    const read = accepted.readLine();
    throwsBadState(() => accepted.moveTo(loop), "moveTo");
    client.write("still here\n");
    assert.equal(await read, "still here");
    accepted.write("x");
    throwsBadState(() => accepted.moveTo(loop), "moveTo");
    accepted.disconnectAfterWriting();
    throwsBadState(() => accepted.moveTo(loop), "moveTo");
  });

  it("is refused by BAD_STATE on a listener, an idle socket, and to the loop that it is on", async (t) => {
    const loop = await loopOf(t);
    const { accepted, listener } = await pairOf(t);
    throwsBadState(() => listener.moveTo(loop), "moveTo");
    throwsBadState(() => new AsyncSocket().moveTo(loop), "moveTo");
    throwsBadState(() => accepted.moveTo(RunLoop.current), "moveTo");
    assert.throws(() => accepted.moveTo({ name: "odd" } as never), {
      name: "TypeError",
      message: /^Expected runLoop to be a RunLoop/,
    });
    assert.throws(() => accepted.moveTo(loop, { userData: () => 1 }), { name: "DataCloneError" });
    assert.equal(accepted.state, "open");
  });

  it("fails with TRANSFER to a loop that has ended, and stays open", async (t) => {
    const loop = await loopOf(t);
    const { accepted, client } = await pairOf(t);
    await loop.close();
    const error = await failure(accepted.moveTo(loop), "TRANSFER");
    assert.match(error.message, /is closed$/);
    client.write("a\n");
    assert.equal(await accepted.readLine(), "a");
  });

  it("is closed with TRANSFER where the thread ends before it has it", async (t) => {
    const loop = await loopOf(t, moduleOf("")); // no handler: it waits
    const { accepted, client } = await pairOf(t);
    const request = accepted.moveTo(loop);
    await until(() => loop.sockets === 1, "it is on its way");
    await loop.worker?.terminate();
    await failure(request, "TRANSFER");
    const reason = await accepted.closed;
    assert.equal(reason.by, "error");
    assert.equal(shortCode(reason.error), "TRANSFER");
    await client.closed;
    assert.equal((await client.closed).by, "error");
  });
});

describe("sockets that arrive before there is a handler", { ...SAFETY, skip: NO_NATIVE }, () => {
  it("wait for it, with all that comes meanwhile", async (t) => {
    const loop = await loopOf(
      t,
      moduleOf(`parentPort.once("message", () => {
        RunLoop.current.onSocket(async (socket) => void socket.write("late " + (await socket.readLine()) + "\\n"));
        parentPort.postMessage("ok");
      });`),
    );
    const { accepted, client } = await pairOf(t);
    const request = accepted.moveTo(loop);
    await client.write("but here\n");
    assert.equal(request.state, "current");
    loop.worker?.postMessage("go");
    assert.equal(await client.readLine(), "late but here");
    await request;
  });
});
