/** The way through a proxy, whose every byte the test says: what is done when, and who is told. */

import assert from "node:assert/strict";
import type { LookupFunction } from "node:net";
import { describe, it } from "node:test";
import { type AcceptedTransport, AsyncSocket, type TransportSink } from "asyncsocket";
import { settled } from "../support/delegates.js";
import { NotingOwner } from "./route-owner.js";
import { errno, ScriptedFactory, type ScriptedTransport } from "./scripted-factory.js";
import { connectTarget, type IpTarget } from "#dist/connect/options.js";
import { ProxyRoute } from "#dist/connect/proxy/proxy-route.js";
import type { Reached } from "#dist/connect/route.js";

const SETTINGS = { noDelay: true, keepAliveMs: false } as const;
const HOSTS = {
  "target.test": ["192.0.2.7"],
  "proxy.test": ["192.0.2.1"],
  "slow.test": null,
  "zone.test": ["fe80::1%x"],
};
const HTTP = "http://proxy.test:3128";
const SOCKS5 = "socks5://proxy.test:1080";
const REACHED = Buffer.from("HTTP/1.1 200 OK\r\n\r\n");

/** What is not among the public types: a socket is made for the talk as sockets make it for themselves. */
interface Adopting extends TransportSink {
  onClosed: () => void;
  adopt(transport: AcceptedTransport): void;
  release(): Reached | null;
  disconnect(reset: boolean): unknown;
  setReferenced(on: boolean): void;
  change(settings: object): void;
}

interface Given {
  readonly proxy?: string;
  readonly host?: string;
  readonly lookup?: LookupFunction;
}

/** A route through a proxy to `target.test`, and its owner. */
class Stage extends NotingOwner {
  readonly route: ProxyRoute;
  /** The socket for the talk with the proxy. */
  socket: AsyncSocket | null = null;

  constructor({ proxy = HTTP, host = "target.test", lookup }: Given = {}) {
    super(new ScriptedFactory(HOSTS));
    const target = connectTarget({ host, port: 80, proxy, lookup }) as IpTarget;
    assert.ok(target.proxy !== undefined);
    this.route = new ProxyRoute(this, this.factory, target, target.proxy, SETTINGS, ({ transport }, closed) => {
      const socket = new AsyncSocket({ allowHalfOpen: true, transport: this.factory });
      const { _connection: connection } = socket as unknown as { _connection: Adopting };
      connection.onClosed = closed;
      connection.adopt(transport);
      transport.adopt(connection);
      this.socket = socket;
      return {
        socket,
        release: () => connection.release(),
        disconnect: () => void connection.disconnect(false),
        takeNews: () => false,
        setReferenced: (on) => connection.setReferenced(on),
        change: (settings) => connection.change(settings),
      };
    });
  }

  start(): this {
    this.route.start();
    return this;
  }

  /** Has the proxy be there, and returns its transport. */
  open(): ScriptedTransport {
    const transport = this.start().factory.to("192.0.2.1");
    transport.open();
    this.log.length = 0;
    return transport;
  }
}

function receive({ sink }: ScriptedTransport, bytes: Buffer): void {
  assert.ok("didReceive" in sink);
  sink.didReceive(bytes, 0, bytes.length);
}

describe("the way to a proxy", () => {
  it("is dialed at once where the proxy looks up the target", () => {
    for (const proxy of [HTTP, "socks5h://proxy.test:3128"]) {
      const stage = new Stage({ proxy, lookup: () => assert.fail("the target is not looked up here") });
      stage.route.cancel();
    }
    const stage = new Stage().start();
    assert.deepEqual(stage.log, ["a descriptor more", "192.0.2.1: connect"]);
    const { endpoint, settings } = stage.factory.to("192.0.2.1");
    assert.deepEqual([endpoint.path === null && endpoint.port, settings], [3128, SETTINGS]);
    assert.deepEqual(stage.route.tried, [{ where: "192.0.2.1", error: null }]);
    assert.deepEqual(stage.route.pending, []);
    stage.route.cancel();
  });

  it("says what is looked up: the target, then the proxy", () => {
    const target = new Stage({ proxy: SOCKS5, host: "slow.test" }).start();
    assert.deepEqual(target.route.pending, ["the name lookup of slow.test has not answered yet"]);
    assert.deepEqual(target.factory.made, []);
    const proxy = new Stage({ proxy: "http://slow.test" }).start();
    assert.deepEqual(proxy.route.pending, ["the name lookup of slow.test has not answered yet"]);
    for (const { route } of [target, proxy]) route.cancel();
  });

  it("is not taken where the target has no address here", () => {
    const stage = new Stage({ proxy: SOCKS5, host: "nobody.test" }).start();
    assert.equal(stage.error?.code, "ERR_ASYNCSOCKET_DNS");
    assert.match(stage.error.message, /^Cannot find an address of the host "nobody.test"/);
    assert.deepEqual(stage.factory.made, []);
  });

  it("heeds one answer of the lookup, and none after a cancel", () => {
    for (const [act, made] of [
      [(stage: Stage) => stage.route.cancel(), 0],
      [() => undefined, 1],
    ] as const) {
      let answer = (): void => undefined;
      const lookup: LookupFunction = (host, _options, done) => {
        if (host === "target.test") answer = () => done(null, "192.0.2.7");
        else done(null, "192.0.2.1");
      };
      const stage = new Stage({ proxy: SOCKS5, lookup }).start();
      act(stage);
      answer();
      answer();
      assert.equal(stage.factory.made.length, made);
      stage.route.cancel();
    }
  });

  it("fails once, whatever else the lookup says", () => {
    const answers: (() => void)[] = [];
    const lookup: LookupFunction = (_host, _options, done) => {
      answers.push(
        () => done(errno("ENOTFOUND"), []),
        () => done(null, "192.0.2.7"),
      );
    };
    const stage = new Stage({ proxy: SOCKS5, lookup }).start();
    for (const answer of answers) answer();
    assert.equal(stage.log.length, 1);
    assert.deepEqual(stage.factory.made, []);
  });

  it("says that the proxy is not there", () => {
    const stage = new Stage().start();
    const { sink } = stage.factory.to("192.0.2.1");
    sink.didFail(errno("ECONNREFUSED"));
    const message = "Cannot connect to the proxy proxy.test:3128: 192.0.2.1: nothing listens there (ECONNREFUSED)";
    assert.deepEqual(stage.log.slice(2), ["192.0.2.1: destroy", message]);
    assert.equal(stage.error?.code, "ERR_ASYNCSOCKET_CONNECT");
    sink.didClose();
    assert.deepEqual(stage.log, ["a descriptor less"]);
    assert.equal(stage.route.tried.length, 1);
  });

  it("heeds settings, and what keeps the process alive, before and after it is reached", () => {
    const stage = new Stage();
    stage.isReferenced = false;
    stage.start();
    stage.route.setReferenced(true);
    stage.route.change({ noDelay: false });
    assert.deepEqual(stage.log.slice(2), ["192.0.2.1: unref", "192.0.2.1: ref", "192.0.2.1: noDelay false"]);
    stage.factory.to("192.0.2.1").open();
    stage.route.setReferenced(false);
    stage.route.change({ keepAliveMs: 5 });
    assert.deepEqual(stage.log, ["192.0.2.1: unref", "192.0.2.1: keepAlive 5"]);
    stage.route.cancel();
  });

  it("is left by a cancel, and nobody is told but that the descriptor is closed", () => {
    const dialing = new Stage().start();
    dialing.log.length = 0;
    dialing.route.cancel();
    dialing.factory.to("192.0.2.1").sink.didClose();
    assert.deepEqual(dialing.log.slice(-2), ["192.0.2.1: destroy", "a descriptor less"]);
    assert.equal(dialing.clock.size, 0);
  });
});

describe("the talk with a proxy", () => {
  it("ends at the transport, with what came behind the answer, and the FIN", async () => {
    for (const hasEnded of [false, true]) {
      const stage = new Stage();
      const transport = stage.open();
      assert.deepEqual(stage.route.pending, ["the proxy proxy.test:3128 has not answered yet"]);
      receive(transport, Buffer.concat([REACHED, Buffer.from("welcome")]));
      if (hasEnded && "didEnd" in transport.sink) transport.sink.didEnd();
      await settled();
      assert.deepEqual(stage.log, ["connected"]);
      assert.deepEqual(stage.reached, { transport, ahead: Buffer.from("welcome"), hasEnded });
      stage.route.cancel();
      await settled();
      assert.deepEqual(stage.log, [], "what is connected is not the route's any more");
    }
  });

  for (const [name, answer, message] of [
    [
      "it refuses",
      "HTTP/1.1 403 No\r\n\r\n",
      /^Cannot connect to target\.test port 80 through the proxy proxy\.test:3128: its rules do not allow that/,
    ],
    ["it speaks something else", "220 mail\r\n", /it does not speak HTTP\/1\.1/],
  ] as const) {
    it(`fails where ${name}, hangs up, and tells when the descriptor is closed`, async () => {
      const stage = new Stage();
      const transport = stage.open();
      receive(transport, Buffer.from(answer));
      await settled();
      const [failure, ...deeds] = stage.log.sort((a, b) => b.localeCompare(a));
      assert.match(failure ?? "", message);
      assert.deepEqual(deeds, ["192.0.2.1: destroy"]);
      assert.equal(stage.error?.code, "ERR_ASYNCSOCKET_PROXY");
      transport.sink.didClose();
      await settled();
      assert.deepEqual(stage.log, ["a descriptor less"]);
    });
  }

  for (const [first, last, code] of [
    ["", "HTTP/1.1 200 OK\r\n\r\n", "PROXY"],
    ["HTTP/1.1 200 OK\r\n", "\r\n", "CONNECTION_LOST"],
  ] as const) {
    it(`fails with ${code} where the connection breaks right behind ${JSON.stringify(last)}`, async () => {
      const stage = new Stage();
      const transport = stage.open();
      receive(transport, Buffer.from(first));
      await settled();
      receive(transport, Buffer.from(last));
      transport.sink.didFail(errno("ECONNRESET"));
      await settled();
      assert.equal(stage.error?.code, `ERR_ASYNCSOCKET_${code}`);
      assert.equal(stage.reached, null);
    });
  }

  it("says so where the proxy cannot be asked for the address that was found", async () => {
    const stage = new Stage({ proxy: SOCKS5, host: "zone.test" });
    stage.open();
    await settled();
    assert.deepEqual([stage.error?.code, stage.error?.operation], ["ERR_ASYNCSOCKET_PROXY", "connect"]);
    assert.match(
      stage.error?.message ?? "",
      /^Cannot connect through the proxy proxy\.test:1080: Expected host to be .*, got "fe80::1%x"$/,
    );
    assert.ok(stage.error?.cause instanceof RangeError);
  });

  it("is ended by a cancel, even right behind the answer, and the owner is told of nothing but the descriptor", async () => {
    for (const answer of [Buffer.from("HTTP/1.1 "), REACHED]) {
      const stage = new Stage();
      const transport = stage.open();
      receive(transport, answer);
      stage.route.cancel();
      await settled();
      assert.deepEqual(stage.log, ["192.0.2.1: destroy"]);
      transport.sink.didClose();
      await settled();
      assert.deepEqual(stage.log, ["a descriptor less"]);
      assert.equal(stage.socket?.state, "closed");
    }
  });
});
