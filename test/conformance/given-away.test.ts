/** Every method of a socket that was turned into a stream, or given to a relay: it cannot disturb who reads and writes. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it, type TestContext } from "node:test";
import { inspect } from "node:util";
import { AsyncSocket, line, relay, RunLoop } from "asyncsocket";
import { Authority } from "../support/certificates.js";
import { settled, until } from "../support/delegates.js";
import { throwsBadState } from "../support/lifecycle-helpers.js";
import { connectedPair, memory, SAFETY } from "../support/transports.js";

const identity = await (await Authority.create()).issue(["localhost"]);

type Call = (socket: AsyncSocket) => unknown;

/** Who has the connection: `echo` sends through it both ways. */
interface Away {
  readonly socket: AsyncSocket;
  readonly echo: () => Promise<void>;
}

const WAYS: Record<string, (t: TestContext) => Promise<Away>> = {
  "toDuplex()": async (t) => {
    const { client: peer, server: socket } = await connectedPair(t, memory("memory"));
    const stream = socket.toDuplex();
    const echo = async (): Promise<void> => {
      peer.write("to the stream");
      const came = once(stream, "data");
      stream.resume();
      const [chunk] = (await came) as [Buffer];
      stream.pause();
      stream.write(chunk);
      assert.equal(await peer.readExactly(13, { encoding: "utf8" }), "to the stream");
    };
    return { socket, echo };
  },
  "toWeb()": async (t) => {
    const { client: peer, server: socket } = await connectedPair(t, memory("memory"));
    const { readable, writable } = socket.toWeb();
    const [reader, writer] = [readable.getReader(), writable.getWriter()];
    const echo = async (): Promise<void> => {
      peer.write("to the stream");
      const { value } = await reader.read();
      await writer.write(value ?? assert.fail());
      assert.equal(await peer.readExactly(13, { encoding: "utf8" }), "to the stream");
    };
    return { socket, echo };
  },
  "relay()": async (t) => {
    const { client: left, server: a } = await connectedPair(t, memory("memory"));
    const { client: b, server: right } = await connectedPair(t, memory("memory"));
    void relay(a, b);
    const echo = async (): Promise<void> => {
      left.write("there");
      assert.equal(await right.readExactly(5, { encoding: "utf8" }), "there");
      right.write("and back");
      assert.equal(await left.readExactly(8, { encoding: "utf8" }), "and back");
    };
    return { socket: a, echo };
  },
};

const REFUSED: Record<string, Call> = {
  read: (socket) => socket.read(),
  readExactly: (socket) => socket.readExactly(1),
  readUntil: (socket) => socket.readUntil("x"),
  readLine: (socket) => socket.readLine(),
  readFrame: (socket) => socket.readFrame({ lengthBytes: 1 }),
  readMessage: (socket) => socket.readMessage(line()),
  takeMessage: (socket) => socket.takeMessage(line()),
  expect: (socket) => socket.expect("x"),
  peek: (socket) => socket.peek({ length: 1 }),
  skip: (socket) => socket.skip(1),
  cancelReads: (socket) => socket.cancelReads(),
  lines: (socket) => socket.lines(),
  frames: (socket) => socket.frames({ lengthBytes: 1 }),
  messages: (socket) => socket.messages(line()),
  [String(Symbol.asyncIterator)]: (socket) => socket[Symbol.asyncIterator](),
  write: (socket) => socket.write("x"),
  writeFrame: (socket) => socket.writeFrame("x", { lengthBytes: 1 }),
  writeLine: (socket) => socket.writeLine("x"),
  writeMessage: (socket) => socket.writeMessage(line(), "x"),
  end: (socket) => socket.end(),
  startTLS: (socket) => socket.startTLS({ isServer: false }),
  toDuplex: (socket) => socket.toDuplex(),
  toWeb: (socket) => socket.toWeb(),
  moveTo: (socket) => socket.moveTo(RunLoop.current),
  connect: (socket) => socket.connect({ port: 1 }),
  listen: (socket) => socket.listen({ port: 1 }),
  connections: (socket) => socket.connections(),
  shutdown: (socket) => socket.shutdown(),
  setTLS: (socket) => socket.setTLS(identity),
};

const HARMLESS: Record<string, Call> = {
  setNoDelay: (socket) => socket.setNoDelay(true),
  setKeepAlive: (socket) => socket.setKeepAlive(1000),
  ref: (socket) => socket.ref(),
  unref: (socket) => socket.unref(),
  tcpInfo: (socket) => socket.tcpInfo(),
  toJSON: (socket) => socket.toJSON(),
  [String(inspect.custom)]: (socket) => inspect(socket),
};

const CLOSING: Record<string, Call> = {
  disconnect: (socket) => socket.disconnect(),
  reset: (socket) => socket.reset(),
  disconnectAfterReading: (socket) => socket.disconnectAfterReading(),
  disconnectAfterWriting: (socket) => socket.disconnectAfterWriting(),
  disconnectAfterReadingAndWriting: (socket) => socket.disconnectAfterReadingAndWriting(),
  [String(Symbol.asyncDispose)]: (socket) => socket[Symbol.asyncDispose](),
};

const { prototype } = AsyncSocket;

function descriptors(): [name: string, PropertyDescriptor][] {
  return Reflect.ownKeys(prototype)
    .map((key): [string, PropertyDescriptor] => [String(key), Reflect.getOwnPropertyDescriptor(prototype, key) ?? {}])
    .filter(([name]) => name !== "constructor" && !name.startsWith("_"));
}

describe("a socket that was given away", SAFETY, () => {
  it("has no method that these tests leave out", () => {
    const methods = descriptors().filter(([, { value }]) => typeof value === "function");
    const names = methods.map(([name]) => name);
    assert.deepEqual(names.sort(), Object.keys({ ...REFUSED, ...HARMLESS, ...CLOSING }).sort());
  });

  for (const [way, give] of Object.entries(WAYS)) {
    it(`${way}: whatever would disturb the new owner throws BAD_STATE, and bytes go on both ways`, async (t) => {
      const { socket, echo } = await give(t);
      await settled();
      for (const [name, call] of Object.entries(REFUSED)) {
        try {
          throwsBadState(() => call(socket));
        } catch (cause) {
          throw new Error(name, { cause });
        }
      }
      await echo();
      await echo();
    });

    it(`${way}: its settings and all its properties are still there, and show no request of the new owner`, async (t) => {
      const { socket, echo } = await give(t);
      await settled();
      for (const call of Object.values(HARMLESS)) call(socket);
      for (const [name] of descriptors()) assert.doesNotThrow((): unknown => Reflect.get(socket, name), name);
      assert.equal(socket.currentRead, undefined);
      assert.equal(socket.currentWrite, undefined);
      await echo();
    });

    for (const [name, close] of Object.entries(CLOSING)) {
      it(`${way}: ${name} closes it`, async (t) => {
        const { socket, echo } = await give(t);
        await echo();
        void close(socket);
        // A read of the new owner is queued until the peer ends.
        if (name.includes("Reading")) socket.disconnect();
        await until(() => socket.state === "closed", "the close");
        assert.equal(socket.closeReason?.error, null);
        throwsBadState(() => socket.cancelReads(), "cancelReads");
      });
    }
  }
});
