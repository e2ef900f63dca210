/** Races of addresses over real sockets: a dead family, a black hole, names that come late. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type LookupFunction } from "node:net";
import { networkInterfaces } from "node:os";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { failure, settled, until } from "../support/delegates.js";
import { Belongings, child, errnoOf } from "../support/lifecycle-helpers.js";
import { openSockets } from "../support/open-sockets.js";
import { portOf, SAFETY } from "../support/transports.js";

const LOOPBACKS = Object.values(networkInterfaces()).flatMap((all) => (all ?? []).filter(({ internal }) => internal));
const NO_IPV6 = LOOPBACKS.some(({ address }) => address === "::1") ? false : "this machine has no ::1";

function finding(...addresses: string[]): LookupFunction {
  const found = addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
  return (_host, _options, done) => void setImmediate(() => done(null, found));
}

async function listening(t: TestContext, host: string, port = 0): Promise<number> {
  return portOf(Belongings.of(t).add(await AsyncSocket.listen({ host, port })));
}

function idle(t: TestContext): AsyncSocket {
  return Belongings.of(t).add(new AsyncSocket());
}

function handles(): number {
  return openSockets().length;
}

/** Listens, and lets nobody in: the process stands still. */
const DEAF = `
  import { createServer } from "node:net";
  import { writeSync } from "node:fs";
  const server = createServer().listen({ host: process.argv.at(-1), port: 0, backlog: 1 }, () => {
    writeSync(1, server.address().port + "\\n");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });`;

/**
 * A port of the address that answers nothing: its listener's backlog is full, so the kernel drops what comes.
 * Null where the kernel does otherwise, which skips the test.
 */
async function blackHole(t: TestContext, host: string): Promise<number | null> {
  const port = Number(await child(t, DEAF, [host]).line());
  const fillers = Array.from({ length: 8 }, () => Belongings.of(t).addRaw(connect(port, host)));
  await once(fillers[0] ?? assert.fail(), "connect");
  await settled(100);
  if (fillers.some(({ connecting }) => connecting)) return port;
  t.skip("A FULL BACKLOG IS NO BLACK HOLE HERE: this kernel lets everybody in");
  return null;
}

describe("racing addresses", SAFETY, () => {
  for (const [live, dead] of [
    ["127.0.0.1", "::1"],
    ["::1", "127.0.0.1"],
  ] as const) {
    it(`a name of which ${dead} is dead connects to ${live}`, { skip: NO_IPV6 }, async (t) => {
      const port = await listening(t, live);
      const socket = idle(t);
      await socket.connect({ host: "both.test", port, lookup: finding(dead, live), attemptDelay: 60_000 });
      assert.ok(socket.remote?.family !== "unix" && socket.remote?.address === live);
    });

    it(`localhost is ${live}, too, whatever the resolver knows of it`, { skip: NO_IPV6 }, async (t) => {
      const port = await listening(t, live);
      const socket = idle(t);
      await socket.connect({ host: "localhost", port });
      assert.ok(socket.remote?.family !== "unix" && socket.remote?.address === live);
    });
  }

  it("a name of which all is dead lists both addresses", async (t) => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    const connecting = idle(t).connect({ host: "both.test", port, lookup: finding("::1", "127.0.0.1") });
    const error = await failure(connecting, "CONNECT");
    assert.match(error.message, /both\.test.*\[::1\]: .*; 127\.0\.0\.1: nothing listens there/);
    assert.ok(error.cause instanceof AggregateError && error.cause.errors.length === 2);
    assert.notEqual(errnoOf(error), undefined);
  });

  it("a name that resolves late connects when it has", async (t) => {
    const port = await listening(t, "127.0.0.1");
    let answer = (): void => assert.fail("nobody asked");
    const lookup: LookupFunction = (_host, _options, done) => {
      answer = () => done(null, [{ address: "127.0.0.1", family: 4 }]);
    };
    const socket = idle(t);
    const request = socket.connect({ host: "late.test", port, lookup });
    await settled();
    assert.equal(socket.state, "connecting");
    answer();
    await request;
    assert.equal(socket.state, "open");
  });

  it("a black hole costs attemptDelay, and is closed once another address has won", { skip: NO_IPV6 }, async (t) => {
    const port = await blackHole(t, "::1");
    if (port === null) return;
    await listening(t, "127.0.0.1", port);
    const before = handles();
    const socket = idle(t);
    await socket.connect({ host: "both.test", port, lookup: finding("::1", "127.0.0.1"), attemptDelay: 20 });
    assert.deepEqual(socket.remote, { family: "IPv4", address: "127.0.0.1", port });
    await settled(50);
    assert.equal(handles(), before + 2, "this side and the accepted one, and no third");
  });

  it("a black hole alone is CONNECT_TIMEOUT, and is listed without an answer", { skip: NO_IPV6 }, async (t) => {
    const port = await blackHole(t, "::1");
    if (port === null) return;
    const error = await failure(idle(t).connect({ host: "::1", port, timeout: 50 }), "CONNECT_TIMEOUT");
    assert.match(error.message, /::1 port \d+: it took more than 50 ms; \[::1\]: no answer yet/);
  });

  it("disconnect() closes all attempts that are under way", { skip: NO_IPV6 }, async (t) => {
    const port = await blackHole(t, "::1");
    if (port === null) return;
    const before = handles();
    const socket = idle(t);
    const lookup = finding("::1", "0:0:0:0:0:0:0:1");
    const connecting = socket.connect({ host: "many.test", port, lookup, attemptDelay: 10 });
    await until(() => handles() >= before + 2, "two attempts are under way");
    socket.disconnect();
    await failure(connecting, "CLOSED");
    await socket.closed;
    assert.equal(handles(), before);
  });

  it("a hundred races leave no descriptor", async (t) => {
    const port = await listening(t, "127.0.0.1");
    const before = handles();
    const lookup = finding("::1", "127.0.0.2", "127.0.0.1");
    const sockets = await Promise.all(
      Array.from({ length: 100 }, () => idle(t).connect({ host: "many.test", port, lookup, attemptDelay: 10 })),
    );
    await Promise.all(sockets.map((socket) => socket.disconnect()));
    await until(() => handles() <= before, "all are closed");
  });

  for (const { address, family } of LOOPBACKS.filter((one) => ["127.0.0.1", "::1"].includes(one.address))) {
    it(`interface connects from an address that it has: ${address}`, async (t) => {
      const [name] =
        Object.entries(networkInterfaces()).find(([, all]) => all?.some((one) => one.address === address)) ?? [];
      const port = await listening(t, address);
      const socket = idle(t);
      await socket.connect({ host: address, port, interface: name });
      assert.ok(socket.local?.family === family && socket.local.address === address);
    });
  }

  it("connect's timeout comes even where nothing else holds the process, and not where the socket is unref'd", async (t) => {
    const module = `
      import { AsyncSocket } from "asyncsocket";
      const socket = new AsyncSocket({ delegate: { didDisconnect: (_, { error }) => console.log(error.code) } });
      if (process.argv.at(-1) === "unref") socket.unref();
      socket.connect({ host: "x.test", port: 1, lookup: () => undefined, timeout: process.argv.at(-1) === "unref" ? 1e6 : 20 });
      console.log("begun");`;
    const held = child(t, module, ["ref"]);
    assert.equal(await held.line(), "begun");
    assert.equal(await held.line(), "ERR_ASYNCSOCKET_CONNECT_TIMEOUT");
    assert.equal((await held.ended).code, 0);
    const loose = child(t, module, ["unref"]);
    assert.equal(await loose.line(), "begun");
    assert.deepEqual(await loose.ended, { code: 0, signal: null, errors: "" });
  });

  it("a connect that is done leaves no timer that holds the process", async (t) => {
    const port = await listening(t, "127.0.0.1");
    const module = `
      import { AsyncSocket } from "asyncsocket";
      const host = "127.0.0.1";
      const socket = await AsyncSocket.connect({ host, port: Number(process.argv.at(-1)), timeout: 1e6 });
      socket.unref();
      console.log(socket.state);`;
    const one = child(t, module, [String(port)]);
    assert.equal(await one.line(), "open");
    assert.deepEqual(await one.ended, { code: 0, signal: null, errors: "" });
  });
});
