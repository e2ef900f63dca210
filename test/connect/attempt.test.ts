import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { errno, ScriptedFactory } from "./scripted-factory.js";
import { applySettings, Attempt } from "#dist/connect/attempt.js";

const ENDPOINT = { path: "/x" };
const SETTINGS = { noDelay: true, keepAliveMs: false } as const;

/** An attempt, and all that is told and done of it, in order. */
function stage(): { attempt: Attempt; factory: ScriptedFactory } {
  const factory = new ScriptedFactory();
  const attempt = new Attempt(
    (error) => void factory.log.push(error === null ? "done" : `failed: ${error.message}`),
    (one) => void factory.log.push(one === attempt ? "closed" : "another is closed"),
  );
  return { attempt, factory };
}

function begun(isReferenced = true): ReturnType<typeof stage> {
  const { attempt, factory } = stage();
  attempt.begin(factory.connect(ENDPOINT, SETTINGS, attempt), isReferenced);
  factory.take();
  return { attempt, factory };
}

describe("an attempt", () => {
  it("has the transport that it began with, and none before", () => {
    const { attempt, factory } = stage();
    assert.equal(attempt.transport, null);
    const transport = factory.connect(ENDPOINT, SETTINGS, attempt);
    attempt.begin(transport, true);
    assert.equal(attempt.transport, transport);
    assert.deepEqual(factory.log, ["/x: connect"]);
  });

  it("lets the process end from the begin on where it is not to keep it alive", () => {
    const { attempt, factory } = stage();
    attempt.begin(factory.connect(ENDPOINT, SETTINGS, attempt), false);
    assert.deepEqual(factory.log, ["/x: connect", "/x: unref"]);
  });

  it("keeps the process alive or not, as it is told", () => {
    const { attempt, factory } = begun();
    attempt.setReferenced(true);
    assert.deepEqual(factory.take(), ["/x: ref"]);
    attempt.setReferenced(false);
    assert.deepEqual(factory.take(), ["/x: unref"]);
  });

  it("hangs up with a FIN", () => {
    const { attempt, factory } = begun();
    attempt.cancel();
    assert.deepEqual(factory.log, ["/x: destroy"]);
  });

  it("does nothing of all this before it has a transport", () => {
    const { attempt, factory } = stage();
    attempt.setReferenced(true);
    attempt.setReferenced(false);
    attempt.cancel();
    assert.deepEqual(factory.log, []);
  });

  it("tells of success, and leaves the transport as it is", () => {
    const { attempt, factory } = begun();
    attempt.didOpen();
    assert.deepEqual(factory.log, ["done"]);
  });

  it("hangs up when it fails, and tells why, then that it is closed", () => {
    const { attempt, factory } = begun();
    attempt.didFail(errno("ECONNREFUSED"));
    attempt.didClose();
    assert.deepEqual(factory.log, ["/x: destroy", "failed: ECONNREFUSED", "closed"]);
  });
});

describe("settings", () => {
  for (const [settings, deeds] of [
    [{}, []],
    [{ noDelay: false }, ["/x: noDelay false"]],
    [{ noDelay: true }, ["/x: noDelay true"]],
    [{ keepAliveMs: false }, ["/x: keepAlive false"]],
    [{ keepAliveMs: 0 }, ["/x: keepAlive 0"]],
    [{ noDelay: true, keepAliveMs: 5 }, ["/x: noDelay true", "/x: keepAlive 5"]],
  ] as const) {
    it(`of a transport are those that are given, and no other: ${JSON.stringify(settings)}`, () => {
      const { attempt, factory } = begun();
      assert.ok(attempt.transport !== null);
      applySettings(attempt.transport, settings);
      assert.deepEqual(factory.log, deeds);
    });
  }
});
