/** `connect({ proxy })`: to the proxy, the talk with it, and what the connection is afterwards. */

import assert from "node:assert/strict";
import type { LookupFunction } from "node:net";
import { after, describe, it, type TestContext } from "node:test";
import {
  AsyncSocket,
  type AsyncSocketOptions,
  type ConnectOptions,
  type SocketRequest,
  type TransportFactory,
} from "asyncsocket";
import { MemoryNetwork, VirtualClock } from "asyncsocket/testing";
import { failure } from "../support/delegates.js";
import { Authority } from "../support/certificates.js";
import { assertNothingLeft, turn } from "../support/transports.js";
import { assertInStep, type Chunking, CHUNKINGS, play, type Step, WHOLE } from "./scripted-proxy.js";

const TARGET = { host: "target.test", port: 80 };
/** TARGET by SOCKS5, as a name, and as the address that this side finds. */
const HELLO: Step = [Buffer.of(5, 1, 0), Buffer.of(5, 0)];
const DONE = Buffer.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0);
const BY_NAME: Step = [Buffer.concat([Buffer.of(5, 1, 0, 3, 11), Buffer.from("target.test"), Buffer.of(0, 80)]), DONE];
const BY_ADDRESS: Step = [Buffer.of(5, 1, 0, 1, 192, 0, 2, 7, 0, 80), DONE];
const CONNECT = "CONNECT target.test:80 HTTP/1.1\r\nHost: target.test:80\r\n\r\n";

const WAYS: readonly (readonly [proxy: string, steps: readonly Step[]])[] = [
  ["socks5://proxy.test:1080", [HELLO, BY_ADDRESS]],
  ["socks5h://proxy.test:1080", [HELLO, BY_NAME]],
  ["http://proxy.test:1080", [[CONNECT, "HTTP/1.1 200 OK\r\n\r\n"]]],
];

after(assertNothingLeft);

interface Stage {
  readonly network: MemoryNetwork;
  readonly clock: VirtualClock;
  readonly socket: AsyncSocket;
  readonly connect: (options: ConnectOptions) => SocketRequest<AsyncSocket>;
  /** The proxy's end of the next connection. */
  readonly accept: () => Promise<AsyncSocket>;
}

async function stage(
  t: TestContext,
  { chunkBytes }: Chunking = WHOLE,
  options: AsyncSocketOptions = {},
): Promise<Stage> {
  const clock = new VirtualClock();
  const hosts = { "target.test": ["192.0.2.7", "192.0.2.8"], "proxy.test": ["192.0.2.1"], "nobody.test": [] };
  const network = new MemoryNetwork({ chunkBytes, clock, hosts, silent: ["192.0.2.66"] });
  const listener = await AsyncSocket.listen({ port: 1080, transport: network });
  const socket = new AsyncSocket({ transport: network, ...options });
  const accepted: AsyncSocket[] = [];
  t.after(() => Promise.all([...accepted, socket, listener].map((one) => one.disconnect())));
  return {
    network,
    clock,
    socket,
    connect: (given) => socket.connect({ ...TARGET, ...given }),
    async accept() {
      const { value } = await listener.connections().next();
      assert.ok(value !== undefined);
      accepted.push(value);
      return value;
    },
  };
}

/** Reads what came, and so comes to the peer's FIN. */
async function end(proxySide: AsyncSocket): Promise<void> {
  for await (const bytes of proxySide) assert.ok(bytes.length > 0);
  assert.equal((await proxySide.closed).by, "remote");
}

describe("connecting through a proxy", () => {
  for (const [proxy, steps] of WAYS) {
    for (const chunking of CHUNKINGS) {
      it(`ends at the target, by ${proxy}, ${chunking.name}`, async (t) => {
        const { connect, accept, socket } = await stage(t, chunking);
        const connecting = connect({ proxy });
        const proxySide = await accept();
        await Promise.all([play(proxySide, steps), connecting]);
        assert.equal(socket.bytesRead, 0, "the talk with the proxy is not the application's");
        assert.equal(socket.bytesWritten, 0);
        await assertInStep(socket, proxySide);
      });
    }

    it(`loses no byte that comes with the proxy's answer, by ${proxy}`, async (t) => {
      const { connect, accept, socket } = await stage(t);
      const line = socket.readLine();
      const connecting = connect({ proxy });
      const proxySide = await accept();
      const [expected, answer] = steps.at(-1) as Step;
      const ahead = Buffer.concat([Buffer.from(answer as string), Buffer.from("welcome\nrest")]);
      await play(proxySide, [...steps.slice(0, -1), [expected, ahead]]);
      proxySide.end();
      await connecting;
      assert.equal(await line, "welcome");
      let rest = "";
      for await (const bytes of socket) rest += bytes.toString();
      assert.equal(rest, "rest");
    });

    it(`writes nothing of the application's before the proxy is through, by ${proxy}`, async (t) => {
      const { connect, accept, socket } = await stage(t);
      socket.write("early");
      const connecting = connect({ proxy });
      const proxySide = await accept();
      await play(proxySide, steps);
      await connecting;
      assert.equal(await proxySide.readExactly(5, { encoding: "utf8" }), "early");
    });

    it(`shakes hands for TLS with the target, under its own name, by ${proxy}`, async (t) => {
      const authority = await Authority.create();
      const { key, cert } = await authority.issue(["target.test"]);
      const { connect, accept, socket } = await stage(t);
      const connecting = connect({ proxy, tls: { ca: authority.cert } });
      const proxySide = await accept();
      await play(proxySide, steps);
      await Promise.all([proxySide.startTLS({ key, cert, isServer: true }), connecting]);
      assert.ok(socket.isSecure);
      assert.equal(socket.tls?.servername, "target.test");
      await assertInStep(socket, proxySide);
    });

    it(`tells the delegate of one connection, by ${proxy}`, async (t) => {
      const told: string[] = [];
      const delegate = new Proxy({}, { get: (_, name) => () => void told.push(String(name)), has: () => true });
      const { connect, accept, socket } = await stage(t, WHOLE, { delegate });
      const connecting = connect({ proxy });
      const proxySide = await accept();
      await Promise.all([play(proxySide, steps), connecting]);
      await socket.disconnect();
      assert.deepEqual(told, ["didConnect", "willDisconnect", "didDisconnect"]);
    });

    it(`is under the connect timeout, and says what it waited for, by ${proxy}`, async (t) => {
      const { connect, accept, clock, socket } = await stage(t);
      const connecting = failure(connect({ proxy, timeout: 500 }));
      const proxySide = await accept();
      await turn();
      clock.advance(500);
      const error = await connecting;
      assert.equal(error.code, "ERR_ASYNCSOCKET_CONNECT_TIMEOUT");
      assert.match(error.message, /target.test port 80: .*the proxy proxy.test:1080 has not answered yet/);
      await end(proxySide);
      assert.equal((await socket.closed).by, "error");
      assert.equal(clock.size, 0);
    });

    it(`ends with its signal, by ${proxy}`, async (t) => {
      const { connect, accept, socket } = await stage(t);
      const controller = new AbortController();
      const connecting = failure(connect({ proxy, signal: controller.signal }));
      const proxySide = await accept();
      controller.abort();
      assert.equal((await connecting).code, "ERR_ASYNCSOCKET_CANCELED");
      await Promise.all([end(proxySide), socket.closed]);
    });

    it(`heeds settings while the proxy is talked to, by ${proxy}`, async (t) => {
      const { connect, accept, socket, network } = await stage(t);
      const heard: string[] = [];
      const factory: TransportFactory = network;
      const original = factory.connect.bind(network);
      factory.connect = (...given) => {
        const transport = original(...given);
        transport.setNoDelay = (on) => void heard.push(`noDelay ${on}`);
        transport.ref = () => void heard.push("ref");
        transport.unref = () => void heard.push("unref");
        return transport;
      };
      socket.unref();
      const connecting = connect({ proxy });
      const proxySide = await accept();
      socket.setNoDelay(false);
      socket.ref();
      await Promise.all([play(proxySide, steps), connecting]);
      assert.deepEqual(heard, ["unref", "noDelay false", "ref"]);
    });

    it(`fails where the connection breaks right behind the proxy's answer, by ${proxy}`, async (t) => {
      const { connect, accept, socket } = await stage(t);
      const connecting = connect({ proxy });
      const proxySide = await accept();
      await play(proxySide, steps);
      proxySide.reset();
      await connecting.catch(() => undefined);
      const { error } = await socket.closed;
      assert.ok(error !== null);
      assert.ok(["ERR_ASYNCSOCKET_PROXY", "ERR_ASYNCSOCKET_CONNECTION_LOST"].includes(error.code), error.code);
    });

    it(`fails where the proxy goes away, by ${proxy}`, async (t) => {
      const { connect, accept, socket } = await stage(t);
      const connecting = failure(connect({ proxy }));
      const proxySide = await accept();
      proxySide.reset();
      const error = await connecting;
      assert.equal(error.code, "ERR_ASYNCSOCKET_PROXY");
      assert.match(error.message, /target.test port 80|192.0.2.7 port 80/);
      assert.equal((await socket.closed).error, error);
    });
  }

  describe("by SOCKS5, to a host with several addresses", () => {
    const proxy = "socks5://proxy.test:1080";
    const asked = (last: number): Buffer => Buffer.of(5, 1, 0, 1, 192, 0, 2, last, 0, 80);
    const refused = (code: number): Buffer => Buffer.of(5, code);

    for (const chunking of CHUNKINGS) {
      it(`asks for the next one where the proxy does not reach the first, ${chunking.name}`, async (t) => {
        const { connect, accept, socket } = await stage(t, chunking);
        const connecting = connect({ proxy });
        const first = await accept();
        await play(first, [HELLO, [asked(7), refused(5)]]);
        const second = await accept();
        await Promise.all([end(first), play(second, [HELLO, [asked(8), DONE]]), connecting]);
        await assertInStep(socket, second);
      });
    }

    for (const code of [1, 3, 4, 5, 6, 8]) {
      it(`names each of them where none is reached (reply ${code})`, async (t) => {
        const { connect, accept, socket } = await stage(t);
        const connecting = failure(connect({ proxy }));
        await play(await accept(), [HELLO, [asked(7), refused(code)]]);
        await play(await accept(), [HELLO, [asked(8), refused(4)]]);
        const error = await connecting;
        assert.equal(error.code, "ERR_ASYNCSOCKET_PROXY");
        const expected = new RegExp(
          String.raw`^Cannot connect to target\.test port 80 through the proxy proxy\.test:1080: ` +
            String.raw`192\.0\.2\.7: .*\(reply ${code}\); 192\.0\.2\.8: no route to that host \(reply 4\)$`,
        );
        assert.match(error.message, expected);
        assert.ok(error.cause instanceof AggregateError);
        assert.equal((await socket.closed).error, error);
      });
    }

    for (const [name, code] of [
      ["the proxy's rules forbid it", 2],
      ["the proxy makes no connections", 7],
      ["the reason is unknown", 99],
    ] as const) {
      it(`asks for no other one where ${name}`, async (t) => {
        const { connect, accept, network } = await stage(t);
        const connecting = failure(connect({ proxy }));
        const only = await accept();
        await play(only, [HELLO, [asked(7), refused(code)]]);
        assert.match(
          (await connecting).message,
          new RegExp(String.raw`^Cannot connect to 192\.0\.2\.7 port 80 .*\(reply ${code}\)$`),
        );
        await end(only);
        assert.equal(network.connections.length, 0);
      });
    }

    it("says what the first one met where the proxy is gone for the second", async (t) => {
      const { connect, accept, network } = await stage(t);
      const connecting = failure(connect({ proxy }));
      const first = await accept();
      network.refuse("192.0.2.1");
      await play(first, [HELLO, [asked(7), refused(5)]]);
      const error = await connecting;
      assert.equal(error.code, "ERR_ASYNCSOCKET_PROXY");
      assert.match(
        error.message,
        /192\.0\.2\.7: nothing listens there \(reply 5\); 192\.0\.2\.8: .*the proxy proxy\.test:1080/,
      );
    });

    it("is under one timeout for all, which tells of those that were not reached", async (t) => {
      const { connect, accept, clock, socket } = await stage(t);
      const connecting = failure(connect({ proxy, timeout: 500 }));
      await play(await accept(), [HELLO, [asked(7), refused(5)]]);
      await accept();
      await turn();
      clock.advance(500);
      const error = await connecting;
      assert.equal(error.code, "ERR_ASYNCSOCKET_CONNECT_TIMEOUT");
      assert.match(error.message, /the proxy proxy\.test:1080 has not answered yet; .*192\.0\.2\.7 .*\(reply 5\)/);
      await socket.closed;
      assert.equal(clock.size, 0);
    });

    it("is ended by a disconnect at the second", async (t) => {
      const { connect, accept, socket } = await stage(t);
      const connecting = failure(connect({ proxy }));
      await play(await accept(), [HELLO, [asked(7), refused(5)]]);
      const second = await accept();
      const closed = socket.disconnect();
      assert.equal((await connecting).code, "ERR_ASYNCSOCKET_CLOSED");
      await Promise.all([end(second), closed]);
    });

    it("keeps the settings that were changed at the first", async (t) => {
      const { connect, accept, socket, network } = await stage(t);
      const made: boolean[] = [];
      const factory: TransportFactory = network;
      const original = factory.connect.bind(network);
      factory.connect = (endpoint, settings, sink) => {
        made.push(settings.noDelay);
        return original(endpoint, settings, sink);
      };
      const connecting = connect({ proxy });
      const first = await accept();
      socket.setNoDelay(false);
      await play(first, [HELLO, [asked(7), refused(5)]]);
      const second = await accept();
      await Promise.all([play(second, [HELLO, [asked(8), DONE]]), connecting]);
      assert.deepEqual(made, [true, false]);
    });

    it("asks once for an address that was found twice, and for 127.0.0.1 first", async (t) => {
      const { connect, accept } = await stage(t);
      const found = ["192.0.2.9", "127.0.0.1", "192.0.2.9"].map((address) => ({ address, family: 4 }));
      const lookup: LookupFunction = (host, _options, done) =>
        done(null, host === "target.test" ? found : [{ address: "192.0.2.1", family: 4 }]);
      const connecting = failure(connect({ proxy, lookup }));
      await play(await accept(), [HELLO, [Buffer.of(5, 1, 0, 1, 127, 0, 0, 1, 0, 80), refused(5)]]);
      await play(await accept(), [HELLO, [asked(9), refused(5)]]);
      assert.match((await connecting).message, /: 127\.0\.0\.1: [^;]*; 192\.0\.2\.9: [^;]*$/);
    });
  });

  it("says that the proxy is not there", async (t) => {
    const { connect } = await stage(t);
    const error = await failure(connect({ proxy: "socks5h://proxy.test:1081" }));
    assert.equal(error.code, "ERR_ASYNCSOCKET_CONNECT");
    assert.match(error.message, /^Cannot connect to the proxy proxy.test:1081: 192.0.2.1: nothing listens there/);
  });

  it("says that a name has no address, before the proxy is asked", async (t) => {
    const { connect } = await stage(t);
    const error = await failure(connect({ host: "nobody.test", proxy: "socks5://proxy.test:1080" }));
    assert.equal(error.code, "ERR_ASYNCSOCKET_DNS");
    assert.match(error.message, /"nobody.test"/);
  });

  it("waits for the lookup no longer than the timeout", async (t) => {
    const { connect, clock } = await stage(t);
    const proxy = "socks5://proxy.test:1080";
    const connecting = failure(connect({ proxy, timeout: 100, lookup: () => undefined }));
    await turn();
    clock.advance(100);
    assert.match((await connecting).message, /the name lookup of target.test has not answered yet/);
  });

  it("can be used again through another proxy", async (t) => {
    const { connect, accept, socket } = await stage(t);
    for (const [proxy, steps] of WAYS) {
      const connecting = connect({ proxy });
      const proxySide = await accept();
      await Promise.all([play(proxySide, steps), connecting]);
      await assertInStep(socket, proxySide);
      await socket.disconnect();
    }
  });

  for (const [name, options, message] of [
    ["a path", { path: "/x", host: undefined, port: undefined }, /either proxy or path/],
    ["a service", { service: "imap" }, /either proxy or service/],
    ["a host that no proxy can be asked for", { host: "a b" }, /a name of at most 255 bytes/],
  ] as const) {
    it(`refuses ${name} at once`, async (t) => {
      const { socket, connect } = await stage(t);
      assert.throws(() => void connect({ proxy: "http://proxy.test", ...options }), message);
      assert.equal(socket.state, "idle");
    });
  }
});
