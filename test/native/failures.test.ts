/** How native connections fail: what had come before is not lost, and the error says what node:net's would. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { NO_NATIVE } from "../support/availability.js";
import { failure, thrown, until } from "../support/delegates.js";
import { assertNothingLeft, portOf, SAFETY } from "../support/transports.js";

/** More than the system takes of a peer that does not read. */
const MUCH = 16 * 1024 * 1024;

interface Pair {
  readonly socket: AsyncSocket;
  readonly peer: Socket;
}

/** A native socket, connected to one of the runtime's that does what it is told. */
async function connected(t: TestContext): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = new AsyncSocket({ transport: "native" });
  const { port } = server.address() as AddressInfo;
  const [[peer]] = (await Promise.all([once(server, "connection"), socket.connect({ host: "127.0.0.1", port })])) as [
    [Socket],
    unknown,
  ];
  peer.on("error", () => undefined);
  t.after(async () => {
    await socket.disconnect();
    peer.destroy();
    server.close();
    await assertNothingLeft();
  });
  return { socket, peer };
}

/** Sends, waits until the system has it all, and resets. */
async function sendAndReset(peer: Socket, bytes: Buffer): Promise<void> {
  await new Promise<void>((sent) => peer.write(bytes, () => sent()));
  peer.resetAndDestroy();
  await once(peer, "close");
}

describe("a native connection that is reset", { ...SAFETY, skip: NO_NATIVE }, () => {
  it("gives the reads that follow all that came before, though reading was paused", async (t) => {
    const { socket, peer } = await connected(t);
    const bytes = Buffer.alloc(120_000, "abc");
    await sendAndReset(peer, bytes);
    for (let turns = 0; turns < 50; turns++) await new Promise(setImmediate);
    assert.equal(socket.state, "open");
    assert.deepEqual(await socket.readExactly(120_000), bytes);
    thrown((await socket.closed).error, "CONNECTION_LOST");
  });

  it("gives the answer to the reads, though a write meets the reset first", async (t) => {
    const { socket, peer } = await connected(t);
    const read = socket.readLine();
    await sendAndReset(peer, Buffer.from("413 too much\nand more"));
    const write = socket.write(Buffer.alloc(1000));
    assert.equal(await read, "413 too much");
    const error = await failure(write, "CONNECTION_LOST");
    assert.equal(error.bytesDone, 0);
    const reason = await socket.closed;
    assert.equal(reason.unread.toString(), "and more");
    assert.equal((reason.error?.cause as NodeJS.ErrnoException).syscall, "write");
    assert.equal((reason.error?.cause as NodeJS.ErrnoException).code, "ECONNRESET");
  });

  it("leaves in `unread` what a failed write could not wait for, as nobody read it", async (t) => {
    const { socket, peer } = await connected(t);
    await sendAndReset(peer, Buffer.alloc(100_000, 7));
    for (let turns = 0; turns < 50; turns++) await new Promise(setImmediate);
    await failure(socket.write("x"), "CONNECTION_LOST");
    assert.equal((await socket.closed).unread.length, 100_000);
  });

  it("closes at once when it is told to while a failed write waits", async (t) => {
    const { socket, peer } = await connected(t);
    await sendAndReset(peer, Buffer.from("answer"));
    const write = socket.write("x");
    await new Promise<void>((resolve) => process.nextTick(resolve));
    const closing = socket.disconnect();
    await failure(write, "CLOSED");
    assert.equal((await closing).by, "local");
  });

  it("fails a write that waits when the reset comes", async (t) => {
    const { socket, peer } = await connected(t);
    peer.pause();
    const write = socket.write(Buffer.alloc(MUCH));
    await until(() => write.state === "current" && write.bytesDone > 0, "a part of it is out");
    peer.resetAndDestroy();
    await failure(write, "CONNECTION_LOST");
    thrown((await socket.closed).error, "CONNECTION_LOST");
  });
});

/** What of an error another program may go by. */
function told(error: unknown): object {
  const { message, code, errno, syscall, address, port } = error as NodeJS.ErrnoException & Record<string, unknown>;
  return { message, code, errno, syscall, address, port };
}

describe("the causes of native failures", { ...SAFETY, skip: NO_NATIVE }, () => {
  const folder = mkdtempSync(join(tmpdir(), "asyncsocket-"));
  const cases: Record<string, (socket: AsyncSocket, taken: number) => PromiseLike<unknown>> = {
    "a refused connect": (socket) => socket.connect({ host: "127.0.0.1", port: 1 }),
    "a refused connect over IPv6": (socket) => socket.connect({ host: "::1", port: 1 }),
    "a connect to a path that is not there": (socket) => socket.connect({ path: join(folder, "none") }),
    "a port that is taken": (socket, taken) => socket.listen({ host: "127.0.0.1", port: taken }),
    "an address of another machine": (socket) => socket.listen({ host: "192.0.2.1", port: 0 }),
  };

  for (const [name, attempt] of Object.entries(cases)) {
    it(`are told as node:net tells them: ${name}`, async (t) => {
      const listener = await AsyncSocket.listen({ host: "127.0.0.1", port: 0 });
      t.after(() => listener.disconnect());
      const [native, node] = await Promise.all(
        (["native", "node"] as const).map(async (transport) => {
          const socket = new AsyncSocket({ transport });
          return told((await failure(attempt(socket, portOf(listener)))).cause);
        }),
      );
      assert.deepEqual(native, node);
    });
  }

  it("do not keep a listener from closing: its path cannot be removed", async (t) => {
    const path = join(folder, "s");
    t.after(() => rmSync(folder, { recursive: true }));
    const listener = await AsyncSocket.listen({ path, transport: "native" });
    rmSync(path);
    // A folder is not removed by who removes a file.
    mkdirSync(path);
    assert.equal((await listener.disconnect()).by, "local");
  });
});
