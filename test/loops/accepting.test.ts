/** Accepted sockets that go to other threads. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, it, type TestContext } from "node:test";
import {
  type AcceptInfo,
  AsyncSocket,
  type AsyncSocketDelegate,
  type AsyncSocketError,
  type AsyncSocketOptions,
  type ListenOptions,
  type RunLoop,
} from "asyncsocket";
import { NO_NATIVE } from "../support/availability.js";
import { Authority } from "../support/certificates.js";
import { failure, until } from "../support/delegates.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { openSockets } from "../support/open-sockets.js";
import { portOf, SAFETY } from "../support/transports.js";
import { ECHO, loopOf, moduleOf, MOVABLE, poolOf } from "./helpers.js";

interface Told {
  readonly infos: AcceptInfo[];
  readonly failed: [AsyncSocketError, AcceptInfo][];
  readonly accepted: AsyncSocket[];
  readonly listener: AsyncSocket;
  readonly connect: () => Promise<AsyncSocket>;
}

/** A listener whose sockets go where `choose` says. */
async function listening(
  t: TestContext,
  choose: NonNullable<AsyncSocketDelegate["wantsRunLoopForNewSocket"]>,
  options: AsyncSocketOptions = {},
  listen: ListenOptions = {},
): Promise<Told> {
  const belongings = Belongings.of(t);
  const infos: AcceptInfo[] = [];
  const failed: [AsyncSocketError, AcceptInfo][] = [];
  const accepted: AsyncSocket[] = [];
  const delegate: AsyncSocketDelegate = {
    wantsRunLoopForNewSocket(listener, info) {
      infos.push(info);
      return choose(listener, info);
    },
    didAccept: (_listener, socket) => void accepted.push(belongings.add(socket)),
    didFailAccept: (_listener, error, info) => void failed.push([error, info]),
  };
  const listener = belongings.add(new AsyncSocket({ ...options, delegate }));
  await listener.listen({ port: 0, host: "127.0.0.1", ...listen });
  const connectTo = async (): Promise<AsyncSocket> => {
    const socket = belongings.add(new AsyncSocket());
    await socket.connect({ host: "127.0.0.1", port: portOf(listener) });
    return socket;
  };
  return { infos, failed, accepted, listener, connect: connectTo };
}

async function ask(socket: AsyncSocket, line: string): Promise<string> {
  socket.write(`${line}\n`);
  return socket.readLine();
}

for (const transport of MOVABLE) {
  describe(`wantsRunLoopForNewSocket on the ${transport} transport`, SAFETY, () => {
    it("sends each socket to the loop that it returns, and didAccept is told of the others alone", async (t) => {
      const loop = await loopOf(t, ECHO, { name: "aside" });
      let count = 0;
      const told = await listening(t, () => (count++ % 2 === 0 ? loop : null), { transport });
      const there = await told.connect();
      assert.equal(await ask(there, "hello"), "aside hello");
      await told.connect();
      await until(() => told.accepted.length === 1, "the other one is here");
      assert.equal(told.infos.length, 2);
      assert.equal(told.infos[0]?.remote?.family, "IPv4");
      assert.deepEqual(told.failed, []);
    });

    it("gives onSocket what didAccept would have: limits, options, addresses", async (t) => {
      const module = moduleOf(`RunLoop.current.onSocket((socket, { info }) => {
        let error;
        try { socket.startTLS(); } catch (thrown) { error = thrown.message; }
        parentPort.postMessage([socket.allowHalfOpen, socket.bytesRead, socket.userData, info.remote, error]);
        socket.readLine({ onFailure: "continue" }).catch((error) => parentPort.postMessage(error.code));
      });`);
      const loop = await loopOf(t, module);
      const worker = loop.worker as NonNullable<typeof loop.worker>;
      const seen = once(worker, "message");
      const told = await listening(t, () => loop, { transport, allowHalfOpen: true, limits: { readLength: 10 } });
      const client = await told.connect();
      const [[allowHalfOpen, bytesRead, userData, remote, error]] = (await seen) as [unknown[]];
      assert.deepEqual([allowHalfOpen, bytesRead, userData], [true, 0, undefined]);
      assert.deepEqual(remote, client.local);
      assert.match(String(error), /tls to have key/); // the server's side, as of an accepted socket
      const code = once(worker, "message");
      client.write("more than ten bytes");
      assert.deepEqual(await code, ["ERR_ASYNCSOCKET_READ_LIMIT"]);
    });

    it("asks behind the PROXY header, and what comes behind that is read there", async (t) => {
      const module = moduleOf(`RunLoop.current.onSocket(async (socket) => {
        socket.write(socket.proxied.remote.address + " " + (await socket.readLine()) + "\\n");
      });`);
      const loop = await loopOf(t, module);
      const told = await listening(t, () => loop, { transport }, { proxyProtocol: true });
      const client = await told.connect();
      client.write("PROXY TCP4 192.0.2.7 192.0.2.8 1000 2000\r\nhello\n");
      assert.equal(await client.readLine(), "192.0.2.7 hello");
      assert.deepEqual(told.infos[0]?.proxied?.remote, { family: "IPv4", address: "192.0.2.7", port: 1000 });
    });

    it("counts them for limits.connections, limits.connectionsPerAddress and shutdown", async (t) => {
      const loop = await loopOf(t);
      const told = await listening(t, () => loop, { transport, limits: { connections: 2 } });
      const clients = [await told.connect(), await told.connect()];
      for (const client of clients) await ask(client, "x");
      const third = await told.connect();
      await failure(third.read());
      assert.match(told.failed[0]?.[0].message ?? "", /limits.connections, 2, are open/);
      await clients[0]?.disconnect();
      let fourth = await told.connect();
      for (let answer = ""; answer === "";) {
        try {
          answer = await ask(fourth, "x");
        } catch {
          fourth = await told.connect(); // the news of the close takes a turn or two
        }
      }
      // Time enough for the news of one close, on a machine that is busy.
      const shutdown = told.listener.shutdown({ graceMs: 1500 });
      await clients[1]?.disconnect();
      assert.deepEqual(await shutdown, { finished: 1, forced: 1 });
      assert.notEqual((await fourth.closed).by, "local");
      assert.equal(loop.sockets, 0);
    });

    it("follows a socket that was accepted here and moved later", async (t) => {
      const loop = await loopOf(t);
      const told = await listening(t, () => null, { transport });
      const client = await told.connect();
      await until(() => told.accepted.length === 1, "it is here");
      await told.accepted[0]?.moveTo(loop);
      await told.accepted[0]?.closed;
      assert.equal(await ask(client, "x"), "run loop x".replace("run loop", loop.name));
      assert.deepEqual(await told.listener.shutdown({ graceMs: 20 }), { finished: 0, forced: 1 });
      await client.closed;
    });
  });

  describe(`TLS on run loops on the ${transport} transport`, SAFETY, () => {
    it("shakes hands on the loop, with keys by name, new keys, and sessions that all loops know", async (t) => {
      const authority = await Authority.create();
      const own = await authority.issue(["localhost", "127.0.0.1"]);
      const named = await authority.issue(["named.test"]);
      const module = moduleOf(`RunLoop.current.onSocket(async (socket) => {
        const wasSecure = socket.isSecure;
        const line = await socket.readLine();
        socket.write([wasSecure, socket.isSecure, socket.tls.servername, socket.tls.resumed, line].join(" ") + "\\n");
      });`);
      const pool = await poolOf(t, 2, {}, module);
      const tls = { ...own, certificates: { "named.test": named } };
      const told = await listening(t, () => pool, { transport }, { tls });
      let session: Buffer | undefined;
      const talk = async (servername: string, resumes = false): Promise<string> => {
        const client = Belongings.of(t).add(new AsyncSocket());
        const options = { ca: authority.cert, servername, ...(resumes ? { session } : {}) };
        await client.connect({ host: "127.0.0.1", port: portOf(told.listener), tls: options });
        const answer = await ask(client, "secret");
        session = client.tls?.session;
        await client.disconnect();
        return answer;
      };
      assert.equal(await talk("localhost"), "false true localhost false secret");
      // The other loop.
      assert.equal(await talk("localhost", true), "false true localhost true secret");
      assert.equal(await talk("named.test"), "false true named.test false secret");
      const renewed = await authority.issue(["renewed.test"]);
      told.listener.setTLS(renewed);
      assert.equal(await talk("renewed.test"), "false true renewed.test false secret");
    });

    it("never serves a client of a TLS listener in the clear", async (t) => {
      const authority = await Authority.create();
      const loop = await loopOf(t);
      const told = await listening(t, () => loop, { transport }, { tls: await authority.issue(["localhost"]) });
      const client = Belongings.of(t).addRaw(connect(portOf(told.listener), "127.0.0.1"));
      client.write("hello, in the clear\n");
      const chunks: Buffer[] = [];
      client.on("data", (chunk: Buffer) => chunks.push(chunk));
      await until(() => client.closed, "it is closed");
      // At most an alert.
      assert.ok(!Buffer.concat(chunks).includes("hello"));
      assert.equal(Buffer.concat(chunks)[0] ?? 21, 21);
    });

    it("tells by TRANSFER of TLS options that cannot cross, and resets", async (t) => {
      const authority = await Authority.create();
      const loop = await loopOf(t);
      const identity = await authority.issue(["localhost"]);
      const tls = { ...identity, certificates: () => undefined };
      const told = await listening(t, () => loop, { transport }, { tls });
      const client = Belongings.of(t).addRaw(connect(portOf(told.listener), "127.0.0.1"));
      await until(() => client.closed, "it is closed");
      const [[error] = []] = told.failed;
      assert.equal(error?.code, "ERR_ASYNCSOCKET_TRANSFER");
      assert.match(error.message, /tls.certificates to be keys and certificates as such, got a function/);
      assert.doesNotMatch(error.message, /PRIVATE/);
      assert.throws(() => new AsyncSocket({ transport }).listen({ port: 0, tls, loops: loop }), { name: "TypeError" });
    });
  });
}

describe("run loops that end", { ...SAFETY, skip: NO_NATIVE }, () => {
  for (const how of ["crash", "exit"]) {
    it(`take only their own sockets with them, and the listener is told: ${how}`, async (t) => {
      const before = openSockets().length;
      const loops = [await loopOf(t, ECHO, { name: "a" }), await loopOf(t, ECHO, { name: "b" })] as const;
      let count = 0;
      const told = await listening(t, () => loops[count++ % 2]);
      const clients = [await told.connect(), await told.connect(), await told.connect()] as const;
      const warned = how === "crash" ? once(process, "warning") : null;
      for (const client of clients) await ask(client, "x");
      clients[0].write(`${how}\n`);
      const [first, , third] = await Promise.all([clients[0].closed, ask(clients[1], "y"), clients[2].closed]);
      assert.notEqual(first.by, "local");
      assert.notEqual(third.by, "local");
      const { error } = await loops[0].closed;
      assert.equal(error?.code, "ERR_ASYNCSOCKET_TRANSFER");
      assert.match(error.message, how === "crash" ? /"a" ended: as asked for/ : /"a" ended: its thread exited with 3/);
      assert.equal(loops[0].state, "closed");
      assert.equal(told.failed.length, 1);
      assert.match(told.failed[0]?.[0].message ?? "", /2 connections of this listener were lost with it/);
      await warned;
      // Later ones fail one by one; the other loop goes on.
      assert.equal(await ask(await told.connect(), "z"), "b z");
      const late = await told.connect();
      await failure(late.read());
      assert.equal(told.failed.length, 2);
      assert.match(told.failed[1]?.[0].message ?? "", /the run loop "a" is closed/);
      await told.listener.shutdown({ graceMs: 0 });
      await until(() => openSockets().length <= before, "all descriptors are closed");
    });
  }

  it("refuse what is no run loop, in words, and reset the connection", async (t) => {
    const told = await listening(t, () => "odd" as unknown as RunLoop);
    const client = await told.connect();
    await failure(client.read());
    assert.match(told.failed[0]?.[0].message ?? "", /Expected runLoop to be a RunLoop or a pool of them, got "odd"/);
  });
});
