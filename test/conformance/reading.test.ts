import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AsyncSocket } from "asyncsocket";
import { arrived, failure, pattern, Recorder, settled, until } from "../support/delegates.js";
import { connectedPair, overEveryTransport } from "../support/transports.js";

/** What several requests gave, as text, in the order in which they settled. */
function inOrder(requests: Record<string, PromiseLike<unknown>>): { log: string[]; all: Promise<unknown> } {
  const log: string[] = [];
  const all = Promise.all(
    Object.entries(requests).map(async ([name, request]) => {
      const value = await request;
      log.push(`${name}: ${String(value)}`);
    }),
  );
  return { log, all };
}

async function send(from: AsyncSocket, to: AsyncSocket, text: string): Promise<void> {
  from.write(text);
  await arrived(to, Buffer.byteLength(text));
}

describe("reading", () => {
  overEveryTransport((kind) => {
    it("serves mixed reads in the order in which they were queued", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const line = server.readLine();
      const four = server.readExactly(4);
      const rest = server.readUntil("\0");
      client.write("one\r\nfour");
      client.write("to the end\0");
      assert.equal(await line, "one");
      assert.equal((await four).toString(), "four");
      assert.equal((await rest).toString(), "to the end\0");
    });

    it("settles mixed reads one after the other, first in, first out", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const { log, all } = inOrder({
        exactly: server.readExactly(3),
        nothing: server.readExactly(0),
        peek: server.peek({ length: 2 }),
        skip: server.skip(1),
        until: server.readUntil(";"),
        line: server.readLine(),
        frame: server.readFrame({ lengthBytes: 1 }),
        read: server.read({ maxLength: 1 }),
        last: server.readExactly(1, { encoding: "hex" }),
      });
      client.write("abc" + "de;" + "line\n" + "\u0003fff" + "z" + "!");
      await all;
      assert.deepEqual(log, [
        "exactly: abc",
        "nothing: ",
        "peek: de",
        "skip: undefined",
        "until: e;",
        "line: line",
        "frame: fff",
        "read: z",
        "last: 21",
      ]);
    });

    it("reads whatever is there, at least one byte", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      let text = "";
      client.write("what");
      client.write("ever");
      while (text.length < 8) {
        const data = await server.read();
        assert.ok(data.length > 0);
        text += data.toString();
      }
      assert.equal(text, "whatever");
    });

    it("reads all of what is there when it has been there before", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      await send(client, server, "already here");
      assert.equal((await server.read()).toString(), "already here");
    });

    it("does not settle a read while nothing is there", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const request = server.read();
      await settled();
      assert.equal(request.state, "current");
      client.write("!");
      assert.equal((await request).toString(), "!");
    });

    it("reads at most maxLength, and the rest stays", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      await send(client, server, "abcde");
      assert.equal((await server.read({ maxLength: 2 })).toString(), "ab");
      assert.equal(server.unreadBytes, 3);
      assert.equal((await server.read({ maxLength: 3 })).toString(), "cde");
    });

    it("reads exactly so many bytes, however they come", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const data = pattern(5000);
      const requests = [1, 999, 0, 3000, 1000].map((length) => server.readExactly(length));
      for (let at = 0; at < data.length; at += 700) client.write(data.subarray(at, at + 700));
      const results = await Promise.all(requests);
      assert.deepEqual(
        results.map((one) => one.length),
        [1, 999, 0, 3000, 1000],
      );
      assert.ok(Buffer.concat(results).equals(data));
    });

    it("gives an empty buffer for 0 bytes, in its turn", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const { log, all } = inOrder({ first: server.readExactly(1), none: server.readExactly(0) });
      await settled();
      assert.deepEqual(log, []);
      client.write("x");
      await all;
      assert.deepEqual(log, ["first: x", "none: "]);
      const none = await server.readExactly(0);
      assert.ok(Buffer.isBuffer(none));
      assert.equal(none.length, 0);
    });

    it("reads through a delimiter, which is included", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const requests = [
        server.readUntil("\r\n"),
        server.readUntil(Buffer.from("\r\n")),
        server.readUntil(new Uint8Array([0, 0])),
        server.readUntil("é"),
      ];
      client.write("a\rb\r\n\r\nxy\0z\0\0caf");
      client.write("é!");
      const texts = (await Promise.all(requests)).map(String);
      assert.deepEqual(texts, ["a\rb\r\n", "\r\n", "xy\0z\0\0", "café"]);
    });

    it("finds a delimiter behind its own false starts", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("aaab" + "ababac!" + "--\r--\r\r\n");
      assert.equal(String(await server.readUntil("aab")), "aaab");
      assert.equal(String(await server.readUntil("abac")), "ababac");
      assert.equal(String(await server.readUntil("!")), "!");
      assert.equal(String(await server.readUntil("--\r\r\n")), "--\r--\r\r\n");
    });

    it("of several delimiters, lets the one win that ends first", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("x" + "abcde" + ";" + "1\n2\r\n" + "\r\n");
      assert.equal(String(await server.readUntil(["abcde", "cd"])), "xabcd");
      assert.equal(String(await server.readUntil(["!", "e;", ";"])), "e;");
      assert.equal(String(await server.readUntil(["\r\n", "\n"])), "1\n");
      assert.equal(String(await server.readUntil([Buffer.from("\r"), "\r\n", "\n"])), "2\r");
      assert.equal(String(await server.readUntil(["\n", "\n\r\n"])), "\n");
      assert.equal(String(await server.readUntil(["never", Buffer.from("\r\n")])), "\r\n");
    });

    it("reads lines without their ending, LF or CRLF", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("unix\nwindows\r\n\n\r\na\rb\r\r\nGrüße\nend\r\n");
      const lines: string[] = [];
      for (let i = 0; i < 7; i++) lines.push(await server.readLine());
      assert.deepEqual(lines, ["unix", "windows", "", "", "a\rb\r", "Grüße", "end"]);
    });

    it("reads a line in the encoding asked for", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write(Buffer.from("Gr\xfc\xdfe\r\n\x00\xff\n", "latin1"));
      assert.equal(await server.readLine({ encoding: "latin1" }), "Grüße");
      assert.equal(await server.readLine({ encoding: "hex" }), "00ff");
    });

    it("looks at bytes without taking them", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const first = server.peek({ length: 4 });
      const second = server.peek({ length: 2, encoding: "hex" });
      const none = server.peek({ length: 0 });
      const taken = server.readExactly(6);
      client.write("abcd");
      client.write("ef");
      const seen = await first;
      assert.equal(seen.toString(), "abcd");
      seen.fill(0);
      assert.equal(await second, "6162");
      assert.equal((await none).length, 0);
      assert.equal((await taken).toString(), "abcdef");
    });

    it("leaves all bytes unread after a look at them", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      await send(client, server, "abcd");
      await server.peek({ length: 3 });
      assert.equal(server.unreadBytes, 4);
      assert.equal(server.unread.toString(), "abcd");
    });

    it("skips so many bytes, those to come as well", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { limits: { readAhead: 256 } });
      const skipped = server.skip(1000);
      const nothing = server.skip(0);
      const rest = server.readExactly(3);
      for (let i = 0; i < 10; i++) client.write(pattern(100));
      client.write("end");
      assert.equal(await skipped, undefined);
      assert.equal(await nothing, undefined);
      assert.equal((await rest).toString(), "end");
      assert.equal(server.bytesRead, 1003);
    });

    it("tells what is unread, as a copy", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      await send(client, server, "abc");
      const { unread } = server;
      unread.fill(0);
      assert.equal(server.unread.toString(), "abc");
      assert.equal(server.bytesRead, 3);
      assert.equal((await server.readExactly(3)).toString(), "abc");
      assert.equal(server.unreadBytes, 0);
      assert.equal(server.unread.length, 0);
    });

    it("hands tags of any type back untouched", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      server.delegate = recorder;
      const tags: unknown[] = [{ deep: [1] }, Symbol("s"), 0, "", null, false, NaN, 10n, () => 1, undefined];
      const requests = tags.map((tag) => server.readExactly(1, { tag }));
      server.readLine({ tag: tags[0] });
      client.write("0123456789line\n");
      await Promise.all(requests);
      await until(() => recorder.names.includes("didReadText"), "the line");
      assert.deepEqual(
        requests.map((request) => request.tag),
        tags,
      );
      const told = recorder.tags("didRead");
      assert.equal(told.length, tags.length);
      tags.forEach((tag, i) => assert.ok(Object.is(told[i], tag), `tag ${i}`));
      assert.equal(recorder.tags("didReadText")[0], tags[0]);
    });

    it("tells the delegate of bytes by didRead, and of text by didReadText", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      server.delegate = recorder;
      server.readExactly(1, { tag: 1 });
      server.readExactly(1, { tag: 2, encoding: "hex" });
      server.readLine({ tag: 3 });
      server.readUntil(";", { tag: 4 });
      server.readUntil(";", { tag: 5, encoding: "utf8" });
      server.readFrame({ lengthBytes: 1, tag: 6 });
      server.readFrame({ lengthBytes: 1, tag: 7, encoding: "latin1" });
      server.peek({ length: 1, tag: 8 });
      server.peek({ length: 1, tag: 9, encoding: "latin1" });
      server.read({ maxLength: 1, tag: 10 });
      server.read({ maxLength: 1, tag: 11, encoding: "latin1" });
      client.write("ABline\nb;c;\x01f\x02ggxy");
      await until(() => recorder.calls.length >= 11, "eleven calls");
      assert.deepEqual(recorder.calls, [
        ["didRead", "A", 1],
        ["didReadText", "42", 2],
        ["didReadText", "line", 3],
        ["didRead", "b;", 4],
        ["didReadText", "c;", 5],
        ["didRead", "f", 6],
        ["didReadText", "gg", 7],
        ["didRead", "x", 8],
        ["didReadText", "x", 9],
        ["didRead", "x", 10],
        ["didReadText", "y", 11],
      ]);
    });

    it("tells the delegate of a finished skip once, with its tag and no bytes", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      server.delegate = recorder;
      client.write("abc");
      await server.skip(3, { tag: "over" });
      assert.deepEqual(recorder.calls, [["didRead", "", "over"]]);
    });

    it("decodes each result by the encoding asked for", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write(Buffer.from([0x68, 0xc3, 0xa9, 0xff, 0x00, 0x41, 0x42, 0x43]));
      assert.equal(await server.readExactly(3, { encoding: "utf8" }), "hé");
      assert.equal(await server.readExactly(2, { encoding: "hex" }), "ff00");
      assert.equal(await server.readUntil("C", { encoding: "base64" }), "QUJD");
    });

    it("decision 15: leaves an incomplete last character for the next read({ encoding })", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const euro = Buffer.from("€");
      client.write(Buffer.concat([Buffer.from("a"), euro.subarray(0, 2)]));
      await arrived(server, 3);
      assert.equal(await server.read({ encoding: "utf8" }), "a");
      assert.equal(server.unreadBytes, 2);
      const next = server.read({ encoding: "utf8" });
      await settled();
      assert.equal(next.state, "current");
      client.write(euro.subarray(2));
      assert.equal(await next, "€");
    });

    it("decision 15: gives text of any script whole, whatever the chunks", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const text = "aé€😀ß漢字🏳️‍🌈".repeat(20);
      client.write(text);
      let got = "";
      while (got.length < text.length) got += await server.read({ encoding: "utf8" });
      assert.equal(got, text);
    });

    it("puts the bytes into the memory given, and gives a view of it", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const into = new Uint8Array(new ArrayBuffer(16), 4, 8).fill(0x2e);
      client.write("abcde");
      const data = await server.readExactly(5, { into });
      assert.ok(Buffer.isBuffer(data));
      assert.equal(data.toString(), "abcde");
      assert.equal(data.buffer, into.buffer);
      assert.equal(data.byteOffset, 4);
      assert.equal(Buffer.from(into).toString(), "abcde...");
    });

    it("bounds a read by the memory given", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      await send(client, server, "abcdef;gh;");
      const into = Buffer.alloc(4);
      assert.equal((await server.read({ into })).toString(), "abcd");
      assert.equal((await server.readUntil(";", { into })).toString(), "ef;");
      assert.equal((await server.peek({ length: 2, into })).toString(), "gh");
      assert.equal(into.toString(), "gh;d");
      assert.equal(server.unread.toString(), "gh;");
    });

    it("accepts undefined for every option", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const none = { timeout: undefined, tag: undefined, signal: undefined, onFailure: undefined };
      const data = { ...none, encoding: undefined, into: undefined };
      client.write("abcd;line\n\x01fpz", none);
      assert.equal(String(await server.readExactly(4, data)), "abcd");
      assert.equal(String(await server.readUntil(";", { ...data, maxLength: undefined })), ";");
      assert.equal(await server.readLine({ ...none, encoding: undefined, maxLength: undefined }), "line");
      const frame = { ...data, lengthBytes: 1, littleEndian: undefined, lengthIncludesHeader: undefined };
      assert.equal(String(await server.readFrame({ ...frame, maxLength: undefined })), "f");
      assert.equal(String(await server.peek({ ...data, length: 1 })), "p");
      assert.equal(await server.skip(1, none), undefined);
      assert.equal(String(await server.read({ ...data, maxLength: undefined })), "z");
    });

    it("throws for wrong arguments at once, and queues nothing", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const wrong = (call: () => unknown, type: typeof TypeError | typeof RangeError): void => {
        assert.throws(call, (error: Error) => error.constructor === type && /^Expected .+, got /.test(error.message));
      };
      const any = (value: unknown): never => value as never;
      for (const length of [-1, 1.5, NaN, Infinity]) wrong(() => server.readExactly(length), RangeError);
      for (const length of ["1", null, undefined, {}]) wrong(() => server.readExactly(any(length)), TypeError);
      for (const length of [-1, 0.5, NaN]) wrong(() => server.skip(length), RangeError);
      for (const length of [-1, 0.5]) wrong(() => server.peek({ length }), RangeError);
      for (const options of [undefined, null, 1, {}]) wrong(() => server.peek(any(options)), TypeError);
      for (const delimiter of ["", [], [""], Buffer.alloc(0)]) wrong(() => server.readUntil(delimiter), RangeError);
      for (const delimiter of [undefined, null, 10, [10]]) wrong(() => server.readUntil(any(delimiter)), TypeError);
      for (const maxLength of [0, -1, 1.5, NaN]) wrong(() => server.read({ maxLength }), RangeError);
      wrong(() => server.readUntil("abc", { maxLength: 2 }), RangeError);
      for (const timeout of [-1, NaN]) wrong(() => server.read({ timeout }), RangeError);
      wrong(() => server.read({ timeout: any("1") }), TypeError);
      wrong(() => server.read({ signal: any({}) }), TypeError);
      wrong(() => server.read(any(5)), TypeError);
      wrong(() => server.readLine({ encoding: any(7) }), TypeError);
      wrong(() => server.readExactly(1, { into: any("x") }), TypeError);
      wrong(() => server.readExactly(2, { into: Buffer.alloc(1) }), RangeError);
      for (const options of [undefined, null, 4, {}]) wrong(() => server.readFrame(any(options)), TypeError);
      for (const lengthBytes of [0, 7, 9, -1, 1.5]) wrong(() => server.readFrame({ lengthBytes }), RangeError);
      assert.throws(() => server.read({ encoding: any("no such encoding") }), /^(TypeError|RangeError): Expected /);
      assert.throws(() => server.read({ onFailure: any("ignore") }), /^(TypeError|RangeError): Expected /);
      assert.equal(server.pendingReads, 0);
      client.write("on");
      assert.equal(String(await server.readExactly(2)), "on");
    });
  });
});

describe("partial reports of reads", () => {
  overEveryTransport((kind) => {
    it("tell what has come since the last, for unfinished reads only", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const partial: number[] = [];
      server.delegate = {
        didReadPartial(socket, byteCount, tag) {
          assert.equal(socket, server);
          assert.equal(tag, "ten");
          partial.push(byteCount);
        },
      };
      const sum = (): number => partial.reduce((a, b) => a + b, 0);
      const request = server.readExactly(10, { tag: "ten" });
      client.write("1234");
      await until(() => sum() === 4, "four bytes reported");
      assert.equal(request.bytesDone, 4);
      client.write("567");
      await until(() => sum() === 7, "seven bytes reported");
      const before = partial.length;
      client.write("890");
      assert.equal(String(await request), "1234567890");
      assert.ok(partial.every((count) => count > 0));
      // The last chunk finished the read, and is told of by the read itself.
      if (kind.chunkBytes === 1) assert.deepEqual(partial, Array<number>(9).fill(1));
      else assert.ok(partial.length === before || sum() < 10);
      assert.ok(sum() < 10);
    });

    it("count what was unread before the read, and start anew with each read", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      await send(client, server, "abcd");
      const partial: [number, unknown][] = [];
      server.delegate = { didReadPartial: (_socket, byteCount, tag) => void partial.push([byteCount, tag]) };
      const first = server.readExactly(6, { tag: 1 });
      await until(() => partial.length > 0, "a report");
      assert.deepEqual(partial, [[4, 1]]);
      const second = server.readUntil(";", { tag: 2 });
      client.write("ef");
      await first;
      const firsts = partial.length;
      client.write("xyz");
      await until(() => partial.slice(firsts).reduce((a, [b]) => a + b, 0) === 3, "three more bytes reported");
      client.write(";");
      assert.equal(String(await second), "xyz;");
      assert.ok(partial.slice(firsts).every(([, tag]) => tag === 2));
    });

    it("are not made for reads that are met at once", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      await send(client, server, "abcdline\n");
      server.delegate = { didReadPartial: () => assert.fail("nothing was partial") };
      await server.readExactly(4);
      assert.equal(await server.readLine(), "line");
    });
  });
});

describe("a failed read", () => {
  overEveryTransport((kind) => {
    it("names operation, tag, bytes done and a copy of what had come", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const tag = { is: "mine" };
      const request = server.readExactly(10, { tag });
      client.write("abc");
      await until(() => request.bytesDone === 3, "three bytes");
      request.cancel();
      const error = await failure(request, "CANCELED");
      assert.equal(error.operation, "readExactly");
      assert.equal(error.tag, tag);
      assert.equal(error.bytesDone, 3);
      assert.equal(error.partial?.toString(), "abc");
      assert.equal(request.bytesDone, 3);
    });
  });
});
