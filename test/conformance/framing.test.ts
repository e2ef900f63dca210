import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { arrived, failure, pattern, settled, until } from "../support/delegates.js";
import { connectedPair, overEveryTransport } from "../support/transports.js";

interface Shape {
  readonly lengthBytes: number;
  readonly littleEndian: boolean;
  readonly lengthIncludesHeader: boolean;
}

/** A frame with this body. */
function frame(body: Buffer, { lengthBytes, littleEndian, lengthIncludesHeader }: Shape): Buffer {
  let length = BigInt(body.length + (lengthIncludesHeader ? lengthBytes : 0));
  const header = Buffer.alloc(lengthBytes);
  for (let i = 0; i < lengthBytes; i++) {
    header[littleEndian ? i : lengthBytes - 1 - i] = Number(length & 0xffn);
    length >>= 8n;
  }
  return Buffer.concat([header, body]);
}

const SHAPES: Shape[] = [1, 2, 3, 4, 5, 6, 8].flatMap((lengthBytes) =>
  [false, true].flatMap((littleEndian) =>
    [false, true].map((lengthIncludesHeader) => ({ lengthBytes, littleEndian, lengthIncludesHeader })),
  ),
);

describe("frames", () => {
  overEveryTransport((kind) => {
    it("are read as one entry that gives the body, for every size and order of the length", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const bodies = [pattern(100, 3), Buffer.alloc(0), pattern(1, 9)];
      for (const shape of SHAPES) {
        const requests = bodies.map(() => server.readFrame(shape));
        for (const body of bodies) client.write(frame(body, shape));
        const got = await Promise.all(requests);
        assert.deepEqual(got, bodies, JSON.stringify(shape));
      }
      assert.equal(server.unreadBytes, 0);
    });

    it("have a length in network byte order that does not count itself, unless said", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write(Buffer.from([0, 0, 0, 2, 0x41, 0x42, 0, 1, 0x43]));
      assert.equal(String(await server.readFrame({ lengthBytes: 4 })), "AB");
      assert.equal(await server.readFrame({ lengthBytes: 2, encoding: "utf8" }), "C");
    });

    it("may be followed by any other read", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const body = server.readFrame({ lengthBytes: 2 });
      const line = server.readLine();
      const next = server.readFrame({ lengthBytes: 1, encoding: "hex" });
      client.write(Buffer.from("\0\x05helloline\n\x02\x01\x02", "latin1"));
      assert.equal(String(await body), "hello");
      assert.equal(await line, "line");
      assert.equal(await next, "0102");
    });

    it("larger than a chunk come whole", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const body = pattern(kind.chunkBytes === 1 ? 20_000 : 1_000_000);
      const request = server.readFrame({ lengthBytes: 4 });
      client.write(frame(body, { lengthBytes: 4, littleEndian: false, lengthIncludesHeader: false }));
      assert.ok((await request).equals(body));
    });

    it("may have a body of exactly maxLength", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write(Buffer.from([0, 3, 1, 2, 3]));
      assert.equal((await server.readFrame({ lengthBytes: 2, maxLength: 3 })).length, 3);
      client.write(Buffer.from([0, 5, 1, 2, 3]));
      const included = await server.readFrame({ lengthBytes: 2, maxLength: 3, lengthIncludesHeader: true });
      assert.equal(included.length, 3);
    });

    it("that announce more than maxLength fail with READ_LIMIT before any of the body has come", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const request = server.readFrame({ lengthBytes: 2, maxLength: 3, onFailure: "continue" });
      client.write(Buffer.from([0, 4]));
      const error = await failure(request, "READ_LIMIT");
      assert.equal(error.operation, "readFrame");
      assert.equal(server.state, "open");
      assert.deepEqual([...server.unread], [0, 4]);
      client.write("abcd");
      assert.equal(String(await server.readFrame({ lengthBytes: 2, maxLength: 4 })), "abcd");
    });

    it("that announce more than limits.readLength fail with READ_LIMIT, where no maxLength is named", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { limits: { readLength: 3 } });
      client.write(Buffer.from([3, 1, 2, 3, 4, 1, 2, 3, 4]));
      assert.equal((await server.readFrame({ lengthBytes: 1 })).length, 3);
      await failure(server.readFrame({ lengthBytes: 1, onFailure: "continue" }), "READ_LIMIT");
      assert.equal((await server.readFrame({ lengthBytes: 1, maxLength: 4 })).length, 4);
    });

    it("by default close the connection when they announce too much", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const request = server.readFrame({ lengthBytes: 4, maxLength: 100 });
      client.write(Buffer.from([0xff, 0xff, 0xff, 0xff]));
      const error = await failure(request, "READ_LIMIT");
      const reason = await server.closed;
      assert.equal(reason.by, "error");
      assert.equal(reason.error, error);
    });

    it("of a length shorter than their own header fail with BAD_FRAME", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const options = { lengthBytes: 4, lengthIncludesHeader: true } as const;
      client.write(Buffer.from([0, 0, 0, 3]));
      await failure(server.readFrame({ ...options, onFailure: "continue" }), "BAD_FRAME");
      assert.deepEqual([...server.unread], [0, 0, 0, 3]);
      const error = await failure(server.readFrame(options), "BAD_FRAME");
      assert.equal((await server.closed).error, error);
    });

    it("of an absurd 8-byte length fail, and cost nothing", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write(Buffer.alloc(8, 0xff));
      await failure(server.readFrame({ lengthBytes: 8, onFailure: "continue" }), "READ_LIMIT");
      await failure(server.readFrame({ lengthBytes: 8, littleEndian: true, onFailure: "continue" }), "READ_LIMIT");
      assert.equal(server.state, "open");
    });

    it("allocate nothing on a claimed length beyond what has come", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const before = process.memoryUsage().arrayBuffers;
      const request = server.readFrame({ lengthBytes: 4, maxLength: 1e9 });
      client.write(Buffer.from([0x30, 0, 0, 0, 1, 2, 3]));
      await until(() => server.unreadBytes === 7, "seven bytes");
      await settled();
      assert.ok(process.memoryUsage().arrayBuffers - before < 16 * 1024 * 1024);
      assert.equal(request.state, "current");
      request.cancel();
      await failure(request, "CANCELED");
    });

    it("that are taken back leave header and body for the next read", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const request = server.readFrame({ lengthBytes: 2 });
      client.write(Buffer.from("\0\x05abc", "latin1"));
      await arrived(server, 5);
      await settled();
      assert.equal(request.cancel(), true);
      const error = await failure(request, "CANCELED");
      assert.equal(error.bytesDone, 5);
      assert.deepEqual(error.partial, Buffer.from("\0\x05abc", "latin1"));
      client.write("de");
      assert.equal(String(await server.readFrame({ lengthBytes: 2 })), "abcde");
    });

    it("can be put into memory given", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const into = Buffer.alloc(8);
      client.write(Buffer.from("\x03abc\x09012345678", "latin1"));
      const data = await server.readFrame({ lengthBytes: 1, into });
      assert.equal(data.toString(), "abc");
      assert.equal(data.buffer, into.buffer);
      await failure(server.readFrame({ lengthBytes: 1, into, onFailure: "continue" }), "READ_LIMIT");
    });

    it("of maxLength 0 may only be empty", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write(Buffer.from([0, 1, 9]));
      assert.equal((await server.readFrame({ lengthBytes: 1, maxLength: 0 })).length, 0);
      await failure(server.readFrame({ lengthBytes: 1, maxLength: 0, onFailure: "continue" }), "READ_LIMIT");
    });
  });
});
