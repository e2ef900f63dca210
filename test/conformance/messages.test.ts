// Messages of framings, a user's own and built-in ones, and what a framing that misbehaves comes to.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type AsyncSocket, type Framing, json, lengthPrefixed, line, netstring, varint } from "asyncsocket";
import { arrived, failure } from "../support/delegates.js";
import { connectedPair, memory, overEveryTransport } from "../support/transports.js";

/** A kind, a length of one byte, and so many bytes: decoded to both. */
const tagged: Framing<{ readonly kind: string; readonly body: string }> = {
  measure: (bytes) => (bytes.length < 2 ? undefined : 2 + (bytes[1] ?? 0)),
  decode: (message) => ({ kind: message.toString("latin1", 0, 1), body: message.toString("latin1", 2) }),
};

const AB = Buffer.from("a\x02xyb\x00", "latin1");

describe("messages", () => {
  overEveryTransport((kind) => {
    it("of a framing of one's own are read in turns with any other read", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const first = server.readMessage(tagged);
      const text = server.readLine();
      const second = server.readMessage(tagged);
      client.write(["a\x02xy", "a line\n", "b\x00"]);
      assert.deepEqual(await first, { kind: "a", body: "xy" });
      assert.equal(await text, "a line");
      assert.deepEqual(await second, { kind: "b", body: "" });
      assert.equal(first.kind, "readMessage");
    });

    it("are told to didReadMessage, bytes to didRead and text to didReadText", async (t) => {
      const told: unknown[] = [];
      const { client, server } = await connectedPair(t, kind);
      server.delegate = {
        didReadMessage: (_socket, message, tag) => told.push(["message", message, tag]),
        didRead: (_socket, data, tag) => told.push(["bytes", String(data), tag]),
        didReadText: (_socket, data, tag) => told.push(["text", data, tag]),
      };
      server.readMessage(json(), { tag: 1 });
      server.readMessage(netstring(), { tag: 2 });
      server.readMessage(line(), { tag: 3 });
      const last = server.readMessage(tagged, { tag: 4 });
      client.write('{"x":1}\n2:ab,text\r\nc\x00');
      await last;
      assert.deepEqual(told, [
        ["message", { x: 1 }, 1],
        ["bytes", "ab", 2],
        ["text", "text", 3],
        ["message", { kind: "c", body: "" }, 4],
      ]);
    });

    it("that were written with a framing are read with it", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const framing = varint();
      const bodies = ["", "x", "y".repeat(300)];
      for (const body of bodies) client.writeMessage(framing, body);
      client.end();
      const got: string[] = [];
      for await (const body of server.messages(framing)) got.push(String(body));
      assert.deepEqual(got, bodies);
    });

    it("with a header of a protocol's own come with it, and are written with it", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const framing = lengthPrefixed({ headerBytes: 2, length: (header) => header[1] ?? 0 });
      const told: unknown[] = [];
      server.delegate = { didReadMessage: (_socket, message) => told.push(message) };
      const reads = [server.readMessage(framing), server.readMessage(framing)];
      client.writeMessage(framing, { header: "a\x03", body: ["xy", "z"] });
      client.writeMessage(framing, { header: "b\x00", body: "" });
      const got = [
        { header: Buffer.from("a\x03"), body: Buffer.from("xyz") },
        { header: Buffer.from("b\x00"), body: Buffer.alloc(0) },
      ];
      assert.deepEqual(await Promise.all(reads), got);
      assert.deepEqual(told, got);
      assert.throws(() => client.writeMessage(framing, { header: "a\x03", body: "" }), {
        message: "Expected value.body to be 3 bytes long, as its header tells, got 0",
      });
    });

    const wrongLengths: Readonly<Record<string, () => number>> = {
      "gives -1": () => -1,
      "gives a fraction": () => 0.5,
      "gives text": () => "1" as unknown as number,
      throws: () => assert.fail("no message"),
    };
    for (const [what, length] of Object.entries(wrongLengths)) {
      it(`with a header whose length ${what} fail with BAD_FRAME, and leave every byte`, async (t) => {
        const { client, server } = await connectedPair(t, kind);
        const framing = lengthPrefixed({ headerBytes: 2, length });
        client.write("abcd");
        const error = await failure(server.readMessage(framing, { onFailure: "continue" }));
        assert.equal(error.code, "ERR_ASYNCSOCKET_BAD_FRAME");
        assert.equal(String(error.partial), "ab", "the header alone");
        assert.equal(String(await server.readExactly(4)), "abcd");
      });
    }

    it("with a header that claims too much fail with READ_LIMIT, which counts header and body", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const framing = lengthPrefixed({ headerBytes: 2, length: (header) => header[1] ?? 0 });
      client.write("a\x02xy");
      const error = await failure(server.readMessage(framing, { maxLength: 3, onFailure: "continue" }));
      assert.equal(error.code, "ERR_ASYNCSOCKET_READ_LIMIT");
      assert.match(error.message, /no message that ends within maxLength, 3 bytes/);
      assert.equal(String((await server.readMessage(framing, { maxLength: 4 })).body), "xy");
    });

    it("of a length that is too long fail with READ_LIMIT, and leave every byte", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write(AB);
      const error = await failure(server.readMessage(tagged, { maxLength: 3, onFailure: "continue" }));
      assert.equal(error.code, "ERR_ASYNCSOCKET_READ_LIMIT");
      assert.deepEqual(await server.readMessage(tagged, { maxLength: 4 }), { kind: "a", body: "xy" });
      const other = await failure(server.readMessage({ ...tagged, maxLength: 1 }, { onFailure: "continue" }));
      assert.equal(other.code, "ERR_ASYNCSOCKET_READ_LIMIT");
    });

    it("of a framing that asks for more for ever fail with READ_LIMIT at exactly maxLength bytes", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const endless = server.readMessage({ measure: () => undefined }, { maxLength: 5, onFailure: "continue" });
      client.write("1234");
      await client.write("5");
      const error = await failure(endless);
      assert.equal(error.code, "ERR_ASYNCSOCKET_READ_LIMIT");
      assert.equal(String(error.partial), "12345");
    });

    const wrong: readonly (readonly [string, Framing<unknown>])[] = [
      ["throws", { measure: () => assert.fail("no message") }],
      [
        "throws nothing that is an error",
        {
          measure: () => {
            // eslint-disable-next-line @typescript-eslint/only-throw-error -- a user can throw anything
            throw undefined;
          },
        },
      ],
      ["gives 0", { measure: () => 0 }],
      ["gives NaN", { measure: () => NaN }],
      ["gives a fraction", { measure: () => 1.5 }],
      ["gives a length below 0", { measure: () => -1 }],
      ["gives text", { measure: () => "3" as unknown as number }],
      ["gives less than it said before", { measure: (bytes) => (bytes.length < 3 ? 4 : 2) }],
      ["decodes to a promise", { measure: () => 3, decode: () => Promise.reject(new Error("late")) }],
      ["cannot decode what it has measured", { measure: () => 3, decode: () => assert.fail("no message") }],
    ];
    for (const [what, framing] of wrong) {
      it(`of a framing that ${what} fail with BAD_FRAME, and leave every byte`, async (t) => {
        const { client, server } = await connectedPair(t, kind);
        const request = server.readMessage(framing, { onFailure: "continue" });
        client.write("ab");
        await arrived(server, 2);
        client.write("cd");
        const error = await failure(request);
        assert.equal(error.code, "ERR_ASYNCSOCKET_BAD_FRAME");
        assert.equal(String(await server.readExactly(4)), "abcd");
      });
    }

    it("may be longer than was said first, where the framing learns that later", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const learning: Framing = { measure: (bytes) => (bytes.length < 2 ? 2 : 2 + (bytes[1] ?? 0)) };
      const request = server.readMessage(learning);
      for (const byte of AB.subarray(0, 4)) await client.write(Buffer.of(byte));
      assert.equal(String(await request), "a\x02xy");
    });

    it("are not served where the framing itself takes the read back, or closes the socket", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const meddling: Framing = {
        measure: () => {
          request.cancel();
          return 1;
        },
      };
      const request = server.readMessage(meddling);
      await client.write("ab");
      assert.equal((await failure(request)).code, "ERR_ASYNCSOCKET_CANCELED");
      assert.equal(String(await server.readExactly(2)), "ab");
      const closing = server.readMessage({ measure: () => 1, decode: () => void server.disconnect() });
      await client.write("c");
      await failure(closing);
      assert.equal((await server.closed).by, "local");
    });

    it("wait for the peer's FIN: a part of one is END_OF_STREAM", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write(lengthPrefixed({ lengthBytes: 2 }).encode("whole"));
      client.write("\x00\x05par");
      client.end();
      const got: string[] = [];
      const reading = (async (socket: AsyncSocket) => {
        for await (const body of socket.messages(lengthPrefixed({ lengthBytes: 2 }))) got.push(String(body));
      })(server);
      assert.equal((await failure(reading)).code, "ERR_ASYNCSOCKET_END_OF_STREAM");
      assert.deepEqual(got, ["whole"]);
    });
  });

  it("of what is no framing throw at the call", async (t) => {
    const { client, server } = await connectedPair(t, memory("memory"));
    for (const framing of [
      null,
      {},
      { measure: 1 },
      { measure: () => 1, decode: 1 },
      { measure: () => 1, maxLength: 0 },
    ]) {
      assert.throws(() => server.readMessage(framing as unknown as Framing), /^(Type|Range)Error: Expected /);
    }
    assert.throws(() => client.writeMessage({} as never, "x"), /^TypeError: Expected /);
    assert.throws(() => client.writeMessage(line(), "a\nb"), /^RangeError: Expected /);
    assert.equal(client.pendingWrites, 0);
  });
});
