import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connectedPair, overEveryTransport } from "./transports.js";

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
  });
});
