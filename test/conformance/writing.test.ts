import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AsyncSocket, type TransportFactory } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import { failure, pattern, readToEnd, Recorder, settled, until } from "../support/delegates.js";
import { connectedPair, type Kind, overEveryTransport, SAFETY } from "../support/transports.js";

/** So little is taken ahead of reads, and so much may be queued, that a write can get stuck. */
const limits = { readAhead: 16, writeQueue: Infinity };

/** More than anything between the two sides can hold. */
function tooMuch(kind: Kind): number {
  return kind.isReal ? 24_000_000 : 300_000;
}

describe("writing", () => {
  overEveryTransport((kind) => {
    it("sends strings as UTF-8, and bytes of every kind", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const memory = new ArrayBuffer(8);
      new Uint8Array(memory).set([1, 2, 3, 4, 5, 6, 7, 8]);
      const pieces = [
        "Grüße €",
        Buffer.from("buffer"),
        new Uint8Array(memory, 2, 3),
        new Uint16Array([0x4241, 0x4443]),
        new DataView(memory, 6),
        new Float64Array([1.5]),
        memory,
      ];
      const expected = Buffer.concat(
        pieces.map((piece) => {
          if (typeof piece === "string") return Buffer.from(piece);
          if (piece instanceof ArrayBuffer) return Buffer.from(piece);
          return Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
        }),
      );
      for (const piece of pieces) client.write(piece);
      assert.deepEqual(await server.readExactly(expected.length), expected);
    });

    it("gathers a list", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const request = client.write(["a", Buffer.from("bc"), "", new Uint8Array(0), new Uint8Array([0x64]), "é"]);
      assert.equal(request.bytesTotal, 6);
      client.write([]);
      client.write(["!"]);
      assert.equal(String(await server.readExactly(7)), "abcdé!");
      await request;
      assert.equal(request.bytesDone, 6);
    });

    it("keeps the order of many", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const count = 1000;
      for (let i = 0; i < count; i++) client.write(i % 2 === 0 ? `${i}\n` : [String(i), "\n"]);
      for (let i = 0; i < count; i++) assert.equal(await server.readLine(), String(i));
    });

    it("sends large and small data in their order, whole", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const scale = kind.chunkBytes === 1 ? 0.01 : 1;
      const sizes = [10, 300_000, 1, 4096, 0, 70_000, 3, 5, 1_000_000, 20].map((size) => Math.ceil(size * scale));
      const pieces = sizes.map((size, i) => pattern(size, i));
      const all = Buffer.concat(pieces);
      const reading = server.readExactly(all.length);
      await Promise.all(pieces.map((piece) => client.write(piece)));
      assert.ok((await reading).equals(all));
      assert.equal(client.bytesWritten, all.length);
      assert.equal(server.bytesRead, all.length);
    });

    it("is done with empty data in its turn", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      client.delegate = recorder;
      const log: string[] = [];
      const writes = ["a", "", [], "b", new Uint8Array(0), "c"].map((data, tag) =>
        client.write(data, { tag }).then(() => void log.push(String(tag))),
      );
      await Promise.all(writes);
      assert.deepEqual(log, ["0", "1", "2", "3", "4", "5"]);
      assert.deepEqual(recorder.tags("didWrite"), [0, 1, 2, 3, 4, 5]);
      assert.equal(String(await server.readExactly(3)), "abc");
      await client.write("");
    });

    it("is not done with empty data before the writes ahead of it", async (t) => {
      const { client, server } = await connectedPair(t, kind, { limits }, { limits });
      const stuck = client.write(pattern(tooMuch(kind)));
      const empty = client.write("");
      await settled(50);
      assert.equal(stuck.state, "current");
      assert.equal(empty.state, "queued");
      server.skip(tooMuch(kind));
      await empty;
      assert.equal(stuck.state, "done");
    });

    it("decision 6: didWrite means that the operating system has every byte", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const data = pattern(kind.chunkBytes === 1 ? 20_000 : 1_000_000);
      const all = readToEnd(server);
      const write = client.write(data);
      await write;
      assert.equal(client.unsentBytes, 0);
      assert.equal(client.bytesWritten, data.length);
      const reason = await client.disconnect();
      assert.equal(reason.unsentBytes, 0);
      assert.equal(reason.bytesWritten, data.length);
      assert.ok((await all).equals(data));
    });

    it("decision 6: hands each tag back, once, in order", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      client.delegate = recorder;
      const tags: unknown[] = [{ a: 1 }, null, undefined, 0, Symbol("tag"), "", false];
      const requests = tags.map((tag) => client.write("x", { tag }));
      await Promise.all(requests);
      await server.readExactly(tags.length);
      assert.equal(recorder.calls.length, tags.length);
      recorder.tags("didWrite").forEach((tag, i) => assert.ok(Object.is(tag, tags[i])));
      requests.forEach((request, i) => assert.ok(Object.is(request.tag, tags[i])));
    });

    it("tells of unfinished writes by didWritePartial, what has gone since the last report", async (t) => {
      const { client, server } = await connectedPair(t, kind, { limits: { writeQueue: Infinity } });
      const total = kind.chunkBytes === 1 ? 600_000 : 8_000_000;
      let sum = 0;
      let done = false;
      client.delegate = {
        didWritePartial(socket, byteCount, tag) {
          assert.equal(socket, client);
          assert.equal(tag, "big");
          assert.ok(byteCount > 0);
          assert.equal(done, false);
          sum += byteCount;
          assert.ok(sum < total);
          assert.equal(client.currentWrite?.bytesDone, sum);
        },
        didWrite: () => void (done = true),
      };
      const request = client.write(pattern(total), { tag: "big" });
      assert.equal(request.bytesTotal, total);
      server.skip(total);
      await request;
      assert.ok(sum > 0 && sum < total);
      assert.equal(request.bytesDone, total);
    });

    it("throws for wrong data at once, and queues nothing", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      for (const data of [undefined, null, 5, {}, [5], [["nested"]], [null], true]) {
        assert.throws(() => client.write(data as never), { name: "TypeError", message: /^Expected .+, got / });
      }
      assert.throws(() => client.write("x", { timeout: -1 }), RangeError);
      assert.throws(() => client.write("x", { timeout: "1" as never }), TypeError);
      assert.throws(() => client.write("x", { signal: {} as never }), TypeError);
      assert.throws(() => client.write("x", 5 as never), TypeError);
      assert.equal(client.pendingWrites, 0);
      assert.equal(client.unsentBytes, 0);
      client.write("on");
      assert.equal(String(await server.readExactly(2)), "on");
    });

    it("counts what is queued, and what is gone", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const first = client.write("12345");
      client.write(["67", "8"]);
      assert.equal(client.unsentBytes, 8);
      assert.equal(client.pendingWrites, 2);
      assert.equal(client.bytesWritten, 0);
      await first;
      await until(() => client.unsentBytes === 0, "all sent");
      assert.equal(client.bytesWritten, 8);
      assert.equal(client.pendingWrites, 0);
      assert.equal(client.currentWrite, undefined);
      assert.equal((await server.readExactly(8)).toString(), "12345678");
    });

    it("sends a FIN behind the queued writes by end(), and reading goes on", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { allowHalfOpen: true });
      const all = readToEnd(server);
      client.write("the ");
      client.write("end");
      const end = client.end();
      assert.equal(end.kind, "end");
      assert.throws(() => client.write("more"), { code: "ERR_ASYNCSOCKET_BAD_STATE" });
      await end;
      assert.equal(end.state, "done");
      assert.equal(String(await all), "the end");
      assert.equal(server.peerEnded, true);
      server.write("still here");
      assert.equal(String(await client.readExactly(10)), "still here");
      assert.equal(client.state, "open");
    });
  });
});

describe("backpressure of writes", () => {
  overEveryTransport((kind) => {
    it("decision 6: a write that would pass limits.writeQueue fails with QUEUE_FULL and closes", async (t) => {
      const { client } = await connectedPair(t, kind, { limits: { writeQueue: 1000 } });
      const recorder = new Recorder();
      client.delegate = recorder;
      const first = client.write(Buffer.alloc(600), { tag: 1 });
      const second = client.write(Buffer.alloc(401), { tag: 2 });
      const error = await failure(second, "QUEUE_FULL");
      assert.equal(error.operation, "write");
      assert.equal(error.tag, 2);
      assert.equal(error.bytesDone, 0);
      const reason = await client.closed;
      assert.equal(reason.by, "error");
      assert.equal(reason.error, error);
      await first.catch(() => undefined);
      assert.ok(recorder.of("didFailWrite").some(([code, tag]) => code === "QUEUE_FULL" && tag === 2));
    });

    it("decision 6: a write up to the limit is taken, and one alone beyond it is not", async (t) => {
      const { client, server } = await connectedPair(t, kind, { limits: { writeQueue: 1000 } });
      client.write(Buffer.alloc(600));
      await client.write(Buffer.alloc(400));
      await client.write(Buffer.alloc(1000));
      assert.equal((await server.readExactly(2000)).length, 2000);
      const error = await failure(client.write(Buffer.alloc(1001)), "QUEUE_FULL");
      assert.equal((await client.closed).error, error);
    });

    it("decision 6: small writes count their bookkeeping: not even empty ones can be queued without end", async (t) => {
      const { client } = await connectedPair(t, kind, { limits: { writeQueue: 10_000 } });
      let failed = 0;
      for (let i = 0; i < 10_000; i++)
        client.write("").catch(() => {
          failed++;
        });
      assert.ok(client.pendingWrites < 10_000);
      assert.equal((await client.closed).error?.code, "ERR_ASYNCSOCKET_QUEUE_FULL");
      assert.ok(failed > 0);
    });

    it("decision 6: a peer that never reads cannot make a writer hold more than limits.writeQueue", async (t) => {
      const { client } = await connectedPair(t, kind, { limits: { writeQueue: 100_000 } }, { limits });
      let most = 0;
      let count = 0;
      const piece = Buffer.alloc(9000);
      while (client.state === "open" && count++ < 10_000) {
        client.write(piece);
        most = Math.max(most, client.unsentBytes);
        if (count % 5 === 0) await settled(1);
      }
      assert.ok(most <= 100_000);
      assert.equal((await client.closed).error?.code, "ERR_ASYNCSOCKET_QUEUE_FULL");
    });

    it("decision 6: code that awaits its writes never passes the limit", async (t) => {
      const { client, server } = await connectedPair(t, kind, { limits: { writeQueue: 2000 } }, { limits });
      const piece = pattern(1000);
      const rounds = kind.chunkBytes === 1 ? 30 : 1000;
      const sending = (async () => {
        for (let i = 0; i < rounds; i++) {
          await client.write(piece);
          assert.ok(client.unsentBytes <= 1000);
        }
      })();
      for (let i = 0; i < rounds; i++) assert.ok((await server.readExactly(1000)).equals(piece));
      await sending;
    });
  });
});

describe("taking writes back", () => {
  overEveryTransport((kind) => {
    it("decision 6: one that still waits can be cancelled, and none of it is sent", async (t) => {
      const { client, server } = await connectedPair(t, kind, { limits }, { limits });
      const total = tooMuch(kind);
      const stuck = client.write(pattern(total));
      await settled(20);
      const never = client.write("never", { tag: "never" });
      const controller = new AbortController();
      const neither = client.write("nor this", { signal: controller.signal });
      const sent = client.write("sent");
      await settled(20);
      assert.equal(stuck.state, "current");
      assert.equal(never.cancel(), true);
      controller.abort();
      assert.equal(never.cancel(), false);
      const error = await failure(never, "CANCELED");
      assert.equal(error.tag, "never");
      assert.equal(error.bytesDone, 0);
      assert.equal(never.state, "canceled");
      await failure(neither, "CANCELED");
      assert.equal(client.state, "open");
      await server.skip(total);
      await Promise.all([stuck, sent]);
      assert.equal(String(await server.read()).slice(0, 4), "sent".slice(0, server.bytesRead - total));
    });

    it("decision 6: one aborted before the call sends nothing", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const request = client.write("never", { signal: AbortSignal.abort() });
      client.write("sent");
      await failure(request, "CANCELED");
      assert.equal(String(await server.readExactly(4)), "sent");
      assert.equal(client.state, "open");
    });

    it("decision 6: one taken back in the same turn sends nothing", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const first = client.write("first");
      const second = client.write("second");
      const third = client.write("third");
      assert.equal(second.cancel(), true);
      await failure(second, "CANCELED");
      await Promise.all([first, third]);
      assert.equal(String(await server.readExactly(10)), "firstthird");
    });

    for (const how of ["cancel", "signal"] as const) {
      it(`decision 6: ${how} closes the connection once a byte has been handed on`, async (t) => {
        const { client } = await connectedPair(t, kind, { limits }, { limits });
        const controller = new AbortController();
        const total = tooMuch(kind);
        const stuck = client.write(pattern(total), { signal: controller.signal, tag: "stuck" });
        const behind = client.write("behind");
        await settled(100);
        assert.equal(stuck.state, "current");
        if (how === "cancel") assert.equal(stuck.cancel(), true);
        else controller.abort();
        const error = await failure(stuck, "CANCELED");
        assert.equal(error.tag, "stuck");
        assert.ok(error.bytesDone < total);
        assert.equal(stuck.bytesDone, error.bytesDone);
        await failure(behind, "CLOSED");
        const reason = await client.closed;
        assert.equal(reason.by, "error");
        assert.equal(reason.error, error);
        assert.equal(reason.unsentBytes, total + 6 - reason.bytesWritten);
        assert.equal(client.unsentBytes, reason.unsentBytes);
      });
    }

    it("decision 6: neither cancel() nor a signal has an effect on a write that is done", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const controller = new AbortController();
      const request = client.write("x", { signal: controller.signal });
      await request;
      controller.abort();
      assert.equal(request.cancel(), false);
      client.write("y");
      assert.equal(String(await server.readExactly(2)), "xy");
      assert.equal(client.state, "open");
    });
  });
});

describe("many small writes", SAFETY, () => {
  it("are handed to the transport together", async (t) => {
    const network = new MemoryNetwork();
    let handedOn = 0;
    const counting: TransportFactory = {
      clock: network.clock,
      listen: (target, settings, sink) => network.listen(target, settings, sink),
      connect(target, settings, sink) {
        const transport = network.connect(target, settings, sink);
        const write = transport.write.bind(transport);
        transport.write = (parts) => {
          handedOn++;
          return write(parts);
        };
        return transport;
      },
    };
    const listener = await AsyncSocket.listen({ transport: network, port: 1 });
    const client = await AsyncSocket.connect({ transport: counting, port: 1 });
    const { value: server } = await listener.connections().next();
    t.after(() => Promise.all([client, listener].map((socket) => socket.disconnect())));
    const reading = server?.readExactly(20_000);
    const writes = Array.from({ length: 10_000 }, (_, i) => client.write(String(i % 100).padStart(2, "0")));
    await Promise.all(writes);
    const text = String(await reading);
    assert.equal(text.slice(0, 8), "00010203");
    assert.equal(text.slice(-4), "9899");
    assert.ok(handedOn <= 20, `10 000 writes in ${handedOn}`);
    handedOn = 0;
    server?.readExactly(0);
    client.delegate = {
      didReadText(socket, text) {
        socket.write(text);
        socket.write("\n");
      },
    };
    for (let i = 0; i < 100; i++) client.readLine();
    server?.write("echo\n".repeat(100));
    for (let i = 0; i < 100; i++) assert.equal(await server?.readLine(), "echo");
    assert.ok(handedOn <= 20, `200 answers to one chunk in ${handedOn}`);
  });
});
