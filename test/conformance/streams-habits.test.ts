/** What programs that are written for the runtime's own sockets expect of streams made of ours. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server as HttpServer } from "node:http";
import type { Duplex } from "node:stream";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { failure, readToEnd, settled, thrown, until } from "../support/delegates.js";
import { assertNothingLeft, connectedPair, type Kind, overEveryTransport } from "../support/transports.js";

/** Whether several writes of one tick are all handed on in it: where the layer below takes one after the other, the first. */
function takesAtOnce({ isSecure, name }: Kind): boolean {
  return !isSecure && !name.startsWith("streams");
}

describe("a stream that is destroyed in the tick in which it was written to sends that", () => {
  overEveryTransport((kind) => {
    const writers: Readonly<Record<string, (stream: Duplex) => void>> = {
      write: (stream) => stream.write("the answer"),
      "end with bytes": (stream) => stream.end("the answer"),
      "write, then end": (stream) => stream.write("the answer") && stream.end(),
    };
    for (const [name, give] of Object.entries(writers)) {
      it(`by ${name}`, async (t) => {
        const { client, server } = await connectedPair(t, kind);
        const stream = client.toDuplex();
        give(stream);
        stream.destroy();
        assert.equal(String(await readToEnd(server)), "the answer");
        assert.equal((await client.closed).error, null);
      });
    }

    it("with an error, too", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const stream = client.toDuplex();
      const fault = new Error("of the program");
      stream.write("the answer");
      stream.destroy(fault);
      const [error] = (await once(stream, "error")) as [Error];
      assert.equal(error, fault);
      assert.equal(String(await readToEnd(server)), "the answer");
    });

    it("in several writes", { skip: !takesAtOnce(kind) }, async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("one ");
      const stream = client.toDuplex();
      const written: unknown[] = [];
      stream.write("two ", (error) => written.push(error ?? null));
      stream.write("three", (error) => written.push(error ?? null));
      stream.destroy();
      assert.equal(String(await readToEnd(server)), "one two three");
      assert.equal((await client.closed).bytesWritten, 13);
      assert.deepEqual(written, [null, null]);
    });

    it("and what the socket was asked to write before", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("the answer");
      client.toDuplex().destroy();
      assert.equal(String(await readToEnd(server)), "the answer");
    });

    it("by a web stream whose other half is given up", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const { readable, writable } = client.toWeb();
      const writer = writable.getWriter();
      await writer.ready;
      await settled(1);
      const write = writer.write(Buffer.from("the answer")).catch(() => undefined);
      await readable.cancel();
      assert.equal(String(await readToEnd(server)), "the answer");
      await write;
    });
  });
});

describe("a stream that is given empty chunks among others", () => {
  overEveryTransport((kind) => {
    it("sends the others, and calls back for each", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const stream = client.toDuplex();
      const written: unknown[] = [];
      stream.write("", (error) => written.push(error));
      stream.cork();
      for (const part of ["one ", "", "two", ""]) stream.write(part, (error) => written.push(error));
      stream.uncork();
      stream.end("");
      assert.equal(String(await readToEnd(server)), "one two");
      assert.deepEqual(
        written.map((error) => error ?? null),
        [null, null, null, null, null],
      );
    });
  });
});

describe("a stream that nobody reads notices that its peer has gone [10]", () => {
  overEveryTransport((kind) => {
    it("by a FIN", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const stream = client.toDuplex();
      stream.write("news");
      server.end();
      await once(stream, "close");
      assert.deepEqual([(await client.closed).by, stream.errored], ["remote", null]);
      assert.equal(String(await readToEnd(server)), "news");
    });

    it("by a FIN, as web streams", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const { readable, writable } = client.toWeb();
      await writable.getWriter().write(Buffer.from("news"));
      server.end();
      assert.equal((await client.closed).by, "remote");
      assert.deepEqual(await readable.getReader().read(), { done: true, value: undefined });
      assert.equal(String(await readToEnd(server)), "news");
    });

    it("by a RST", { skip: !kind.hasReset }, async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const stream = client.toDuplex();
      server.reset();
      const [error] = (await once(stream, "error")) as [NodeJS.ErrnoException];
      assert.equal(error.code, "ECONNRESET");
      thrown(error.cause, "CONNECTION_LOST");
      assert.equal(error.cause, (await client.closed).error);
    });

    it("and keeps its own writing side with allowHalfOpen", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { allowHalfOpen: true });
      const stream = server.toDuplex();
      client.end();
      await once(stream, "end");
      assert.equal(stream.writable, true);
      stream.end("late");
      assert.equal(String(await readToEnd(client)), "late");
    });

    it("but keeps what it was sent for whoever reads it later", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const stream = client.toDuplex();
      server.write("news");
      server.end();
      await until(() => stream.readableLength === 4, "it is read ahead");
      await settled();
      assert.equal(client.state, "open");
      let received = "";
      stream.on("data", (data: Buffer) => (received += data.toString()));
      assert.equal((await client.closed).by, "remote");
      assert.equal(received, "news");
    });

    it("fifty streams that only receive come and go: none is left", async (t) => {
      const wire = kind.open();
      const streams: Duplex[] = [];
      const listener = new AsyncSocket({
        ...wire.options,
        delegate: {
          didAccept(_, socket) {
            const stream = socket.toDuplex();
            streams.push(stream);
            stream.on("error", () => undefined);
            stream.write("news");
          },
        },
      });
      await listener.listen(wire.listen);
      t.after(async () => {
        await listener.disconnect();
        wire.dispose();
        await assertNothingLeft();
      });
      for (let round = 0; round < 10; round++) {
        const guests = await Promise.all(
          Array.from({ length: 5 }, async () => {
            const guest = new AsyncSocket(wire.options);
            await guest.connect(wire.connect(listener));
            return guest;
          }),
        );
        for (const [i, guest] of guests.entries()) {
          await guest.readExactly(4);
          await (i % 2 === 0 ? guest.disconnect() : guest.disconnectAfterWriting());
        }
      }
      assert.equal(streams.length, 50);
      await until(() => streams.every((stream) => stream.closed), "all are closed");
    });
  });
});

describe("http.Server over the stream of a socket", () => {
  overEveryTransport((kind) => {
    function serve(t: TestContext): HttpServer {
      const http = createServer({ maxHeaderSize: 200 }, (_, response) => response.end("a page"));
      t.after(() => http.closeAllConnections());
      return http;
    }

    const bad: Readonly<Record<string, [request: string, status: RegExp]>> = {
      "a malformed request": ["NONSENSE\r\n\r\n", /^HTTP\/1\.1 400 Bad Request\r\n/],
      "too long a header": [`GET / HTTP/1.1\r\nx: ${"y".repeat(300)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
    };
    for (const [name, [request, status]] of Object.entries(bad)) {
      // What is still on its way to who has closed resets the connection, and the answer may be lost.
      it(`answers ${name}, and closes`, { skip: kind.chunkBytes === 1 }, async (t) => {
        const { client, server } = await connectedPair(t, kind);
        serve(t).emit("connection", server.toDuplex());
        const answer = client.readUntil("\r\n");
        client.write(request);
        assert.match(String(await answer), status);
        await server.closed;
      });
    }

    it("serves one request after the other, and notices that the client goes", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      serve(t).emit("connection", server.toDuplex());
      for (let i = 0; i < 3; i++) {
        client.write("GET / HTTP/1.1\r\nhost: here\r\n\r\n");
        assert.match(String(await client.readUntil("\r\n\r\n")), /^HTTP\/1\.1 200 OK\r\n/);
        assert.equal(String(await client.readExactly(6)), "a page");
      }
      client.end();
      await failure(client.read(), "END_OF_STREAM");
      await Promise.all([client.closed, server.closed]);
    });
  });
});
