import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type LookupFunction } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { failure, Recorder, settled } from "../support/delegates.js";
import { Belongings, codeOf, errnoOf, timedNetwork } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";

/** A port of 127.0.0.1 at which nobody listens. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function echoPort(t: TestContext, host = "127.0.0.1"): Promise<number> {
  const listener = Belongings.of(t).add(
    await AsyncSocket.listen({ port: 0, host, delegate: { didAccept: (_l, one) => void Belongings.of(t).add(one) } }),
  );
  const { local } = listener;
  assert.ok(local !== undefined && local.family !== "unix");
  return local.port;
}

/** A lookup that finds these addresses, and counts how often it is asked. */
function finding(...addresses: string[]): LookupFunction & { asked: string[] } {
  const asked: string[] = [];
  const lookup: LookupFunction = (host, options, done) => {
    asked.push(host);
    const found = addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
    setImmediate(() => {
      if (options.all === true) done(null, found);
      else done(null, found[0]?.address ?? "", found[0]?.family);
    });
  };
  return Object.assign(lookup, { asked });
}

const never: LookupFunction = () => undefined;

function idle(t: TestContext, delegate: Recorder | null = null): AsyncSocket {
  return Belongings.of(t).add(new AsyncSocket({ delegate }));
}

describe("connecting", SAFETY, () => {
  it("gives the socket once it is usable, didConnect first", async (t) => {
    const port = await echoPort(t);
    const recorder = new Recorder();
    const socket = idle(t, recorder);
    const order: string[] = [];
    socket.delegate = { didConnect: (one) => void order.push(`didConnect ${one.state}`) };
    const request = socket.connect({ host: "127.0.0.1", port });
    assert.equal(request.kind, "connect");
    assert.equal(socket.state, "connecting");
    assert.equal(await request.then((one) => (order.push("settled"), one)), socket);
    assert.deepEqual(order, ["didConnect open", "settled"]);
    assert.deepEqual(socket.remote, { family: "IPv4", address: "127.0.0.1", port });
    assert.ok(socket.local?.family === "IPv4" && socket.local.port > 0);
  });

  it("host defaults to localhost", async (t) => {
    const port = await echoPort(t, "localhost");
    const socket = idle(t);
    await socket.connect({ port });
    assert.equal(socket.state, "open");
  });

  it("a refused connect names host, port and address, in words, with the errno in the cause", async (t) => {
    const port = await freePort();
    const recorder = new Recorder();
    const socket = idle(t, recorder);
    const error = await failure(socket.connect({ host: "127.0.0.1", port }), "CONNECT");
    assert.equal(error.operation, "connect");
    assert.equal(errnoOf(error), "ECONNREFUSED");
    assert.match(error.message, /127\.0\.0\.1/);
    assert.match(error.message, new RegExp(String(port)));
    assert.match(error.message, /nothing listens there/);
    const reason = await socket.closed;
    assert.deepEqual([reason.by, reason.error], ["error", error]);
    assert.deepEqual([reason.bytesRead, reason.bytesWritten, reason.unread.length, reason.unsentBytes], [0, 0, 0, 0]);
    assert.deepEqual(recorder.names, ["didDisconnect"]);
    assert.equal(recorder.of("didDisconnect")[0]?.[0], reason);
  });

  it("CONNECT lists every address tried", async (t) => {
    const port = await freePort();
    const lookup = finding("127.0.0.2", "127.0.0.3", "127.0.0.4");
    const error = await failure(idle(t).connect({ host: "many.test", port, lookup }), "CONNECT");
    for (const address of ["many.test", "127.0.0.2", "127.0.0.3", "127.0.0.4", String(port)]) {
      assert.ok(error.message.includes(address), error.message);
    }
    assert.notEqual(error.cause, undefined);
    assert.deepEqual(lookup.asked, ["many.test"]);
  });

  it("the next address is tried at once when one refuses", async (t) => {
    const port = await echoPort(t, "127.0.0.4");
    const lookup = finding("127.0.0.2", "127.0.0.3", "127.0.0.4");
    const socket = idle(t);
    await socket.connect({ host: "many.test", port, lookup, attemptDelay: 60_000 });
    assert.deepEqual(socket.remote, { family: "IPv4", address: "127.0.0.4", port });
  });

  it("a connect that fails takes what was queued along", async (t) => {
    const port = await freePort();
    const recorder = new Recorder();
    const socket = idle(t, recorder);
    const entries: PromiseLike<unknown>[] = [socket.readLine({ tag: 1 }), socket.write("x", { tag: 2 }), socket.end()];
    const connecting = socket.connect({ host: "127.0.0.1", port });
    entries.push(socket.read({ tag: 3 }));
    const error = await failure(connecting, "CONNECT");
    for (const entry of entries) assert.equal((await failure(entry, "CLOSED")).cause, error);
    const reason = await socket.closed;
    assert.equal(reason.unsentBytes, 1);
    assert.deepEqual(recorder.tags("didFailRead"), [1, 3]);
    assert.deepEqual(recorder.tags("didFailWrite"), [2]);
    assert.equal(recorder.names.at(-1), "didDisconnect");
    assert.equal(recorder.names.includes("willDisconnect"), false);
  });

  it("a host that does not exist is DNS, names the host, and says what is wrong", async (t) => {
    const lookup: LookupFunction = (host, _options, done) => {
      const error = Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: "ENOTFOUND" });
      setImmediate(() => done(error, []));
    };
    const socket = idle(t);
    const error = await failure(socket.connect({ host: "nowhere.test", port: 80, lookup }), "DNS");
    assert.match(error.message, /nowhere\.test/);
    assert.match(error.message, /no such host/);
    assert.equal(errnoOf(error), "ENOTFOUND");
    assert.equal(codeOf(await socket.closed), "DNS");
  });

  it("a host that the system cannot find is DNS, too", async (t) => {
    const error = await failure(idle(t).connect({ host: "no-such-host.invalid", port: 80 }), "DNS");
    assert.match(error.message, /no-such-host\.invalid/);
    assert.match(String(errnoOf(error)), /^(ENOTFOUND|EAI_AGAIN|EAI_\w+)$/);
  });

  it("a name without an address is DNS", async (t) => {
    const error = await failure(idle(t).connect({ host: "empty.test", port: 80, lookup: finding() }), "DNS");
    assert.match(error.message, /empty\.test/);
  });

  it("a lookup that answers at once, or with a single address, is taken", async (t) => {
    const port = await echoPort(t);
    const atOnce: LookupFunction = (_host, options, done) => {
      if (options.all === true) done(null, [{ address: "127.0.0.1", family: 4 }]);
      else done(null, "127.0.0.1", 4);
    };
    const socket = idle(t);
    await socket.connect({ host: "at-once.test", port, lookup: atOnce });
    assert.equal(socket.state, "open");
    const single: LookupFunction = (_host, _options, done) => setImmediate(() => done(null, "127.0.0.1", 4));
    const other = idle(t);
    await other.connect({ host: "single.test", port, lookup: single });
    assert.equal(other.state, "open");
  });

  it("timeout covers the name lookup: CONNECT_TIMEOUT", async (t) => {
    const recorder = new Recorder();
    const socket = idle(t, recorder);
    const read = socket.read();
    const connecting = socket.connect({ host: "slow.test", port: 80, lookup: never, timeout: 30 });
    const error = await failure(connecting, "CONNECT_TIMEOUT");
    assert.equal(error.operation, "connect");
    await failure(read, "CLOSED");
    assert.equal((await socket.closed).error, error);
    assert.equal(recorder.names.at(-1), "didDisconnect");
    const port = await echoPort(t);
    await socket.connect({ host: "127.0.0.1", port });
    assert.equal(socket.state, "open");
  });

  it("CONNECT_TIMEOUT says what it was that took too long", async (t) => {
    const connecting = idle(t).connect({ host: "slow.test", port: 80, lookup: never, timeout: 20 });
    const error = await failure(connecting, "CONNECT_TIMEOUT");
    assert.match(error.message, /slow\.test/);
    assert.match(error.message, /20/);
  });

  it("timeout of 0 expires, where a connect is not done at once", async (t) => {
    const connecting = idle(t).connect({ host: "slow.test", port: 80, lookup: never, timeout: 0 });
    await failure(connecting, "CONNECT_TIMEOUT");
  });

  it("a connect in time leaves no timeout behind", async (t) => {
    const { transport, belongings, clock, pass } = timedNetwork(t);
    belongings.add(await AsyncSocket.listen({ transport, port: 1 }));
    const socket = belongings.add(new AsyncSocket({ transport }));
    const request = socket.connect({ port: 1, timeout: 40 });
    await request;
    assert.equal(request.extend(1), false);
    await pass(1000);
    assert.equal(socket.state, "open");
    assert.equal(clock.size, 0);
  });

  it("extend() gives a connect more time, and this connect alone", async (t) => {
    const { transport, belongings, clock } = timedNetwork(t);
    const socket = belongings.add(new AsyncSocket({ transport }));
    const endless = { host: "hangs.test", port: 1, lookup: () => undefined, timeout: 20 };
    const request = socket.connect(endless);
    assert.equal(request.extend(20), true);
    clock.advance(39);
    assert.equal(socket.state, "connecting");
    clock.advance(1);
    await failure(request, "CONNECT_TIMEOUT");
    await socket.closed;
    const second = socket.connect(endless);
    clock.advance(20);
    await failure(second, "CONNECT_TIMEOUT");
  });

  it("a signal aborted before fails the connect with CANCELED, and nothing is tried", async (t) => {
    const lookup = finding("127.0.0.1");
    const socket = idle(t);
    const why = new Error("changed my mind");
    const signal = AbortSignal.abort(why);
    const request = socket.connect({ host: "x.test", port: 80, lookup, signal });
    const error = await failure(request, "CANCELED");
    assert.equal(error.cause, why);
    assert.equal(request.state, "canceled");
    assert.equal(codeOf(await socket.closed), "CANCELED");
    assert.deepEqual(lookup.asked, []);
  });

  it("a signal aborted during the lookup fails it with CANCELED", async (t) => {
    const controller = new AbortController();
    const socket = idle(t);
    const request = socket.connect({ host: "slow.test", port: 80, lookup: never, signal: controller.signal });
    await settled();
    controller.abort();
    await failure(request, "CANCELED");
    assert.equal(socket.state === "closing" || socket.state === "closed", true);
    assert.equal(codeOf(await socket.closed), "CANCELED");
  });

  it("a signal aborted after the connect does nothing, and has no listener left", async (t) => {
    const port = await echoPort(t);
    const controller = new AbortController();
    const socket = idle(t);
    await socket.connect({ host: "127.0.0.1", port, signal: controller.signal });
    controller.abort();
    await settled();
    assert.equal(socket.state, "open");
    assert.equal(socket.closeReason, undefined);
  });

  const STOPS: Record<string, (socket: AsyncSocket) => PromiseLike<unknown>> = {
    "disconnect()": (socket) => socket.disconnect(),
    "reset()": (socket) => socket.reset(),
    "dispose()": (socket) => socket[Symbol.asyncDispose](),
  };
  for (const [name, stop] of Object.entries(STOPS)) {
    it(`${name} while connecting fails the connect with CLOSED`, async (t) => {
      const recorder = new Recorder();
      const socket = idle(t, recorder);
      const request = socket.connect({ host: "slow.test", port: 80, lookup: never });
      await settled();
      const stopped = stop(socket);
      await failure(request, "CLOSED");
      await stopped;
      assert.deepEqual([socket.closeReason?.by, socket.closeReason?.error], ["local", null]);
      assert.deepEqual(recorder.names, ["didDisconnect"]);
    });
  }

  it("disconnect() from the start of a real connect leaves nothing behind", async (t) => {
    const port = await echoPort(t);
    for (let turns = 0; turns < 6; turns++) {
      const socket = idle(t);
      const request = socket.connect({ host: "127.0.0.1", port });
      await settled(turns);
      socket.disconnect();
      const [result] = await Promise.allSettled([request]);
      if (result.status === "rejected") await failure(Promise.reject(result.reason as Error), "CLOSED");
      assert.equal((await socket.closed).by, "local");
    }
  });

  it("a late answer of a lookup is ignored", async (t) => {
    let answer: (() => void) | undefined;
    const late: LookupFunction = (_host, options, done) => {
      answer = () =>
        options.all === true ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4);
    };
    const recorder = new Recorder();
    const socket = idle(t, recorder);
    const request = socket.connect({ host: "late.test", port: await echoPort(t), lookup: late });
    await settled();
    await socket.disconnect();
    await failure(request, "CLOSED");
    answer?.();
    await settled();
    assert.equal(socket.state, "closed");
    assert.deepEqual(recorder.names, ["didDisconnect"]);
  });

  it("localAddress and localPort are connected from", async (t) => {
    const port = await echoPort(t);
    const localPort = await freePort();
    const socket = idle(t);
    await socket.connect({ host: "127.0.0.1", port, localAddress: "127.0.0.5", localPort });
    assert.deepEqual(socket.local, { family: "IPv4", address: "127.0.0.5", port: localPort });
  });

  it("a localAddress that this machine does not have is CONNECT, in words", async (t) => {
    const port = await echoPort(t);
    const error = await failure(idle(t).connect({ host: "127.0.0.1", port, localAddress: "192.0.2.1" }), "CONNECT");
    assert.equal(errnoOf(error), "EADDRNOTAVAIL");
    assert.match(error.message, /no such address/);
  });

  it("a name with several addresses is gone through with a localAddress, too", async (t) => {
    const port = await echoPort(t, "127.0.0.3");
    const lookup = finding("127.0.0.2", "127.0.0.3");
    const socket = idle(t);
    await socket.connect({ host: "many.test", port, lookup, localAddress: "127.0.0.9" });
    assert.deepEqual(socket.remote, { family: "IPv4", address: "127.0.0.3", port });
    assert.ok(socket.local?.family === "IPv4" && socket.local.address === "127.0.0.9");
  });

  for (const [preferFamily, expected] of [
    [undefined, "::1"],
    [4, "127.0.0.1"],
    [6, "::1"],
  ] as const) {
    it(`preferFamily ${String(preferFamily)} tries ${expected} first, where both are there`, async (t) => {
      const port = await echoPort(t, "::").catch(() => 0);
      if (port === 0) return t.skip("no IPv6 here");
      const both = Belongings.of(t).add(new AsyncSocket());
      await both.listen({ port: 0 });
      const { local } = both;
      assert.ok(local !== undefined && local.family !== "unix");
      const socket = idle(t);
      const lookup = finding("::1", "127.0.0.1");
      await socket.connect({ host: "both.test", port: local.port, lookup, preferFamily, attemptDelay: 5000 });
      assert.ok(socket.remote?.family !== "unix" && socket.remote?.address === expected);
    });
  }

  it("family takes addresses of that family alone", async (t) => {
    const port = await echoPort(t);
    const socket = idle(t);
    await socket.connect({ host: "both.test", port, lookup: finding("::1", "127.0.0.1"), family: 4 });
    assert.equal(socket.remote?.family, "IPv4");
    const connecting = idle(t).connect({ host: "both.test", port, lookup: finding("127.0.0.1"), family: 6 });
    const error = await failure(connecting, "DNS");
    assert.match(error.message, /IPv6/);
  });
});
