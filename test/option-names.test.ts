// Cold options are refused where their name is not known, and so are methods of delegates that nobody would call.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AsyncSocket, reconnect, RunLoop } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";

const transport = new MemoryNetwork();
const socket = (): AsyncSocket => new AsyncSocket({ transport });
const worker = new URL("./nowhere.js", import.meta.url);

const wrong: readonly (readonly [string, (options: never) => unknown, nearest: string, given: string])[] = [
  ["the constructor", (options) => new AsyncSocket(options), "delegate", "delgate"],
  ["connect", (options) => socket().connect(options), "host", "hots"],
  ["AsyncSocket.connect", (options) => AsyncSocket.connect(options), "timeout", "timeOut"],
  ["listen", (options) => socket().listen(options), "backlog", "backLog"],
  ["AsyncSocket.listen", (options) => AsyncSocket.listen(options), "limits", "limit"],
  ["from", (options) => AsyncSocket.from({} as never, options), "userData", "userdata"],
  ["tls of connect", (options) => socket().connect({ port: 1, tls: options }), "servername", "serverName"],
  ["startTLS", (options) => socket().startTLS(options), "rejectUnauthorized", "rejectUnauthorised"],
  ["reconnect", (options) => reconnect({ port: 1 }, options), "maxDelayMs", "maxDelay"],
  ["the connect options of reconnect", (options) => reconnect(options), "port", "prot"],
];

describe("an option whose name is not known", () => {
  for (const [what, call, nearest, given] of wrong) {
    it(`is refused by ${what}, the nearest name first`, () => {
      const options = { [given]: undefined } as never;
      assert.throws(
        () => call(options),
        new RegExp(`^TypeError: Expected .* to have no names but ${nearest}, .*, got "${given}"$`),
      );
    });
  }

  it("is refused by RunLoop.spawn and RunLoop.pool", async () => {
    await assert.rejects(RunLoop.spawn(worker, { workerdata: 1 } as never), /no names but workerData, /);
    await assert.rejects(RunLoop.pool(worker, 1, { polcy: "round-robin" } as never), /no names but policy, /);
  });

  it("of the constructor is none of connect's own, and the other way round", () => {
    assert.throws(() => new AsyncSocket({ host: "localhost" } as never), /no names but /);
    assert.throws(() => socket().connect({ port: 1, userData: 1 } as never), /no names but /);
  });

  it("may be given as undefined where it is known", () => {
    assert.ok(new AsyncSocket({ delegate: undefined, limits: undefined, transport: undefined }));
  });
});

describe("a delegate's method", () => {
  it("that looks like one of a delegate's, and is none, is refused, the nearest first", () => {
    assert.throws(
      () => new AsyncSocket({ delegate: { didReadTxt() {} } as never }),
      /no names but didReadText, .*, got "didReadTxt"$/,
    );
    class Late {
      didDisconect(): void {}
    }
    const late = socket();
    assert.throws(() => {
      late.delegate = new (class extends Late {})() as never;
    }, /no names but didDisconnect, /);
    assert.equal(late.delegate, null);
  });

  it("of another kind is the delegate's own affair", () => {
    class Chat {
      readonly didTalk = true;
      readonly names = new Map<string, string>();
      broadcast(): void {}
      didRead(): void {}
    }
    assert.ok(new AsyncSocket({ delegate: new Chat() }));
  });
});
