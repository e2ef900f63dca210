/** The runtime's HTTP server and client over the streams of sockets, which they take for their own sockets. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, createServer, get, type IncomingMessage, request, type RequestOptions, type Server } from "node:http";
import { Agent as SecureAgent, get as getSecurely } from "node:https";
import { type AddressInfo, connect as netConnect } from "node:net";
import type { Duplex } from "node:stream";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type AsyncSocketOptions, type ListenOptions } from "asyncsocket";
import { NO_NATIVE } from "../support/availability.js";
import { Authority } from "../support/certificates.js";
import { pattern, settled, until } from "../support/delegates.js";
import { Belongings, timedNetwork } from "../support/lifecycle-helpers.js";
import { portOf, SAFETY } from "../support/transports.js";

const HOST = "127.0.0.1";
const authority = await Authority.create();
const identity = await authority.issue(["localhost", HOST]);
const TRANSPORTS = NO_NATIVE === false ? (["node", "native"] as const) : (["node"] as const);

/** What an application sees of the connection of a request. */
interface Seen {
  readonly protocol: string;
  readonly ip: string | undefined;
  readonly port: number | undefined;
}

interface Serving {
  readonly http: Server;
  readonly port: number;
  readonly seen: Seen[];
  readonly accepted: AsyncSocket[];
}

/** An `http.Server` that gets its connections from a listener of ours. */
async function serving(t: TestContext, options: AsyncSocketOptions, listen: ListenOptions = {}): Promise<Serving> {
  const seen: Seen[] = [];
  const accepted: AsyncSocket[] = [];
  const http = createServer((request, response) => {
    // Express, Fastify and Koa look at these.
    const { remoteAddress, remotePort } = request.socket;
    const { encrypted } = request.socket as { encrypted?: unknown };
    seen.push({ protocol: encrypted === true ? "https" : "http", ip: remoteAddress, port: remotePort });
    if (request.url === "/echo") request.pipe(response);
    else response.end("a page");
  });
  t.after(() => http.closeAllConnections());
  const listener = Belongings.of(t).add(
    new AsyncSocket({
      ...options,
      delegate: {
        didAccept(_, socket) {
          accepted.push(Belongings.of(t).add(socket));
          http.emit("connection", socket.toDuplex());
        },
      },
    }),
  );
  await listener.listen({ port: 0, host: HOST, ...listen });
  return { http, port: portOf(listener), seen, accepted };
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  let body = "";
  for await (const data of response) body += String(data);
  return body;
}

async function page(options: RequestOptions, secure = false): Promise<string> {
  const request = (secure ? getSecurely : get)(options);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return await bodyOf(response);
}

for (const transport of TRANSPORTS) {
  describe(`http.Server over accepted sockets, over ${transport}`, SAFETY, () => {
    it("keeps connections alive, and tells applications of the client's address", async (t) => {
      const { port, seen, accepted } = await serving(t, { transport });
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      t.after(() => agent.destroy());
      for (let i = 0; i < 3; i++) assert.equal(await page({ host: HOST, port, agent }), "a page");
      assert.equal(accepted.length, 1);
      const { remote } = accepted[0] as AsyncSocket;
      assert.ok(remote !== undefined && remote.family !== "unix");
      assert.deepEqual(seen[2], { protocol: "http", ip: HOST, port: remote.port });
    });

    it("is https for applications behind our TLS", async (t) => {
      const { port, seen } = await serving(t, { transport }, { tls: identity });
      const agent = new SecureAgent({ keepAlive: true, maxSockets: 1, ca: authority.cert });
      t.after(() => agent.destroy());
      for (let i = 0; i < 2; i++) assert.equal(await page({ host: HOST, port, agent }, true), "a page");
      assert.deepEqual([seen[1]?.protocol, seen[1]?.ip], ["https", HOST]);
    });

    it("shows the client behind a proxy", async (t) => {
      const { port, seen } = await serving(t, { transport }, { proxyProtocol: true });
      const client = Belongings.of(t).addRaw(netConnect(port, HOST));
      client.write("PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\nGET / HTTP/1.0\r\n\r\n");
      await once(client.resume(), "close");
      assert.deepEqual([seen[0]?.ip, seen[0]?.port], ["192.0.2.7", 4711]);
    });

    it("closes connections that are idle for longer than keepAliveTimeout", async (t) => {
      const { http, port, accepted } = await serving(t, { transport });
      http.keepAliveTimeout = 20;
      const client = Belongings.of(t).addRaw(netConnect(port, HOST));
      client.write("GET / HTTP/1.1\r\nhost: here\r\n\r\n");
      await once(client.resume(), "close");
      assert.equal((await accepted[0]?.closed)?.by, "local");
    });

    it("closes connections that stay quiet for longer than server.timeout", async (t) => {
      const { http, port, accepted } = await serving(t, { transport });
      http.setTimeout(20);
      const client = Belongings.of(t).addRaw(netConnect(port, HOST));
      client.write("GET / HTTP/1.1\r\n");
      await once(client.resume(), "close");
      assert.equal((await accepted[0]?.closed)?.error, null);
    });
  });

  describe(`http.Agent with keepAlive over sockets of ours, over ${transport}`, SAFETY, () => {
    /** An agent whose connections are streams of ours: of connecting sockets, or of idle ones that they connect. */
    function agentFor(t: TestContext, isIdleFirst: boolean): { agent: Agent; made: AsyncSocket[] } {
      const made: AsyncSocket[] = [];
      class OurAgent extends Agent {
        override createConnection({ host, port }: { host?: string | null; port?: number | string | null }): Duplex {
          const socket = Belongings.of(t).add(new AsyncSocket({ transport }));
          made.push(socket);
          const target = { host: host ?? HOST, port: Number(port) };
          if (isIdleFirst) return socket.toDuplex().connect(target);
          void socket.connect(target).catch(() => undefined);
          return socket.toDuplex();
        }
      }
      const agent = new OurAgent({ keepAlive: true, maxSockets: 2 });
      t.after(() => agent.destroy());
      return { agent, made };
    }

    async function plainServer(t: TestContext): Promise<{ http: Server; port: number }> {
      const http = createServer((request, response) => void request.pipe(response));
      http.listen(0, HOST);
      t.after(() => http.closeAllConnections());
      Belongings.of(t).addRaw(http);
      await once(http, "listening");
      return { http, port: (http.address() as AddressInfo).port };
    }

    async function post(agent: Agent, port: number, body: Buffer): Promise<string> {
      const posted = request({ method: "POST", agent, host: HOST, port, timeout: 60_000 });
      posted.end(body);
      const [response] = (await once(posted, "response")) as [IncomingMessage];
      return await bodyOf(response);
    }

    for (const isIdleFirst of [false, true]) {
      it(`uses a connection again, of ${isIdleFirst ? "idle" : "connecting"} sockets`, async (t) => {
        const { agent, made } = agentFor(t, isIdleFirst);
        const { port } = await plainServer(t);
        for (const body of ["one", "two", "three"]) assert.equal(await post(agent, port, Buffer.from(body)), body);
        assert.equal(made.length, 1);
      });
    }

    it("carries many bodies at once, in full", async (t) => {
      const { agent, made } = agentFor(t, true);
      const { port } = await plainServer(t);
      const bodies = Array.from({ length: 6 }, (_, i) => Buffer.from(pattern(300_000 + i).toString("hex")));
      const back = await Promise.all(bodies.map((body) => post(agent, port, body)));
      for (const [i, body] of bodies.entries()) assert.ok(back[i] === body.toString(), `body ${i}`);
      assert.equal(made.length, 2);
    });

    it("leaves out a connection that the server has closed, and makes a new one", async (t) => {
      const { agent, made } = agentFor(t, true);
      const { http, port } = await plainServer(t);
      assert.equal(await post(agent, port, Buffer.from("one")), "one");
      http.closeAllConnections();
      await until(() => made[0]?.state === "closed", "the first connection is closed");
      await settled();
      assert.equal(await post(agent, port, Buffer.from("two")), "two");
      assert.equal(made.length, 2);
    });

    it("fails a request by the system's code where the server resets", async (t) => {
      const { agent } = agentFor(t, true);
      const { http, port } = await plainServer(t);
      http.removeAllListeners("request");
      http.on("request", (request: IncomingMessage) => request.socket.resetAndDestroy());
      const [error] = await Promise.all([post(agent, port, Buffer.from("one")).catch((thrown: unknown) => thrown)]);
      assert.equal((error as NodeJS.ErrnoException).code, "ECONNRESET");
    });
  });
}

describe("setTimeout of a stream", SAFETY, () => {
  it("tells once of each quiet time, and leaves the connection alone", async (t) => {
    const { transport, pass, belongings } = timedNetwork(t);
    const listener = belongings.add(new AsyncSocket({ transport }));
    await listener.listen({ port: 7 });
    const client = belongings.add(new AsyncSocket({ transport }));
    const [, next] = await Promise.all([client.connect({ port: 7 }), listener.connections().next()]);
    const peer = belongings.add(next.value as AsyncSocket);
    let told = 0;
    let once = 0;
    const stream = client.toDuplex().setTimeout(1000, () => once++);
    stream.on("timeout", () => told++).resume();
    await pass(999);
    assert.deepEqual([told, stream.timeout], [0, 1000]);
    peer.write("news");
    await pass(999);
    assert.equal(told, 0, "what came began the time anew");
    stream.write("answer");
    await pass(999);
    assert.equal(told, 0, "what was written did, too");
    await pass(1);
    assert.deepEqual([told, once], [1, 1]);
    await pass(100_000);
    assert.equal(told, 1, "no more without traffic");
    peer.write("news");
    await pass(1000);
    assert.deepEqual([told, once], [2, 1]);
    stream.write("answer");
    stream.setTimeout(0);
    await pass(100_000);
    assert.deepEqual([told, client.state], [2, "open"]);
    assert.throws(() => stream.setTimeout(-1), RangeError);
    stream.setTimeout(1000).destroy();
    await pass(100_000);
    assert.equal(told, 2, "none after the end");
  });

  it("counts what the peer takes of a long write as traffic", async (t) => {
    const { transport, pass, belongings } = timedNetwork(t, 1000);
    const listener = belongings.add(new AsyncSocket({ transport, limits: { readAhead: 100 } }));
    await listener.listen({ port: 7 });
    const client = belongings.add(new AsyncSocket({ transport }));
    const [, next] = await Promise.all([client.connect({ port: 7 }), listener.connections().next()]);
    const peer = belongings.add(next.value as AsyncSocket);
    let told = 0;
    const stream = client.toDuplex().setTimeout(1000, () => told++);
    stream.write(Buffer.alloc(100_000));
    for (let i = 0; i < 5; i++) {
      await pass(900);
      void peer.readExactly(2000).catch(() => undefined);
    }
    assert.equal(told, 0);
    await pass(2000);
    assert.equal(told, 1);
  });
});
