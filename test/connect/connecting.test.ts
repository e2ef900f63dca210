/** One `connect` from its call to its end, over transports that do what the test says, on a clock that stands still. */

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it } from "node:test";
import { AsyncSocket, type AsyncSocketError, type ConnectOptions, type SocketRequest } from "asyncsocket";
import { failure, settled } from "../support/delegates.js";
import { errno, ScriptedFactory } from "./scripted-factory.js";

const PATH = "/tmp/x";

interface Stage {
  readonly factory: ScriptedFactory;
  readonly socket: AsyncSocket;
  readonly request: SocketRequest<AsyncSocket>;
}

/** A socket that connects, to a path where nothing else is said: one attempt, and no timer but the timeout's. */
function connecting(options: ConnectOptions = {}): Stage {
  const factory = new ScriptedFactory({ "slow.test": null, "a.test": ["192.0.2.1"] });
  const socket = new AsyncSocket({ transport: factory });
  const where = options.host === undefined ? { path: PATH } : {};
  return { factory, socket, request: socket.connect({ ...where, ...options }) };
}

async function connected(options: ConnectOptions = {}): Promise<Stage> {
  const stage = connecting(options);
  stage.factory.to(PATH).open();
  await stage.request;
  return stage;
}

/** What it failed with, once all descriptors are closed; nothing may be left then. */
async function failed({ factory, socket, request }: Stage, code: string): Promise<AsyncSocketError> {
  const error = await failure(request, code);
  for (const { sink } of factory.made) sink.didClose();
  const reason = await socket.closed;
  assert.deepEqual([reason.by, reason.error], code === "CLOSED" ? ["local", null] : ["error", error]);
  assert.equal(factory.clock.size, 0);
  return error;
}

describe("the request of a connect", () => {
  it("is current until it is done, and gives the socket", async () => {
    const { factory, socket, request } = connecting();
    assert.deepEqual(
      [request.kind, request.tag, request.state, request.bytesDone],
      ["connect", undefined, "current", 0],
    );
    factory.to(PATH).open();
    assert.equal(await request, socket);
    assert.equal(request.state, "done");
    assert.equal(request.bytesDone, 0);
    assert.equal(socket.state, "open");
  });

  it("is failed by what the attempt fails with", async () => {
    const stage = connecting();
    stage.factory.to(PATH).sink.didFail(errno("ENOENT"));
    const error = await failed(stage, "CONNECT");
    assert.equal(error.message, `Cannot connect to ${PATH}: no such file (ENOENT)`);
    assert.equal(stage.request.state, "failed");
  });

  it("is failed, in words, by a disconnect", async () => {
    const stage = connecting();
    stage.socket.disconnect();
    const error = await failed(stage, "CLOSED");
    assert.equal(error.message, "connect failed: the socket was closed meanwhile");
    assert.deepEqual([error.operation, error.cause, stage.request.state], ["connect", undefined, "failed"]);
  });

  it("can be canceled, which ends the attempt and the socket", async () => {
    const stage = connecting({ timeout: 500 });
    assert.equal(stage.request.cancel(), true);
    assert.deepEqual(stage.factory.log, [`${PATH}: connect`, `${PATH}: destroy`]);
    const error = await failed(stage, "CANCELED");
    assert.deepEqual([error.operation, error.message, error.cause], ["connect", "connect was canceled", undefined]);
    assert.equal(stage.request.state, "canceled");
  });

  it("can neither be canceled nor extended from didConnect on", async () => {
    const { factory, socket, request } = connecting({ timeout: 500 });
    const told: boolean[] = [];
    socket.delegate = { didConnect: () => void told.push(request.cancel(), request.extend(1)) };
    factory.to(PATH).open();
    await request;
    assert.deepEqual(told, [false, false]);
    assert.equal(socket.state, "open");
  });

  it("can be canceled once, and not when the socket is closing", async () => {
    const canceled = connecting();
    assert.deepEqual([canceled.request.cancel(), canceled.request.cancel()], [true, false]);
    await failed(canceled, "CANCELED");
    const closing = connecting();
    closing.socket.disconnect();
    assert.equal(closing.request.cancel(), false);
    await failed(closing, "CLOSED");
  });

  it("can neither be canceled nor extended when it is settled", async () => {
    const { socket, request } = await connected({ timeout: 500 });
    assert.equal(request.cancel(), false);
    assert.equal(request.extend(1), false);
    assert.equal(socket.state, "open");
  });
});

describe("the timeout of a connect", () => {
  it("runs from the call, to the millisecond, and says where it was and for what it waited", async () => {
    const stage = connecting({ host: "slow.test", port: 7, timeout: 500 });
    stage.factory.clock.advance(499);
    await settled();
    assert.equal(stage.request.state, "current");
    stage.factory.clock.advance(1);
    const error = await failed(stage, "CONNECT_TIMEOUT");
    assert.equal(
      error.message,
      "Cannot connect to slow.test port 7: it took more than 500 ms; the name lookup of slow.test has not answered yet",
    );
  });

  it("says which address has not answered", async () => {
    const stage = connecting({ host: "a.test", port: 7, timeout: 500 });
    stage.factory.clock.advance(500);
    const error = await failed(stage, "CONNECT_TIMEOUT");
    assert.match(error.message, / more than 500 ms; 192\.0\.2\.1: no answer yet$/);
  });

  it("says that it waited for TLS, where the connection was there", async () => {
    const stage = connecting({ host: "a.test", port: 7, timeout: 500, tls: true });
    stage.factory.to("192.0.2.1").open();
    stage.factory.clock.advance(500);
    const error = await failed(stage, "CONNECT_TIMEOUT");
    assert.match(error.message, / more than 500 ms; the TLS handshake is not through yet$/);
  });

  it("can be extended as long as it runs", async () => {
    const stage = connecting({ timeout: 500 });
    assert.equal(stage.request.extend(100), true);
    stage.factory.clock.advance(599);
    await settled();
    assert.equal(stage.request.state, "current");
    stage.factory.clock.advance(1);
    await failed(stage, "CONNECT_TIMEOUT");
    assert.equal(stage.request.extend(100), false);
  });

  it("cannot be extended where there is none", async () => {
    const stage = connecting();
    assert.equal(stage.factory.clock.size, 0);
    assert.equal(stage.request.extend(100), false);
    stage.request.cancel();
    await failed(stage, "CANCELED");
  });

  it("is over with the connect, and does not stand in the way of others", async () => {
    const { factory, socket } = await connected({ timeout: 500 });
    assert.equal(factory.clock.size, 0);
    const read = socket.read({ timeout: 1000 });
    await settled();
    factory.clock.advance(1000);
    await failure(read, "READ_TIMEOUT");
  });
});

describe("the signal of a connect", () => {
  it("cancels it, and its reason is the cause", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const stage = connecting({ signal });
    assert.equal(getEventListeners(signal, "abort").length, 1);
    const reason = new Error("enough");
    controller.abort(reason);
    const error = await failed(stage, "CANCELED");
    assert.equal(error.cause, reason);
    assert.equal(stage.request.state, "canceled");
  });

  it("that is aborted already ends it before anything is tried", async () => {
    const stage = connecting({ signal: AbortSignal.abort("no") });
    assert.deepEqual(stage.factory.log, []);
    assert.equal((await failed(stage, "CANCELED")).cause, "no");
    assert.deepEqual(stage.factory.log, []);
  });

  it("has no effect once the connection is there, and is left alone", async () => {
    const controller = new AbortController();
    const { socket } = await connected({ signal: controller.signal });
    assert.equal(getEventListeners(controller.signal, "abort").length, 0);
    controller.abort();
    await settled();
    assert.equal(socket.state, "open");
  });

  it("is left alone when the connect has failed", async () => {
    const { signal } = new AbortController();
    const stage = connecting({ signal });
    stage.factory.to(PATH).sink.didFail(errno("ENOENT"));
    await failed(stage, "CONNECT");
    assert.equal(getEventListeners(signal, "abort").length, 0);
  });
});

describe("a connect under way", () => {
  it("applies the settings that are made on the socket meanwhile", async () => {
    const stage = connecting();
    stage.socket.setNoDelay(false);
    stage.socket.unref();
    stage.socket.ref();
    const deeds = ["connect", "noDelay false", "unref", "ref"].map((deed) => `${PATH}: ${deed}`);
    assert.deepEqual(stage.factory.log, deeds);
    stage.request.cancel();
    await failed(stage, "CANCELED");
  });

  it("goes to the proxy where there is one, and to the target where there is none", async () => {
    for (const [proxy, address, port] of [
      ["http://192.0.2.99:3128", "192.0.2.99", 3128],
      [undefined, "192.0.2.1", 7],
    ] as const) {
      const stage = connecting({ host: "a.test", port: 7, proxy });
      const { endpoint } = stage.factory.to(address);
      assert.equal(endpoint.path === null && endpoint.port, port);
      stage.request.cancel();
      await failed(stage, "CANCELED");
    }
  });
});
