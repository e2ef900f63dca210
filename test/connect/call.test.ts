import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { errno, ScriptedFactory } from "./scripted-factory.js";
import { applySettings, Attempt } from "#dist/connect/attempt.js";

const ENDPOINT = { path: "/x" };
const SETTINGS = { noDelay: true, keepAliveMs: false } as const;

/** A call, and all that is told and done of it, in order. */
function stage(): { call: Attempt; factory: ScriptedFactory } {
  const factory = new ScriptedFactory();
  const call = new Attempt(
    (error) => void factory.log.push(error === null ? "done" : `failed: ${error.message}`),
    (one) => void factory.log.push(one === call ? "closed" : "another is closed"),
  );
  return { call, factory };
}

function begun(isReferenced = true): ReturnType<typeof stage> {
  const { call, factory } = stage();
  call.begin(factory.connect(ENDPOINT, SETTINGS, call), isReferenced);
  factory.take();
  return { call, factory };
}

describe("a call", () => {
  it("has the transport that it began with, and none before", () => {
    const { call, factory } = stage();
    assert.equal(call.transport, null);
    const transport = factory.connect(ENDPOINT, SETTINGS, call);
    call.begin(transport, true);
    assert.equal(call.transport, transport);
    assert.deepEqual(factory.log, ["/x: connect"]);
  });

  it("lets the process end from the begin on where it is not to keep it alive", () => {
    const { call, factory } = stage();
    call.begin(factory.connect(ENDPOINT, SETTINGS, call), false);
    assert.deepEqual(factory.log, ["/x: connect", "/x: unref"]);
  });

  it("keeps the process alive or not, as it is told", () => {
    const { call, factory } = begun();
    call.setReferenced(true);
    assert.deepEqual(factory.take(), ["/x: ref"]);
    call.setReferenced(false);
    assert.deepEqual(factory.take(), ["/x: unref"]);
  });

  it("hangs up with a FIN", () => {
    const { call, factory } = begun();
    call.hangUp();
    assert.deepEqual(factory.log, ["/x: destroy"]);
  });

  it("does nothing of all this before it has a transport", () => {
    const { call, factory } = stage();
    call.setReferenced(true);
    call.setReferenced(false);
    call.hangUp();
    assert.deepEqual(factory.log, []);
  });

  it("tells of success, and leaves the transport as it is", () => {
    const { call, factory } = begun();
    call.didOpen();
    assert.deepEqual(factory.log, ["done"]);
  });

  it("hangs up when it fails, and tells why, then that it is closed", () => {
    const { call, factory } = begun();
    call.didFail(errno("ECONNREFUSED"));
    call.didClose();
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
      const { call, factory } = begun();
      assert.ok(call.transport !== null);
      applySettings(call.transport, settings);
      assert.deepEqual(factory.log, deeds);
    });
  }
});
