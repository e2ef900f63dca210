// `takeMessage`: a message that has arrived is taken at once, without a read.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AsyncSocket, type Framing, fixed, line, lengthPrefixed } from "asyncsocket";
import { arrived, failure, Recorder, settled, until } from "../support/delegates.js";
import { throwsBadState } from "../support/lifecycle-helpers.js";
import { connectedPair, memory, overEveryTransport } from "../support/transports.js";

const LINE = line();
const FRAME = lengthPrefixed({ lengthBytes: 1 });

type Reply = string | Reply[];

/** A reply is a line, or `*` and a number: so many replies follow. What is here is taken, and what is not is awaited. */
async function readReply(socket: AsyncSocket, counts: { taken: number; awaited: number }): Promise<Reply> {
  let text = socket.takeMessage(LINE);
  if (text === undefined) {
    counts.awaited++;
    text = await socket.readMessage(LINE);
  } else counts.taken++;
  if (!text.startsWith("*")) return text;
  const replies: Reply[] = [];
  while (replies.length < Number(text.slice(1))) replies.push(await readReply(socket, counts));
  return replies;
}

function encode(reply: Reply): string {
  return typeof reply === "string" ? `${reply}\n` : `*${reply.length}\n${reply.map(encode).join("")}`;
}

const REPLIES: readonly Reply[] = ["a", ["b", ["c", [], "d"], ""], [[[["e"]]]], Array.from({ length: 50 }, String)];

describe("takeMessage", () => {
  overEveryTransport((kind) => {
    it("takes what is here of nested replies, and reads the rest, in order", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const counts = { taken: 0, awaited: 0 };
      const text = REPLIES.map(encode).join("");
      client.write(text);
      for (const reply of REPLIES) assert.deepEqual(await readReply(server, counts), reply);
      assert.equal(counts.taken + counts.awaited, text.split("\n").length - 1);
      assert.equal(server.unreadBytes, 0);
    });

    it("takes nothing where nothing, or only a part, has come", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      assert.equal(server.takeMessage(FRAME), undefined);
      client.write("\x03ab");
      await arrived(server, 3);
      assert.equal(server.takeMessage(FRAME), undefined);
      assert.equal(server.unreadBytes, 3);
      client.write("c\x00");
      await arrived(server, 5);
      assert.equal(String(server.takeMessage(FRAME)), "abc");
      assert.equal(String(server.takeMessage(FRAME)), "");
      assert.equal(server.takeMessage(FRAME), undefined);
    });

    it("takes bytes before the FIN, which takes effect behind them, and in a later turn", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const recorder = new Recorder();
      server.delegate = recorder;
      client.write("last\n");
      client.end();
      await until(() => server.peerEnded && server.unreadBytes === 5, "all has come");
      assert.equal(server.takeMessage(LINE), "last");
      assert.equal(server.state, "open");
      await server.closed;
      assert.deepEqual(recorder.of("didRead"), []);
      assert.equal(server.takeMessage(LINE), undefined, "a closed socket has none");
    });

    it("takes what is behind a message in its callback, and nobody is told", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const seen: unknown[] = [];
      server.delegate = {
        didReadText(socket, text) {
          seen.push(text);
          for (let one = socket.takeMessage(LINE); one !== undefined; one = socket.takeMessage(LINE)) seen.push([one]);
        },
      };
      client.write("head\nb\nc\n");
      await arrived(server, 9);
      await server.readLine();
      assert.deepEqual(seen, ["head", ["b"], ["c"]]);
      client.write("head\nb\nc\n");
      await arrived(server, 9);
      server.readLine();
      assert.equal(await server.readLine(), "b", "what is queued behind comes first");
      assert.deepEqual(seen.slice(3), ["head", "b", ["c"]]);
    });
  });
});

describe("takeMessage leaves", () => {
  const kind = memory("a network in memory", {});

  it("what the next read says is wrong: a message that is too long, or none", async (t) => {
    const { client, server } = await connectedPair(t, kind);
    client.write("\x05abcde");
    await arrived(server, 6);
    assert.equal(server.takeMessage(FRAME, { maxLength: 4 }), undefined);
    const bad: Framing = { measure: () => assert.fail("no message") };
    assert.equal(server.takeMessage(bad), undefined);
    assert.equal(server.unreadBytes, 6);
    await failure(server.readMessage(bad, { onFailure: "continue" }), "BAD_FRAME");
    assert.equal(server.takeMessage(fixed(6)), undefined, "the turn after a failure");
    await settled();
    assert.equal(server.takeMessage(fixed(6))?.length, 6);
  });

  it("everything to a read that is queued, a standing one, and an upgrade", async (t) => {
    const { client, server } = await connectedPair(t, kind);
    client.write("a\nb\n");
    await arrived(server, 4);
    const read = server.readLine();
    assert.equal(server.takeMessage(LINE), undefined);
    assert.equal(await read, "a");
    const standing = server.readLine({ repeat: true });
    assert.equal(server.takeMessage(LINE), undefined);
    await settled();
    standing.cancel();
    assert.equal(server.unreadBytes, 0);
  });

  it("a socket alone that its framing closes", async (t) => {
    const { client, server } = await connectedPair(t, kind);
    client.write("a\n");
    await arrived(server, 2);
    const closing: Framing = {
      measure: () => {
        server.disconnect();
        return 2;
      },
    };
    assert.equal(server.takeMessage(closing), undefined);
    assert.equal((await server.closed).unread.length, 2);
  });

  it("what is not the caller's: wrong states and arguments are refused at once", async (t) => {
    const { server } = await connectedPair(t, kind);
    assert.throws(() => server.takeMessage({} as never), TypeError);
    assert.throws(() => server.takeMessage(LINE, { maxLength: -1 }), RangeError);
    const idle = new AsyncSocket();
    assert.equal(idle.takeMessage(LINE), undefined);
    await idle.listen({ port: 0, host: "127.0.0.1" });
    throwsBadState(() => idle.takeMessage(LINE), "takeMessage");
    await idle.disconnect();
    server.toDuplex().on("error", () => undefined);
    throwsBadState(() => server.takeMessage(LINE), "takeMessage");
  });
});
