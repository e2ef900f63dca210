/** What counters, errors and close reasons tell of writes is what the operating system has taken (decision 6). */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AsyncSocket, SocketRequest } from "asyncsocket";
import { failure, readToEnd, settled } from "../support/delegates.js";
import { muchFor } from "../support/lifecycle-helpers.js";
import { connectedPair, type Kind, overEveryTransport } from "../support/transports.js";

const limits = { readAhead: 16, writeQueue: Infinity };

/** TLS tells whole batches only, and so do runtimes without a number for what is queued. */
function isExact(kind: Kind): boolean {
  return !kind.isSecure && !("bun" in process.versions) && !("deno" in process.versions);
}

/** Less than any system takes at once. */
function writeBytesFor(kind: Kind): number {
  return kind.isReal ? 5000 : 1000;
}

function writesTo(client: AsyncSocket, kind: Kind): SocketRequest<void>[] {
  const writes: SocketRequest<void>[] = [];
  const bytes = writeBytesFor(kind);
  for (let total = 0; total < muchFor(kind); total += bytes) {
    writes.push(client.write(Buffer.alloc(bytes, writes.length)));
  }
  return writes;
}

describe("how far writes are", () => {
  overEveryTransport((kind) => {
    const writeBytes = writeBytesFor(kind);

    it("decision 6: is told exactly by a close, and a write that has all of its bytes out is done", async (t) => {
      const { client, server } = await connectedPair(t, kind, { limits }, { limits });
      const writes = writesTo(client, kind);
      await settled();
      const reason = await client.disconnect();
      const came = (await readToEnd(server)).length;
      const done = writes.filter(({ state }) => state === "done").length;
      if (isExact(kind)) {
        assert.equal(came, reason.bytesWritten);
        assert.equal(done, Math.floor(came / writeBytes));
      }
      assert.ok(came >= reason.bytesWritten, `${came} came, ${reason.bytesWritten} were told`);
      assert.equal(reason.bytesWritten + reason.unsentBytes, writes.length * writeBytes);
      for (const [i, write] of writes.entries()) {
        assert.equal(write.bytesDone, Math.max(0, Math.min(writeBytes, reason.bytesWritten - i * writeBytes)));
      }
    });

    it("decision 6: is told by the getters, and by didWritePartial", async (t) => {
      const { client, server } = await connectedPair(t, kind, { limits }, { limits });
      const total = muchFor(kind);
      let partial = 0;
      client.delegate = { didWritePartial: (_socket, byteCount) => void (partial += byteCount) };
      const write = client.write(Buffer.alloc(total));
      await settled();
      assert.equal(client.bytesWritten + client.unsentBytes, total);
      assert.equal(write.bytesDone, client.bytesWritten);
      assert.ok(partial <= client.bytesWritten);
      if (isExact(kind) && kind.isReal) assert.notEqual(client.bytesWritten % (256 * 1024), 0, "not whole batches");
      const { bytesWritten } = client;
      client.disconnect();
      const came = (await readToEnd(server)).length;
      assert.ok(came >= bytesWritten);
    });

    it("decision 6: is told by a timeout, whose RST takes what the peer has not read yet", async (t) => {
      const { client, server } = await connectedPair(t, kind, { limits }, { limits });
      const write = client.write(Buffer.alloc(muchFor(kind)), { timeout: 30 });
      const error = await failure(write, "WRITE_TIMEOUT");
      assert.equal(error.bytesDone, client.bytesWritten);
      assert.equal(error.bytesDone + client.unsentBytes, muchFor(kind));
      // The kernel keeps nothing of it: else all that it had taken would still arrive.
      if (!kind.hasReset) return;
      const came = await readToEnd(server);
      assert.ok(came.length < error.bytesDone, `${came.length} of ${error.bytesDone} came`);
    });

    it("decision 6: a write whose bytes are all out is not taken back", async (t) => {
      const { client, server } = await connectedPair(t, kind, { limits }, { limits });
      const writes = writesTo(client, kind);
      await settled();
      const [first] = writes;
      assert.ok(first !== undefined);
      assert.equal(first.cancel(), false);
      assert.equal(client.state, "open");
      await first;
      client.disconnect();
      await readToEnd(server);
    });
  });
});
