import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { arrived, failure, pattern, readToEnd, Recorder, settled, until } from "../support/delegates.js";
import { connectedPair, overEveryTransport } from "../support/transports.js";

describe("the peer's FIN", () => {
  overEveryTransport((kind) => {
    it("decision 9: with nothing unread and nothing queued, it closes: by the peer, without an error", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      server.delegate = recorder;
      client.end();
      const reason = await server.closed;
      assert.equal(reason.by, "remote");
      assert.equal(reason.error, null);
      assert.equal(reason.unread.length, 0);
      assert.equal(server.peerEnded, true);
      assert.deepEqual(recorder.names, ["didEndReading", "willDisconnect", "didDisconnect"]);
    });

    it("decision 9: has its place behind the received bytes, however late the next read comes", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      server.delegate = recorder;
      client.write("line\nrest");
      client.end();
      await until(() => server.peerEnded, "the FIN");
      await settled(50);
      assert.equal(server.state, "open");
      assert.deepEqual(recorder.calls, []);
      assert.equal(server.unread.toString(), "line\nrest");
      assert.equal(await server.readLine(), "line");
      await settled(50);
      assert.equal(server.state, "open");
      assert.equal(String(await server.readExactly(2)), "re");
      await settled(50);
      assert.equal(server.state, "open");
      assert.equal(recorder.of("didEndReading").length, 0);
      assert.equal(String(await server.read()), "st");
      const reason = await server.closed;
      assert.equal(reason.by, "remote");
      assert.equal(reason.error, null);
      assert.equal(recorder.of("didEndReading").length, 1);
      assert.equal(recorder.names.at(-1), "didDisconnect");
    });

    it("decision 9: while bytes are unread, writing goes on as before", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("unread");
      client.end();
      await until(() => server.peerEnded, "the FIN");
      for (let i = 0; i < 3; i++) {
        await server.write("still here\n");
        assert.equal(await client.readLine(), "still here");
      }
      assert.equal(server.state, "open");
      assert.equal(server.unread.toString(), "unread");
    });

    it("decision 9: peerEnded tells of it before it takes effect", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      assert.equal(server.peerEnded, false);
      client.write("x");
      await arrived(server, 1);
      assert.equal(server.peerEnded, false);
      client.end();
      await until(() => server.peerEnded, "the FIN");
      assert.equal(server.state, "open");
      assert.equal(client.peerEnded, false);
    });

    it("decision 9: reads that what is left can meet are met, in their order", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const requests = [
        server.readLine(),
        server.readExactly(3),
        server.peek({ length: 2 }),
        server.skip(1),
        server.readFrame({ lengthBytes: 1 }),
        server.readUntil("!"),
      ];
      client.write("line\nabcde\x02ff!");
      client.end();
      const values = (await Promise.all(requests.slice(0, 3))).map(String);
      assert.deepEqual(values, ["line", "abc", "de"]);
      await requests[3];
      // The frame's length is "e", 101: more than is there.
      const error = await failure(requests[4] ?? Promise.resolve(), "END_OF_STREAM");
      assert.equal(error.bytesDone, 5);
      assert.equal(error.partial?.toString(), "e\x02ff!");
      await failure(requests[5] ?? Promise.resolve(), "END_OF_STREAM");
      assert.equal((await server.closed).unread.toString(), "e\x02ff!");
    });

    it("decision 9: takes effect when the current read cannot be met, and none behind is served from its bytes", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      server.delegate = recorder;
      const long = server.readExactly(10, { tag: "long" });
      const short = server.readExactly(2, { tag: "short" });
      const any = server.read({ tag: "any" });
      const none = server.readExactly(0, { tag: "none" });
      client.write("four");
      client.end();
      const error = await failure(long, "END_OF_STREAM");
      assert.equal(error.operation, "readExactly");
      assert.equal(error.tag, "long");
      assert.equal(error.bytesDone, 4);
      assert.equal(error.partial?.toString(), "four");
      for (const request of [short, any, none]) {
        const other = await failure(request, "END_OF_STREAM");
        assert.equal(other.bytesDone, 0);
      }
      const reason = await server.closed;
      assert.equal(reason.by, "remote");
      assert.equal(reason.error, null);
      assert.equal(reason.unread.toString(), "four");
      assert.equal(server.unread.toString(), "four");
      assert.deepEqual(recorder.tags("didFailRead"), ["long", "short", "any", "none"]);
      assert.equal(recorder.of("didEndReading").length, 1);
      assert.equal(recorder.of("didRead").length, 0);
    });

    it("decision 9: a late read that cannot be met makes it take effect", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("four");
      client.end();
      await until(() => server.peerEnded, "the FIN");
      await settled(50);
      const line = server.readLine();
      const behind = server.readExactly(4);
      const error = await failure(line, "END_OF_STREAM");
      assert.equal(error.partial?.toString(), "four");
      await failure(behind, "END_OF_STREAM");
      assert.equal((await server.closed).unread.toString(), "four");
    });

    for (const [name, read] of Object.entries({
      read: "read",
      readExactly: "readExactly",
      readUntil: "readUntil",
      readLine: "readLine",
      readFrame: "readFrame",
      peek: "peek",
      skip: "skip",
    })) {
      it(`decision 9: ${name} on an empty stream fails with END_OF_STREAM`, async (t) => {
        const { client, server } = await connectedPair(t, kind);
        const request = {
          read: () => server.read(),
          readExactly: () => server.readExactly(1),
          readUntil: () => server.readUntil(";"),
          readLine: () => server.readLine(),
          readFrame: () => server.readFrame({ lengthBytes: 2 }),
          peek: () => server.peek({ length: 1 }),
          skip: () => server.skip(1),
        }[read];
        const reading = request?.() ?? server.read();
        client.end();
        const error = await failure(reading, "END_OF_STREAM");
        assert.equal(error.operation, name);
        assert.equal(error.bytesDone, 0);
        assert.equal((await server.closed).by, "remote");
      });
    }

    it("decision 9: a look at the last bytes leaves them and the connection as they are", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("four");
      client.end();
      await until(() => server.peerEnded, "the FIN");
      assert.equal(String(await server.peek({ length: 4 })), "four");
      await settled(50);
      assert.equal(server.state, "open");
      const error = await failure(server.peek({ length: 5 }), "END_OF_STREAM");
      assert.equal(error.bytesDone, 4);
      assert.equal((await server.closed).unread.toString(), "four");
    });

    it("decision 8: a limit is READ_LIMIT before it is the end, whatever comes first", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("123456");
      client.end();
      await until(() => server.peerEnded, "the FIN");
      await failure(server.readLine({ maxLength: 6, onFailure: "continue" }), "READ_LIMIT");
      assert.equal(server.state, "open");
      const error = await failure(server.readLine({ maxLength: 7 }), "END_OF_STREAM");
      assert.equal(error.partial?.toString(), "123456");
    });

    it("decision 9: an incomplete last character stays in unread", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write(Buffer.from([0x61, 0xe2, 0x82]));
      client.end();
      let text = "";
      try {
        for (;;) text += await server.read({ encoding: "utf8" });
      } catch (error) {
        assert.equal((error as { code?: string }).code, "ERR_ASYNCSOCKET_END_OF_STREAM");
      }
      assert.equal(text, "a");
      assert.deepEqual([...(await server.closed).unread], [0xe2, 0x82]);
    });

    it("decision 9: a delegate that reads on in didRead gets every last byte", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const lines: string[] = [];
      server.delegate = {
        didReadText(socket, text) {
          lines.push(text);
          socket.readLine();
        },
      };
      server.readLine();
      client.write("one\ntwo\nthree\n");
      client.end();
      const reason = await server.closed;
      assert.deepEqual(lines, ["one", "two", "three"]);
      assert.equal(reason.error, null);
    });

    it("decision 9: code that awaits one read after the other gets every last byte", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const data = pattern(3000);
      client.write(data);
      client.end();
      const pieces: Buffer[] = [];
      for (let i = 0; i < 30; i++) {
        pieces.push(await server.readExactly(100));
        if (i % 10 === 0) await settled(5);
      }
      assert.ok(Buffer.concat(pieces).equals(data));
      assert.equal((await server.closed).by, "remote");
    });

    it("decision 9: queued writes are finished before the socket closes", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const data = pattern(kind.chunkBytes === 1 ? 20_000 : 3_000_000);
      client.end();
      const writes = [server.write(data), server.write("last words")];
      const got = await client.readExactly(data.length + 10);
      assert.ok(got.subarray(0, data.length).equals(data));
      assert.equal(got.subarray(data.length).toString(), "last words");
      await Promise.all(writes);
      await failure(client.read(), "END_OF_STREAM");
      const reason = await server.closed;
      assert.equal(reason.by, "remote");
      assert.equal(reason.error, null);
      assert.equal(reason.unsentBytes, 0);
      assert.equal((await client.closed).error, null);
    });

    it("decision 9: writes queued by code that learns of it are finished, too", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("question\n");
      client.end();
      server.delegate = { didReadText: (socket, text) => void socket.write(`answer to ${text}`) };
      server.readLine();
      assert.equal(String(await readToEnd(client)), "answer to question");
    });

    it("decision 9: reads that come after the close fail, and take nothing", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("four");
      client.end();
      await failure(server.readExactly(5), "END_OF_STREAM");
      await server.closed;
      await failure(server.readExactly(4), "CLOSED");
      assert.equal(server.unread.toString(), "four");
    });

    it("decision 10: is noticed with no read queued", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.disconnect();
      assert.equal((await server.closed).by, "remote");
    });
  });
});

describe("the peer's FIN, with allowHalfOpen", () => {
  overEveryTransport((kind) => {
    const halfOpen = { allowHalfOpen: true };

    it("decision 9: writing goes on, and nothing closes by itself", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, halfOpen);
      const recorder = new Recorder();
      server.delegate = recorder;
      const reading = server.read();
      client.end();
      await failure(reading, "END_OF_STREAM");
      await settled(50);
      assert.equal(server.state, "open");
      assert.deepEqual(
        recorder.names,
        ["didFailRead", "didEndReading"].sort((a) => (a === recorder.names[0] ? -1 : 1)),
      );
      await server.write("still ");
      await settled(50);
      await server.write("writing");
      assert.equal(String(await client.readExactly(13)), "still writing");
      assert.equal(server.state, "open");
      server.end();
      assert.equal((await server.closed).error, null);
      await failure(client.read());
      assert.equal(recorder.of("didEndReading").length, 1);
      assert.equal(recorder.names.at(-1), "didDisconnect");
    });

    it("decision 9: a later read is met from unread if it can be", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, halfOpen);
      const recorder = new Recorder();
      server.delegate = recorder;
      const line = server.readLine();
      const behind = server.readExactly(4);
      client.write("remainder");
      client.end();
      await failure(line, "END_OF_STREAM");
      await failure(behind, "END_OF_STREAM");
      assert.equal(server.unread.toString(), "remainder");
      await settled(50);
      assert.equal(server.state, "open");
      assert.equal(String(await server.readExactly(2)), "re");
      assert.equal(String(await server.peek({ length: 4 })), "main");
      await failure(server.readLine(), "END_OF_STREAM");
      assert.equal(String(await server.readUntil("d")), "maind");
      assert.equal(String(await server.read()), "er");
      await failure(server.read(), "END_OF_STREAM");
      await settled(50);
      assert.equal(server.state, "open");
      assert.equal(recorder.of("didEndReading").length, 1);
      await server.write("bye");
      assert.equal(String(await client.readExactly(3)), "bye");
    });

    it("decision 9: of later reads, none is served from bytes meant for one before it", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, halfOpen);
      client.write("abcd");
      client.end();
      await until(() => server.peerEnded, "the FIN");
      const requests = [server.readExactly(2), server.readExactly(3), server.readExactly(1)];
      assert.equal(String(await requests[0]), "ab");
      for (const request of requests.slice(1)) await failure(request, "END_OF_STREAM");
      assert.equal(server.unread.toString(), "cd");
      assert.equal(String(await server.readExactly(1)), "c");
    });

    it("decision 9: takes effect once, when no unread byte is before it", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, halfOpen);
      const recorder = new Recorder();
      server.delegate = recorder;
      client.write("ab");
      client.end();
      await until(() => server.peerEnded, "the FIN");
      await settled(50);
      assert.deepEqual(recorder.calls, []);
      await server.readExactly(1);
      await settled(50);
      assert.equal(recorder.of("didEndReading").length, 0);
      await server.readExactly(1);
      await until(() => recorder.of("didEndReading").length > 0, "didEndReading");
      await failure(server.readExactly(1), "END_OF_STREAM");
      await settled(50);
      assert.equal(recorder.of("didEndReading").length, 1);
      assert.equal(server.state, "open");
    });

    it("decision 9: once both sides have ended, the socket closes without an error", async (t) => {
      const { client, server } = await connectedPair(t, kind, halfOpen, halfOpen);
      server.end();
      await failure(client.read(), "END_OF_STREAM");
      assert.equal(client.state, "open");
      client.write("last");
      client.end();
      assert.equal(String(await server.readExactly(4)), "last");
      assert.equal((await server.closed).error, null);
      assert.equal((await client.closed).error, null);
    });

    it("decision 9: bytes unread keep it open when both sides have ended", async (t) => {
      const { client, server } = await connectedPair(t, kind, halfOpen, halfOpen);
      server.end();
      client.write("late");
      client.end();
      await until(() => server.peerEnded, "the FIN");
      await settled(100);
      assert.equal(server.state, "open");
      assert.equal(String(await server.readExactly(4)), "late");
      assert.equal((await server.closed).error, null);
    });
  });
});
