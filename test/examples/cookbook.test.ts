/** The recipes of docs/cookbook.md, each a program of its own, over loopback. */

import assert from "node:assert/strict";
import { get as getPage, type IncomingMessage } from "node:http";
import { get as getSecurely } from "node:https";
import { text } from "node:stream/consumers";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type ConnectOptions } from "asyncsocket";
import { FiledAuthority } from "../support/key-files.js";
import { Program } from "../support/programs.js";
import { SAFETY } from "../support/transports.js";

async function outputOf(t: TestContext, name: string, ...args: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await Program.example(t, `cookbook/${name}`, args).ended();
  assert.equal(stderr, "");
  assert.equal(code, 0);
  return stdout.trimEnd().split("\n");
}

interface Served {
  server: Program;
  port: number;
}

async function start(t: TestContext, name: string, ...args: string[]): Promise<Served> {
  const server = Program.example(t, `cookbook/${name}`, ["--host", "127.0.0.1", ...args]);
  const [, port = ""] = await server.sees(/on port (\d+)/);
  return { server, port: Number(port) };
}

async function connect(t: TestContext, port: number, options?: Partial<ConnectOptions>): Promise<AsyncSocket> {
  const place = { host: "127.0.0.1", port, timeout: 30_000, limits: { idleMs: 30_000 } };
  const socket = await AsyncSocket.connect({ ...place, ...options });
  t.after(() => socket.disconnect());
  return socket;
}

async function join(t: TestContext, port: number, name: string): Promise<AsyncSocket> {
  const socket = await connect(t, port);
  assert.equal(await socket.readLine(), "What is your name?");
  socket.writeLine(name);
  assert.equal(await socket.readLine(), `${name} came`);
  return socket;
}

describe("the cookbook", { ...SAFETY, concurrency: 2 }, () => {
  it("has a chat server, which tells everybody what anybody says, and says goodbye", async (t) => {
    const { server, port } = await start(t, "chat");
    const ada = await join(t, port, "ada");
    const bob = await join(t, port, "bob");
    assert.equal(await ada.readLine(), "bob came");
    bob.write("hello\r\n\nno \r tricks \x1b[2J\n");
    for (const socket of [ada, bob]) {
      assert.equal(await socket.readLine(), "bob: hello");
      assert.equal(await socket.readLine(), "bob: no   tricks  [2J");
    }
    await bob.disconnect();
    assert.equal(await ada.readLine(), "bob left");
    const stopped = server.stop();
    assert.equal(await ada.readLine(), "The server is going down. Goodbye!");
    assert.equal((await ada.closed).by, "remote");
    await stopped;
    assert.deepEqual([(await server.ended()).code, (await server.ended()).stderr], [0, ""]);
  });

  it("has a chat server that sends away who does not listen", async (t) => {
    const { port } = await start(t, "chat");
    await join(t, port, "mute");
    const speaker = await join(t, port, "speaker");
    // All that was said comes back before more is, so the speaker itself is never behind.
    const much = `${"x".repeat(970)}\n`.repeat(200) + "last\n";
    let heard = "";
    for (let count = 0; !heard.endsWith("mute left\n"); count++) {
      speaker.write(much);
      heard = await speaker.readUntil(["last\n", "mute left\n"], { encoding: "latin1" });
      assert.ok(count < 80, "it is sent away long before limits.writeQueue would do so");
    }
  });

  it("has remote calls, which are pipelined, and survive the loss of the connection", async (t) => {
    assert.deepEqual(await outputOf(t, "rpc"), [
      "add → [ 2, 4, 6 ]",
      "answers in the order add, slow",
      "nonsense → Error: there is no method nonsense",
      "connecting again, after: Connection lost: the peer reset the connection (ECONNRESET)",
      "crash → not this time",
    ]);
  });

  it("has a heartbeat, which gives up only who does not answer", async (t) => {
    const lines = await outputOf(t, "heartbeat", "--silence", "200", "--answer", "400");
    assert.deepEqual(lines.sort(), [
      "a peer is gone: ERR_ASYNCSOCKET_READ_TIMEOUT",
      "a peer is gone: remote",
      "a peer says goodbye",
      "the mute peer has heard PING, and said nothing",
    ]);
  });

  it("has STARTTLS on both sides, where nothing said in the clear counts any more", async (t) => {
    const authority = await FiledAuthority.create(t);
    const { keyFile, certFile } = await authority.issue("localhost");
    const lines = await outputOf(t, "starttls", "--key", keyFile, "--cert", certFile, "--ca", authority.caFile);
    assert.deepEqual(lines, [
      "USER eve → OK",
      "WHO → eve, in the clear",
      "STARTTLS → READY",
      "now by TLSv1.3",
      "WHO → nobody, encrypted",
      "USER ada → OK",
      "WHO → ada, encrypted",
    ]);
  });

  it("has a port for TLS, HTTP and lines, told apart by their first byte", async (t) => {
    const authority = await FiledAuthority.create(t);
    const { keyFile, certFile } = await authority.issue("localhost");
    const { port } = await start(t, "sniff", "--key", keyFile, "--cert", certFile);
    const tls = { ca: authority.cert, servername: "localhost" };
    for (const socket of [await connect(t, port), await connect(t, port, { tls })]) {
      socket.writeLine("hello");
      assert.equal(await socket.readLine(), "line: hello");
    }
    for (const get of [getPage, getSecurely]) {
      const page = await new Promise<IncomingMessage>((resolve, reject) => {
        get({ host: "127.0.0.1", port, path: "/page", ...tls }, resolve).on("error", reject);
      });
      assert.equal(await text(page), "HTTP, and you asked for /page\n");
    }
  });

  it("has a server with a standing read, which takes messages in any pieces", async (t) => {
    const { port } = await start(t, "standing-read");
    const socket = await connect(t, port);
    const messages = Buffer.from("Name: one\nLength: 12\n\nName: x\n\nabcName: two\r\n\r\nName: three\nLength: 1\n\nx");
    for (let at = 0; at < messages.length; at += 3) await socket.write(messages.subarray(at, at + 3));
    assert.equal(await socket.readLine(), "stored 12 bytes as one");
    assert.equal(await socket.readLine(), "stored 0 bytes as two");
    assert.equal(await socket.readLine(), "stored 1 bytes as three");
    socket.write("Length: -1\n\n");
    assert.equal(await socket.readLine(), "error: expected a Length of at most six digits");
    assert.equal((await socket.closed).by, "remote");
  });

  it("has an upload by lines and frames, no faster than it is read", async (t) => {
    assert.deepEqual(await outputOf(t, "frames"), [
      "numbers: the server has 1000000 bytes, all right",
      "no line can be smuggled into a line",
    ]);
  });

  it("shows how two callers spoil each other's answers, and two ways that prevent it", async (t) => {
    const [mistake, ...remedies] = (await outputOf(t, "exchanges")).join("\n").split(/\n(?=a framing|one after)/);
    assert.match(mistake ?? "", /^three reads: .*Expected VALUE, got "value of one"$/s);
    assert.deepEqual(remedies, [
      "a framing: value of one; value of two",
      "one after the other: value of one; value of two",
    ]);
  });
});
