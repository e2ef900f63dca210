import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { heldBytes } from "../memory-use.js";
import { pattern } from "../support/delegates.js";
import { ByteQueue } from "#dist/testing/byte-queue.js";

const COUNT = 60_000;

describe("bytes under way", () => {
  it("come out as they went in, however they are cut, and none before its time", () => {
    const data = pattern(20_000);
    const queue = new ByteQueue();
    const out: Buffer[] = [];
    let sent = 0;
    let arrived = 0;
    for (let now = 0; arrived < data.length; now++) {
      for (let i = 0; i < 7 && sent < data.length; i++) {
        const size = 1 + ((sent * 31) % 300);
        const piece = Buffer.from(data.subarray(sent, sent + size));
        queue.push(piece, now + 2, now);
        sent += piece.length;
      }
      assert.equal(queue.length, sent - arrived);
      const count = queue.due(now, 1 + ((now * 7) % 2000));
      if (now < 2) assert.equal(count, 0);
      if (count > 0) {
        const piece = queue.take(count);
        out.push(Buffer.from(piece));
        piece.fill(0xdd);
      }
      arrived += count;
    }
    assert.ok(Buffer.concat(out).equals(data));
  });

  it("take memory by their bytes, not by their pieces", async () => {
    const queue = new ByteQueue();
    const before = await heldBytes();
    // Each comes later than the one before, and all of them have arrived.
    for (let i = 0; i < COUNT; i++) queue.push(Buffer.of(i & 255), i / 10, i);
    const held = (await heldBytes()) - before;
    assert.ok(held < 10 * COUNT, `${held} bytes for ${COUNT}`);
    assert.equal(queue.take(COUNT)[COUNT - 1], (COUNT - 1) & 255);
  });
});
