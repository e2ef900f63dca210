import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { arrived, failure, pattern, readToEnd, Recorder, settled, until } from "../support/delegates.js";
import { allOf, muchFor, rawPair, throwsBadState } from "../support/lifecycle-helpers.js";
import { connectedPair, overEveryTransport, SAFETY } from "../support/transports.js";

describe("end()", () => {
  overEveryTransport((kind) => {
    const big = muchFor(kind);

    it("sends the FIN after the queued writes, and reading goes on", async (t) => {
      const limits = { writeQueue: Infinity };
      const { client, server } = await connectedPair(t, kind, { limits }, { limits, allowHalfOpen: true });
      const recorder = new Recorder();
      server.delegate = recorder;
      const bytes = pattern(big);
      const write = client.write(bytes);
      const ended = client.end();
      const came = await server.readExactly(big);
      assert.ok(came.equals(bytes));
      await Promise.all([write, ended]);
      await failure(server.read(), "END_OF_STREAM");
      assert.equal(server.peerEnded, true);
      assert.equal(server.state, "open");
      assert.equal(client.state, "open");
      await server.write("an answer\n");
      assert.equal(await client.readLine(), "an answer");
      const much = server.write(bytes);
      const more = server.write("the rest\n");
      server.end();
      assert.ok((await client.readExactly(big)).equals(bytes));
      assert.equal(await client.readLine(), "the rest");
      await Promise.all([much, more]);
      const [ours, theirs] = await Promise.all([client.closed, server.closed]);
      assert.equal(ours.error, null);
      assert.equal(theirs.error, null);
      assert.equal(recorder.of("didEndReading").length, 1);
    });

    it("decision 12: is followed by no write, in BAD_STATE, and by any read", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { allowHalfOpen: true });
      client.end();
      throwsBadState(() => client.write("x"), "write");
      throwsBadState(() => client.write(""), "write");
      const line = client.readLine();
      server.write("yes\n");
      assert.equal(await line, "yes");
      throwsBadState(() => client.write("x"), "write");
    });

    it("settles as an entry of the write queue, in its turn, and is no didWrite", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { allowHalfOpen: true });
      const recorder = new Recorder();
      client.delegate = recorder;
      const order: string[] = [];
      client.write("a", { tag: "a" }).then(() => order.push("write"));
      const ended = client.end();
      assert.equal(ended.kind, "end");
      assert.equal(client.pendingWrites, 2);
      await ended.then((value: unknown) => {
        order.push("end");
        assert.equal(value, undefined);
      });
      assert.deepEqual(order, ["write", "end"]);
      assert.deepEqual(recorder.tags("didWrite").slice(0, 1), ["a"]);
      assert.equal(String(await server.readExactly(1)), "a");
      assert.equal(client.pendingWrites, 0);
    });

    it("can be taken back while it waits, and writing goes on", async (t) => {
      const limits = { readAhead: 16, writeQueue: Infinity };
      const { client, server } = await connectedPair(t, kind, { limits }, { limits });
      const stuck = client.write(pattern(big));
      await settled();
      const ended = client.end();
      throwsBadState(() => client.write("x"), "write");
      assert.equal(ended.cancel(), true);
      await failure(ended, "CANCELED");
      const write = client.write("x");
      await server.skip(big);
      await stuck;
      await write;
      assert.equal(String(await server.readExactly(1)), "x");
      assert.equal(server.peerEnded, false);
    });

    it("decision 9: a peer that does not allow half-open closes once it has read all, and its writes arrive", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("a question\n");
      client.end();
      assert.equal(await server.readLine(), "a question");
      server.write("an answer\n");
      assert.equal(await client.readLine(), "an answer");
      const [ours, theirs] = await Promise.all([client.closed, server.closed]);
      assert.deepEqual([theirs.by, theirs.error], ["remote", null]);
      assert.deepEqual([ours.by, ours.error], ["remote", null]);
    });

    it("of both sides closes both", async (t) => {
      const { client, server } = await connectedPair(t, kind, { allowHalfOpen: true }, { allowHalfOpen: true });
      await Promise.all([client.end(), server.end()]);
      const reasons = await Promise.all([client.closed, server.closed]);
      for (const reason of reasons) assert.equal(reason.error, null);
    });

    it("of both sides closes neither while bytes are unread, which are there to be read", async (t) => {
      const { client, server } = await connectedPair(t, kind, { allowHalfOpen: true }, { allowHalfOpen: true });
      await Promise.all([client.write("from the client"), client.end(), server.write("from the server"), server.end()]);
      await until(() => client.peerEnded && server.peerEnded, "both FINs");
      await settled();
      assert.equal(client.state, "open");
      assert.equal(server.state, "open");
      assert.equal(String(await client.readExactly(15)), "from the server");
      assert.equal(String(await server.readExactly(15)), "from the client");
      for (const reason of await Promise.all([client.closed, server.closed])) assert.equal(reason.error, null);
    });
  });
});

describe("the peer's FIN", () => {
  overEveryTransport((kind) => {
    const big = muchFor(kind);

    it("decision 9: has its place behind the bytes: nothing closes while they are unread", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      server.delegate = recorder;
      client.write("line\nrest");
      client.end();
      await until(() => server.peerEnded && server.unreadBytes === 9, "bytes and FIN");
      await settled(100);
      assert.equal(server.state, "open");
      assert.deepEqual(recorder.calls, []);
      await server.write("still writing\n");
      assert.equal(await client.readLine(), "still writing");
      assert.equal(await server.readLine(), "line");
      await settled();
      assert.equal(server.state, "open");
      assert.equal(String(await server.readExactly(4)), "rest");
      const reason = await server.closed;
      assert.deepEqual([reason.by, reason.error, reason.unread.length], ["remote", null, 0]);
      assert.equal(recorder.of("didEndReading").length, 1);
      assert.ok(recorder.names.indexOf("didEndReading") < recorder.names.indexOf("willDisconnect"));
    });

    it("decision 9: takes effect when the current read cannot be met; all queued fail and the bytes stay", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const reads = [server.readExactly(10), server.readExactly(1), server.readExactly(0), server.read()];
      client.write("abc");
      client.end();
      const [first] = await Promise.all(reads.map((read) => failure(read, "END_OF_STREAM")));
      assert.equal(first?.bytesDone, 3);
      assert.equal(String(first.partial), "abc");
      const reason = await server.closed;
      assert.deepEqual([reason.by, reason.error, String(reason.unread)], ["remote", null, "abc"]);
      assert.equal(String(server.unread), "abc");
    });

    it("decision 9: with allowHalfOpen, later reads are met from what is unread, if they can be", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { allowHalfOpen: true });
      const failing = server.readExactly(10);
      client.write("abcdef");
      client.end();
      await failure(failing, "END_OF_STREAM");
      assert.equal(server.state, "open");
      assert.equal(String(await server.readExactly(2)), "ab");
      await failure(server.readExactly(5), "END_OF_STREAM");
      assert.equal(String(await server.readExactly(4)), "cdef");
      await failure(server.read(), "END_OF_STREAM");
      assert.equal(server.state, "open");
      await server.write("still open");
      assert.equal(String(await client.readExactly(10)), "still open");
      server.end();
      assert.equal((await server.closed).error, null);
    });

    it("decision 9: with allowHalfOpen, reads asked for before end() are met from what is unread", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { allowHalfOpen: true });
      const failing = server.readExactly(10);
      client.write("abcdef");
      client.end();
      await failure(failing, "END_OF_STREAM");
      const [one, three] = [server.readExactly(1), server.readExactly(3)];
      const five = failure(server.readExactly(5), "END_OF_STREAM");
      server.end();
      assert.equal(String(await one), "a");
      assert.equal(String(await three), "bcd");
      await five;
      const reason = await server.closed;
      assert.deepEqual([reason.by, reason.error, String(reason.unread)], ["remote", null, "ef"]);
    });

    it("decision 9: with no read queued closes a socket with nothing unread", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.end();
      const reason = await server.closed;
      assert.deepEqual([reason.by, reason.error], ["remote", null]);
    });

    it("decision 9: queued writes are finished before the close", async (t) => {
      const limits = { writeQueue: Infinity };
      const { client, server } = await connectedPair(t, kind, { limits }, { limits });
      const bytes = pattern(big);
      const write = server.write(bytes);
      await settled(50);
      client.end();
      await until(() => server.peerEnded, "the FIN");
      assert.ok((await readToEnd(client)).equals(bytes));
      await write;
      const reason = await server.closed;
      assert.deepEqual([reason.by, reason.error, reason.unsentBytes], ["remote", null, 0]);
    });
  });
});

describe("half-closes on the wire", SAFETY, () => {
  it("a FIN that comes with the last bytes loses none of them", async (t) => {
    const { socket, peer } = await rawPair(t);
    peer.end("the last line\n");
    assert.equal(await socket.readLine(), "the last line");
    assert.equal((await socket.closed).by, "remote");
  });

  it("a FIN behind more than readAhead is found when the bytes are read", async (t) => {
    const { socket, peer } = await rawPair(t, { limits: { readAhead: 1024 } });
    const bytes = pattern(300_000);
    peer.end(bytes);
    await arrived(socket, 1024);
    await settled();
    assert.equal(socket.state, "open");
    assert.ok((await readToEnd(socket)).equals(bytes));
    const reason = await socket.closed;
    assert.deepEqual([reason.by, reason.error, reason.bytesRead], ["remote", null, 300_000]);
  });

  it("a peer that never ends after our end() can be read for ever", async (t) => {
    const { socket, peer } = await rawPair(t, { limits: { lingerMs: 1 } });
    await socket.end();
    assert.equal((await allOf(peer)).length, 0);
    for (let i = 0; i < 50; i++) {
      peer.write(`line ${i}\n`);
      assert.equal(await socket.readLine(), `line ${i}`);
    }
    assert.equal(socket.state, "open");
    peer.end();
    assert.equal((await socket.closed).error, null);
  });
});
