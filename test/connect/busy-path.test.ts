/** A Unix-domain socket whose listener has no room in its backlog, on a clock that moves when it is told to. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ConnectOptions } from "asyncsocket";
import { NotingOwner } from "./route-owner.js";
import { errno, ScriptedFactory } from "./scripted-factory.js";
import { DirectRoute } from "#dist/connect/direct-route.js";
import { connectTarget } from "#dist/connect/options.js";

const SETTINGS = { noDelay: true, keepAliveMs: false } as const;
const BUSY = errno("EAGAIN");

class Stage extends NotingOwner {
  readonly route: DirectRoute;

  constructor(options: ConnectOptions = {}) {
    super(new ScriptedFactory());
    this.route = new DirectRoute(this, this.factory, connectTarget({ path: "/s", ...options }), SETTINGS);
    this.route.start();
  }

  /** How many tries there were. */
  get tries(): number {
    return this.factory.made.length;
  }

  failLast(code = "EAGAIN"): void {
    const { sink } = this.factory.to("/s");
    assert.ok("didOpen" in sink);
    sink.didFail(errno(code));
    sink.didClose();
  }
}

describe("a path whose listener is busy", () => {
  it("is tried again after waits that double up to 50 ms, until it is reached", () => {
    const stage = new Stage();
    for (const [i, waitMs] of [1, 2, 4, 8, 16, 32, 50, 50].entries()) {
      stage.failLast();
      stage.clock.advance(waitMs - 1);
      assert.equal(stage.tries, i + 1, `not before ${waitMs} ms`);
      stage.clock.advance(1);
      assert.equal(stage.tries, i + 2);
    }
    stage.factory.to("/s").open();
    assert.equal(stage.reached?.transport, stage.factory.made.at(-1));
    assert.equal(stage.clock.size, 0);
  });

  it("is given up after 10 s where the connect has no timeout, in words, with the errno", () => {
    const stage = new Stage({ timeout: Infinity });
    const start = stage.clock.now();
    while (stage.error === null) {
      stage.failLast();
      stage.clock.advance(50);
    }
    assert.match(stage.error.message, /^Cannot connect to \/s: .*\(EAGAIN\)$/);
    assert.equal((stage.error.cause as NodeJS.ErrnoException).code, "EAGAIN");
    const tookMs = stage.clock.now() - start;
    assert.ok(tookMs >= 10_000 && tookMs <= 10_100, `${tookMs}`);
  });

  it("is not given up before a timeout of the connect's own, which tells what was in the way", () => {
    const stage = new Stage({ timeout: 60_000 });
    for (let ms = 0; ms < 30_000; ms += 50) {
      stage.failLast();
      stage.clock.advance(50);
    }
    assert.equal(stage.error, null);
    stage.failLast();
    assert.deepEqual(stage.route.tried, [{ where: "", error: BUSY }]);
    stage.route.cancel();
    assert.equal(stage.clock.size, 0, "no try is left for later");
  });

  it("is not tried again once nobody wants it, or where it fails for another reason", () => {
    const canceled = new Stage();
    canceled.route.cancel();
    canceled.failLast();
    assert.deepEqual([canceled.tries, canceled.clock.size], [1, 0]);
    const refused = new Stage();
    refused.failLast();
    refused.clock.advance(1);
    refused.failLast("ECONNREFUSED");
    assert.match(refused.error?.message ?? "", /nothing listens there/);
    assert.equal(refused.clock.size, 0);
  });
});
