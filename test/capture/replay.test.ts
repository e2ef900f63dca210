/** A capture becomes a test: one side of it is played again, to code that may have changed since. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type AsyncSocketDelegate } from "asyncsocket";
import { record } from "asyncsocket/capture";
import { MemoryNetwork, replay, VirtualClock } from "asyncsocket/testing";
import { needs, temporaryFolder } from "../support/programs.js";

interface World {
  readonly clock: VirtualClock;
  readonly transport: MemoryNetwork;
  readonly listener: AsyncSocket;
  /** What the server was given, and when. */
  readonly arrived: { readonly text: string; readonly atMs: number }[];
}

/** A server on a network of its own, which answers each chunk in capitals. */
async function start(t: TestContext, answer = (text: string): string => text.toUpperCase()): Promise<World> {
  const clock = new VirtualClock();
  const transport = new MemoryNetwork({ clock });
  const arrived: { text: string; atMs: number }[] = [];
  const delegate: AsyncSocketDelegate = {
    didAccept: (_, socket) => void socket.read({ repeat: true }),
    didRead(socket, data) {
      arrived.push({ text: data.toString("latin1"), atMs: clock.now() });
      socket.write(answer(data.toString("latin1")));
    },
  };
  const listener = new AsyncSocket({ transport, delegate });
  await clock.run(listener.listen({ port: 7 }));
  t.after(() => listener.disconnect());
  return { clock, transport, listener, arrived };
}

async function connect({ clock, transport }: World): Promise<AsyncSocket> {
  const socket = new AsyncSocket({ transport, allowHalfOpen: true });
  await clock.run(socket.connect({ host: "server.test", port: 7 }));
  return socket;
}

/** A conversation of a client with pauses, and what comes of it. */
async function converse(world: World): Promise<void> {
  const socket = await connect(world);
  const { clock } = world;
  await clock.runFor(1000);
  socket.write("one");
  await clock.run(socket.readExactly(3));
  await clock.runFor(250);
  socket.write("two");
  await clock.run(socket.readExactly(3));
  socket.write("x".repeat(100_000));
  socket.end();
  await clock.run(socket.skip(100_000));
  await clock.run(socket.disconnectAfterReading());
}

const file = (t: TestContext): string => join(temporaryFolder(t), "capture.pcapng");
const lengths = ({ arrived }: World): string[] => arrived.map(({ text }) => text.slice(0, 3));

describe("replay", () => {
  it("sends what the client of a recorded listener has sent, in its chunks and at its times", async (t) => {
    const path = file(t);
    const before = await start(t);
    const recording = record(before.listener, path);
    await converse(before);
    recording.stop();

    const after = await start(t);
    const peer = await connect(after);
    const offset = (before.arrived[0]?.atMs ?? 0) - 1000;
    const startMs = after.clock.now();
    const { done, ...replayed } = keep(replay(path, peer));
    await after.clock.run(done);
    await after.clock.run(peer.closed);
    assert.deepEqual(lengths(after).slice(0, 2), ["one", "two"]);
    for (const [i, { text, atMs }] of after.arrived.entries()) {
      const then = before.arrived[i];
      assert.equal(text, then?.text);
      // The file has microseconds.
      assert.ok(Math.abs(atMs - startMs - ((then?.atMs ?? 0) - offset)) < 0.01, `${atMs} ${then?.atMs}`);
    }
    assert.ok(replayed.received().equals(replayed.expected));
    assert.equal(replayed.expected.length, 100_006);
  });

  it("shows that the code under test has changed, at any speed", async (t) => {
    const path = file(t);
    const before = await start(t);
    const recording = record(before.listener, path);
    await converse(before);
    recording.stop();
    const after = await start(t, (text) => text.toUpperCase().replace("TWO", "OOPS"));
    const peer = await connect(after);
    const startMs = after.clock.now();
    const replayed = replay(path, peer, { speed: Infinity });
    await after.clock.run(replayed.done);
    await after.clock.run(peer.closed);
    assert.equal(after.clock.now(), startMs);
    assert.equal(replayed.received.subarray(0, 7).toString(), "ONEOOPS");
    assert.equal(replayed.expected.subarray(0, 6).toString(), "ONETWO");
  });

  it("plays the server of a recorded client, its FIN and its RST, or the side that it is told", async (t) => {
    for (const ending of ["FIN", "RST"] as const) {
      const path = file(t);
      const world = await start(t);
      const client = new AsyncSocket({ transport: world.transport });
      record(client, path);
      await world.clock.run(client.connect({ port: 7 }));
      client.write("hello");
      await world.clock.run(client.readExactly(5));
      for (const socket of world.listener.sockets) void (ending === "FIN" ? socket.disconnect() : socket.reset());
      await world.clock.run(client.closed);

      const { clock, transport } = world;
      const listener = await clock.run(AsyncSocket.listen({ transport, port: 8 }));
      const other = new AsyncSocket({ transport });
      const connected = other.connect({ port: 8 });
      const accepted = await clock.run(listener.connections().next());
      await clock.run(connected);
      assert.ok(accepted.value !== undefined);
      const replayed = replay(path, accepted.value);
      other.write("hello");
      assert.equal(String(await clock.run(other.readExactly(5))), "HELLO");
      await clock.run(replayed.done);
      const { by } = await clock.run(other.closed);
      assert.equal(by, ending === "FIN" ? "remote" : "error");
      assert.equal(String(replayed.expected), "hello");
      await clock.run(listener.shutdown({ graceMs: 0 }));
      const told = replay(path, await connect(await start(t)), { side: "client" });
      assert.equal(String(told.expected), "HELLO");
    }
  });

  it("rejects when the code under test closes too early, and keeps what it said", async (t) => {
    const path = file(t);
    const before = await start(t);
    const recording = record(before.listener, path);
    await converse(before);
    recording.stop();
    const after = await start(t);
    const peer = await connect(after);
    const replayed = replay(path, peer);
    await after.clock.runFor(1100);
    for (const socket of after.listener.sockets) void socket.reset();
    await assert.rejects(after.clock.run(replayed.done), { name: "AsyncSocketError" });
    assert.equal(String(replayed.received), "ONE");
  });

  it("refuses what is no capture, however it is broken, and wrong arguments", async (t) => {
    const path = file(t);
    const world = await start(t);
    const recording = record(world.listener, path);
    const socket = await connect(world);
    socket.write("hello");
    await world.clock.run(socket.readExactly(5));
    recording.stop();
    const whole = readFileSync(path);
    const idle = new AsyncSocket({ transport: world.transport });
    assert.throws(() => replay(Buffer.from("GIF89a, and more"), idle), /The capture cannot be read: it does not begin/);
    for (let length = 1; length < whole.length; length++) attempt(whole.subarray(0, length));
    for (let at = 0; at < whole.length; at++) {
      const broken = Buffer.from(whole);
      broken.writeUInt8((broken.readUInt8(at) + 0x81) & 0xff, at);
      attempt(broken);
    }
    assert.throws(() => replay(whole, idle, { connection: 5 }), /has no connection 5/);
    assert.throws(() => replay(whole, idle, { speed: 0 }), /Expected speed to be a positive number, got 0/);
    assert.throws(() => replay(whole, idle, { side: "both" as "client" }), /Expected side to be/);
    assert.throws(() => replay(whole, idle, { sped: 2 } as object), /sped/);
    assert.throws(() => replay(7 as never, idle), /Expected capture to be a path or bytes/);

    function attempt(bytes: Buffer): void {
      try {
        replay(bytes, new AsyncSocket({ transport: world.transport })).done.catch(() => undefined);
      } catch (error) {
        assert.match((error as Error).message, /^The capture (cannot be (read|replayed): |has no connection 0)/);
      }
    }
  });
});

describe("replay of a capture that was not recorded here", needs("text2pcap", "wireshark-common"), () => {
  it("takes Ethernet, several segments, and a client that the file does not name", async (t) => {
    const folder = temporaryFolder(t);
    const [text, path] = [join(folder, "hex"), join(folder, "ethernet.pcapng")];
    writeFileSync(
      text,
      ["first", "second"].map((part) => `000000 ${Buffer.from(part).toString("hex").replace(/../g, "$& ")}\n`).join(""),
    );
    execFileSync("text2pcap", ["-q", "-n", "-T", "1234,7", text, path], { stdio: "ignore" });
    const world = await start(t);
    const replayed = replay(path, await connect(world));
    await world.clock.run(replayed.done);
    await world.clock.run();
    assert.equal(world.arrived.map(({ text: one }) => one).join(""), "firstsecond");
  });
});

/** A getter read late. */
function keep(replayed: ReturnType<typeof replay>) {
  return { done: replayed.done, expected: replayed.expected, received: () => replayed.received };
}
