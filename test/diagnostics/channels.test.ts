/** What sockets tell on the channels of node:diagnostics_channel, and that nobody is harmed by who listens there. */

import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { describe, it, type TestContext } from "node:test";
import {
  AsyncSocket,
  type AcceptMessage,
  type BytesMessage,
  type CloseMessage,
  type ConnectMessage,
  type EntryMessage,
  type ListenMessage,
  type MoveMessage,
  type RefuseMessage,
  type SecureMessage,
  type TimeoutMessage,
} from "asyncsocket";
import { MemoryNetwork, VirtualClock } from "asyncsocket/testing";
import { NO_UNCAUGHT } from "../support/availability.js";
import { failure, shortCode, until } from "../support/delegates.js";
import { loopOf, moduleOf, MOVABLE, pairOf } from "../loops/helpers.js";
import { assertNothingLeft, connectedPair, overEveryTransport, SAFETY } from "../support/transports.js";
import { uncaught } from "../support/uncaught.js";

/** Subscribes for the time of a test. @returns a function that ends it before, since Deno does so too late */
function listenTo(t: TestContext, name: string, told: (message: unknown) => void): () => void {
  const listener = (message: unknown): void => told(message);
  const stop = (): void => void unsubscribe(name, listener);
  subscribe(name, listener);
  t.after(stop);
  return stop;
}

/** All messages of a channel, as they come. */
function messagesOf<M>(t: TestContext, name: string): M[] {
  const messages: M[] = [];
  listenTo(t, name, (message) => messages.push(message as M));
  return messages;
}

/** The bytes that went one way through a socket, copied inside the subscriber. */
class Recording {
  readonly sent: Buffer[] = [];
  readonly received: Buffer[] = [];
  readonly ends: string[] = [];
  secure = 0;

  constructor(t: TestContext, socket: () => AsyncSocket | undefined) {
    listenTo(t, "asyncsocket:bytes", (told) => {
      const message = told as BytesMessage<AsyncSocket>;
      if (message.socket !== socket()) return;
      if (message.isEnd) this.ends.push(message.direction);
      else this[message.direction].push(Buffer.from(message.bytes));
      if (message.isSecure) this.secure++;
    });
  }
}

/** One property of each message; of a socket its id, since a failed comparison prints what it compares. */
function namesIn(messages: readonly object[], name: string): unknown[] {
  return messages.map((message) => {
    const value = (message as Record<string, unknown>)[name];
    return value instanceof AsyncSocket ? value.id : value;
  });
}

describe("diagnostics channels", () => {
  overEveryTransport((kind) => {
    it("tell of a listen, an accept, a connect and, with TLS, of both handshakes", async (t) => {
      const listens = messagesOf<ListenMessage>(t, "asyncsocket:listen");
      const accepts = messagesOf<AcceptMessage>(t, "asyncsocket:accept");
      const secures = messagesOf<SecureMessage>(t, "asyncsocket:secure");
      const events: string[] = [];
      const connects = new Set<ConnectMessage>();
      for (const event of ["start", "end", "asyncStart", "asyncEnd", "error"]) {
        listenTo(t, `tracing:asyncsocket:connect:${event}`, (told) => {
          events.push(event);
          connects.add(told as ConnectMessage);
        });
      }
      const { listener, client, server } = await connectedPair(t, kind);
      assert.deepEqual(namesIn(listens, "socket"), [listener.id]);
      assert.deepEqual(namesIn(listens, "error"), [undefined]);
      assert.deepEqual(namesIn(accepts, "socket"), [server.id]);
      assert.deepEqual(namesIn(accepts, "listener"), [listener.id]);
      assert.deepEqual(events, ["start", "end", "asyncStart", "asyncEnd"]);
      const [connect, ...others] = connects;
      assert.deepEqual(others, []);
      assert.ok(connect?.socket === client && connect.result === client);
      assert.ok(connect.tried.length > 0);
      assert.equal(connect.tried.at(-1)?.outcome, "connected");
      assert.ok(connect.tried.every(({ ms }) => ms !== undefined && ms >= 0));
      assert.equal(typeof connect.ms, "number");
      assert.equal(connect.tlsMs !== undefined, kind.isSecure);
      const handshakes = kind.isSecure ? [client.id, server.id] : [];
      assert.deepEqual(new Set(namesIn(secures, "socket")), new Set(handshakes));
      for (const { error, version, ms } of secures) {
        assert.equal(error, undefined);
        assert.equal(version, client.tls?.version);
        assert.ok(ms >= 0);
      }
    });

    it("tell of each read and write, with tag, bytes and times", async (t) => {
      const reads = messagesOf<EntryMessage>(t, "asyncsocket:read");
      const writes = messagesOf<EntryMessage>(t, "asyncsocket:write");
      const { client, server } = await connectedPair(t, kind);
      const own = (messages: EntryMessage[], socket: AsyncSocket): unknown[][] =>
        messages.filter((one) => one.socket === socket).map(({ kind: name, tag, bytes }) => [name, tag, bytes]);
      const hello = server.readLine({ tag: "greeting" });
      const body = server.readExactly(5, { tag: 2 });
      client.write("hello\r\n", { tag: "w" });
      client.writeLine("12345", { ending: "\r\n" });
      assert.equal(await hello, "hello");
      assert.equal((await body).length, 5);
      await server.skip(2);
      await client.write("");
      assert.deepEqual(own(reads, server), [
        ["readLine", "greeting", 7],
        ["readExactly", 2, 5],
        ["skip", undefined, 2],
      ]);
      assert.deepEqual(own(writes, client), [
        ["write", "w", 7],
        ["writeLine", undefined, 7],
        ["write", undefined, 0],
      ]);
      for (const { queuedMs, currentMs, error } of [...reads, ...writes]) {
        assert.ok(queuedMs !== undefined && queuedMs >= 0 && currentMs !== undefined && currentMs >= 0);
        assert.equal(error, undefined);
      }
      assert.ok(reads[0]?.request === hello);
    });

    it("tell of iterators and standing reads message by message", async (t) => {
      const reads = messagesOf<EntryMessage>(t, "asyncsocket:read");
      const { client, server } = await connectedPair(t, kind);
      client.write("a\nbb\nccc\nd\n");
      const seen: string[] = [];
      for await (const line of server.lines()) if (seen.push(line) === 3) break;
      assert.equal(await server.readLine(), "d");
      const standing = server.readLine({ repeat: true });
      client.write("eeee\nfffff\n");
      await until(() => reads.length === 6, "all was told");
      const kinds = reads.map(({ kind: name, bytes }) => `${name} ${bytes}`);
      assert.deepEqual(
        kinds,
        ["2", "3", "4", "2", "5", "6"].map((bytes) => `readLine ${bytes}`),
      );
      standing.cancel();
      await until(() => reads.length === 7, "its end was told");
      assert.equal(shortCode(reads[6]?.error), "CANCELED");
    });

    it("tell of failures, timeouts and the close, once each", async (t) => {
      const reads = messagesOf<EntryMessage>(t, "asyncsocket:read");
      const timeouts = messagesOf<TimeoutMessage>(t, "asyncsocket:timeout");
      const closes = messagesOf<CloseMessage>(t, "asyncsocket:close");
      const { client, server } = await connectedPair(t, kind);
      await client.write("four");
      assert.equal((await server.peek({ length: 4 })).length, 4);
      const error = await failure(server.readUntil("\n", { timeout: 0 }));
      await client.closed;
      await server.closed;
      assert.deepEqual(namesIn(reads, "error"), [undefined, error]);
      assert.deepEqual(
        timeouts.map(({ socket, operation }) => [socket, operation]),
        [[server, "readUntil"]],
      );
      const mine = closes.find(({ socket }) => socket === server);
      assert.equal(mine?.by, "error");
      assert.equal(mine.error, error);
      assert.deepEqual([mine.bytesRead, mine.unreadBytes, mine.unsentBytes], [4, 4, 0]);
      assert.ok(mine.openMs !== undefined && mine.openMs >= 0);
      assert.equal(closes.filter(({ socket }) => socket === client).length, 1);
    });

    it("give every byte on asyncsocket:bytes, on the clear side of TLS, and the ends", async (t) => {
      const sides: { client?: AsyncSocket; server?: AsyncSocket } = {};
      const of = (name: "client" | "server"): Recording => new Recording(t, () => sides[name]);
      const [clientSide, serverSide] = [of("client"), of("server")];
      Object.assign(sides, await connectedPair(t, kind));
      const { client, server } = sides as Required<typeof sides>;
      const much = Buffer.alloc(100_000, "0123456789abcdef");
      client.write("small ");
      client.write(["parts ", "of one "].map((part) => Buffer.from(part)));
      client.write(much);
      assert.equal((await server.readExactly(19 + much.length)).length, 19 + much.length);
      server.write("answer");
      await client.readExactly(6);
      client.end();
      await server.closed;
      await client.closed;
      const all = Buffer.concat([Buffer.from("small parts of one "), much]);
      assert.ok(Buffer.concat(clientSide.sent).equals(all));
      assert.ok(Buffer.concat(serverSide.received).equals(all));
      assert.equal(Buffer.concat(serverSide.sent).toString(), "answer");
      assert.equal(Buffer.concat(clientSide.received).toString(), "answer");
      assert.ok(clientSide.ends.includes("sent") && serverSide.ends.includes("received"));
      assert.equal(clientSide.secure > 0, kind.isSecure);
    });

    it("surface what a subscriber throws, and the sockets go on", { skip: NO_UNCAUGHT }, async (t) => {
      const surfaced = uncaught(t);
      const channels = ["accept", "listen", "secure", "read", "write", "close", "bytes"].map(
        (name) => `asyncsocket:${name}`,
      );
      const stops = [...channels, "tracing:asyncsocket:connect:start"].map((name) =>
        listenTo(t, name, () => {
          throw new Error(name.split(":").at(-1));
        }),
      );
      const { client, server } = await connectedPair(t, kind);
      client.write("to be answered\n");
      assert.equal(await server.readLine(), "to be answered");
      await server.disconnectAfterWriting();
      await client.closed;
      await until(() => surfaced.length >= 8, "all has surfaced");
      const messages = new Set(surfaced.map((error) => (error as Error).message));
      const names = ["listen", "start", "accept", "write", "bytes", "read", "close"];
      for (const name of names) assert.ok(messages.has(name), name);
      for (const stop of stops) stop();
    });

    for (const name of ["read", "write", "bytes"]) {
      it(`let a subscriber close the socket at a message of ${name}`, async (t) => {
        const { client, server } = await connectedPair(t, kind);
        const close = (told: unknown): void => void (told as EntryMessage<AsyncSocket>).socket.disconnect();
        const stop = listenTo(t, `asyncsocket:${name}`, close);
        const write = client.write("hello\n");
        const line = server.readLine();
        await Promise.allSettled([write, line, client.closed, server.closed]);
        stop();
        assert.equal(client.state, "closed");
        assert.equal(server.state, "closed");
      });
    }

    it("let a subscriber close a socket that was just accepted", async (t) => {
      const close = (told: unknown): void => void (told as AcceptMessage<AsyncSocket>).socket.disconnect();
      const stop = listenTo(t, "asyncsocket:accept", close);
      const wire = kind.open();
      const listener = new AsyncSocket(wire.options);
      await listener.listen(wire.listen);
      const client = new AsyncSocket({ ...wire.options, delegate: { didDisconnect() {} } });
      await Promise.allSettled([client.connect(wire.connect(listener)), client.closed]);
      stop();
      assert.equal(client.state, "closed");
      await listener.disconnect();
      t.after(() => {
        wire.dispose();
        return assertNothingLeft();
      });
    });
  });
});

describe("the times of a network with a clock of its own", SAFETY, () => {
  it("are those of that clock: ms queued, ms current, ms of names, addresses and of all", async (t) => {
    const clock = new VirtualClock();
    const network = new MemoryNetwork({ clock, latencyMs: 10 });
    const reads = messagesOf<EntryMessage>(t, "asyncsocket:read");
    const connects = messagesOf<ConnectMessage>(t, "tracing:asyncsocket:connect:asyncEnd");
    const closes = messagesOf<CloseMessage>(t, "asyncsocket:close");
    const listener = new AsyncSocket({ transport: network });
    const run = <T>(work: PromiseLike<T>): Promise<T> => clock.run(work);
    await run(listener.listen({ port: 7 }));
    const client = new AsyncSocket({ transport: network });
    await run(client.connect({ port: 7 }));
    const { value: server } = await run(listener.connections().next());
    assert.ok(server !== undefined);
    const first = server.readLine();
    const second = server.readLine({ timeout: 30, onFailure: "continue" });
    client.write("one\n");
    await run(first);
    await run(failure(second));
    assert.deepEqual(
      reads.map(({ queuedMs, currentMs }) => [queuedMs, currentMs]),
      [
        [0, 10],
        [10, 30],
      ],
    );
    assert.ok((connects[0]?.ms ?? 0) > 0);
    await run(Promise.all([client.disconnect(), server.closed, listener.disconnect()]));
    assert.ok((closes.find(({ socket }) => socket === server)?.openMs ?? 0) >= 40);
  });
});

describe("asyncsocket:refuse, :listen and the connect channel", SAFETY, () => {
  it("tell of a connection that is over the limit", async (t) => {
    const refusals = messagesOf<RefuseMessage>(t, "asyncsocket:refuse");
    const network = new MemoryNetwork();
    const listener = await AsyncSocket.listen({ port: 7, transport: network, limits: { connections: 0 } });
    const client = await AsyncSocket.connect({ port: 7, transport: network });
    await client.closed;
    assert.ok(refusals[0]?.listener === listener);
    assert.equal(shortCode(refusals[0].error), "ACCEPT");
    await listener.disconnect();
  });

  it("tell of a listen and a connect that fail, with every address tried", async (t) => {
    const listens = messagesOf<ListenMessage>(t, "asyncsocket:listen");
    const failed = messagesOf<ConnectMessage>(t, "tracing:asyncsocket:connect:error");
    const network = new MemoryNetwork({ hosts: { two: ["10.0.0.1", "10.0.0.2"] } });
    const listener = await AsyncSocket.listen({ port: 7, transport: network });
    const error = await failure(AsyncSocket.listen({ port: 7, transport: network }));
    assert.equal(listens[1]?.error, error);
    const failure2 = await failure(AsyncSocket.connect({ host: "two", port: 8, transport: network }));
    assert.equal(failed[0]?.error, failure2);
    assert.deepEqual(
      failed[0].tried.map(({ address, outcome }) => [address.family === "unix" ? "" : address.address, outcome]),
      [
        ["10.0.0.1", "failed"],
        ["10.0.0.2", "failed"],
      ],
    );
    assert.deepEqual(new Set(namesIn(failed[0].lookups, "host")), new Set(["two"]));
    assert.equal(typeof failed[0].dnsMs, "number");
    await listener.disconnect();
  });
});

for (const transport of MOVABLE) {
  describe(`asyncsocket:move, on the ${transport} transport`, SAFETY, () => {
    it("tells where a socket went, and so does its close", async (t) => {
      const moves = messagesOf<MoveMessage>(t, "asyncsocket:move");
      const closes = messagesOf<CloseMessage>(t, "asyncsocket:close");
      const loop = await loopOf(
        t,
        moduleOf(`
          import { subscribe } from "node:diagnostics_channel";
          subscribe("asyncsocket:move", ({ direction, bytesRead }) => parentPort.postMessage({ direction, bytesRead }));
          RunLoop.current.onSocket((socket) => void socket.disconnect());`),
      );
      const arrived: unknown[] = [];
      loop.worker?.on("message", (message: unknown) => arrived.push(message));
      const { accepted, client } = await pairOf(t, { transport });
      client.write("x\n");
      await accepted.readLine();
      await accepted.moveTo(loop);
      await accepted.closed;
      await client.closed;
      const [{ socket, direction, runLoop, bytesRead } = {} as MoveMessage] = moves;
      assert.deepEqual([socket === accepted, direction, runLoop, bytesRead], [true, "out", loop.name, 2]);
      assert.equal(closes.find((close) => close.socket === accepted)?.movedTo, loop.name);
      await until(() => arrived.length > 0, "the thread has told");
      assert.deepEqual(arrived, [{ direction: "in", bytesRead: 2 }]);
    });
  });
}
