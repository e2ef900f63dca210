/** Programs that random ones were shrunk to when they found a fault. */

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { Round } from "./round.js";
import { WIRES } from "./wires.js";
import type { WriteProgram } from "./write-program.js";

const wires = await Promise.all(WIRES.map((make) => make()));
after(() => {
  for (const wire of wires) wire.close();
});

/** An exception of the delegate that surfaced in a tick made Node's TLS send a record twice: "bad record mac". */
const THROWN_RIGHT_AFTER_THE_HANDSHAKE: WriteProgram = {
  of: "writes",
  seed: 7054,
  isAccepted: false,
  chunkBytes: 60_244,
  readAhead: 65_536,
  allowHalfOpen: true,
  style: "delegate",
  writes: [
    { as: "bytes", sizes: [1], from: 0, cancelTurns: 0, restTurns: 0, isAwaited: false, mischief: { do: "throw" } },
    { as: "list", sizes: [1, 1, 1], from: 1, restTurns: 0, isAwaited: true },
    { as: "list", sizes: [1], from: 4, restTurns: 0, isAwaited: false },
    { as: "bytes", sizes: [1], from: 5, restTurns: 3, isAwaited: false },
  ],
  stalls: [],
  resetAfter: Infinity,
  closing: "reset",
  lingerMs: 60_000,
};

describe("a delegate that throws right after the connection is made", { timeout: 120_000 }, () => {
  for (const wire of wires) {
    it(`breaks nothing over ${wire.name}`, async () => {
      assert.equal(await new Round(wire).run([THROWN_RIGHT_AFTER_THE_HANDSHAKE]), null);
    });
  }
});
