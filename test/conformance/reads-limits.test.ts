import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type AsyncSocket, AsyncSocketError, type SocketRequest } from "asyncsocket";
import { arrived, failure, Recorder, settled } from "../support/delegates.js";
import { connectedPair, memory, overEveryTransport, SAFETY } from "../support/transports.js";

describe("limits of reads", () => {
  overEveryTransport((kind) => {
    it("decision 8: a delimiter that ends exactly at maxLength is within it, which counts the delimiter", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("12345\r\n1234\n");
      assert.equal(String(await server.readUntil("\r\n", { maxLength: 7 })), "12345\r\n");
      assert.equal(String(await server.readUntil(["\r\n", "\n"], { maxLength: 5 })), "1234\n");
    });

    it("decision 8: a delimiter that ends one byte beyond is READ_LIMIT", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("12345\r\n");
      const error = await failure(server.readUntil("\r\n", { maxLength: 6, onFailure: "continue" }), "READ_LIMIT");
      assert.equal(error.operation, "readUntil");
      assert.equal(error.bytesDone, 6);
      assert.equal(error.partial?.toString(), "12345\r");
      assert.equal(String(await server.readUntil("\r\n", { maxLength: 7 })), "12345\r\n");
    });

    it("decision 8: READ_LIMIT comes when maxLength bytes are there, and not before", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const request = server.readUntil(";", { maxLength: 4 });
      client.write("123");
      await arrived(server, 3);
      await settled();
      assert.equal(request.state, "current");
      client.write("4");
      await failure(request, "READ_LIMIT");
    });

    it("decision 8: a line may be maxLength long with its ending, LF or CRLF", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("1234\n123\r\n1234\r\n");
      assert.equal(await server.readLine({ maxLength: 5 }), "1234");
      assert.equal(await server.readLine({ maxLength: 5 }), "123");
      await failure(server.readLine({ maxLength: 5, onFailure: "continue" }), "READ_LIMIT");
      assert.equal(await server.readLine({ maxLength: 6 }), "1234");
    });

    it("limits.readLength bounds delimiter and line reads that name no maxLength", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { limits: { readLength: 5 } });
      client.write("1234;1234\n12345;123456\n");
      assert.equal(String(await server.readUntil(";")), "1234;");
      assert.equal(await server.readLine(), "1234");
      await failure(server.readUntil(";", { onFailure: "continue" }), "READ_LIMIT");
      assert.equal(String(await server.readUntil(";", { maxLength: 6 })), "12345;");
      await failure(server.readLine({ onFailure: "continue" }), "READ_LIMIT");
      assert.equal(await server.readLine({ maxLength: Infinity }), "123456");
    });

    it("limits.readLength does not bound reads that name their length", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { limits: { readLength: 5 } });
      client.write("1234567890");
      assert.equal(String(await server.readExactly(10)), "1234567890");
    });

    it("decision 4: a limit closes the connection by default, and the others fail with CLOSED", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      server.delegate = recorder;
      const first = server.readLine({ maxLength: 4, tag: "a" });
      const second = server.readExactly(1, { tag: "b" });
      client.write("12345678");
      const error = await failure(first, "READ_LIMIT");
      await failure(second, "CLOSED");
      const reason = await server.closed;
      assert.equal(reason.by, "error");
      assert.equal(reason.error, error);
      assert.equal(reason.unread.subarray(0, 4).toString(), "1234");
      assert.deepEqual(recorder.of("didFailRead"), [
        ["READ_LIMIT", "a"],
        ["CLOSED", "b"],
      ]);
    });
  });
});

/** Whatever came of a request, as data that can be compared. */
async function outcome(request: SocketRequest<unknown>): Promise<unknown> {
  try {
    const value = await request;
    return value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value;
  } catch (caught) {
    assert.ok(caught instanceof AsyncSocketError);
    const error = caught;
    return [error.code, error.bytesDone, error.partial?.toString("latin1")];
  }
}

const STREAM = "a\r\nbb\nccc;dd\0e;long long line\r\n\0\x03abc\0\xc8xyz;12345678;tail without an end";

function script(socket: AsyncSocket): Promise<unknown[]> {
  const requests = [
    socket.readLine({ maxLength: 3 }),
    socket.readLine({ maxLength: 2, onFailure: "continue" }),
    socket.readLine(),
    socket.readUntil(["c;", ";"]),
    socket.readUntil(["\0e", "d\0e;"]),
    socket.peek({ length: 5 }),
    socket.skip(1),
    socket.readLine({ maxLength: 15, onFailure: "continue" }),
    socket.readLine({ maxLength: 16 }),
    socket.readFrame({ lengthBytes: 2 }),
    socket.readFrame({ lengthBytes: 2, maxLength: 199, onFailure: "continue" }),
    socket.readFrame({ lengthBytes: 1, lengthIncludesHeader: true, onFailure: "continue" }),
    socket.readExactly(0),
    socket.readUntil("z;"),
    socket.readUntil(";", { maxLength: 8, onFailure: "continue" }),
    socket.readUntil(";", { maxLength: 9, encoding: "base64" }),
    socket.readExactly(4, { encoding: "hex" }),
    socket.readUntil("\n"),
    socket.readExactly(1),
  ];
  return Promise.all(requests.map(outcome));
}

describe("chunks", SAFETY, () => {
  /** The same numbers each time. */
  function random(seed: number, most: number): () => number {
    let state = seed;
    return () => {
      state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
      return 1 + ((state >> 8) % most);
    };
  }

  it("decision 8: the outcome never depends on how the bytes were cut", async (t) => {
    const cuts = [() => Infinity, () => 1, () => 2, () => 3, () => 7, random(1, 4), random(2, 20), random(3, 20)];
    const outcomes: unknown[][] = [];
    for (const chunkBytes of cuts) {
      const { client, server } = await connectedPair(t, memory("memory", { chunkBytes }));
      const results = script(server);
      client.write(Buffer.from(STREAM, "latin1"));
      client.end();
      outcomes.push(await results);
    }
    const [expected] = outcomes;
    assert.ok(expected !== undefined);
    assert.equal(expected[0], "a");
    assert.deepEqual(expected[1], ["ERR_ASYNCSOCKET_READ_LIMIT", 2, "bb"]);
    assert.deepEqual(expected.at(-2), ["ERR_ASYNCSOCKET_END_OF_STREAM", 15, " without an end"]);
    for (const other of outcomes) assert.deepEqual(other, expected);
  });
});
