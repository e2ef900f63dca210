/** Memory of the caller's that is transferred or resized while a socket is to use it, and text too long for the runtime. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { AsyncSocket } from "asyncsocket";
import { arrived, failure, pattern, settled } from "../support/delegates.js";
import { muchFor } from "../support/lifecycle-helpers.js";
import { connectedPair, overEveryTransport } from "../support/transports.js";

const alone = { onFailure: "continue" } as const;

/** Gives the memory away, as `postMessage` with a list of transfers does. */
function transfer({ buffer }: Uint8Array): void {
  structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
}

interface Resizable extends ArrayBuffer {
  resize(length: number): void;
}

function resizable(length: number, most = length): { bytes: Uint8Array; memory: Resizable } {
  type Maker = new (length: number, options: { maxByteLength: number }) => Resizable;
  const memory = new (ArrayBuffer as unknown as Maker)(length, { maxByteLength: most });
  return { bytes: new Uint8Array(memory), memory };
}

/** The three ways in which memory changes. */
const CHANGES: Record<string, (length: number) => { bytes: Uint8Array; change: () => void }> = {
  "is transferred": (length) => {
    const bytes = new Uint8Array(new ArrayBuffer(length));
    return { bytes, change: () => transfer(bytes) };
  },
  shrinks: (length) => {
    const { bytes, memory } = resizable(length);
    return { bytes, change: () => memory.resize(1) };
  },
  grows: (length) => {
    const { bytes, memory } = resizable(length, 2 * length);
    return { bytes, change: () => memory.resize(2 * length) };
  },
};

/** The real limit takes 270 MiB: here the runtime is made to refuse as it does there, until the read has failed. */
async function refusingText(t: TestContext, read: PromiseLike<unknown> | (() => PromiseLike<unknown>)): Promise<Error> {
  const text: { toString(): string } = Buffer.prototype as Buffer;
  const refusing = t.mock.method(text, "toString", () => {
    throw Object.assign(new Error("Cannot create a string longer than 0x1fffffe8 characters"), {
      code: "ERR_STRING_TOO_LONG",
    });
  });
  const restore = (): void => refusing.mock.restore();
  const request = typeof read === "function" ? read() : read;
  request.then(restore, restore);
  return failure(request, "READ_LIMIT");
}

function assertSound(socket: AsyncSocket): void {
  for (const key of ["unsentBytes", "bytesWritten", "pendingWrites"] as const) {
    assert.ok(socket[key] >= 0, `${key} is ${socket[key]}`);
  }
}

describe("memory that the caller gave", () => {
  overEveryTransport((kind) => {
    it("into that was transferred fails its read alone, and no byte is taken", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const into = new Uint8Array(8);
      const failing = server.readExactly(5, { ...alone, into });
      const next = server.readExactly(5);
      transfer(into);
      client.write("HELLO");
      const error = await failure(failing, "BAD_STATE");
      assert.match(error.message, /into/);
      assert.equal(error.partial?.toString(), "HELLO");
      assert.equal(String(await next), "HELLO");
    });

    it("into that was transferred closes the connection by default, with that error", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const into = new Uint8Array(8);
      const failing = server.readFrame({ lengthBytes: 1, into });
      transfer(into);
      client.write("\x05HELLO");
      await failure(failing, "BAD_STATE");
      assert.equal((await server.closed).error?.code, "ERR_ASYNCSOCKET_BAD_STATE");
    });

    it("a frame for which into has shrunk leaves its header, too", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const { bytes: into, memory } = resizable(8);
      const failing = server.readFrame({ ...alone, lengthBytes: 1, into });
      memory.resize(3);
      client.write("\x05HELLO");
      await failure(failing, "BAD_STATE");
      assert.equal(String(await server.readFrame({ lengthBytes: 1 })), "HELLO");
    });

    for (const [how, make] of Object.entries(CHANGES)) {
      it(`a write that waits, whose memory ${how}, fails; those before it are done`, async (t) => {
        const { client, server } = await connectedPair(t, kind);
        const { bytes, change } = make(5000);
        const first = client.write("first");
        const second = client.write(bytes);
        change();
        await first;
        const error = await failure(second, "BAD_STATE");
        assert.equal(error.bytesDone, 0);
        assertSound(client);
        const third = client.write("third");
        await third;
        assert.equal(String(await server.readExactly(10)), "firstthird");
      });

      it(`a list that waits, a part of which ${how}, fails alone: none of it goes out, and its neighbours do`, async (t) => {
        const { client, server } = await connectedPair(t, kind);
        const { bytes, change } = make(5000);
        const first = client.write(["fir", "st"]);
        const second = client.write(["sec", "ond", bytes]);
        const third = client.write(["thi", "rd"]);
        change();
        await first;
        assert.equal((await failure(second, "BAD_STATE")).bytesDone, 0);
        await third;
        assertSound(client);
        assert.equal(String(await server.readExactly(10)), "firstthird");
      });

      it(`a small write whose memory ${how} has its bytes, since they were copied`, async (t) => {
        const { client, server } = await connectedPair(t, kind);
        const { bytes, change } = make(200);
        bytes.fill(7);
        const writes = [client.write(bytes), client.writeFrame(["a", bytes], { lengthBytes: 2 })];
        bytes.fill(8);
        change();
        await Promise.all(writes);
        assert.deepEqual(await server.readExactly(200), Buffer.alloc(200, 7));
        assert.deepEqual(
          await server.readFrame({ lengthBytes: 2 }),
          Buffer.concat([Buffer.from("a"), Buffer.alloc(200, 7)]),
        );
      });

      it(`a write that is on its way, whose memory ${how}, fails, and so does the connection`, async (t) => {
        const { client, server } = await connectedPair(t, kind, {}, { limits: { readAhead: 1 } });
        const { bytes, change } = make(muchFor(kind));
        const write = client.write([bytes]);
        await settled();
        assert.equal(write.state, "current");
        change();
        const error = failure(write, "BAD_STATE");
        const taken = server.skip(2 ** 52, alone);
        await error;
        assertSound(client);
        assert.equal((await client.closed).error?.code, "ERR_ASYNCSOCKET_BAD_STATE");
        await failure(taken);
      });
    }

    it("a string longer than the runtime has fails its read, and no byte is taken", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const data = pattern(9);
      client.write(data);
      await arrived(server, 9);
      const failing = server.readExactly(9, { ...alone, encoding: "hex" });
      const error = await refusingText(t, failing);
      assert.equal((error.cause as NodeJS.ErrnoException).code, "ERR_STRING_TOO_LONG");
      assert.deepEqual(await server.readExactly(9), data);
    });

    it("an iterator meets the same error as a read", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.write("some line\n");
      await arrived(server, 10);
      const lines = server.lines(alone);
      await refusingText(t, () => lines.next());
      assert.equal(await server.readLine(), "some line");
    });

    it("a frame that claims 2^53 bytes or more is none, without a bound, too", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const claim = Buffer.alloc(8);
      claim.writeBigUInt64BE(2n ** 53n);
      client.write(claim);
      await failure(server.readFrame({ lengthBytes: 8, maxLength: Infinity, onFailure: "continue" }), "BAD_FRAME");
      assert.deepEqual(await server.readExactly(8), claim);
    });
  });
});
