/** Errors in words: whatever is thrown, wherever, is words in the end, and never an exception of its own. */

import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { describe, it } from "node:test";
import { AsyncSocket, AsyncSocketError } from "asyncsocket";
import fc from "fast-check";
import { failure, shortCode } from "./support/delegates.js";
import { Belongings } from "./support/lifecycle-helpers.js";
import { ODD_VALUES, thrownValues } from "./support/thrown-values.js";
import { SAFETY } from "./support/transports.js";
import { inWords, reasonOf } from "#dist/base/errno.js";
import { asError, isCode, isOurs } from "#dist/base/errors.js";

function isWords(text: unknown): boolean {
  return typeof text === "string" && text !== "";
}

describe("errors in words", () => {
  it("whatever was thrown, is some text", () => {
    fc.assert(
      fc.property(thrownValues(), ({ value }) => {
        assert.ok(isWords(reasonOf(value)));
        assert.ok(isWords(inWords(value)));
        const error = asError(value);
        assert.ok(error instanceof Error);
        assert.equal(isOurs(value), false);
        assert.equal(isCode(value, "TLS"), false);
      }),
    );
  });

  it("prefers the code of the system, then the message, then what the value looks like", () => {
    const system = Object.assign(new Error("connect ECONNREFUSED ::1:80"), { code: "ECONNREFUSED" });
    assert.equal(inWords(system), "nothing listens there (ECONNREFUSED)");
    assert.equal(inWords(Object.assign(new Error("E11000 duplicate key"), { code: 11_000 })), "E11000 duplicate key");
    assert.equal(inWords(new DOMException("stopped", "AbortError")), "stopped");
    assert.equal(inWords(new RangeError()), "RangeError");
    assert.equal(inWords(new Error("constructor")), "constructor");
    assert.equal(inWords(null), "null");
    assert.equal(inWords(Symbol("x")), "Symbol(x)");
    assert.equal(inWords({ status: 3 }), "{ status: 3 }");
    const ours = Object.assign(new Error("it was held up"), { code: "ERR_SOMETHING" });
    assert.equal(inWords(ours), "it was held up (ERR_SOMETHING)");
    assert.equal(asError(system), system);
    assert.equal(asError("text").message, "text");
    assert.equal(asError("text").cause, "text");
  });
});

for (const [what, value] of ODD_VALUES) {
  // The runtime itself looks at what a stream is destroyed with.
  const isForStreams = !/null|undefined|an empty string|proxy/.test(what);

  describe(`${what} in place of an error`, SAFETY, () => {
    it("is the cause where a stream is destroyed with it", { skip: !isForStreams }, async (t) => {
      const duplex = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
      const socket = Belongings.of(t).add(AsyncSocket.from(duplex));
      const read = socket.readLine();
      duplex.destroy(value as Error);
      assert.ok(isWords((await failure(read, "CONNECTION_LOST")).message));
      const { error } = await socket.closed;
      assert.equal(error?.cause, value);
      assert.match(error?.message ?? "", /^Connection lost: ./s);
    });

    it("fails a connect whose lookup throws it, or tells it", async (t) => {
      const belongings = Belongings.of(t);
      const lookups = [
        () => {
          throw value;
        },
        (_host: string, _options: object, done: (error: unknown, address: string) => void) => done(value, ""),
      ];
      for (const lookup of lookups) {
        const socket = belongings.add(new AsyncSocket());
        const error = await failure(socket.connect({ host: "odd.test", port: 1, lookup: lookup as never }), "DNS");
        assert.match(error.message, /^Cannot connect to odd\.test|^Cannot find an address of the host "odd\.test": ./s);
      }
    });

    it("is the cause where a signal is aborted with it", async (t) => {
      const belongings = Belongings.of(t);
      const duplex = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
      const socket = belongings.add(AsyncSocket.from(duplex));
      const { signal } = aborted(value);
      const expected = value === undefined ? (signal.reason as unknown) : value;
      assert.equal((await failure(socket.readLine({ signal }), "CANCELED")).cause ?? null, expected);
      const other = belongings.add(new AsyncSocket());
      const error = await failure(other.connect({ host: "127.0.0.1", port: 1, signal }), "CANCELED");
      assert.equal(error.cause ?? null, expected);
    });
  });
}

function aborted(reason: unknown): AbortController {
  const controller = new AbortController();
  controller.abort(reason);
  return controller;
}

describe("a lookup whose answer is none", SAFETY, () => {
  it("fails the connect, and throws nothing", async () => {
    for (const answer of [[null], [undefined], [{}], [{ address: 7 }], null, 7]) {
      const socket = new AsyncSocket();
      const lookup = (_host: string, _options: object, done: (error: null, found: unknown) => void) =>
        done(null, answer);
      const error = await failure(socket.connect({ host: "odd.test", port: 1, lookup: lookup as never }), "DNS");
      assert.ok(error instanceof AsyncSocketError);
      assert.equal(shortCode((await socket.closed).error), "DNS");
    }
  });
});
