/** Listening on a descriptor that listens already, as a program does that systemd has started. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { closeSync, existsSync, linkSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import { NO_NATIVE } from "../support/availability.js";
import { failure } from "../support/delegates.js";
import { Belongings, errnoOf, rawPair } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";

const TRANSPORTS = NO_NATIVE === false ? (["node", "native"] as const) : (["node"] as const);

function fdOf(handled: object): number {
  const { fd } = (handled as { _handle: { fd: number } })._handle;
  assert.ok(fd > 2);
  return fd;
}

async function listening(t: TestContext, where: { port: number; host: string } | { path: string }): Promise<Server> {
  const server = createServer();
  t.after(() => server.close());
  server.listen(where);
  await once(server, "listening");
  return server;
}

interface Service {
  readonly line: () => Promise<string>;
  readonly ended: Promise<unknown>;
}

/** Starts a service as systemd does: the listening descriptor is its number 3. The service answers one line, and ends. */
function activate(t: TestContext, server: Server, transport: string): Service {
  const module = `
    import { AsyncSocket } from "asyncsocket";
    if (process.env.LISTEN_FDS !== "1") throw new Error("it was not activated");
    const delegate = {
      didAccept: (listener, socket) => void socket.readLine({ tag: listener }),
      didReadText(socket, text, listener) {
        socket.write(text + " from " + socket.local.family + "\\n");
        socket.disconnectAfterWriting();
        listener.disconnect();
      },
    };
    const listener = await AsyncSocket.listen({ transport: "${transport}", fd: 3, delegate });
    console.log(JSON.stringify(listener.local));`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", module], {
    stdio: ["ignore", "pipe", "inherit", fdOf(server)],
    env: { ...process.env, LISTEN_FDS: "1" },
  });
  t.after(() => child.kill("SIGKILL"));
  const ended = once(child, "close");
  assert.ok(child.stdout !== null);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async (): Promise<string> => {
    const { value } = (await lines.next()) as { value: unknown };
    assert.ok(typeof value === "string", "a line of the service");
    return value;
  };
  return { line, ended };
}

for (const transport of TRANSPORTS) {
  describe(`listen({ fd }) on the ${transport} transport`, { ...SAFETY, skip: process.platform === "win32" }, () => {
    it("a service takes the connections of a TCP descriptor that it has inherited", async (t) => {
      const server = await listening(t, { port: 0, host: "127.0.0.1" });
      const local = server.address();
      assert.ok(typeof local === "object" && local !== null);
      const { port } = local;
      const service = activate(t, server, transport);
      server.close();
      assert.deepEqual(JSON.parse(await service.line()), { family: "IPv4", address: "127.0.0.1", port });
      const client = Belongings.of(t).add(await AsyncSocket.connect({ host: "127.0.0.1", port }));
      client.write("hello\n");
      assert.equal(await client.readLine(), "hello from IPv4");
      const [code] = (await service.ended) as [number];
      assert.equal(code, 0);
      const gone = await failure(AsyncSocket.connect({ host: "127.0.0.1", port }), "CONNECT");
      assert.equal(errnoOf(gone), "ECONNREFUSED");
    });

    it("a service takes the connections of a Unix-domain descriptor, and leaves its file", async (t) => {
      const folder = mkdtempSync(join(tmpdir(), "asyncsocket-"));
      t.after(() => rmSync(folder, { recursive: true, force: true }));
      const path = join(folder, "s");
      const server = await listening(t, { path });
      const service = activate(t, server, transport);
      // The runtime removes the file at the path when the server closes, but not a second name of it.
      const link = join(folder, "link");
      linkSync(path, link);
      server.close();
      const expected = { family: "unix", path: NO_NATIVE === false ? path : "" };
      assert.deepEqual(JSON.parse(await service.line()), expected);
      const client = Belongings.of(t).add(await AsyncSocket.connect({ path: link }));
      client.write("hello\n");
      assert.equal(await client.readLine(), "hello from unix");
      const [code] = (await service.ended) as [number];
      assert.equal(code, 0);
      assert.ok(existsSync(link));
    });

    it(
      "a descriptor that does not listen is refused, with the reason, and stays open",
      { skip: NO_NATIVE },
      async (t) => {
        const refused = async (fd: number, code: string, words: string): Promise<void> => {
          const error = await failure(AsyncSocket.listen({ transport, fd }), "LISTEN");
          assert.equal(error.message, `Cannot listen on descriptor ${fd}: ${words} (${code})`);
          assert.equal(errnoOf(error), code);
        };
        const file = openSync(import.meta.filename, "r");
        await refused(file, "ENOTSOCK", "it is not a socket");
        closeSync(file);
        await refused(2 ** 20, "EBADF", "it is not open");
        const { peer, socket } = await rawPair(t);
        await refused(fdOf(peer), "EINVAL", "it does not listen");
        peer.write("still here\n");
        assert.equal(await socket.readLine(), "still here");
        const datagrams = createSocket("udp4").bind(0, "127.0.0.1");
        await once(datagrams, "listening");
        const descriptor = datagramDescriptor(datagrams);
        await refused(descriptor, "EPROTOTYPE", "it is not a stream socket");
        datagrams.close();
      },
    );
  });
}

/** The runtime keeps the handle of a datagram socket under a symbol. */
function datagramDescriptor(socket: object): number {
  const symbol = Object.getOwnPropertySymbols(socket).find(({ description }) => description === "state symbol");
  assert.ok(symbol !== undefined);
  const { handle } = (socket as Record<symbol, { handle: { fd: number } } | undefined>)[symbol] ?? {};
  assert.ok(handle !== undefined);
  return handle.fd;
}

describe("listen({ fd })", SAFETY, () => {
  it("is refused together with what the descriptor has settled", () => {
    const settled = { host: "::1", port: 5, path: "/tmp/s", mode: 0o600, ipv6Only: true, reusePort: true };
    for (const [name, value] of Object.entries(settled)) {
      assert.throws(() => new AsyncSocket().listen({ fd: 3, [name]: value }), {
        name: "TypeError",
        message: `Expected either fd or ${name}, got both`,
      });
    }
  });

  it("is refused by a network in memory", () => {
    const socket = new AsyncSocket({ transport: new MemoryNetwork() });
    assert.throws(() => socket.listen({ fd: 3 }), { code: "ERR_ASYNCSOCKET_BAD_STATE" });
  });
});
