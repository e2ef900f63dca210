/** Loops as such: how they begin, are chosen, and end. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { AsyncSocket, RunLoop, type RunLoopPool } from "asyncsocket";
import { NO_NATIVE } from "../support/availability.js";
import { failure, shortCode, until } from "../support/delegates.js";
import { Belongings, child, throwsBadState } from "../support/lifecycle-helpers.js";
import { openSockets } from "../support/open-sockets.js";
import { portOf, SAFETY } from "../support/transports.js";
import { ECHO, loopOf, moduleOf, pairOf, poolOf } from "./helpers.js";

type Worker = NonNullable<RunLoop["worker"]>;

describe("RunLoop.spawn", SAFETY, () => {
  it("runs the module on a thread of its own, with workerData and a name, and gives the loop once it has run", async (t) => {
    const module = moduleOf(`
      parentPort.on("message", () => parentPort.postMessage([RunLoop.current.name, workerData, RunLoop.current.isCurrent,
        RunLoop.current.threadId, RunLoop.current.parent.state, RunLoop.current.worker]));`);
    const loop = await loopOf(t, module, { name: "first", workerData: { port: 7 } });
    assert.equal(loop.name, "first");
    assert.equal(loop.state, "running");
    assert.equal(loop.sockets, 0);
    assert.equal(inspect(loop), 'RunLoop "first" running: 0 sockets');
    const answer = once(loop.worker as Worker, "message");
    loop.worker?.postMessage("?");
    assert.deepEqual(await answer, [["first", { port: 7 }, true, loop.threadId, "running", null]]);
  });

  it("fails with TRANSFER where the module throws, or is not there", async () => {
    const error = await failure(RunLoop.spawn(moduleOf("throw new RangeError('no');")), "TRANSFER");
    assert.ok(error.cause instanceof RangeError);
    await failure(RunLoop.spawn("file:///nowhere/at/all.js"), "TRANSFER");
    const closing = moduleOf("RunLoop.current.close(); await new Promise(() => setInterval(() => {}, 1000));");
    assert.match((await failure(RunLoop.spawn(closing), "TRANSFER")).message, /was closed before its module had run/);
    await failure(RunLoop.pool(moduleOf("throw new RangeError('no');"), 2), "TRANSFER");
  });

  it("throws for what is no module, name, size or policy", async () => {
    await assert.rejects(RunLoop.spawn("./here.js"), { name: "RangeError", message: /absolute URL/ });
    await assert.rejects(RunLoop.spawn(7 as never), { name: "TypeError" });
    await assert.rejects(RunLoop.spawn(ECHO, { name: "" }), { name: "RangeError" });
    await assert.rejects(RunLoop.pool(ECHO, 0), { name: "RangeError" });
    await assert.rejects(RunLoop.pool(ECHO, 1, { policy: "odd" as never }), { name: "RangeError" });
  });

  it("gives loops that do not hold the process, but for those with sockets", { skip: NO_NATIVE }, async (t) => {
    const idle = child(
      t,
      `import { RunLoop } from "asyncsocket"; await RunLoop.spawn(${JSON.stringify(ECHO)}); console.log("ok");`,
    );
    assert.equal(await idle.line(), "ok");
    assert.equal((await idle.ended).code, 0);
    const busy = child(
      t,
      `import { AsyncSocket, RunLoop } from "asyncsocket";
       const loop = await RunLoop.spawn(${JSON.stringify(ECHO)}, { name: "busy" });
       const listener = await AsyncSocket.listen({ port: 0, host: "127.0.0.1", loops: loop });
       console.log(listener.local.port);
       loop.closed.then(() => console.log("never"));
       while (loop.sockets === 0) await new Promise(setImmediate);
       await listener.disconnect();`,
    );
    const client = Belongings.of(t).add(new AsyncSocket());
    await client.connect({ host: "127.0.0.1", port: Number(await busy.line()) });
    for (const line of ["one", "two"]) {
      client.write(`${line}\n`);
      assert.equal(await client.readLine(), `busy ${line}`);
    }
    await client.disconnect();
    assert.equal((await busy.ended).code, 0);
  });
});

describe("RunLoop.current", SAFETY, () => {
  it("is the loop of this thread, which cannot be closed", () => {
    assert.equal(RunLoop.current, RunLoop.current);
    assert.equal(RunLoop.current.isCurrent, true);
    throwsBadState(() => RunLoop.current.close(), "close");
    assert.throws(() => RunLoop.current.onSocket(7 as never), { name: "TypeError" });
  });

  it("alone is told of sockets", async (t) => {
    const loop = await loopOf(t);
    throwsBadState(() => loop.onSocket(() => undefined), "onSocket");
  });
});

describe("closing a run loop", { ...SAFETY, skip: NO_NATIVE }, () => {
  it("waits for its sockets to finish, and takes no more", async (t) => {
    const loop = await loopOf(t);
    const { accepted, client } = await pairOf(t);
    const late = await pairOf(t);
    await accepted.moveTo(loop);
    const closing = loop.close();
    assert.equal(loop.close(), closing);
    assert.equal(loop.state, "closing");
    await failure(late.accepted.moveTo(loop), "TRANSFER");
    assert.equal(late.accepted.state, "open");
    client.write("still\n");
    assert.match(await client.readLine(), /still$/);
    await client.disconnect();
    assert.deepEqual(await closing, { finished: 1, forced: 0 });
    assert.deepEqual(await loop.closed, { error: null });
    assert.equal(loop.state, "closed");
    assert.deepEqual(await loop.close(), { finished: 1, forced: 0 });
  });

  it("closes what has not finished within graceMs", async (t) => {
    const loop = await loopOf(t);
    const { accepted, client } = await pairOf(t);
    await accepted.moveTo(loop);
    assert.deepEqual(await loop.close({ graceMs: 10 }), { finished: 0, forced: 1 });
    await client.closed;
  });

  it("refuses those that wait for a handler", async (t) => {
    const loop = await loopOf(t, moduleOf(""));
    const { accepted, client } = await pairOf(t);
    const request = accepted.moveTo(loop);
    await until(() => loop.sockets === 1, "it is on its way");
    const closing = loop.close();
    const error = await failure(request, "TRANSFER");
    assert.match(error.message, /is closing$/);
    await closing;
    await client.closed;
  });

  it("can be asked for by the loop itself", async (t) => {
    const module = moduleOf(`RunLoop.current.onSocket(async (socket) => {
      void RunLoop.current.close();
      socket.write("bye\\n");
      await socket.disconnectAfterWriting();
    });`);
    const loop = await loopOf(t, module);
    const { accepted, client } = await pairOf(t);
    await accepted.moveTo(loop);
    assert.equal(await client.readLine(), "bye");
    await client.disconnect();
    assert.deepEqual(await loop.closed, { error: null });
  });

  it("fails with TRANSFER where the thread ends by itself meanwhile", async (t) => {
    const loop = await loopOf(t);
    const { accepted } = await pairOf(t);
    await accepted.moveTo(loop);
    const closing = loop.close();
    await loop.worker?.terminate();
    await failure(closing, "TRANSFER");
  });
});

describe("a pool of run loops", { ...SAFETY, skip: NO_NATIVE }, () => {
  /** By which loops connections are answered. */
  async function names(pool: RunLoopPool, sockets: AsyncSocket[]): Promise<string[]> {
    const all: string[] = [];
    for (const socket of sockets) {
      socket.write("x\n");
      all.push((await socket.readLine()).replace(/ x$/, ""));
    }
    await until(() => pool.sockets === sockets.length, "all are counted");
    return all;
  }

  for (const [title, options, expected] of [
    ["in turns", {}, ["l 1", "l 2", "l 3", "l 1"]],
    ["where there are the fewest", { policy: "least-connections" }, ["l 1", "l 2", "l 3", "l 1"]],
    ["by a function, giving a number", { policy: () => 1 }, ["l 2", "l 2", "l 2", "l 2"]],
    [
      "by a function, giving a loop",
      { policy: (_: unknown, [, , last]: readonly RunLoop[]) => last as RunLoop },
      ["l 3", "l 3", "l 3", "l 3"],
    ],
  ] as const) {
    it(`sends sockets ${title}`, async (t) => {
      const belongings = Belongings.of(t);
      const pool = await poolOf(t, 3, { ...options, name: "l" });
      const listener = belongings.add(await AsyncSocket.listen({ port: 0, host: "127.0.0.1", loops: pool }));
      const sockets: AsyncSocket[] = [];
      for (let i = 0; i < 4; i++) {
        sockets.push(belongings.add(await AsyncSocket.connect({ host: "127.0.0.1", port: portOf(listener) })));
      }
      assert.deepEqual(await names(pool, sockets), expected);
      const closing = pool.close();
      for (const socket of sockets) await socket.disconnect();
      assert.deepEqual(await closing, { finished: 4, forced: 0 });
    });
  }

  it("is taken by moveTo, and by wantsRunLoopForNewSocket", async (t) => {
    const pool = await poolOf(t, 2, { name: "p" });
    const { accepted, client } = await pairOf(t);
    await accepted.moveTo(pool);
    client.write("x\n");
    assert.equal(await client.readLine(), "p 1 x");
  });

  it("replaces a loop that crashed, where that is asked for", async (t) => {
    const pool = await poolOf(t, 2, { name: "r", respawn: true });
    const [first] = pool.loops;
    const { accepted, client } = await pairOf(t);
    const warned = once(process, "warning");
    await accepted.moveTo(first as RunLoop);
    client.write("crash\n");
    await client.closed;
    await warned;
    await until(() => pool.loops.every((loop) => loop.state === "running"), "it is replaced");
    assert.notEqual(pool.loops[0], first);
    assert.equal(pool.loops[0]?.name, "r 1");
    await pool.close();
    assert.ok(pool.loops.every((loop) => loop.state === "closed"));
  });

  it("without a running loop refuses, and the listener is told", async (t) => {
    const pool = await poolOf(t, 1);
    await pool.close();
    const failed: string[] = [];
    const listener = Belongings.of(t).add(
      new AsyncSocket({ delegate: { didFailAccept: (_listener, error) => void failed.push(shortCode(error)) } }),
    );
    await listener.listen({ port: 0, host: "127.0.0.1", loops: pool });
    const client = Belongings.of(t).add(new AsyncSocket());
    await client.connect({ host: "127.0.0.1", port: portOf(listener) }).catch(() => undefined);
    await client.closed;
    assert.deepEqual(failed, ["TRANSFER"]);
  });
});

describe("threads that are killed at random moments", { ...SAFETY, skip: NO_NATIVE }, () => {
  it("leave no descriptor, and no peer without its end", async (t) => {
    const before = openSockets().length;
    const belongings = Belongings.of(t);
    let seed = 7;
    const random = (below: number): number => (seed = (seed * 48271) % 2147483647) % below;
    for (let round = 0; round < 12; round++) {
      const loop = await loopOf(t, BOUNCES);
      const listener = belongings.add(new AsyncSocket({ delegate: { didFailAccept: () => undefined } }));
      await listener.listen({ port: 0, host: "127.0.0.1", loops: loop });
      // Some come back, and are ended here.
      RunLoop.current.onSocket((socket) => void belongings.add(socket).disconnect());
      const clients = Array.from({ length: 40 }, () => belongings.add(new AsyncSocket()));
      const connected = clients.map(async (client) => {
        await client.connect({ host: "127.0.0.1", port: portOf(listener) });
        client.write("x\ny\n");
      });
      for (let turns = random(30); turns > 0; turns--) await new Promise(setImmediate);
      await loop.worker?.terminate();
      await Promise.allSettled(connected);
      await Promise.all(
        clients.map((client) =>
          client
            .read()
            .catch(() => undefined)
            .then(() => client.closed),
        ),
      );
      await listener.shutdown({ graceMs: 0 });
    }
    await until(() => openSockets().length <= before, "all descriptors are closed");
  });
});

const BOUNCES = moduleOf(`
  RunLoop.current.onSocket(async (socket) => {
    await socket.readLine();
    await socket.moveTo(RunLoop.current.parent);
  });`);
