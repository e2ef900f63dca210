/** `socket.transport` names what carries the bytes. */

import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { describe, it } from "node:test";
import { AsyncSocket, nativeStatus, type TransportFactory } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import { SAFETY } from "./support/transports.js";

describe("socket.transport is", SAFETY, () => {
  it("what was asked for, and what auto comes to", () => {
    const status = nativeStatus();
    assert.equal(status.available, status.reason === null);
    const best = status.available ? "native" : "node";
    assert.equal(new AsyncSocket().transport, best);
    assert.equal(new AsyncSocket({ transport: "auto" }).transport, best);
    assert.equal(new AsyncSocket({ transport: "node" }).transport, "node");
    if (status.available) assert.equal(new AsyncSocket({ transport: "native" }).transport, "native");
  });

  it("stream, for a socket over a stream", async () => {
    const socket = AsyncSocket.from(new PassThrough());
    assert.equal(socket.transport, "stream");
    await socket.disconnect();
    assert.equal(socket.transport, "stream");
  });

  it("the name of a factory, on both ends of a connection; custom for one without a name", async () => {
    const transport = new MemoryNetwork();
    const listener = await AsyncSocket.listen({ transport, port: 7 });
    const client = await AsyncSocket.connect({ transport, host: "server.test", port: 7 });
    const { value: server } = await listener.connections().next();
    assert.deepEqual([listener.transport, client.transport, server?.transport], ["memory", "memory", "memory"]);
    for (const socket of [client, server, listener]) await socket?.disconnect();
    const { clock } = transport;
    const factory = (name?: string): TransportFactory => ({
      clock,
      name,
      connect: (...given) => transport.connect(...given),
      listen: (...given) => transport.listen(...given),
    });
    assert.equal(new AsyncSocket({ transport: factory("mine") }).transport, "mine");
    assert.equal(new AsyncSocket({ transport: factory() }).transport, "custom");
  });
});
