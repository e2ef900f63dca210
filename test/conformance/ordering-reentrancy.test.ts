import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SocketRequest } from "asyncsocket";
import { arrived, failure, pattern, Recorder, settled, until } from "../support/delegates.js";
import { connectedPair, overEveryTransport } from "../support/transports.js";

describe("calls from inside callbacks", () => {
  overEveryTransport((kind) => {
    it("disconnect() in didRead: what is queued behind is not served, though its bytes are here", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      client.write("1234");
      await arrived(server, 4);
      server.delegate = {
        didRead(socket) {
          socket.delegate = recorder;
          socket.disconnect();
        },
      };
      const first = server.readExactly(1);
      const second = server.readExactly(1, { tag: 2 });
      const reason = await server.closed;
      assert.equal(String(await first), "1");
      await failure(second, "CLOSED");
      assert.equal(reason.by, "local");
      assert.equal(reason.unread.toString(), "234");
      assert.deepEqual(recorder.of("didRead"), []);
      assert.deepEqual(recorder.of("didFailRead"), [["CLOSED", 2]]);
      assert.equal(recorder.names.at(-1), "didDisconnect");
    });

    it("cancelReads() in didRead: what is queued behind is not served, though its bytes are here", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("1234");
      await arrived(server, 4);
      server.delegate = { didRead: (socket) => assert.equal(socket.cancelReads(), 2) };
      const first = server.readExactly(1);
      const second = server.readExactly(1);
      const third = server.readExactly(1);
      await first;
      await failure(second, "CANCELED");
      await failure(third, "CANCELED");
      server.delegate = null;
      assert.equal(String(await server.readExactly(3)), "234");
    });

    it("a read queued in didRead goes behind those that were queued before", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const got: string[] = [];
      server.delegate = {
        didRead(socket, data, tag) {
          got.push(`${String(tag)}${data.toString()}`);
          if (tag === "a") socket.readExactly(1, { tag: "late" });
        },
      };
      server.readExactly(1, { tag: "a" });
      server.readExactly(1, { tag: "b" });
      client.write("123");
      await until(() => got.length === 3, "three reads");
      assert.deepEqual(got, ["a1", "b2", "late3"]);
    });

    it("cancel() of the read that is told of is too late", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      let effect: boolean | undefined;
      let state: string | undefined;
      const request: SocketRequest<Buffer> = server.readExactly(2);
      server.delegate = {
        didRead() {
          state = request.state;
          effect = request.cancel();
        },
      };
      client.write("ab");
      assert.equal(String(await request), "ab");
      assert.equal(effect, false);
      assert.equal(state, "done");
      assert.equal(server.currentRead, undefined);
    });

    it("cancelReads() in didReadPartial leaves the bytes", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      server.delegate = {
        didReadPartial(socket) {
          socket.delegate = null;
          assert.equal(socket.cancelReads(), 1);
        },
      };
      const request = server.readExactly(100);
      client.write("abc");
      await failure(request, "CANCELED");
      assert.equal(String(await server.readExactly(3)), "abc");
    });

    it("disconnect() in didReadPartial closes", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      server.delegate = { didReadPartial: (socket) => void socket.disconnect() };
      const request = server.readExactly(100);
      client.write("abc");
      const error = await failure(request, "CLOSED");
      assert.ok(error.bytesDone > 0);
      assert.equal((await server.closed).by, "local");
    });

    it("a write in didWrite goes out behind those that were queued before", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.delegate = { didWrite: (socket, tag) => void (tag === 1 && socket.write("late", { tag: 3 })) };
      client.write("first ", { tag: 1 });
      client.write("second ", { tag: 2 });
      assert.equal(String(await server.readExactly(17)), "first second late");
    });

    it("a write in didRead is on its way before the next read has to be met", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      server.delegate = { didReadText: (socket, text) => void socket.write(`${text}!\n`) };
      server.readLine();
      server.readLine();
      client.write("one\n");
      assert.equal(await client.readLine(), "one!");
      client.write("two\n");
      assert.equal(await client.readLine(), "two!");
    });

    it("cancel() in didWritePartial closes, since bytes of it are out", async (t) => {
      const limits = { writeQueue: Infinity };
      const { client, server } = await connectedPair(t, kind, { limits });
      const total = kind.chunkBytes === 1 ? 300_000 : 8_000_000;
      client.delegate = { didWritePartial: (socket) => void socket.currentWrite?.cancel() };
      server.delegate = { didReadPartial: () => undefined };
      const request = client.write(pattern(total));
      server.skip(total);
      const error = await failure(request, "CANCELED");
      assert.ok(error.bytesDone > 0 && error.bytesDone < total);
      assert.equal((await client.closed).error, error);
      await server.closed;
    });

    it("reads and writes in didFailRead, willDisconnect and didDisconnect of a close fail with CLOSED", async (t) => {
      const { server } = await connectedPair(t, kind);
      const late: SocketRequest<unknown>[] = [];
      let isLate = false;
      server.delegate = {
        didFailRead(socket) {
          if (isLate) return;
          isLate = true;
          late.push(socket.read(), socket.write("x"));
        },
        willDisconnect: (socket) => void late.push(socket.readLine(), socket.write("y")),
        didDisconnect: (socket) => void late.push(socket.readExactly(0), socket.write("")),
      };
      server.read();
      await settled();
      await server.disconnect();
      assert.equal(late.length, 6);
      for (const request of late) await failure(request, "CLOSED");
    });

    it("a promise's code that reads on is served before the delegate's later entries", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("12345");
      await arrived(server, 5);
      const first = server.readExactly(1);
      const then = first.then(() => server.readExactly(1));
      const second = server.readExactly(1);
      assert.equal(String(await first), "1");
      assert.equal(String(await second), "2");
      assert.equal(String(await then), "3");
    });

    it("a socket closed by an error tells each of its reads, and then no more", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      server.delegate = recorder;
      const requests = Array.from({ length: 5 }, (_, tag) => server.readExactly(5, { tag }));
      client.write("abc");
      await arrived(server, 3);
      client.reset();
      // Over a Unix-domain socket there is no RST.
      const codes = await Promise.all(requests.map(async (request) => (await failure(request)).code));
      assert.equal(new Set(codes).size, 1);
      assert.match(codes[0] ?? "", /CONNECTION_LOST|END_OF_STREAM/);
      await server.closed;
      const count = recorder.calls.length;
      await settled(50);
      assert.equal(recorder.calls.length, count);
      assert.deepEqual(recorder.tags("didFailRead"), [0, 1, 2, 3, 4]);
    });
  });
});
