import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { inspect } from "node:util";
import { AsyncSocket, type AsyncSocketOptions, type StartTLSOptions } from "asyncsocket";
import { MemoryNetwork, VirtualClock } from "asyncsocket/testing";
import { failure, readToEnd, settled, until } from "../support/delegates.js";
import { Belongings, rawPair, throwsBadState } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";
import {
  CLEAR,
  closedBy,
  HOST,
  identity,
  idle,
  listening,
  nodeServer,
  overMemory,
  securePair,
  SecureRecorder,
  type Sides,
  trusting,
} from "./helpers.js";

const asClient: StartTLSOptions = { ...trusting, servername: HOST };
const asServer: StartTLSOptions = { ...identity, isServer: true };

for (const [kind, connected] of Object.entries(CLEAR)) {
  describe(`startTLS over ${kind}`, SAFETY, () => {
    it("has its place in both queues: before it in the clear, behind it encrypted", async (t) => {
      const recorder = new SecureRecorder();
      const { client, server } = await connected(t, { delegate: recorder });
      client.write("STARTTLS\r\n", { tag: "command" });
      client.readLine({ tag: "go" });
      const upgrade = client.startTLS({ ...asClient, tag: "upgrade" });
      client.write("secret\n", { tag: "secret" });
      const answer = client.readLine({ tag: "answer" });
      assert.deepEqual([client.pendingReads, client.pendingWrites], [3, 3]);
      assert.equal(await server.readLine(), "STARTTLS");
      server.write("go ahead\r\n");
      server.startTLS(asServer);
      server.write("answer\n");
      assert.equal(await server.readLine(), "secret");
      assert.equal(await answer, "answer");
      assert.deepEqual([upgrade.state, upgrade.tag, upgrade.kind], ["done", "upgrade", "startTLS"]);
      assert.equal(await upgrade, client.tls);
      const names = recorder.names.filter((name) => name !== "didConnect");
      assert.deepEqual(names.slice(0, 3), ["didWrite", "didReadText", "didSecure"]);
      assert.deepEqual([client.isSecure, server.isSecure], [true, true]);
      await until(() => client.unsentBytes + server.unsentBytes === 0, "both have written");
      assert.deepEqual([client.bytesWritten, client.bytesRead], [17, 17]);
      assert.deepEqual([server.bytesWritten, server.bytesRead], [17, 17]);
    });

    it("swaps the roles where it is told to", async (t) => {
      const { client, server } = await connected(t);
      const upgrade = client.startTLS(asServer);
      server.startTLS({ ...asClient, isServer: false });
      await upgrade;
      server.write("x");
      assert.equal(String(await client.readExactly(1)), "x");
    });

    it("is shown by both queues while it is current, and isSecure and tls tell only then", async (t) => {
      const { client, server } = await connected(t);
      assert.deepEqual([client.isSecure, client.tls], [false, undefined]);
      const upgrade = client.startTLS(asClient);
      await settled();
      assert.equal(client.currentRead, upgrade);
      assert.equal(client.currentWrite, upgrade);
      assert.equal(upgrade.state, "current");
      assert.deepEqual([client.isSecure, client.tls], [false, undefined]);
      server.startTLS(asServer);
      const info = await upgrade;
      assert.deepEqual([client.currentRead, client.currentWrite], [undefined, undefined]);
      client.disconnect();
      await client.closed;
      assert.equal(client.tls, info);
    });

    it("is seen to wait for a read that may never end", async (t) => {
      const { client } = await connected(t);
      const line = client.readLine();
      const upgrade = client.startTLS(asClient);
      await settled();
      assert.deepEqual([client.currentRead, client.currentWrite], [line, upgrade]);
      assert.match(inspect(client), /2 reads \(readLine\), 1 writes \(startTLS\)/);
    });

    it("cancelled before the handshake closes the connection, and nothing behind goes in the clear", async (t) => {
      const { client, server } = await connected(t);
      client.readLine();
      const upgrade = client.startTLS(asClient);
      const behind = client.write("secret");
      await settled();
      assert.equal(upgrade.cancel(), true);
      assert.equal(upgrade.state, "canceled");
      await failure(upgrade, "CANCELED");
      await failure(behind, "CLOSED");
      await closedBy(client, "CANCELED");
      assert.equal(upgrade.cancel(), false);
      assert.equal((await readToEnd(server)).length, 0);
    });

    it("cancelled or aborted during the handshake closes the connection", async (t) => {
      for (const how of ["cancel", "abort"]) {
        const { client, server } = await connected(t);
        const controller = new AbortController();
        const upgrade = client.startTLS({ ...asClient, signal: controller.signal });
        const behind = client.write("secret");
        await until(() => server.unreadBytes > 0, "a ClientHello");
        if (how === "cancel") upgrade.cancel();
        else controller.abort(new Error("enough"));
        const error = await failure(upgrade, "CANCELED");
        if (how === "abort") assert.equal((error.cause as Error).message, "enough");
        await failure(behind, "CLOSED");
        assert.equal(await closedBy(client, "CANCELED"), error);
        assert.equal((await readToEnd(server)).includes("secret"), false);
      }
    });

    it("a signal aborted beforehand takes the connection along, one aborted afterwards does nothing", async (t) => {
      const first = await connected(t);
      await failure(first.client.startTLS({ ...asClient, signal: AbortSignal.abort() }), "CANCELED");
      await closedBy(first.client, "CANCELED");
      const { client, server } = await connected(t);
      const controller = new AbortController();
      const upgrade = client.startTLS({ ...asClient, signal: controller.signal });
      server.startTLS(asServer);
      await upgrade;
      controller.abort();
      await settled();
      assert.deepEqual([client.state, upgrade.state], ["open", "done"]);
    });

    it("stays when cancelReads() takes the reads before and behind it", async (t) => {
      const { client, server } = await connected(t);
      const before = client.readLine();
      const upgrade = client.startTLS(asClient);
      const behind = client.readLine();
      await settled();
      assert.equal(client.cancelReads(), 2);
      await Promise.all([failure(before, "CANCELED"), failure(behind, "CANCELED")]);
      server.startTLS(asServer);
      await upgrade;
      assert.equal(client.isSecure, true);
    });

    it("fails when the peer ends before the handshake, and what waits behind never goes out", async (t) => {
      for (const allowHalfOpen of [false, true]) {
        const { client, server } = await connected(t, { allowHalfOpen });
        client.readLine();
        const upgrade = client.startTLS(asClient);
        const behind = client.write("secret");
        server.end();
        await failure(upgrade);
        await failure(behind, "CLOSED");
        await closedBy(client, "TLS");
        assert.equal((await readToEnd(server)).length, 0);
      }
    });

    it("is the only one, and comes before every end", async (t) => {
      const { client, server } = await connected(t);
      client.startTLS(asClient);
      throwsBadState(() => client.startTLS(asClient), "startTLS");
      server.end();
      throwsBadState(() => server.startTLS(asServer), "startTLS");
      for (const end of ["disconnectAfterWriting", "disconnectAfterReading"] as const) {
        const other = await connected(t);
        other.client.readLine();
        other.client.write("x");
        other.client[end]();
        throwsBadState(() => other.client.startTLS(asClient), "startTLS");
      }
    });

    it("fails on a closed socket", async (t) => {
      const { client } = await connected(t);
      client.disconnect();
      await failure(client.startTLS(asClient), "CLOSED");
      await client.closed;
      await failure(client.startTLS(asClient), "CLOSED");
      assert.equal(client.isSecure, false);
    });
  });
}

describe("startTLS", SAFETY, () => {
  it("is queued before the connection is there, and after a listener's accept", async (t) => {
    const theirs = await listening(t);
    const client = idle(t);
    client.write("in the clear\n");
    const upgrade = client.startTLS(trusting);
    client.write("encrypted\n");
    client.connect(theirs.target);
    const server = await theirs.accepted();
    assert.equal(await server.readLine(), "in the clear");
    server.startTLS(identity);
    assert.equal(await server.readLine(), "encrypted");
    assert.equal((await upgrade).servername, null);
  });

  it("is not possible on a listener, on what is secure already, or beside connect({ tls })", async (t) => {
    const { listener, target } = await listening(t, identity);
    throwsBadState(() => listener.startTLS(identity), "startTLS");
    const { client, server } = await securePair(t);
    throwsBadState(() => client.startTLS(asClient), "startTLS");
    throwsBadState(() => server.startTLS(asServer), "startTLS");
    const both = idle(t);
    both.startTLS(asClient);
    throwsBadState(() => both.connect({ ...target, tls: trusting }), "connect");
    assert.equal(both.state, "idle");
  });

  it("sends nothing but the command in the clear", async (t) => {
    const { socket, peer } = await rawPair(t);
    const chunks: Buffer[] = [];
    peer.on("data", (chunk: Buffer) => chunks.push(chunk));
    peer.resume();
    socket.write("STARTTLS\n");
    socket.readLine();
    socket.startTLS(asClient);
    socket.write("secret");
    await until(() => Buffer.concat(chunks).length >= 9, "the command");
    await settled(50);
    assert.equal(String(Buffer.concat(chunks)), "STARTTLS\n");
    peer.write("go\n");
    await until(() => Buffer.concat(chunks).length > 9, "the ClientHello");
    await settled(50);
    assert.equal(Buffer.concat(chunks)[9], 22, "a handshake record");
    assert.equal(Buffer.concat(chunks).includes("secret"), false);
  });

  it("waits for the writes before it, while the peer's bytes wait", async (t) => {
    const { client, server } = await overMemory(t, { capacityBytes: 1000 });
    const long = client.write(Buffer.alloc(200_000));
    const upgrade = client.startTLS(asClient);
    await settled();
    assert.equal(client.currentRead, upgrade);
    assert.equal(client.currentWrite, long);
    await server.skip(200_000);
    server.startTLS(asServer);
    await upgrade;
  });

  it("is secure by node:tls after a clear beginning, and a socket may be used again in the clear", async (t) => {
    const theirs = await nodeServer(t);
    const client = idle(t);
    await client.connect(theirs.target);
    await client.startTLS(trusting);
    const peer = await theirs.secured();
    peer.end("bye");
    assert.equal(String(await client.readExactly(3)), "bye");
    client.disconnect();
    await client.closed;
    const { target } = await listening(t);
    await client.connect(target);
    assert.deepEqual([client.isSecure, client.tls], [false, undefined]);
  });
});

interface Timing {
  readonly clock: VirtualClock;
  readonly sides: Sides;
  readonly pass: (ms: number) => Promise<void>;
}

async function timed(t: TestContext, options: AsyncSocketOptions = {}, capacityBytes = 65_536): Promise<Timing> {
  const clock = new VirtualClock();
  const sides = await overMemory(t, { clock, capacityBytes }, options, options);
  return {
    clock,
    sides,
    async pass(ms) {
      await settled();
      clock.advance(ms);
      await settled();
    },
  };
}

describe("startTLS and time", SAFETY, () => {
  it("its timeout runs from when the first queue reaches it, and names the read it waited for", async (t) => {
    const { sides, pass } = await timed(t);
    const { client, server } = sides;
    const first = client.readExactly(1);
    client.write("x");
    await pass(500);
    const upgrade = client.startTLS({ ...asClient, timeout: 100 });
    await pass(99);
    assert.equal(upgrade.state, "queued");
    await pass(1);
    const error = await failure(upgrade, "TLS_TIMEOUT");
    assert.match(error.message, /100 ms.*the read before it \(readExactly\)/);
    await failure(first, "CLOSED");
    assert.equal(await closedBy(client, "TLS_TIMEOUT"), error);
    assert.equal(String(await readToEnd(server)), "x");
  });

  it("names the write it waited for", async (t) => {
    const { sides, pass } = await timed(t, {}, 1000);
    sides.client.write(Buffer.alloc(200_000));
    const upgrade = sides.client.startTLS({ ...asClient, timeout: 100 });
    await pass(100);
    assert.match((await failure(upgrade, "TLS_TIMEOUT")).message, /the write before it/);
  });

  for (const role of ["client", "server"] as const) {
    it(`limits.handshakeMs runs from when both queues have reached it: ${role}`, async (t) => {
      const { sides, pass } = await timed(t, { limits: { handshakeMs: 200 } });
      const ours = sides[role];
      const theirs = sides[role === "client" ? "server" : "client"];
      const before = ours.readExactly(1);
      const upgrade = ours.startTLS(role === "client" ? asClient : asServer);
      await pass(1000);
      theirs.write("x");
      await before;
      await pass(199);
      assert.equal(upgrade.state, "current");
      await pass(1);
      assert.match((await failure(upgrade, "TLS_TIMEOUT")).message, /handshakeMs, 200 ms/);
      await closedBy(ours, "TLS_TIMEOUT");
    });
  }

  it("extend() gives its own timeout more, waiting or running", async (t) => {
    const { sides, pass } = await timed(t);
    const { client } = sides;
    const before = client.readExactly(1);
    const upgrade = client.startTLS({ ...asClient, timeout: 100 });
    assert.equal(upgrade.extend(50), true);
    await pass(140);
    assert.equal(upgrade.extend(50), true);
    await pass(59);
    assert.equal(before.state, "current");
    await pass(1);
    await failure(upgrade, "TLS_TIMEOUT");
    assert.equal(upgrade.extend(50), false);
  });

  it("has none by default to extend, and none is left when it is secure", async (t) => {
    const { sides, clock, pass } = await timed(t);
    const { client, server } = sides;
    const upgrade = client.startTLS(asClient);
    assert.equal(upgrade.extend(50), false);
    server.startTLS({ ...asServer, timeout: 1000 });
    await upgrade;
    await until(() => server.isSecure, "the server's end of the handshake");
    await pass(100_000);
    assert.deepEqual([client.state, server.state, clock.size], ["open", "open", 0]);
  });

  it("a client in memory that hears nothing gives up after limits.handshakeMs of connect({ tls })", async (t) => {
    const clock = new VirtualClock();
    const transport = new MemoryNetwork({ clock });
    const belongings = Belongings.of(t);
    await belongings.add(new AsyncSocket({ transport })).listen({ port: 7 });
    const client = belongings.add(new AsyncSocket({ transport, limits: { handshakeMs: 300 } }));
    const connecting = client.connect({ port: 7, tls: trusting });
    await settled();
    clock.advance(299);
    assert.equal(client.state, "connecting");
    clock.advance(1);
    await failure(connecting, "TLS_TIMEOUT");
  });
});
