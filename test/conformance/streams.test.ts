import assert from "node:assert/strict";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { describe, it } from "node:test";
import { failure, pattern, readToEnd, Recorder, settled, thrown, until } from "../support/delegates.js";
import { codeOf, muchFor, throwsBadState } from "../support/lifecycle-helpers.js";
import { connectedPair, overEveryTransport } from "../support/transports.js";

async function allOf(stream: Duplex): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

describe("toDuplex()", () => {
  overEveryTransport((kind) => {
    const big = muchFor(kind);

    it("carries bytes both ways, more than fit at once, and ends when both sides have", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const echo = server.toDuplex();
      echo.pipe(echo);
      const stream = client.toDuplex();
      const bytes = pattern(big);
      const back = allOf(stream);
      for (let at = 0; at < big;) {
        const isRoom = stream.write(bytes.subarray(at, (at += 1 + (at % 100_000))));
        if (!isRoom) await once(stream, "drain");
      }
      stream.end();
      assert.ok((await back).equals(bytes));
      const reasons = await Promise.all([client.closed, server.closed]);
      assert.deepEqual(
        reasons.map(({ error, bytesRead, bytesWritten }) => [error, bytesRead, bytesWritten]),
        [
          [null, big, big],
          [null, big, big],
        ],
      );
    });

    it("begins with the bytes that are unread, behind the writes that are queued", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      server.write("head\nbody ");
      assert.equal(await client.readLine(), "head");
      client.write("first ");
      const stream = client.toDuplex();
      stream.end("second");
      server.write("tail");
      server.end();
      assert.equal((await allOf(stream)).toString(), "body tail");
      assert.equal((await readToEnd(server)).toString(), "first second");
    });

    it("keeps its writing side with allowHalfOpen", async (t) => {
      const { client, server } = await connectedPair(t, kind, { allowHalfOpen: true }, { allowHalfOpen: true });
      const stream = client.toDuplex();
      server.end();
      stream.resume();
      await once(stream, "end");
      await settled();
      stream.end("late");
      assert.equal((await readToEnd(server)).toString(), "late");
    });

    it("ends its writing side by itself without", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { allowHalfOpen: true });
      const stream = client.toDuplex();
      server.end();
      stream.resume();
      assert.equal((await readToEnd(server)).toString(), "");
      assert.equal((await client.closed).error, null);
    });

    it("holds its peer up while nobody reads, with little in memory", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { limits: { writeQueue: Infinity } });
      const stream = client.toDuplex();
      stream.read(0);
      const length = 3 * big;
      const write = server.write(pattern(length));
      await settled(100);
      assert.equal(write.state, "current");
      assert.ok(stream.readableLength + client.unreadBytes <= 200_000);
      const all = allOf(stream);
      server.end();
      assert.ok((await all).equals(pattern(length)));
    });

    it("closes the connection where it is destroyed, and the other side is told", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const stream = client.toDuplex();
      stream.destroy();
      await once(stream, "close");
      assert.equal(client.state, "closed");
      assert.equal((await client.closed).by, "local");
      await failure(server.read());
    });

    it("ends with the error that the socket ends with", async (t) => {
      const { client } = await connectedPair(t, kind, { limits: { idleMs: 20 } });
      const stream = client.toDuplex();
      stream.resume();
      const [error] = (await once(stream, "error")) as [Error];
      assert.equal(error, client.closeReason?.error);
      thrown(error, "IDLE_TIMEOUT");
      if (!stream.closed) await once(stream, "close");
    });

    it("leaves the socket to be looked at and closed, and nothing else", async (t) => {
      const recorder = new Recorder();
      const { client, server } = await connectedPair(t, kind, { delegate: recorder });
      const iterator = client[Symbol.asyncIterator]();
      const stream = client.toDuplex();
      const told = recorder.names.length;
      for (const call of [
        () => client.read(),
        () => client.write("x"),
        () => client.end(),
        () => client.startTLS({ servername: "localhost" }),
        () => client.toDuplex(),
        () => client.lines(),
      ]) {
        throwsBadState(call);
      }
      server.write("one");
      const [data] = (await once(stream, "data")) as [Buffer];
      assert.ok(data.length > 0);
      await assert.rejects(iterator.next(), /turned into a stream/);
      assert.equal(client.state, "open");
      const reason = await client.disconnect();
      assert.equal(codeOf(reason), null);
      await until(() => stream.closed, "the stream is closed");
      assert.equal(recorder.names.length, told);
      throwsBadState(() => client.connect({ host: "127.0.0.1", port: 1 }));
    });

    it("is refused where the socket is not open, or is asked for something already", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const read = client.read();
      throwsBadState(() => client.toDuplex(), "toDuplex");
      read.cancel();
      client.end();
      throwsBadState(() => client.toDuplex(), "toDuplex");
      server.disconnectAfterReading();
      throwsBadState(() => server.toDuplex(), "toDuplex");
      await client.disconnect();
      throwsBadState(() => client.toDuplex(), "toDuplex");
    });
  });
});

describe("toWeb()", () => {
  overEveryTransport((kind) => {
    const big = muchFor(kind);

    it("is a pair of web streams, of which each ends by itself", async (t) => {
      const { client, server } = await connectedPair(t, kind, { allowHalfOpen: true }, { allowHalfOpen: true });
      const { readable, writable } = client.toWeb();
      const writer = writable.getWriter();
      await writer.write("to the ");
      await writer.write(Buffer.from("server"));
      await writer.close();
      assert.equal((await readToEnd(server)).toString(), "to the server");
      server.write("to the client");
      server.end();
      let text = "";
      for await (const part of readable) text += Buffer.from(part).toString();
      assert.equal(text, "to the client");
      await Promise.all([client.closed, server.closed]);
    });

    it("pipes more than fits at once, both ways", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const echo = server.toWeb();
      const echoed = echo.readable.pipeTo(echo.writable).catch(() => undefined);
      const { readable, writable } = client.toWeb();
      const bytes = pattern(big);
      const writer = writable.getWriter();
      const written = (async () => {
        for (let at = 0; at < big;) await writer.write(bytes.subarray(at, (at += 1 + (at % 100_000))));
        await writer.close();
      })();
      const parts: Uint8Array[] = [];
      for await (const part of readable) parts.push(part);
      assert.ok(Buffer.concat(parts).equals(bytes));
      await Promise.all([written, echoed, client.closed, server.closed]);
    });

    it("ends the writing side with the reading side, but for allowHalfOpen", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { allowHalfOpen: true });
      const { readable, writable } = client.toWeb();
      server.end();
      for await (const part of readable) assert.fail(`${part.length} bytes out of nowhere`);
      const writer = writable.getWriter();
      await assert.rejects(writer.write("late"), /BAD_STATE|allowHalfOpen/);
      assert.equal((await readToEnd(server)).length, 0);
      assert.equal((await client.closed).error, null);
    });

    it("fails on both sides with the error that the socket ends with", async (t) => {
      const { client } = await connectedPair(t, kind, { limits: { idleMs: 20 } });
      const { readable, writable } = client.toWeb();
      const writer = writable.getWriter();
      thrown(
        await readable
          .getReader()
          .read()
          .catch((error: unknown) => error),
        "IDLE_TIMEOUT",
      );
      thrown(await writer.closed.catch((error: unknown) => error), "IDLE_TIMEOUT");
    });

    for (const side of ["readable", "writable"] as const) {
      it(`closes the connection where ${side} is given up`, async (t) => {
        const { client, server } = await connectedPair(t, kind);
        const { readable, writable } = client.toWeb();
        await (side === "readable" ? readable.cancel() : writable.abort());
        assert.equal((await client.closed).by, "local");
        await failure(server.read());
      });
    }
  });
});
