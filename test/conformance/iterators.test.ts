import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { arrived, failure, pattern, readToEnd, settled, thrown, until } from "../support/delegates.js";
import { connectedPair, overEveryTransport } from "../support/transports.js";

/** All that an iterator gives, and what it throws. */
async function drain<T>(iterator: AsyncIterable<T>): Promise<{ values: T[]; error: unknown }> {
  const values: T[] = [];
  try {
    for await (const value of iterator) values.push(value);
    return { values, error: null };
  } catch (error) {
    return { values, error };
  }
}

describe("iterators", () => {
  overEveryTransport((kind) => {
    it("decision 15: lines() gives lines, and ends at a FIN on a boundary", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("one\r\ntwo\n\nfour\n");
      client.end();
      const { values, error } = await drain(server.lines());
      assert.deepEqual(values, ["one", "two", "", "four"]);
      assert.equal(error, null);
      assert.equal((await server.closed).by, "remote");
    });

    it("decision 15: frames() gives bodies, and ends at a FIN on a boundary", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write(Buffer.from("\0\x03abc\0\0\0\x01d", "latin1"));
      client.end();
      const { values, error } = await drain(server.frames({ lengthBytes: 2 }));
      assert.deepEqual(values.map(String), ["abc", "", "d"]);
      assert.equal(error, null);
    });

    it("decision 15: for await over the socket gives all bytes, and ends at the FIN", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const data = pattern(kind.chunkBytes === 1 ? 2000 : 1_000_000);
      client.write(data);
      client.end();
      const chunks: Buffer[] = [];
      for await (const chunk of server) {
        assert.ok(chunk.length > 0);
        chunks.push(chunk);
      }
      assert.ok(Buffer.concat(chunks).equals(data));
    });

    it("decision 15: an empty stream gives nothing", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.end();
      assert.deepEqual(await drain(server.lines()), { values: [], error: null });
      assert.deepEqual(await drain(server.frames({ lengthBytes: 1 })), { values: [], error: null });
      assert.deepEqual(await drain(server), { values: [], error: null });
    });

    it("decision 15: a slow consumer loses nothing at the end", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("1\n2\n3\n4\n");
      client.end();
      const lines: string[] = [];
      for await (const line of server.lines()) {
        lines.push(line);
        await settled(10);
      }
      assert.deepEqual(lines, ["1", "2", "3", "4"]);
    });

    it("decision 15: with a remainder, they throw END_OF_STREAM", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("one\ntwo");
      client.end();
      const { values, error } = await drain(server.lines());
      assert.deepEqual(values, ["one"]);
      const remainder = thrown(error, "END_OF_STREAM");
      assert.equal(remainder.partial?.toString(), "two");
      assert.equal((await server.closed).unread.toString(), "two");
    });

    for (const [what, rest] of [
      ["a frame", "\0\x03ab"],
      ["a header", "\0"],
    ] as const) {
      it(`decision 15: half of ${what} is a remainder`, async (t) => {
        const { client, server } = await connectedPair(t, kind);
        client.write(Buffer.from(`\0\x01x${rest}`, "latin1"));
        client.end();
        const { values, error } = await drain(server.frames({ lengthBytes: 2 }));
        assert.deepEqual(values.map(String), ["x"]);
        thrown(error, "END_OF_STREAM");
      });
    }

    it("decision 15: with allowHalfOpen they end on a boundary, too", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { allowHalfOpen: true });
      client.write("one\n");
      client.end();
      assert.deepEqual(await drain(server.lines()), { values: ["one"], error: null });
      assert.equal(server.state, "open");
    });

    it("decision 15: with allowHalfOpen a remainder throws, too", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { allowHalfOpen: true });
      client.write("one\ntwo");
      client.end();
      const { values, error } = await drain(server.lines());
      assert.deepEqual(values, ["one"]);
      thrown(error, "END_OF_STREAM");
      assert.equal(server.state, "open");
      assert.equal(server.unread.toString(), "two");
    });

    it("decision 15: they end normally after a local close, even one from inside the loop", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("one\ntwo\nhalf");
      await arrived(server, 12);
      const lines: string[] = [];
      for await (const line of server.lines()) {
        lines.push(line);
        if (line === "two") server.disconnect();
      }
      assert.deepEqual(lines, ["one", "two"]);
      const waiting = drain(client.lines());
      await settled();
      client.disconnect();
      assert.deepEqual(await waiting, { values: [], error: null });
      assert.deepEqual(await drain(client.lines()), { values: [], error: null });
    });

    it("decision 15: they end normally when disconnectAfterWriting closes", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const waiting = drain(server.lines());
      await settled();
      server.disconnectAfterWriting();
      assert.deepEqual(await waiting, { values: [], error: null });
      await client.closed;
    });

    it("decision 15: any other close throws its error", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("short\nmuch too long a line\n");
      const { values, error } = await drain(server.lines({ maxLength: 8 }));
      assert.deepEqual(values, ["short"]);
      assert.equal(error, (await server.closed).error);
      thrown(error, "READ_LIMIT");
    });

    it("decision 15: an error that another entry closed with is thrown, too", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const waiting = drain(client.lines());
      await settled();
      client.write(Buffer.alloc(100));
      const aborted = new AbortController();
      const limited = client.write(Buffer.alloc(32 * 1024 * 1024), { signal: aborted.signal });
      const closing = await failure(limited, "QUEUE_FULL");
      const { error } = await waiting;
      assert.equal(error, closing);
      await server.closed;
    });

    it("decision 15: a timeout of one read ends the loop with its error", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("one\nhalf");
      const { values, error } = await drain(server.lines({ timeout: 30, onFailure: "continue" }));
      assert.deepEqual(values, ["one"]);
      thrown(error, "READ_TIMEOUT");
      assert.equal(server.state, "open");
      client.write("\n");
      assert.equal(await server.readLine(), "half");
    });

    it("leaving early leaves bytes and socket as they are", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("one\ntwo\n\x02ffrest");
      await arrived(server, 15);
      for await (const line of server.lines()) {
        assert.equal(line, "one");
        break;
      }
      assert.equal(server.pendingReads, 0);
      assert.equal(server.unread.toString(), "two\n\x02ffrest");
      for await (const line of server.lines()) {
        assert.equal(line, "two");
        break;
      }
      for await (const body of server.frames({ lengthBytes: 1 })) {
        assert.equal(String(body), "ff");
        break;
      }
      assert.equal(String(await server.readExactly(4)), "rest");
      assert.equal(server.state, "open");
    });

    it("leaving by a throw leaves them as well", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("one\ntwo\n");
      const mine = new Error("mine");
      await assert.rejects(
        async () => {
          for await (const line of server.lines()) if (line === "one") throw mine;
        },
        (error) => error === mine,
      );
      assert.equal(await server.readLine(), "two");
    });

    it("leaving while a read is under way takes that read back", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const iterator = server.lines();
      const next = iterator.next();
      client.write("half");
      await arrived(server, 4);
      assert.deepEqual(await iterator.return?.(), { done: true, value: undefined });
      assert.deepEqual(await next, { done: true, value: undefined });
      assert.equal(server.pendingReads, 0);
      assert.equal(server.unread.toString(), "half");
      assert.deepEqual(await iterator.next(), { done: true, value: undefined });
      client.write("\n");
      assert.equal(await server.readLine(), "half");
    });

    it("queue one read at a time, and none before they are asked", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const iterator = server.lines();
      await settled();
      assert.equal(server.pendingReads, 0);
      client.write("1\n2\n3\n");
      await arrived(server, 6);
      assert.deepEqual(await iterator.next(), { done: false, value: "1" });
      await settled();
      assert.equal(server.pendingReads, 0);
      assert.equal(server.unread.toString(), "2\n3\n");
    });

    it("may be asked for several at once, which are given in order, by one read at a time", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const iterator = server.lines();
      const several = [iterator.next(), iterator.next(), iterator.next(), iterator.next()];
      await settled();
      assert.equal(server.pendingReads, 1);
      client.write("1\n2\n3\n");
      client.end();
      const results = await Promise.all(several);
      assert.deepEqual(results, [
        { done: false, value: "1" },
        { done: false, value: "2" },
        { done: false, value: "3" },
        { done: true, value: undefined },
      ]);
      assert.deepEqual(await iterator.next(), { done: true, value: undefined });
    });

    it("may be left with several asked for, which all end", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const iterator = server.lines();
      const several = [iterator.next(), iterator.next(), iterator.next()];
      await settled();
      const results: unknown[] = [];
      for (const one of several) one.then((result) => results.push(result));
      await iterator.return?.();
      await settled();
      assert.deepEqual(results, Array(3).fill({ done: true, value: undefined }));
      assert.equal(server.pendingReads, 0);
      client.write("for the next\n");
      assert.equal(await server.readLine(), "for the next");
    });

    it("of several asked for, throw an error once, and are over then", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const iterator = server.lines();
      const several = [iterator.next(), iterator.next(), iterator.next()];
      client.write("1\nhalf");
      client.end();
      const results = await Promise.allSettled(several);
      assert.deepEqual(results[0], { status: "fulfilled", value: { done: false, value: "1" } });
      assert.equal(results[1]?.status, "rejected");
      assert.deepEqual(results[2], { status: "fulfilled", value: { done: true, value: undefined } });
      assert.deepEqual(await iterator.next(), { done: true, value: undefined });
    });

    it("stand in line with other reads", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const before = server.readExactly(2);
      const next = server.lines().next();
      const after = server.readExactly(2);
      client.write("ABline\nCD");
      assert.equal(String(await before), "AB");
      assert.deepEqual(await next, { done: false, value: "line" });
      assert.equal(String(await after), "CD");
    });

    it("hand their options on", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const told: unknown[] = [];
      server.delegate = { didReadText: (_socket, text, tag) => void told.push([text, tag]) };
      client.write(Buffer.from("\xfc\n", "latin1"));
      for await (const line of server.lines({ encoding: "latin1", tag: "t" })) {
        assert.equal(line, "ü");
        break;
      }
      assert.deepEqual(told, [["ü", "t"]]);
      assert.throws(() => server.lines({ maxLength: 0 }), RangeError);
      assert.throws(() => server.frames({ lengthBytes: 7 }), RangeError);
      assert.throws(() => server.frames(undefined as never), TypeError);
    });

    it("let the peer's answers be read while they run", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const serving = (async () => {
        for await (const line of server.lines()) await server.write(`${line.toUpperCase()}\n`);
      })();
      for (const word of ["a", "bc", "def"]) {
        client.write(`${word}\n`);
        assert.equal(await client.readLine(), word.toUpperCase());
      }
      client.end();
      await serving;
      assert.equal(String(await readToEnd(client)), "");
      await until(() => client.state === "closed", "the close");
    });
  });
});
