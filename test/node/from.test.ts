import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, Socket } from "node:net";
import { type Duplex, PassThrough, Readable } from "node:stream";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type AsyncSocketOptions } from "asyncsocket";
import { arrived, failure, pattern, readToEnd, Recorder, settled, until } from "../support/delegates.js";
import { duplexPair } from "../support/duplex-pair.js";
import { Belongings, codeOf, errnoOf, throwsBadState } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";

interface Ends {
  readonly ours: Duplex;
  readonly theirs: Duplex;
}

const KINDS: Record<string, (t: TestContext) => Promise<Ends>> = {
  "two streams of one's own": () => {
    const [ours, theirs] = duplexPair();
    return Promise.resolve({ ours, theirs });
  },
  "a connected net.Socket": async (t) => {
    const belongings = Belongings.of(t);
    const server = belongings.addRaw(createServer({ allowHalfOpen: true }));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const accepted = once(server, "connection");
    const ours = belongings.addRaw(connect(port, "127.0.0.1"));
    await once(ours, "connect");
    const [theirs] = (await accepted) as [Socket];
    return { ours, theirs: belongings.addRaw(theirs) };
  },
};

function from(t: TestContext, duplex: Duplex, options?: AsyncSocketOptions): AsyncSocket {
  return Belongings.of(t).add(AsyncSocket.from(duplex, options));
}

for (const [name, make] of Object.entries(KINDS)) {
  describe(`from ${name}`, SAFETY, () => {
    it("is open at once, and reads and writes as any socket", async (t) => {
      const { ours, theirs } = await make(t);
      const recorder = new Recorder();
      const socket = from(t, ours, { delegate: recorder, userData: "mine" });
      assert.equal(socket.state, "open");
      assert.equal(socket.userData, "mine");
      theirs.write("a line\nand four more");
      assert.equal(await socket.readLine({ tag: "line" }), "a line");
      assert.equal(String(await socket.readExactly(8)), "and four");
      assert.equal(String(await socket.peek({ length: 2 })), " m");
      await socket.write(["hello ", Buffer.from("there")], { tag: "hello" });
      await until(() => theirs.readableLength === 11, "the bytes");
      assert.equal(String(theirs.read()), "hello there");
      assert.deepEqual(recorder.tags("didWrite"), ["hello"]);
      assert.equal(recorder.of("didConnect").length, 0);
      assert.equal(socket.bytesWritten, 11);
    });

    it("reads entries that were queued before the bytes came, one by one", async (t) => {
      const { ours, theirs } = await make(t);
      const socket = from(t, ours);
      const reads = [socket.readExactly(2), socket.readLine(), socket.readExactly(3)];
      for (const byte of "abline\nxyz") {
        theirs.write(byte);
        await settled(1);
      }
      assert.deepEqual((await Promise.all(reads)).map(String), ["ab", "line", "xyz"]);
    });

    it("closes gracefully, and loses nothing", async (t) => {
      const { ours, theirs } = await make(t);
      const socket = from(t, ours);
      const bytes = pattern(1_000_000);
      socket.write(bytes);
      const closing = socket.disconnectAfterWriting();
      const chunks: Buffer[] = [];
      theirs.on("data", (chunk: Buffer) => chunks.push(chunk));
      await once(theirs, "end");
      assert.ok(Buffer.concat(chunks).equals(bytes));
      theirs.end();
      const reason = await closing;
      assert.deepEqual([reason.by, reason.error, reason.unsentBytes], ["local", null, 0]);
      assert.equal(ours.destroyed, true);
    });

    it("heeds the end of the stream as a FIN", async (t) => {
      const { ours, theirs } = await make(t);
      const socket = from(t, ours);
      theirs.end("the last words");
      assert.equal(String(await readToEnd(socket)), "the last words");
      const reason = await socket.closed;
      assert.deepEqual([reason.by, reason.error], ["remote", null]);
    });

    it("goes on writing after the end of the stream with allowHalfOpen", async (t) => {
      const { ours, theirs } = await make(t);
      const socket = from(t, ours, { allowHalfOpen: true });
      theirs.end();
      await failure(socket.read(), "END_OF_STREAM");
      assert.equal(socket.state, "open");
      await socket.write("still here");
      await until(() => theirs.readableLength === 10, "the bytes");
      socket.end();
      theirs.resume();
      assert.equal((await socket.closed).error, null);
    });

    it("is lost with an error of the stream, which is the cause", async (t) => {
      const { ours } = await make(t);
      const socket = from(t, ours);
      const read = socket.readExactly(5, { tag: "read" });
      const mistake = Object.assign(new Error("the line broke"), { code: "EIO" });
      ours.destroy(mistake);
      const error = await failure(read, "CONNECTION_LOST");
      assert.equal(error.tag, "read");
      const reason = await socket.closed;
      assert.equal(codeOf(reason), "CONNECTION_LOST");
      assert.equal(errnoOf(reason.error), "EIO");
    });

    it("is lost when the stream is destroyed underneath", async (t) => {
      const { ours } = await make(t);
      const socket = from(t, ours);
      const [read, write] = [socket.read(), socket.write(pattern(4_000_000))];
      ours.destroy();
      await Promise.all([failure(read, "CONNECTION_LOST"), failure(write, "CONNECTION_LOST")]);
      assert.equal(codeOf(await socket.closed), "CONNECTION_LOST");
    });

    it("pushes back when nobody reads", async (t) => {
      const { ours, theirs } = await make(t);
      const socket = from(t, ours, { limits: { readAhead: 1000 } });
      let given = 0;
      const chunk = Buffer.alloc(16_384);
      const feed = (): void => {
        while (given < 100_000_000) {
          given += chunk.length;
          if (!theirs.write(chunk)) return;
        }
      };
      theirs.on("drain", feed);
      feed();
      await arrived(socket, 1000);
      await settled(200);
      assert.ok(given < 100_000_000, "all of it went somewhere");
      assert.ok(socket.unreadBytes < 400_000, `${socket.unreadBytes} unread`);
      const before = socket.bytesRead;
      await socket.skip(1_000_000);
      assert.ok(socket.bytesRead > before);
    });

    it("times out as any socket", async (t) => {
      const { ours } = await make(t);
      const socket = from(t, ours);
      await failure(socket.read({ timeout: 20, onFailure: "continue" }), "READ_TIMEOUT");
      await failure(socket.read({ timeout: 20 }), "READ_TIMEOUT");
      assert.equal(codeOf(await socket.closed), "READ_TIMEOUT");
      assert.equal(ours.destroyed, true);
    });

    it("decision 17: cannot be used again", async (t) => {
      const { ours } = await make(t);
      const socket = from(t, ours);
      throwsBadState(() => socket.connect({ port: 1 }), "connect");
      throwsBadState(() => socket.listen({ port: 0 }), "listen");
      await socket.disconnect();
      assert.equal(socket.state, "closed");
      throwsBadState(() => socket.connect({ port: 1 }), "connect");
      throwsBadState(() => socket.listen({ port: 0 }), "listen");
      await failure(socket.write("x"), "CLOSED");
    });

    it("reset() and the settings do what the stream can", async (t) => {
      const { ours, theirs } = await make(t);
      theirs.on("error", () => undefined);
      const socket = from(t, ours);
      socket.setNoDelay(true);
      socket.setKeepAlive(1000);
      socket.unref();
      socket.ref();
      assert.equal((await socket.reset()).by, "local");
      assert.equal(ours.destroyed, true);
    });
  });
}

describe("from", SAFETY, () => {
  it("a net.Socket: the addresses are its own", async (t) => {
    const { ours } = await (KINDS["a connected net.Socket"] as (t: TestContext) => Promise<Ends>)(t);
    assert.ok(ours instanceof Socket);
    const { localPort, remotePort } = ours;
    const socket = from(t, ours);
    assert.deepEqual(socket.local, { family: "IPv4", address: "127.0.0.1", port: localPort });
    assert.deepEqual(socket.remote, { family: "IPv4", address: "127.0.0.1", port: remotePort });
    await socket.disconnect();
    assert.deepEqual(socket.remote, { family: "IPv4", address: "127.0.0.1", port: remotePort });
  });

  it("a net.Socket that has bytes waiting: none is lost", async (t) => {
    const { ours, theirs } = await (KINDS["a connected net.Socket"] as (t: TestContext) => Promise<Ends>)(t);
    ours.pause();
    ours.once("readable", () => undefined);
    theirs.end("came before\nand after");
    await until(() => ours.readableLength > 0, "bytes in the stream");
    ours.removeAllListeners("readable");
    const socket = from(t, ours);
    assert.equal(await socket.readLine(), "came before");
    assert.equal(String(await readToEnd(socket)), "and after");
  });

  it("a stream: it has no addresses", async (t) => {
    const [ours] = duplexPair();
    const socket = from(t, ours);
    assert.deepEqual([socket.local, socket.remote], [undefined, undefined]);
    await socket.disconnect();
  });

  it("a PassThrough: what is written comes back", async (t) => {
    const socket = from(t, new PassThrough());
    socket.write("echo\n");
    assert.equal(await socket.readLine(), "echo");
    await socket.disconnect();
  });

  it("gives an instance of the class it is called on", (t) => {
    class Mine extends AsyncSocket {}
    const [ours] = duplexPair();
    assert.ok(Belongings.of(t).add(Mine.from(ours)) instanceof Mine);
  });

  const WRONG: Record<string, unknown> = {
    nothing: undefined,
    null: null,
    "an object": {},
    "a Readable": new Readable(),
    "a string": "stream",
    "a stream of objects": new PassThrough({ objectMode: true }),
    "a stream of text": new PassThrough().setEncoding("utf8"),
  };
  for (const [name, value] of Object.entries(WRONG)) {
    it(`${name}: TypeError, in words`, () => {
      assert.throws(() => AsyncSocket.from(value as Duplex), TypeError);
      assert.throws(() => AsyncSocket.from(value as Duplex), /Expected .+, got /);
    });
  }

  it("a stream that is not open: BAD_STATE", async () => {
    const destroyed = new PassThrough();
    destroyed.destroy();
    throwsBadState(() => AsyncSocket.from(destroyed), "from");
    throwsBadState(() => AsyncSocket.from(new Socket()), "from");
    const connecting = connect({ host: "127.0.0.1", port: 1 }).on("error", () => undefined);
    throwsBadState(() => AsyncSocket.from(connecting), "from");
    connecting.destroy();
    await once(connecting, "close");
    throwsBadState(() => AsyncSocket.from(connecting), "from");
  });
});
