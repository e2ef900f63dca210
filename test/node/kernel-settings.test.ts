/** Settings of the kernel, read back from it: by getsockopt, through the addon. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type ConnectOptions, type ListenOptions } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import type { Connection } from "#dist/connection/connection.js";
import { pack, unpack } from "#dist/threads/transfer.js";
import { addon } from "#dist/transport/native/addon.js";
import type { AcceptedTransport } from "#dist/transport/transport.js";
import { NO_NATIVE } from "../support/availability.js";
import { failure } from "../support/delegates.js";
import { Belongings, child } from "../support/lifecycle-helpers.js";
import { portOf, SAFETY } from "../support/transports.js";
import { Authority } from "../support/certificates.js";

/** Numbered as in native/settings.h. */
const USER_TIMEOUT = 0;
const KEEP_INTERVAL = 1;
const KEEP_COUNT = 2;
const SEND_BUFFER = 3;
const RECEIVE_BUFFER = 4;
const NOT_SENT_LOW_WATER = 5;
const TRAFFIC_CLASS = 6;
const LATE_PORT = 7;

const ALL = {
  userTimeout: 12_345,
  keepAlive: { idleMs: 30_000, intervalMs: 4_001, count: 7 },
  sendBuffer: 20_000,
  receiveBuffer: 30_000,
  notSentLowWater: 16_384,
  trafficClass: 0xb8,
} as const;

/** Linux reports the sizes of buffers doubled, and counts keepalive in whole seconds. */
const READ_BACK: readonly (readonly [what: number, value: number])[] = [
  [USER_TIMEOUT, 12_345],
  [KEEP_INTERVAL, 5],
  [KEEP_COUNT, 7],
  [SEND_BUFFER, 40_000],
  [RECEIVE_BUFFER, 60_000],
  [NOT_SENT_LOW_WATER, 16_384],
  [TRAFFIC_CLASS, 0xb8],
];

const skip = NO_NATIVE !== false ? NO_NATIVE : process.platform !== "linux" ? "the numbers are those of Linux" : false;
const HAS_IPV6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"));
const identity = await (await Authority.create()).issue(["localhost"]);

function descriptorOf(socket: AsyncSocket): number {
  const { transport } = (socket as unknown as { _connection: { transport: { descriptor: number } } })._connection;
  assert.ok(transport.descriptor >= 0);
  return transport.descriptor;
}

function settingOf(socket: AsyncSocket, what: number): number {
  const value = addon.settingOf?.(descriptorOf(socket), what);
  assert.ok(value !== undefined);
  return value;
}

function readBack(socket: AsyncSocket): unknown {
  return READ_BACK.map(([what]) => [what, settingOf(socket, what)]);
}

interface Ends {
  readonly client: AsyncSocket;
  readonly server: AsyncSocket;
}

async function ends(
  t: TestContext,
  transport: "node" | "native",
  connect: Omit<ConnectOptions, "port">,
  listen: ListenOptions,
): Promise<Ends> {
  const belongings = Belongings.of(t);
  const listener = belongings.add(await AsyncSocket.listen({ transport, host: "127.0.0.1", port: 0, ...listen }));
  const accepted = listener.connections().next();
  const target = { host: "127.0.0.1", port: portOf(listener) };
  const client = belongings.add(await AsyncSocket.connect({ transport, ...target, ...connect }));
  const { value: server } = await accepted;
  assert.ok(server !== undefined);
  return { client, server: belongings.add(server) };
}

for (const transport of ["node", "native"] as const) {
  describe(`settings of the kernel on the ${transport} transport`, { ...SAFETY, skip }, () => {
    it("a connection has those that connect asked for", async (t) => {
      const { client, server } = await ends(t, transport, ALL, {});
      assert.deepEqual(readBack(client), READ_BACK);
      assert.equal(settingOf(server, USER_TIMEOUT), 0);
    });

    it("accepted connections have those that listen asked for", async (t) => {
      const { client, server } = await ends(t, transport, {}, ALL);
      assert.deepEqual(readBack(server), READ_BACK);
      assert.equal(settingOf(client, USER_TIMEOUT), 0);
    });

    it("they are there over IPv6 too, and for IPv4 at a listener of both", async (t) => {
      const both = await ends(t, transport, {}, { host: undefined, ...ALL });
      assert.deepEqual(readBack(both.server), READ_BACK);
      if (!HAS_IPV6) return;
      const six = await ends(t, transport, { host: "::1", ...ALL }, { host: "::1", ...ALL });
      assert.deepEqual(readBack(six.client), READ_BACK);
      assert.deepEqual(readBack(six.server), READ_BACK);
    });

    it("a TLS connection keeps them", async (t) => {
      const tls = { ca: identity.cert, rejectUnauthorized: false };
      const { client, server } = await ends(t, transport, { ...ALL, tls }, { ...ALL, tls: identity });
      client.write("x");
      await server.readExactly(1);
      assert.deepEqual(readBack(client), READ_BACK);
      assert.deepEqual(readBack(server), READ_BACK);
    });

    it("setKeepAlive sets interval and count on a live connection, over TLS as well", async (t) => {
      const clear = await ends(t, transport, {}, {});
      const tls = { rejectUnauthorized: false };
      const secure = await ends(t, transport, { tls }, { tls: identity });
      for (const socket of [clear.client, clear.server, secure.client, secure.server]) {
        socket.setKeepAlive({ idleMs: 20_000, intervalMs: 3000, count: 4 });
        assert.deepEqual([settingOf(socket, KEEP_INTERVAL), settingOf(socket, KEEP_COUNT)], [3, 4]);
        socket.setKeepAlive({ count: 5 });
        assert.deepEqual([settingOf(socket, KEEP_INTERVAL), settingOf(socket, KEEP_COUNT)], [3, 5]);
        socket.setKeepAlive({ idleMs: 20_000 });
        assert.deepEqual([settingOf(socket, KEEP_INTERVAL), settingOf(socket, KEEP_COUNT)], [1, 10]);
      }
    });

    it("setKeepAlive of a connecting socket counts, instead of what connect had asked for", async (t) => {
      const belongings = Belongings.of(t);
      const listener = belongings.add(await AsyncSocket.listen({ transport, host: "127.0.0.1", port: 0 }));
      const socket = belongings.add(new AsyncSocket({ transport }));
      const connected = socket.connect({ host: "127.0.0.1", port: portOf(listener), ...ALL });
      socket.setKeepAlive({ idleMs: 20_000, count: 3 });
      await connected;
      assert.deepEqual([settingOf(socket, KEEP_INTERVAL), settingOf(socket, KEEP_COUNT)], [1, 3]);
      assert.equal(settingOf(socket, USER_TIMEOUT), ALL.userTimeout);
    });

    it("a connection that goes to another thread keeps them", async (t) => {
      const { client } = await ends(t, transport, ALL, {});
      const reached = (client as unknown as { _connection: Connection })._connection.release();
      assert.ok(reached !== null);
      const { handle } = pack(reached.transport);
      const after = unpack(handle) as AcceptedTransport & { readonly descriptor: number };
      const values = READ_BACK.map(([what]) => [what, addon.settingOf?.(after.descriptor, what)]);
      after.destroy(true);
      assert.deepEqual(values, READ_BACK);
    });

    it("a Unix-domain socket has the sizes of its buffers, and refuses what belongs to TCP", async (t) => {
      const folder = mkdtempSync(join(tmpdir(), "asyncsocket-"));
      t.after(() => rmSync(folder, { recursive: true, force: true }));
      const belongings = Belongings.of(t);
      const path = join(folder, "s");
      const sizes = { sendBuffer: ALL.sendBuffer, receiveBuffer: ALL.receiveBuffer };
      const listener = belongings.add(await AsyncSocket.listen({ transport, path, ...sizes }));
      const accepted = listener.connections().next();
      const client = belongings.add(await AsyncSocket.connect({ transport, path, ...sizes }));
      const { value: server } = await accepted;
      assert.ok(server !== undefined);
      belongings.add(server);
      for (const socket of [client, server]) {
        assert.deepEqual([settingOf(socket, SEND_BUFFER), settingOf(socket, RECEIVE_BUFFER)], [40_000, 60_000]);
      }
      for (const [option, value] of Object.entries({ userTimeout: 1, notSentLowWater: 1, trafficClass: 1 })) {
        const expected = { name: "TypeError", message: `Expected either path or ${option}, got both` };
        assert.throws(() => new AsyncSocket({ transport }).connect({ path, [option]: value }), expected);
        assert.throws(() => new AsyncSocket({ transport }).listen({ path, [option]: value }), expected);
      }
      const keepAlive = { count: 1 };
      assert.throws(() => new AsyncSocket({ transport }).connect({ path, keepAlive }), /path or keepAlive\.count/);
    });

    it("what the system refuses fails connect and listen, and the error names the option and the errno", async (t) => {
      const { client, server } = await ends(t, transport, {}, {});
      const port = portOf(server);
      refuseAll(t);
      const options = { transport, host: "127.0.0.1", port, userTimeout: 5 };
      const refused = /: userTimeout is refused: .*ENOPROTOOPT/;
      const connecting = await failure(AsyncSocket.connect(options), "CONNECT");
      assert.match(connecting.message, refused);
      const listening = await failure(AsyncSocket.listen({ ...options, port: 0 }), "LISTEN");
      assert.match(listening.message, refused);
      assert.equal((listening.cause as NodeJS.ErrnoException).code, "ENOPROTOOPT");
      assert.throws(() => client.setKeepAlive({ count: 5 }), {
        code: "ERR_ASYNCSOCKET_BAD_STATE",
        message: /keepAlive\.count is refused: .*ENOPROTOOPT/,
      });
    });
  });
}

/** Linux refuses nothing that passes the checks. So the addon is asked for a setting that does not exist. */
function refuseAll(t: TestContext): void {
  const before = { ...addon };
  t.after(() => Object.assign(addon, before));
  function withOdd<T>(list: Int32Array | undefined, call: () => T): T {
    const [what = 0] = list ?? [];
    list?.set([99]);
    const result = call();
    list?.set([what]);
    return result;
  }
  Object.assign(addon, {
    setOf: (descriptor: number, list: Int32Array) => withOdd(list, () => before.setOf?.(descriptor, list)),
    connect: (...args: Parameters<typeof addon.connect>) => withOdd(args[4], () => before.connect(...args)),
    listen: (...args: Parameters<typeof addon.listen>) => withOdd(args[5], () => before.listen(...args)),
  } satisfies Partial<Record<keyof typeof addon, unknown>>);
}

describe("a local address without a local port", { ...SAFETY, skip }, () => {
  it("gets its port late on the native transport, so that one port serves many peers", async (t) => {
    const { client } = await ends(t, "native", { localAddress: "127.0.0.1" }, {});
    assert.equal(settingOf(client, LATE_PORT), 1);
    assert.ok(portOf(client) > 0);
    const fixed = await ends(t, "native", {}, {});
    assert.equal(settingOf(fixed.client, LATE_PORT), 0);
  });
});

/** Runs a program that asks for settings, with the addon as `environment` says. */
async function refused(t: TestContext, environment: Record<string, string>): Promise<string[]> {
  const { line, ended } = child(
    t,
    `Object.assign(process.env, ${JSON.stringify(environment)});
     const { AsyncSocket, reconnect } = await import("asyncsocket");
     const attempts = [
       () => new AsyncSocket().connect({ port: 1, userTimeout: 5 }),
       () => new AsyncSocket().listen({ port: 0, trafficClass: 5 }),
       () => AsyncSocket.connect({ port: 1, keepAlive: { count: 5 } }),
       () => reconnect({ port: 1, sendBuffer: 5 }),
     ];
     for (const attempt of attempts) {
       try { attempt(); console.log("nothing"); } catch (error) { console.log(error.code + " " + error.message); }
     }
     process.exit();`,
  );
  const lines = [await line(), await line(), await line(), await line()];
  await ended;
  return lines;
}

describe("settings that only the addon can make", SAFETY, () => {
  it("are refused at the call where there is no addon", async (t) => {
    const lines = await refused(t, { ASYNCSOCKET_NATIVE: "0" });
    const why = /needs the native addon: /;
    for (const line of lines) assert.match(line, why);
    assert.match(lines[0] ?? "", /^ERR_ASYNCSOCKET_BAD_STATE connect is not possible: userTimeout /);
    assert.match(lines[1] ?? "", /^ERR_ASYNCSOCKET_BAD_STATE listen is not possible: trafficClass /);
    assert.match(lines[2] ?? "", /keepAlive\.count /);
    assert.match(lines[3] ?? "", /sendBuffer /);
  });

  it("are refused where the addon is of an older version, which works otherwise", { skip: NO_NATIVE }, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "asyncsocket-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const old = join(folder, "old.cjs");
    const real = join(import.meta.dirname, "../../../native/build/Release/asyncsocket.node");
    writeFileSync(
      old,
      `const { open } = require(${JSON.stringify(real)});
       exports.open = (deliver) => ({ ...open(deliver), setOf: undefined, settingOf: undefined, descriptorOf: undefined });`,
    );
    const lines = await refused(t, { ASYNCSOCKET_ADDON: old });
    for (const line of lines)
      assert.match(line, /BAD_STATE .* needs the native addon: the addon is of an older version$/);
  });

  it("are taken by a network in memory, which has no kernel", async (t) => {
    const belongings = Belongings.of(t);
    const transport = new MemoryNetwork();
    belongings.add(await AsyncSocket.listen({ transport, port: 7, ...ALL }));
    const client = belongings.add(await AsyncSocket.connect({ transport, port: 7, ...ALL }));
    client.setKeepAlive({ count: 5 });
  });

  it("are refused for a stream that is no socket of the system", { skip: NO_NATIVE }, async (t) => {
    const { Duplex } = await import("node:stream");
    const socket = Belongings.of(t).add(AsyncSocket.from(new Duplex({ read() {}, write: (_c, _e, done) => done() })));
    socket.setKeepAlive(5);
    assert.throws(() => socket.setKeepAlive({ count: 5 }), { code: "ERR_ASYNCSOCKET_BAD_STATE" });
  });
});
