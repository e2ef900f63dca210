import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Transport } from "asyncsocket";
import { heldBytes } from "../memory-use.js";
import { pattern, settled } from "../support/delegates.js";
import { TransportStream } from "#dist/transport/transport-stream.js";

const COUNT = 60_000;

function streamed(): { stream: TransportStream; told: { room: number } } {
  const told = { room: -1 };
  const transport = { setRoom: (bytes: number) => void (told.room = bytes), destroy: () => stream.didClose() };
  const stream = new TransportStream(transport as unknown as Transport);
  return { stream, told };
}

describe("a transport as a stream", () => {
  it("decision 8: keeps what nobody reads joined, and then says that there is no room", async () => {
    const { stream, told } = streamed();
    const data = pattern(COUNT);
    stream.read(0);
    const before = await heldBytes();
    for (let i = 0; i < COUNT; i++) stream.didReceive(data, i, 1);
    const held = (await heldBytes()) - before;
    assert.ok(held < 10 * COUNT, `${held} bytes for ${COUNT}`);
    assert.ok(told.room < 65_536 - COUNT + 10, `${told.room} bytes of room`);
    stream.didEnd();
    const pieces: Buffer[] = [];
    stream.on("data", (piece: Buffer) => pieces.push(piece));
    let hasEnded = false;
    stream.on("end", () => (hasEnded = true));
    await settled(20);
    assert.ok(Buffer.concat(pieces).equals(data));
    assert.ok(hasEnded);
    stream.destroy();
  });
});
