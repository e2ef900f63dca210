/** Threads that crash, whatever they throw: the thread that started them goes on, and is told why. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { AsyncSocket, type AsyncSocketError, RunLoop } from "asyncsocket";
import { NO_NATIVE } from "../support/availability.js";
import { failure, shortCode, until } from "../support/delegates.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { portOf, SAFETY } from "../support/transports.js";
import { moduleOf, poolOf } from "./helpers.js";

/** What a thread does to end, and how that reads. */
const ENDS: readonly (readonly [code: string, words: RegExp])[] = [
  ["throw null", /ended: null$/],
  ["throw undefined", /ended: undefined$/],
  ["throw 'text'", /ended: text$/],
  ["throw Symbol('x')", /ended: Symbol\(x\)$/],
  ["throw { code: 3 }", /ended: \{ code: 3 \}$/],
  ["throw Object.assign(new Error('E11000 duplicate key'), { code: 11000 })", /ended: E11000 duplicate key$/],
  ["throw new DOMException('stopped', 'AbortError')", /ended: ./],
  ["throw Object.create(null)", /ended: ./],
  ["throw new Proxy({}, { get() { throw null; }, getPrototypeOf() { throw null; } })", /ended: ./],
  ["throw Object.defineProperty(new Error('x'), 'code', { get() { throw null; } })", /ended: ./],
  ["throw () => 1", /ended: ./],
  ["Promise.reject()", /ended: .*undefined/],
  ["process.exit(7)", /ended: its thread exited with 7$/],
];

for (const [code, words] of ENDS) {
  describe(`a thread that ends by ${code}`, { ...SAFETY, skip: NO_NATIVE }, () => {
    it("is told of to its listener, and replaced", async (t) => {
      const belongings = Belongings.of(t);
      const options = { name: "odd", respawn: true };
      const pool = await poolOf(
        t,
        1,
        options,
        moduleOf(`RunLoop.current.onSocket(() => setImmediate(() => { ${code}; }));`),
      );
      const [first] = pool.loops as [RunLoop];
      const told: AsyncSocketError[] = [];
      const listener = belongings.add(
        new AsyncSocket({ delegate: { didFailAccept: (_listener, error) => void told.push(error) } }),
      );
      await listener.listen({ port: 0, host: "127.0.0.1", loops: pool });
      const client = belongings.add(new AsyncSocket());
      const warned = code.startsWith("process.exit") ? null : once(process, "warning");
      await client.connect({ host: "127.0.0.1", port: portOf(listener) });
      const { error } = await first.closed;
      assert.equal(shortCode(error), "TRANSFER");
      assert.match(error?.message ?? "", words);
      if (warned !== null) assert.equal((await warned)[0], error);
      await until(() => told.length === 1, "the listener is told");
      assert.equal(shortCode(told[0] as AsyncSocketError), "TRANSFER");
      await until(() => pool.loops[0] !== first, "it is replaced");
      await client.closed;
    });

    // What is rejected is told of later, when the module has run.
    it("fails spawn in its first run", { skip: code.startsWith("Promise") }, async () => {
      const error = await failure(RunLoop.spawn(moduleOf(`${code};`), { name: "odd" }), "TRANSFER");
      assert.match(error.message, words);
    });
  });
}
