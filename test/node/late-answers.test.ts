/** Delegates that answer by a promise where the answer is needed at once. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { child } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";

/** Runs in a process of its own, where an uncaught exception is the one expected. */
const PROGRAM = `
  import { AsyncSocket } from "asyncsocket";
  import { MemoryNetwork } from "asyncsocket/testing";
  process.on("uncaughtException", (error) => console.log(error.name + ": " + error.message));
  const transport = new MemoryNetwork();
  await AsyncSocket.listen({ port: 1, transport });
  const delegate = { shouldExtendReadTimeout: async () => 1000 };
  const socket = await AsyncSocket.connect({ port: 1, transport, delegate });
  await socket.read({ timeout: 1 }).catch((error) => console.log(error.code));
  await socket.closed;
  process.exit();`;

describe("shouldExtendReadTimeout that gives a promise", SAFETY, () => {
  it("surfaces as an exception that says what is wrong, and the read expires", async (t) => {
    const one = child(t, PROGRAM, []);
    const lines = [await one.line(), await one.line()].sort();
    assert.deepEqual(lines, [
      "ERR_ASYNCSOCKET_READ_TIMEOUT",
      "TypeError: Expected shouldExtendReadTimeout to return a number of milliseconds at once, got a promise",
    ]);
    assert.deepEqual(await one.ended, { code: 0, signal: null, errors: "" });
  });
});
