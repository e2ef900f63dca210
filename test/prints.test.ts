/** What users send and receive shows in no print: logs outlive connections, and are read by others. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { format, inspect } from "node:util";
import { type AsyncSocket, RunLoop, type SocketRequest } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import { arrived, failure, settled } from "./support/delegates.js";
import { connectedPair, memory, overEveryTransport } from "./support/transports.js";

const SECRET = "open sesame";
const BYTES = Buffer.from(SECRET);
/** As text, as a Buffer prints, and as a Buffer is in JSON. The prints of bytes may be cut to the first of them. */
const TRACES = [
  SECRET,
  BYTES.subarray(0, 6).toString("hex"),
  BYTES.subarray(0, 6)
    .toString("hex")
    .replace(/..(?=.)/g, "$& "),
  [...BYTES.subarray(0, 6)].join(","),
  [...BYTES.subarray(0, 6)].join(", "),
];

function assertSilent(what: string, value: unknown): void {
  const prints = {
    inspect: inspect(value),
    "inspect, deep": inspect(value, { depth: Infinity, maxArrayLength: Infinity }),
    "inspect, with what is hidden": inspect(value, { depth: Infinity, maxArrayLength: Infinity, showHidden: true }),
    "%o": format("%o", value),
    "%j": format("%j", value),
    "JSON.stringify": JSON.stringify(value),
    String: String(value),
  };
  for (const [how, text] of Object.entries(prints)) {
    for (const trace of TRACES) assert.ok(!text.includes(trace), `${how} of ${what} shows ${trace}: ${text}`);
  }
}

function assertRequestIsSilent(request: SocketRequest<unknown>): void {
  assertSilent(`${request.kind}, ${request.state}`, request);
  assert.match(inspect(request), /^SocketRequest \w+ \w+, \d+( of \d+)? bytes$/);
  assert.deepEqual(Object.keys(JSON.parse(JSON.stringify(request)) as object).slice(0, 3), [
    "kind",
    "state",
    "bytesDone",
  ]);
}

/** All that can be looked at, held in one value. */
function assertAllSilent(socket: AsyncSocket, ...others: unknown[]): void {
  const { currentRead, currentWrite, closeReason, tls, delegate } = socket;
  assertSilent("the socket", socket);
  assertSilent("what holds it", { deeply: { within: [socket, socket.closed, delegate, ...others] } });
  assertSilent("the close reason", closeReason ?? null);
  assertSilent("the requests", [currentRead, currentWrite]);
  // A certificate that issued itself is a circle, which no JSON can tell.
  for (const trace of TRACES) assert.ok(!inspect(tls, { depth: Infinity }).includes(trace));
}

const READS: Readonly<Record<string, (socket: AsyncSocket) => SocketRequest<unknown>>> = {
  readExactly: (socket) => socket.readExactly(100),
  "readExactly as text": (socket) => socket.readExactly(100, { encoding: "utf8" }),
  readUntil: (socket) => socket.readUntil("\0", { tag: 1 }),
  readLine: (socket) => socket.readLine(),
  readFrame: (socket) => socket.readFrame({ lengthBytes: 1 }),
  peek: (socket) => socket.peek({ length: 100 }),
  skip: (socket) => socket.skip(100),
};

describe("no print shows what is sent or received", () => {
  overEveryTransport((kind) => {
    for (const [name, ask] of Object.entries(READS)) {
      it(`${name}: while it waits, when it has failed, and as the close reason tells of it`, async (t) => {
        const { client, server } = await connectedPair(t, kind);
        const request = ask(client);
        const behind = client.read();
        server.write(SECRET);
        await arrived(client, SECRET.length);
        assertRequestIsSilent(request);
        assertRequestIsSilent(behind);
        assertAllSilent(client, request);
        request.cancel();
        const error = await failure(request, "CANCELED");
        assertSilent("the error", error);
        assertRequestIsSilent(request);
        if (name !== "skip") assert.equal(String(error.partial), SECRET);
        assertRequestIsSilent(behind);
        await behind;
        assertRequestIsSilent(behind);
        server.write(SECRET);
        const last = ask(client);
        await arrived(client, SECRET.length);
        const reason = await client.disconnect();
        assert.equal(String(reason.unread), SECRET);
        assertSilent("the last error", await failure(last, "CLOSED"));
        assertAllSilent(client, last, reason);
      });
    }

    it("writes: queued, under way, done and failed", async (t) => {
      const { client } = await connectedPair(t, kind);
      const writes = [client.write(SECRET), client.write(BYTES), client.write([SECRET, BYTES])];
      for (const write of writes) assertRequestIsSilent(write);
      assertAllSilent(client, writes);
      await writes[2];
      const late = client.write(SECRET);
      late.cancel();
      assertSilent("the error", await failure(late, "CANCELED"));
      const huge = client.write([SECRET, Buffer.alloc(17 * 1024 * 1024)]);
      assertSilent("the error", await failure(huge, "QUEUE_FULL"));
      for (const write of [...writes, late, huge]) assertRequestIsSilent(write);
      assertAllSilent(client, writes, await client.closed);
    });

    it("reads that are done, a peek among them, and an iterator", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      server.write(`${SECRET}\n${SECRET}\n${SECRET}\n${SECRET}`);
      const lines = client.lines();
      assert.equal((await lines.next()).value, SECRET);
      const line = client.readLine();
      const peek = client.peek({ length: SECRET.length });
      const exactly = client.readExactly(SECRET.length + 1);
      assert.equal(String(await exactly), `${SECRET}\n`);
      for (const request of [line, peek, exactly]) assertRequestIsSilent(request);
      await arrived(client, SECRET.length);
      assertAllSilent(client, line, peek, exactly, lines, client[Symbol.asyncIterator]());
    });

    it("a stream that it was turned into", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      server.write(SECRET);
      const stream = client.toDuplex();
      stream.read(0);
      while (stream.readableLength < SECRET.length) await settled(1);
      stream.cork();
      stream.write(SECRET);
      assertSilent("the stream", stream);
      assert.match(inspect(stream), /^SocketDuplex of AsyncSocket #\d+ open/);
      const web = server.toWeb();
      const writer = web.writable.getWriter();
      void writer.write(BYTES).catch(() => undefined);
      assertSilent("the web streams", [web, writer]);
      assertAllSilent(client, stream);
      assertAllSilent(server, web);
    });
  });

  it("a network in memory, a listener and a run loop", async (t) => {
    const network = new MemoryNetwork();
    const { client, listener } = await connectedPair(t, {
      ...memory("memory"),
      open: () => ({
        options: { transport: network },
        listen: { port: 7 },
        connect: () => ({ port: 7 }),
        dispose: () => undefined,
      }),
    });
    await client.write(SECRET);
    for (const trace of TRACES) assert.ok(!inspect(network, { depth: Infinity, showHidden: true }).includes(trace));
    assertAllSilent(listener);
    assert.match(JSON.stringify(listener), /"state":"listening"/);
    assertSilent("the run loop", RunLoop.current);
  });

  it("an error that was copied, or is a cause", async (t) => {
    const { client, server } = await connectedPair(t, memory("memory"));
    const request = client.readExactly(100);
    server.write(SECRET);
    await arrived(client, SECRET.length);
    request.cancel();
    const error = await failure(request, "CANCELED");
    assert.equal(String(error.partial), SECRET);
    assert.ok(!Object.keys(error).includes("partial"));
    assertSilent("a structured clone", structuredClone(error));
    assertSilent("a copy", Object.assign({}, error));
    assertSilent("one that it caused", new Error("without it", { cause: error }));
    assertSilent("several", new AggregateError([error]));
  });
});
