import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SocketRequest } from "asyncsocket";
import { arrived, failure, settled, until } from "../support/delegates.js";
import { connectedPair, memory, overEveryTransport } from "../support/transports.js";

describe("a request", () => {
  overEveryTransport((kind) => {
    it("tells the method that made it", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const kinds = [
        server.read(),
        server.readExactly(1),
        server.readUntil(";"),
        server.readLine(),
        server.readFrame({ lengthBytes: 1 }),
        server.peek({ length: 1 }),
        server.skip(1),
        server.write("x"),
        server.end(),
      ].map((request) => request.kind);
      assert.deepEqual(kinds, [
        "read",
        "readExactly",
        "readUntil",
        "readLine",
        "readFrame",
        "peek",
        "skip",
        "write",
        "end",
      ]);
      assert.equal(String(await client.read()), "x");
    });

    it("is queued, then current, then done", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const first = server.readExactly(2);
      const second = server.readExactly(2);
      await until(() => first.state === "current", "the first becomes the current one");
      assert.equal(second.state, "queued");
      assert.equal(server.currentRead, first);
      assert.equal(server.pendingReads, 2);
      client.write("ab");
      await first;
      assert.equal(first.state, "done");
      await until(() => second.state === "current", "the second becomes the current one");
      assert.equal(server.currentRead, second);
      assert.equal(server.pendingReads, 1);
      client.write("cd");
      await second;
      assert.equal(second.state, "done");
      assert.equal(server.currentRead, undefined);
      assert.equal(server.pendingReads, 0);
    });

    it("is failed or canceled when it has settled otherwise", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const canceled = server.readExactly(1);
      canceled.cancel();
      await failure(canceled, "CANCELED");
      assert.equal(canceled.state, "canceled");
      client.write("1234");
      const failed = server.readLine({ maxLength: 4 });
      await failure(failed, "READ_LIMIT");
      assert.equal(failed.state, "failed");
    });

    it("counts the bytes done, and knows the total where that is known", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const read = server.readExactly(5);
      const behind = server.readUntil(";");
      assert.equal(read.bytesDone, 0);
      assert.equal(read.bytesTotal, 5);
      client.write("abc");
      await until(() => read.bytesDone === 3, "three bytes done");
      assert.equal(behind.bytesDone, 0);
      const write = client.write("defg;");
      assert.equal(write.bytesTotal, 5);
      await Promise.all([read, behind, write]);
      assert.equal(read.bytesDone, 5);
      assert.equal(behind.bytesDone, 3);
      assert.equal(write.bytesDone, 5);
      assert.equal(server.skip(7).bytesTotal, 7);
      assert.equal(server.peek({ length: 8 }).bytesTotal, 8);
    });

    it("can be awaited twice, and late", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const request = server.readLine();
      const unasked = server.readLine();
      client.write("one\ntwo\n");
      assert.equal(await request, "one");
      assert.equal(await request, "one");
      await until(() => unasked.state === "done", "the second line");
      await settled();
      assert.equal(await unasked, "two");
      const [a, b] = await Promise.all([unasked, unasked]);
      assert.equal(a, b);
    });

    it("keeps its failure for whoever asks late", async (t) => {
      const { server } = await connectedPair(t, kind);
      const request = server.read();
      request.cancel();
      await until(() => request.state === "canceled", "the cancel");
      await settled();
      const first = await failure(request, "CANCELED");
      assert.equal(await failure(request, "CANCELED"), first);
    });

    it("that fails and is ignored is no unhandled rejection", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const unhandled: unknown[] = [];
      const note = (reason: unknown): void => void unhandled.push(reason);
      process.on("unhandledRejection", note);
      t.after(() => process.off("unhandledRejection", note));
      server.read();
      server.readLine({ maxLength: 2 });
      server.readExactly(1, { signal: AbortSignal.abort() });
      server.cancelReads();
      server.readLine({ maxLength: 2 });
      server.read();
      client.write("1234");
      await server.closed;
      server.read();
      server.write("too late");
      await settled();
      assert.deepEqual(unhandled, []);
    });
  });

  it("has the interface of a promise, and is none", async (t) => {
    const { client, server } = await connectedPair(t, memory("memory"));
    client.write("one\ntwo\nthree\nfour\n");
    const request = server.readLine();
    assert.ok(request instanceof SocketRequest);
    assert.ok(!((request as unknown) instanceof Promise));
    const promise: Promise<string> = request;
    const upper = promise.then((text) => text.toUpperCase());
    assert.ok(upper instanceof Promise);
    assert.equal(await upper, "ONE");
    let ended = 0;
    assert.equal(
      await server.readLine().finally(() => {
        ended++;
      }),
      "two",
    );
    assert.equal(ended, 1);
    assert.equal(await server.readLine().catch(() => "not asked"), "three");
    assert.equal(await server.readLine().then(), "four");
    const rejected = server.read();
    rejected.cancel();
    assert.equal(await rejected.catch(() => "caught"), "caught");
    assert.equal(await rejected.then(null, () => "caught again"), "caught again");
    await failure(
      rejected.finally(() => {
        ended++;
      }),
      "CANCELED",
    );
    assert.equal(ended, 2);
    assert.equal(typeof request[Symbol.toStringTag], "string");
  });

  it("is not the socket: that has no then", async (t) => {
    const { server } = await connectedPair(t, memory("memory"));
    assert.equal("then" in server, false);
    assert.equal("on" in server, false);
  });
});

describe("cancelling reads", () => {
  overEveryTransport((kind) => {
    it("decision 5: takes a queued one out of the middle", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const [a, b, c] = [server.readExactly(1), server.readExactly(1), server.readExactly(1)];
      assert.equal(b.cancel(), true);
      client.write("13");
      assert.equal(String(await a), "1");
      assert.equal(String(await c), "3");
      const error = await failure(b, "CANCELED");
      assert.equal(error.bytesDone, 0);
    });

    it("decision 5: takes nothing: the bytes are there for the next read", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const whole = server.readExactly(100);
      const line = server.readLine();
      client.write("abc\n");
      await until(() => whole.bytesDone === 4, "four bytes");
      assert.equal(whole.cancel(), true);
      assert.equal(await line, "abc");
      const error = await failure(whole, "CANCELED");
      assert.equal(error.partial?.toString(), "abc\n");
      assert.equal(server.state, "open");
    });

    it("decision 5: leaves the bytes of a skip, too", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const skip = server.skip(100);
      client.write("abc");
      await until(() => skip.bytesDone === 3, "three bytes");
      skip.cancel();
      await failure(skip, "CANCELED");
      assert.equal(String(await server.readExactly(3)), "abc");
    });

    it("decision 5: partial is a copy", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const request = server.readExactly(100);
      client.write("abc");
      await until(() => request.bytesDone === 3, "three bytes");
      request.cancel();
      const { partial } = await failure(request, "CANCELED");
      partial?.fill(0);
      const data = await server.readExactly(3);
      assert.equal(data.toString(), "abc");
      assert.equal(partial?.length, 3);
    });

    it("has an effect once, and none on what has settled", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const request = server.readExactly(1);
      assert.equal(request.cancel(), true);
      assert.equal(request.cancel(), false);
      const done = server.readExactly(1);
      client.write("x");
      await done;
      assert.equal(done.cancel(), false);
      assert.equal(done.state, "done");
    });

    it("cancelReads takes all, says how many, and leaves every byte", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const requests = [
        server.readExactly(10),
        server.readLine(),
        server.skip(3),
        server.readFrame({ lengthBytes: 1 }),
      ];
      client.write("abc");
      await until(() => requests[0]?.bytesDone === 3, "three bytes");
      assert.equal(server.cancelReads(), 4);
      assert.equal(server.pendingReads, 0);
      for (const request of requests) {
        await failure(request, "CANCELED");
        assert.equal(request.state, "canceled");
      }
      assert.equal(server.cancelReads(), 0);
      assert.equal(server.state, "open");
      assert.equal(String(await server.read()), "abc");
    });

    it("cancelReads leaves what is queued after it", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const before = server.readLine();
      assert.equal(server.cancelReads(), 1);
      const after = server.readLine();
      client.write("for the second\n");
      assert.equal(await after, "for the second");
      await failure(before, "CANCELED");
    });
  });
});

describe("signals of reads", () => {
  overEveryTransport((kind) => {
    it("decision 3: one aborted before the call fails the read, which takes nothing", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("abc");
      await arrived(server, 3);
      const request = server.read({ signal: AbortSignal.abort() });
      await failure(request, "CANCELED");
      assert.equal(request.state, "canceled");
      assert.equal(String(await server.read()), "abc");
    });

    it("decision 3: one aborted while the read is queued takes it out of the queue", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const controller = new AbortController();
      const first = server.readExactly(1);
      const second = server.readExactly(1, { signal: controller.signal });
      const third = server.readExactly(1);
      await settled();
      controller.abort();
      await failure(second, "CANCELED");
      assert.equal(first.state, "current");
      client.write("12");
      assert.equal(String(await first), "1");
      assert.equal(String(await third), "2");
    });

    it("decision 3: one aborted while the read is current lets the next have the bytes", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const controller = new AbortController();
      const first = server.readExactly(10, { signal: controller.signal, tag: 5 });
      const second = server.readExactly(3);
      client.write("abc");
      await until(() => first.bytesDone === 3, "three bytes");
      controller.abort();
      const error = await failure(first, "CANCELED");
      assert.equal(error.bytesDone, 3);
      assert.equal(error.tag, 5);
      assert.equal(String(await second), "abc");
      assert.equal(server.state, "open");
    });

    it("decision 3: one aborted afterwards has no effect", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const controller = new AbortController();
      const request = server.readExactly(1, { signal: controller.signal });
      client.write("x");
      await request;
      const next = server.readExactly(1);
      controller.abort();
      await settled();
      assert.equal(next.state, "current");
      assert.equal(request.state, "done");
      client.write("y");
      assert.equal(String(await next), "y");
    });

    it("decision 3: one signal may stand behind many reads", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const controller = new AbortController();
      const { signal } = controller;
      const requests = Array.from({ length: 5 }, () => server.readExactly(1, { signal }));
      const other = server.readExactly(1);
      controller.abort();
      for (const request of requests) await failure(request, "CANCELED");
      client.write("x");
      assert.equal(String(await other), "x");
    });
  });
});
