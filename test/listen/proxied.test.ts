/** Listening behind a proxy that sends PROXY headers. */

import assert from "node:assert/strict";
import { after, describe, it, type TestContext } from "node:test";
import { AsyncSocket, type AsyncSocketError, type AsyncSocketOptions, type ListenOptions } from "asyncsocket";
import { MemoryNetwork, VirtualClock } from "asyncsocket/testing";
import { CHUNKINGS } from "../connect/scripted-proxy.js";
import { Authority } from "../support/certificates.js";
import { duplexTransports } from "../support/duplex-listener.js";
import { assertNothingLeft, portOf, turn } from "../support/transports.js";

const HEADER = "PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\r\n";
const PROXIED = {
  local: { family: "IPv4", address: "192.0.2.2", port: 443 },
  remote: { family: "IPv4", address: "192.0.2.1", port: 1234 },
};

after(assertNothingLeft);

interface Refusal {
  readonly error: AsyncSocketError;
}

class Server {
  readonly refusals: Refusal[] = [];
  readonly accepted: AsyncSocket[] = [];
  #changed: () => void = () => undefined;

  /** Resolves once so many connections have been accepted or refused. */
  async sees(count: number): Promise<void> {
    while (this.refusals.length + this.accepted.length < count) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  didAccept(_listener: AsyncSocket, socket: AsyncSocket): void {
    this.accepted.push(socket);
    this.#changed();
  }

  didFailAccept(_listener: AsyncSocket, error: AsyncSocketError): void {
    this.refusals.push({ error });
    this.#changed();
  }
}

async function start(t: TestContext, options: AsyncSocketOptions, listen: Partial<ListenOptions> = {}) {
  const server = new Server();
  const listener = await AsyncSocket.listen({ port: 7, proxyProtocol: true, delegate: server, ...options, ...listen });
  t.after(async () => {
    for (const socket of server.accepted) await socket.disconnect();
    await listener.disconnect();
  });
  const connect = async (bytes: string | Uint8Array): Promise<AsyncSocket> => {
    const client = await AsyncSocket.connect({
      host: "127.0.0.1",
      port: portOf(listener),
      transport: options.transport,
    });
    t.after(() => client.disconnect());
    if (bytes.length > 0) client.write(bytes);
    return client;
  };
  return { server, listener, connect };
}

function only<T>(items: readonly T[]): T {
  assert.equal(items.length, 1);
  return items[0] as T;
}

describe("a listener with proxyProtocol", () => {
  for (const { name, chunkBytes } of CHUNKINGS) {
    it(`accepts behind the header, and loses no byte of what follows, ${name}`, async (t) => {
      const { server, connect } = await start(t, { transport: new MemoryNetwork({ chunkBytes }) });
      const client = await connect(`${HEADER}hello\nmore`);
      await server.sees(1);
      const socket = only(server.accepted);
      assert.deepEqual(socket.proxied, PROXIED);
      assert.equal(socket.remote?.family, "IPv4");
      assert.equal(await socket.readLine(), "hello");
      assert.equal((await socket.readExactly(4)).toString(), "more");
      assert.equal(socket.bytesRead, "hello\nmore".length, "the header is not the application's");
      socket.write("answer\n");
      assert.equal(await client.readLine(), "answer");
    });
  }

  for (const { name, chunkBytes } of CHUNKINGS) {
    it(`accepts a connection that ends right behind the header, and what came with it, ${name}`, async (t) => {
      const { server, connect } = await start(t, { transport: new MemoryNetwork({ chunkBytes }) });
      const client = await connect(`${HEADER}hello`);
      client.end();
      await server.sees(1);
      const socket = only(server.accepted);
      let text = "";
      for await (const bytes of socket) text += bytes.toString();
      assert.equal(text, "hello");
      assert.equal((await socket.closed).by, "remote");
    });
  }

  for (const [name, transport] of [["TCP", undefined] as const, ["streams", duplexTransports] as const]) {
    it(`accepts over ${name}, with much behind the header`, async (t) => {
      const { server, connect } = await start(t, { transport }, { host: "127.0.0.1", port: 0 });
      const much = Buffer.alloc(300_000, "0123456789");
      await connect(Buffer.concat([Buffer.from(HEADER), much]));
      await server.sees(1);
      const socket = only(server.accepted);
      assert.ok((await socket.readExactly(much.length)).equals(much));
      assert.deepEqual(socket.proxied, PROXIED);
    });
  }

  for (const [name, transport] of [["TCP", undefined] as const, ["memory", new MemoryNetwork()] as const]) {
    it(`begins TLS behind the header, in the same bytes or later, over ${name}`, async (t) => {
      const authority = await Authority.create();
      const identity = await authority.issue(["localhost"]);
      const port = transport === undefined ? 0 : 7;
      const tls = { key: identity.key, cert: identity.cert };
      const { server, connect } = await start(t, { transport }, { host: "127.0.0.1", port, tls });
      const client = await connect(HEADER);
      const upgraded = client.startTLS({ ca: authority.cert, servername: "localhost" });
      client.write("hello\n");
      await upgraded;
      await server.sees(1);
      const socket = only(server.accepted);
      assert.equal(await socket.readLine(), "hello");
      assert.ok(socket.isSecure);
      assert.deepEqual(socket.proxied, PROXIED);
    });
  }

  it("takes the real addresses where the header tells none", async (t) => {
    const { server, connect } = await start(t, { transport: new MemoryNetwork() });
    await connect("PROXY UNKNOWN\r\nhello\n");
    await server.sees(1);
    assert.equal(only(server.accepted).proxied, undefined);
  });

  for (const [name, bytes, message] of [
    ["no header", "GET / HTTP/1.1\r\n\r\n", /neither with PROXY nor with the signature/],
    ["a header that is wrong", "PROXY TCP4 a b 1 2\r\n", /its source/],
  ] as const) {
    it(`refuses a connection with ${name}`, async (t) => {
      const { server, connect } = await start(t, { transport: new MemoryNetwork() });
      const client = await connect(bytes);
      await server.sees(1);
      const { error } = only(server.refusals);
      assert.equal(error.code, "ERR_ASYNCSOCKET_PROXY_PROTOCOL");
      assert.match(error.message, message);
      assert.equal((await client.closed).by, "error");
    });
  }

  it("refuses a connection that ends before its header does", async (t) => {
    const { server, connect } = await start(t, { transport: new MemoryNetwork() });
    const client = await connect(HEADER.slice(0, 20));
    client.end();
    await server.sees(1);
    assert.match(only(server.refusals).error.message, /the stream ended before it was complete/);
  });

  it("refuses a connection whose header does not come within limits.handshakeMs", async (t) => {
    const clock = new VirtualClock();
    const { server, connect } = await start(t, {
      transport: new MemoryNetwork({ clock }),
      limits: { handshakeMs: 3_000 },
    });
    await connect(HEADER.slice(0, 20));
    while (clock.size === 0) await turn();
    clock.advance(2_999);
    assert.equal(server.refusals.length, 0);
    clock.advance(1);
    await server.sees(1);
    assert.match(only(server.refusals).error.message, /more than limits.handshakeMs, 3000 ms/);
    assert.equal(clock.size, 0);
  });

  it("heeds the block list and the limit per address by the address that the header tells", async (t) => {
    const { server, connect } = await start(
      t,
      { transport: new MemoryNetwork(), limits: { connectionsPerAddress: 1 } },
      { blockList: { check: (address) => address === "192.0.2.66" } },
    );
    await connect(HEADER);
    await connect(HEADER.replace("192.0.2.1", "192.0.2.66"));
    await connect(HEADER.replace("192.0.2.1", "192.0.2.3"));
    await connect(HEADER);
    await server.sees(4);
    assert.equal(server.accepted.length, 2);
    const messages = server.refusals.map(({ error }) => error.message).sort();
    assert.match(messages[0] ?? "", /192.0.2.66 is on the block list/);
    assert.match(messages[1] ?? "", /connectionsPerAddress, 1, are open from 192.0.2.1$/);
  });

  it("counts connections without a header yet among limits.connections", async (t) => {
    const { server, connect } = await start(t, { transport: new MemoryNetwork(), limits: { connections: 1 } });
    await connect("PROXY");
    await connect(HEADER);
    await server.sees(1);
    assert.match(only(server.refusals).error.message, /limits.connections, 1, are open/);
  });

  it("closes connections without a header yet when it is closed", async (t) => {
    const clock = new VirtualClock();
    const { server, listener, connect } = await start(t, { transport: new MemoryNetwork({ clock }) });
    const client = await connect("PROXY");
    while (clock.size === 0) await turn();
    await listener.disconnect();
    assert.equal((await client.closed).by, "error");
    assert.deepEqual([server.accepted, server.refusals], [[], []]);
  });
});
