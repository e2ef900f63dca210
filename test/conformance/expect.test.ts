// `expect`: bytes that are known before they come.

import assert from "node:assert/strict";
import { inspect } from "node:util";
import { describe, it } from "node:test";
import { arrived, failure, Recorder } from "../support/delegates.js";
import { codeOf } from "../support/lifecycle-helpers.js";
import { connectedPair, memory, overEveryTransport } from "../support/transports.js";

describe("expect", () => {
  overEveryTransport((kind) => {
    it("takes the bytes that it names, and leaves the next ones", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      server.delegate = recorder;
      const request = server.expect("SSH-2.0-", { tag: "magic" });
      assert.deepEqual([request.kind, request.bytesTotal], ["expect", 8]);
      const rest = server.readLine();
      client.write("SSH-2.0-ours\n");
      assert.equal(await request, undefined);
      assert.equal(await rest, "ours");
      assert.deepEqual(recorder.of("didRead"), [["", "magic"]]);
      assert.equal(request.bytesDone, 8);
    });

    it("fails at the first byte that is another one, takes none, and closes the connection", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const request = server.expect(Buffer.from("220 "));
      client.write("5");
      const error = await failure(request, "BAD_FRAME");
      assert.match(error.message, /byte 1 of 4 is another one/);
      const reason = await server.closed;
      assert.deepEqual([codeOf(reason), String(reason.unread)], ["BAD_FRAME", "5"]);
    });

    it("leaves the bytes to the next read with onFailure continue", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const request = server.expect("HTTP/1.1", { onFailure: "continue" });
      client.write("HTTP/2 rules\n");
      await failure(request, "BAD_FRAME");
      assert.equal(await server.readLine(), "HTTP/2 rules");
    });

    it("meets a FIN within the bytes with END_OF_STREAM", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("ab");
      client.end();
      const error = await failure(server.expect("abc"), "END_OF_STREAM");
      assert.equal(error.bytesDone, 2);
    });
  });

  for (let chunkBytes = 1; chunkBytes <= 9; chunkBytes++) {
    it(`finds every difference wherever it is, in chunks of ${chunkBytes}`, async (t) => {
      const { client, server } = await connectedPair(t, memory("memory", { chunkBytes, capacityBytes: 64 }));
      const text = "0123456789";
      for (let at = 0; at <= text.length; at++) {
        const sent = `${text.slice(0, at)}${at < text.length ? "x" : ""}${text.slice(at + 1)}`;
        client.write(sent);
        const request = server.expect(text, { onFailure: "continue" });
        if (at === text.length) await request;
        else {
          await failure(request, "BAD_FRAME");
          assert.equal(await server.readExactly(text.length, { encoding: "latin1" }), sent);
        }
      }
    });
  }

  it("does not wait for bytes behind a difference, and shows none of them", async (t) => {
    const { client, server } = await connectedPair(t, memory("memory"));
    const request = server.expect("a long line of text", { onFailure: "continue" });
    client.write("a secret");
    const error = await failure(request, "BAD_FRAME");
    assert.doesNotMatch(inspect(error), /secret/);
  });

  it("keeps what it waits for when the caller changes the memory", async (t) => {
    const { client, server } = await connectedPair(t, memory("memory"));
    const bytes = Buffer.from("abc");
    const request = server.expect(bytes);
    bytes.fill("x");
    client.write("abc");
    await request;
  });

  it("refuses wrong arguments at once", async (t) => {
    const { client, server } = await connectedPair(t, memory("memory"));
    const wrong: readonly (() => unknown)[] = [
      () => server.expect(""),
      () => server.expect(new Uint8Array(0)),
      () => server.expect(5 as never),
      () => server.expect(["a", "b"] as never),
      () => server.expect("a", { repeat: true as never }),
      () => server.expect("a", { timeout: -1 }),
    ];
    for (const call of wrong) assert.throws(call, /^(Type|Range)Error: Expected .*, got/, String(call));
    assert.equal(server.pendingReads, 0);
    client.write("b");
    await arrived(server, 1);
  });
});
