/** What real systems do with connects that lead nowhere: a socket meets itself, a backlog is full. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { NO_NATIVE } from "../support/availability.js";
import { failure } from "../support/delegates.js";
import { Belongings, child, errnoOf } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";

const TRANSPORTS = [
  ["node", false],
  ["native", NO_NATIVE],
] as const;

const NO_BACKLOG = process.platform === "linux" ? false : "other systems refuse where a backlog is full";

async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

function temporaryPath(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "asyncsocket-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "s");
}

/** Listens on a path, and lets nobody in: the process stands still. */
const DEAF = `
  import { createServer } from "node:net";
  import { writeSync } from "node:fs";
  createServer().listen({ path: process.argv.at(-1), backlog: 1 }, () => {
    writeSync(1, "listening\\n");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });`;

for (const [transport, skip] of TRANSPORTS) {
  describe(`connects that lead nowhere, ${transport}`, { ...SAFETY, skip }, () => {
    for (const host of ["127.0.0.1", "0.0.0.0", "localhost"]) {
      it(`a connection that met itself is refused, and leaves the port free: ${host}`, async (t) => {
        const port = await freePort("127.0.0.1");
        const socket = Belongings.of(t).add(new AsyncSocket({ transport }));
        const connecting = socket.connect({ host, port, localAddress: "127.0.0.1", localPort: port });
        const error = await failure(connecting, "CONNECT");
        assert.equal(errnoOf(error), "ECONNREFUSED");
        assert.match(error.message, /nothing listens there/);
        const cause = error.cause as NodeJS.ErrnoException & { port?: number };
        assert.deepEqual([cause.syscall, cause.port], ["connect", port]);
        await socket.closed;
        Belongings.of(t).add(await AsyncSocket.listen({ host: "127.0.0.1", port, transport }));
      });
    }

    it("a burst of connects to a path is let in, however few the backlog holds", { skip: NO_BACKLOG }, async (t) => {
      const path = temporaryPath(t);
      const belongings = Belongings.of(t);
      const delegate = { didAccept: (_: AsyncSocket, socket: AsyncSocket) => void belongings.add(socket) };
      belongings.add(await AsyncSocket.listen({ path, backlog: 1, transport, delegate }));
      const connects = Array.from({ length: 300 }, () =>
        belongings.add(new AsyncSocket({ transport })).connect({ path }),
      );
      for (const socket of await Promise.all(connects)) assert.equal(socket.state, "open");
    });

    it("a backlog that stays full is told when the timeout has passed", { skip: NO_BACKLOG }, async (t) => {
      const path = temporaryPath(t);
      assert.equal(await child(t, DEAF, [path]).line(), "listening");
      // Bun and Deno give the system backlogs of their own.
      let isFull = false;
      while (!isFull) {
        const filler = Belongings.of(t).addRaw(connect(path));
        filler.on("error", () => undefined);
        isFull = await new Promise((done) => filler.once("connect", () => done(false)).once("error", () => done(true)));
      }
      const socket = Belongings.of(t).add(new AsyncSocket({ transport }));
      const error = await failure(socket.connect({ path, timeout: 30 }), "CONNECT_TIMEOUT");
      assert.match(error.message, /it took more than 30 ms; .*the backlog is full \(EAGAIN\)/);
      assert.equal(errnoOf(error), "EAGAIN");
    });
  });
}
