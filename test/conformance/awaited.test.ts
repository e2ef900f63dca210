/** Reads that code awaits while their bytes are here: they are served in one go, and yet never inside a call. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { arrived, failure } from "../support/delegates.js";
import { connectedPair, overEveryTransport } from "../support/transports.js";

describe("reads that code awaits, whose bytes are here", () => {
  overEveryTransport((kind) => {
    it("are served one after the other without a tick between", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("one\ntwo\nthree\n");
      await arrived(server, 14);
      let hasTicked = false;
      process.nextTick(() => (hasTicked = true));
      await Promise.resolve(); // The rest of this test is not the code of the tick that has told of the bytes.
      const lines = [await server.readLine(), await server.readLine({ timeout: 1000 }), await server.readLine()];
      assert.deepEqual(lines, ["one", "two", "three"]);
      assert.equal(hasTicked, false);
      assert.equal(server.unreadBytes, 0);
    });

    it("are not served inside the call, nor inside that of then", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("one\ntwo\n");
      await arrived(server, 8);
      const first = server.readLine();
      const told = first.then(String);
      const second = server.readLine();
      assert.deepEqual([first.state, second.state], ["queued", "queued"]);
      assert.deepEqual([server.unreadBytes, server.pendingReads], [8, 2]);
      assert.equal(first.cancel(), true);
      await failure(told, "CANCELED");
      assert.equal(await second, "one");
      assert.equal(await server.readLine(), "two");
    });

    it("are all taken back by cancelReads in the same run", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("one\n");
      await arrived(server, 4);
      const read = server.readLine();
      assert.equal(server.cancelReads(), 1);
      await failure(read, "CANCELED");
      assert.equal(await server.readLine(), "one");
    });

    it("wait for the rest where only a part is here, with their timeout", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("one\ntw");
      await arrived(server, 6);
      assert.equal(await server.readLine(), "one");
      await failure(server.readLine({ timeout: 1, onFailure: "continue" }), "READ_TIMEOUT");
      const read = server.readLine();
      client.write("o\n");
      assert.equal(await read, "two");
    });

    it("fail when a message is too long, and take no byte of it", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("xy\0\0\x01\0body");
      await arrived(server, 10);
      assert.equal(String(await server.readExactly(2)), "xy");
      const options = { lengthBytes: 4, maxLength: 255, onFailure: "continue" } as const;
      const error = await failure(server.readFrame(options), "READ_LIMIT");
      assert.deepEqual([String(error.partial), server.unreadBytes], ["\0\0\x01\0", 8]);
      assert.equal(String(await server.peek({ length: 4 })), "\0\0\x01\0");
      await failure(server.readFrame(options), "READ_LIMIT");
      assert.equal(server.unreadBytes, 8);
    });

    it("are told to the delegate first, where it listens", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const log: string[] = [];
      client.write("one\n");
      await arrived(server, 4);
      server.delegate = { didReadText: (_, text) => void log.push(`told ${text}`) };
      log.push(`awaited ${await server.readLine()}`);
      assert.deepEqual(log, ["told one", "awaited one"]);
    });

    it("leave other work its turn after some thousand", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const count = 6000;
      client.write("\n".repeat(count));
      await arrived(server, count);
      let turns = 0;
      const again = (): void => {
        turns++;
        immediate = setImmediate(again);
      };
      let immediate = setImmediate(again);
      for (let i = 0; i < count; i++) await server.readLine();
      clearImmediate(immediate);
      assert.ok(turns >= 2, `${turns} turns`);
    });

    it("see the peer's end only behind them", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("one\ntwo");
      client.end();
      while (!server.peerEnded) await new Promise((turn) => setImmediate(turn));
      assert.equal(await server.readLine(), "one");
      assert.equal(String(await server.readExactly(3)), "two");
      await failure(server.read(), "END_OF_STREAM");
    });
  });
});
