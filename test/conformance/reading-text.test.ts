import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AsyncSocketDelegate } from "asyncsocket";
import { failure } from "../support/delegates.js";
import { connectedPair, overEveryTransport } from "../support/transports.js";

/** Bytes that are no UTF-8, and that no decoding gives back. */
const LATIN = Buffer.from("caf\xe9 \xff", "latin1");
const FRAME = Buffer.concat([Buffer.of(LATIN.length), LATIN]);

describe("Text that is read reaches a delegate that has no method for text", () => {
  overEveryTransport((kind) => {
    it("by didRead, with the bytes as they came", async (t) => {
      const told: [data: unknown, tag: unknown][] = [];
      const delegate: AsyncSocketDelegate = { didRead: (_, data, tag) => void told.push([data, tag]) };
      const { client, server } = await connectedPair(t, kind, { delegate });
      const texts = [
        client.readLine({ tag: "line" }),
        client.readLine({ tag: "with CRLF" }),
        client.readLine({ tag: "empty" }),
        client.peek({ length: 6, encoding: "latin1", tag: "peek" }),
        client.readExactly(6, { encoding: "utf8", tag: "exactly" }),
        client.readUntil("\n", { encoding: "hex", tag: "until" }),
        client.readFrame({ lengthBytes: 1, encoding: "ascii", tag: "frame" }),
        client.read({ encoding: "base64", maxLength: 6, tag: "whatever" }),
      ];
      server.write([LATIN, "\n", LATIN, "\r\n", "\n", LATIN, LATIN, "\n", FRAME, LATIN]);
      const values = await Promise.all(texts);
      for (const value of values) assert.equal(typeof value, "string");
      assert.deepEqual(
        told.map(([, tag]) => tag),
        ["line", "with CRLF", "empty", "peek", "exactly", "until", "frame", "whatever"],
      );
      const newline = Buffer.concat([LATIN, Buffer.from("\n")]);
      // What is there when the last one is served depends on the chunks.
      const last = Buffer.from(values[7] as string, "base64");
      const expected = [LATIN, LATIN, Buffer.alloc(0), LATIN, LATIN, newline, LATIN, last];
      assert.deepEqual(
        told.map(([data]) => data),
        expected,
      );
    });

    it("and only by didReadText where there is one, set at any time before", async (t) => {
      const told: unknown[] = [];
      const didRead = (_: unknown, data: Buffer): void => void told.push(data);
      const { client, server } = await connectedPair(t, kind, { delegate: { didRead } });
      const lines = [client.readLine(), client.readLine(), client.readLine()];
      server.write("one\n");
      assert.equal(await lines[0], "one");
      client.delegate = { didRead, didReadText: (_, text) => void told.push(text) };
      server.write("two\n");
      assert.equal(await lines[1], "two");
      client.delegate = null;
      server.write("three\n");
      assert.equal(await lines[2], "three");
      assert.deepEqual(told, [Buffer.from("one"), "two"]);
    });

    it("the bytes are the delegate's: what comes later does not change them", async (t) => {
      const told: Buffer[] = [];
      const delegate: AsyncSocketDelegate = { didRead: (_, data) => void told.push(data) };
      const { client, server } = await connectedPair(t, kind, { delegate });
      for (let i = 0; i < 50; i++) client.readLine();
      for (let i = 0; i < 50; i++) await server.write(`line ${i}\n`);
      while (told.length < 50) await client.readExactly(0);
      // Each of those that were asked for to pass the time is told, too, with nothing.
      const lines = told.filter(({ length }) => length > 0);
      assert.deepEqual(
        lines.map(String),
        Array.from({ length: 50 }, (_, i) => `line ${i}`),
      );
    });

    it("whichever methods the delegate has at that moment, from one line to the next of a single chunk", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const told: unknown[] = [];
      const forText: AsyncSocketDelegate = {
        didReadText(socket, text) {
          told.push(text);
          socket.delegate = forBytes;
        },
      };
      const forBytes: AsyncSocketDelegate = {
        didRead(socket, data) {
          told.push(data);
          socket.delegate = forText;
        },
      };
      client.delegate = forText;
      const lines = client.readLine({ repeat: true });
      server.write("one\ntwo\nthree\nfour\n");
      server.end();
      assert.equal(await lines, 4);
      assert.deepEqual(told, ["one", Buffer.from("two"), "three", Buffer.from("four")]);
    });

    it("and not where looking for its methods has cancelled the read: the bytes stay", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const told: unknown[] = [];
      let looks = 0;
      client.delegate = {
        get didReadText() {
          if (++looks === 5) client.cancelReads();
          return (_: unknown, text: string): void => void told.push(text);
        },
      };
      const lines = client.readLine({ repeat: true });
      server.write("one\ntwo\nthree\nfour\nfive\n");
      await failure(lines, "CANCELED");
      client.delegate = null;
      const rest = await client.readUntil("five\n");
      // They are looked for before the bytes of a line are taken, and where it is told.
      assert.deepEqual(told, ["one", "two"]);
      assert.equal(String(rest), "three\nfour\nfive\n");
    });
  });
});
