/** Delegates whose methods are getters that throw: the exception surfaces once, and nothing waits for ever. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AsyncSocketDelegate } from "asyncsocket";
import { NO_UNCAUGHT } from "../support/availability.js";
import { arrived, failure, settled, until } from "../support/delegates.js";
import { opened } from "../support/lifecycle-helpers.js";
import { connectedPair, overEveryTransport } from "../support/transports.js";
import { logOfUncaught } from "../support/uncaught.js";

/** A delegate whose given methods are getters that throw their names. */
function throwing(...methods: string[]): AsyncSocketDelegate {
  const delegate: AsyncSocketDelegate = {};
  for (const method of methods) {
    Object.defineProperty(delegate, method, {
      enumerable: false,
      get() {
        throw new Error(method);
      },
    });
  }
  return delegate;
}

/** An answer that throws when it is asked whether it is a promise. */
const badAnswer = {
  get then(): never {
    throw new Error("then");
  },
};

describe("a getter of the delegate that throws", { skip: NO_UNCAUGHT }, () => {
  overEveryTransport((kind) => {
    it("surfaces once for each report, and leaves the socket whole", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const log = logOfUncaught(t);
      server.delegate = throwing(
        "didReadPartial",
        "didWritePartial",
        "didRead",
        "didReadText",
        "didWrite",
        "didEndReading",
      );
      const first = server.readExactly(6);
      client.write("abc");
      await arrived(server, 3);
      client.write("def");
      assert.equal(String(await first), "abcdef");
      await settled();
      const reports = log.splice(0);
      assert.equal(reports.filter((one) => one === "uncaught didRead").length, 1);
      const partial = reports.filter((one) => one === "uncaught didReadPartial").length;
      assert.ok(partial >= 1 && partial <= 6, `${partial} partial reports of six bytes`);
      await server.write("ok");
      assert.equal(String(await client.readExactly(2)), "ok");
      await settled();
      assert.deepEqual(
        log.splice(0).filter((one) => one !== "uncaught didWritePartial"),
        ["uncaught didWrite"],
      );
      client.end();
      await server.closed;
      await settled();
      assert.deepEqual(log, ["uncaught didEndReading"]);
    });

    it("for text keeps the text from didRead, which is for bytes", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const log = logOfUncaught(t);
      const delegate = throwing("didReadText");
      delegate.didRead = (_socket, data) => void log.push(`told ${data.toString()}`);
      server.delegate = delegate;
      const line = server.readLine();
      client.write("text\n");
      assert.equal(await line, "text");
      await settled();
      assert.deepEqual(log, ["uncaught didReadText"]);
    });

    it("is not the same as null, which is no method at all", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const told: string[] = [];
      server.delegate = {
        didReadText: null as never,
        didReadPartial: null as never,
        didWrite: null as never,
        didRead: (_socket, data) => void told.push(data.toString()),
      };
      const line = server.readLine();
      client.write("text\n");
      assert.equal(await line, "text");
      await server.write("x");
      assert.deepEqual(told, ["text"]);
    });

    it("instead of an answer for more time lets the timeout stand", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const log = logOfUncaught(t);
      server.delegate = { shouldExtendReadTimeout: () => badAnswer as never };
      await failure(server.readLine({ timeout: 1, onFailure: "continue" }), "READ_TIMEOUT");
      server.delegate = throwing("shouldExtendReadTimeout");
      await failure(server.readLine({ timeout: 1, onFailure: "continue" }), "READ_TIMEOUT");
      client.write("still\n");
      assert.equal(await server.readLine(), "still");
      await settled();
      const expected =
        "uncaught Expected shouldExtendReadTimeout to return a number of milliseconds at once, got an object";
      assert.deepEqual(log, [expected, "uncaught shouldExtendReadTimeout"]);
    });

    it("in place of didAccept refuses the connection, and the next one is served", async (t) => {
      const log = logOfUncaught(t);
      const refused: string[] = [];
      const delegate = throwing("didAccept");
      delegate.didFailAccept = (_listener, error) => void refused.push(error.message);
      const { listener, socket, target, connect, accepted } = await opened(t, kind, { delegate });
      const lost = socket();
      await Promise.race([
        lost.connect(target).then(
          () => lost.closed,
          () => undefined,
        ),
        lost.closed,
      ]);
      await until(() => log.length > 0, "an exception");
      assert.deepEqual(refused, ["A connection was refused: no socket could be made for it: didAccept"]);
      assert.deepEqual(log, ["uncaught didAccept"]);
      assert.equal([...listener.sockets].length, 0);
      listener.delegate = {};
      await connect();
      await accepted();
    });

    it("in place of didDisconnect leaves a failed connect and a failed listen closed", async (t) => {
      const log = logOfUncaught(t);
      const { listener, socket: idle, target } = await opened(t, kind);
      await listener.disconnect();
      const socket = idle({ delegate: throwing("didDisconnect") });
      socket.connect(target);
      await until(() => socket.state === "closed" && log.length > 0, "the end");
      assert.deepEqual(log, ["uncaught didDisconnect"]);
      assert.equal((await socket.closed).by, "error");
    });
  });
});
