/** What a review of copied writes, awaited reads and late closes found: wrong bytes, reads that hang, closes that never end. */

import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { describe, it } from "node:test";
import { AsyncSocket, type Framing } from "asyncsocket";
import { arrived, Recorder, settled } from "../support/delegates.js";
import { duplexPair } from "../support/duplex-pair.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { connectedPair, memory, overEveryTransport } from "../support/transports.js";

const PAIR: Framing<string> = { measure: () => 2, decode: (bytes) => bytes.toString() };

it("the diagnostics channel of reads tells the bytes of each message of a standing read", async (t) => {
  const { client, server } = await connectedPair(t, memory("memory"));
  const told: number[] = [];
  const note = (message: unknown): void => void told.push((message as { bytes: number }).bytes);
  subscribe("asyncsocket:read", note);
  t.after(() => unsubscribe("asyncsocket:read", note));
  server.delegate = { didReadText: () => undefined };
  server.readLine({ repeat: true });
  client.write("abc\ndefgh\nij\n");
  await client.disconnectAfterWriting();
  await server.closed;
  assert.deepEqual(told, [4, 6, 3]);
});

describe("memory of small writes that a stream's reader was given", () => {
  overEveryTransport((kind) => {
    it("is not used for others when the reader passes it on", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const [ours, theirs] = duplexPair();
      const source = Belongings.of(t).add(AsyncSocket.from(ours));
      const chunks: Buffer[] = [];
      theirs.on("data", (chunk: Buffer) => chunks.push(chunk));
      for (let i = 0; i < 8; i++) source.write("a".repeat(1000));
      await source.write("");
      const [chunk] = chunks;
      assert.ok(chunk !== undefined && chunk.length >= 4096, "they came as one piece");
      const length = Math.min(8000, chunk.length);
      await Promise.all([client.write(chunk), server.skip(length)]);
      // Before, the memory counted as free now.
      for (let i = 0; i < 40; i++) await Promise.all([client.write("SECRET".repeat(300)), server.skip(1800)]);
      assert.equal(chunk.toString(), "a".repeat(length));
    });
  });
});

describe("code that awaits pipelined reads", () => {
  overEveryTransport((kind) => {
    const options = { skip: kind.isReal && !kind.isSecure ? false : "here little is taken at once" };
    it("has its answers sent before more than a batch of them has gathered", options, async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const count = 30;
      client.write(Buffer.alloc(8 * count));
      await arrived(server, 8 * count);
      const answers = client.skip(4000 * count);
      let most = 0;
      for (let i = 0; i < count; i++) {
        await server.readExactly(8);
        server.write("r".repeat(4000));
        most = Math.max(most, server.unsentBytes);
      }
      await answers;
      assert.ok(most < 80_000, `${most} bytes had gathered`);
    });
  });
});

describe("a framing that cancels reads", () => {
  it("cancels others only, where takeMessage or an iterator runs it", async (t) => {
    const { client, server } = await connectedPair(t, memory("memory"));
    const recorder = new Recorder();
    server.delegate = { didFailRead: (...args) => recorder.didFailRead(...args) };
    client.write("abcdefghij");
    await arrived(server, 10);
    const inner: PromiseLike<Buffer>[] = [];
    let canceled = 0;
    const framing: Framing<string> = {
      ...PAIR,
      decode(bytes) {
        if (inner.length < 2) {
          canceled += server.cancelReads();
          inner.push(server.readExactly(3));
        }
        return bytes.toString();
      },
    };
    assert.equal(server.takeMessage(framing), "ab");
    assert.equal(server.pendingReads, 1);
    assert.equal(String(await inner[0]), "cde");
    assert.deepEqual(await server.messages(framing).next(), { done: false, value: "fg" });
    assert.equal(String(await inner[1]), "hij");
    await settled();
    assert.equal(canceled, 0);
    assert.equal(server.pendingReads, 0);
    assert.deepEqual(recorder.of("didFailRead"), []);
  });
});

describe("a graceful close after end()", () => {
  overEveryTransport((kind) => {
    for (const call of ["disconnectAfterWriting", "disconnectAfterReading"] as const) {
      it(`by ${call} waits no longer for the peer's FIN than limits.lingerMs`, async (t) => {
        const options = { allowHalfOpen: true, limits: { lingerMs: 50 } };
        const { client, server } = await connectedPair(t, kind, options, { allowHalfOpen: true });
        await client.end();
        await settled();
        const reason = await client[call]();
        assert.equal(reason.by, "local");
        assert.equal(reason.error, null);
        server.reset();
      });
    }
  });
});
