/** What the kernel tells of a connection. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type ConnectOptions, type ListenOptions } from "asyncsocket";
import { NO_NATIVE } from "../support/availability.js";
import { Authority } from "../support/certificates.js";
import { Belongings, child } from "../support/lifecycle-helpers.js";
import { connectedPair, memory, portOf, SAFETY } from "../support/transports.js";

const skip = NO_NATIVE !== false ? NO_NATIVE : process.platform !== "linux" ? "only Linux tells" : false;
const identity = await (await Authority.create()).issue(["localhost"]);

function pathIn(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "asyncsocket-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "s");
}

async function pair(
  t: TestContext,
  listen: ListenOptions & { transport: "node" | "native" },
  connect: ConnectOptions = {},
): Promise<{ listener: AsyncSocket; both: readonly AsyncSocket[] }> {
  const belongings = Belongings.of(t);
  const listener = belongings.add(await AsyncSocket.listen(listen));
  const accepted = listener.connections().next();
  const { transport, path } = listen;
  const target = path === undefined ? { host: "127.0.0.1", port: portOf(listener) } : { path };
  const client = belongings.add(await AsyncSocket.connect({ transport, ...target, ...connect }));
  const { value: server } = await accepted;
  assert.ok(server !== undefined);
  return { listener, both: [client, belongings.add(server)] };
}

for (const transport of ["node", "native"] as const) {
  const tcp = { transport, host: "127.0.0.1", port: 0 };

  describe(`what the kernel tells on the ${transport} transport`, { ...SAFETY, skip }, () => {
    for (const [what, listen, connect] of [
      ["in the clear", {}, {}],
      ["over TLS", { tls: identity }, { tls: { rejectUnauthorized: false } }],
    ] as const) {
      it(`tcpInfo() has numbers that fit a connection within the machine, ${what}`, async (t) => {
        const { both } = await pair(t, { ...tcp, ...listen }, connect);
        const [client, server] = both as [AsyncSocket, AsyncSocket];
        client.write("x");
        await server.readExactly(1);
        for (const socket of both) {
          const info = socket.tcpInfo();
          assert.ok(info !== undefined);
          assert.ok(info.rttMs > 0 && info.rttMs < 10_000, `a round trip of ${info.rttMs} ms`);
          assert.ok(info.rttVarMs > 0 && info.rttVarMs < 10_000);
          assert.ok(info.congestionWindow >= 1);
          assert.ok(info.segmentBytes >= 500);
          assert.ok(info.lost >= 0 && info.retransmits >= 0);
          assert.equal(socket.peerCredentials, undefined);
        }
        await client.disconnect();
        assert.equal(client.tcpInfo(), undefined);
      });
    }

    it("peerCredentials name the process at the other end of a Unix-domain socket", async (t) => {
      const path = pathIn(t);
      const { both, listener } = await pair(t, { transport, path });
      const own = { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() };
      for (const socket of both) {
        assert.deepEqual(socket.peerCredentials, own);
        assert.equal(socket.tcpInfo(), undefined);
      }
      const other = child(
        t,
        `import { connect } from "node:net";
         connect(process.argv[1]).resume().on("connect", () => console.log("there")).on("close", () => process.exit());`,
        [path],
      );
      const { value: server } = await listener.connections().next();
      assert.ok(server !== undefined);
      Belongings.of(t).add(server);
      assert.deepEqual(server.peerCredentials, { ...own, pid: other.process.pid });
      await server.disconnect();
      assert.equal(server.peerCredentials, undefined);
      await other.ended;
    });
  });
}

describe("what no kernel tells", SAFETY, () => {
  it("is undefined for idle sockets and listeners", async (t) => {
    const listener = Belongings.of(t).add(await AsyncSocket.listen({ host: "127.0.0.1", port: 0 }));
    for (const socket of [new AsyncSocket(), listener]) {
      assert.deepEqual([socket.tcpInfo(), socket.peerCredentials], [undefined, undefined]);
    }
  });

  it("is undefined in a network in memory", async (t) => {
    const { client, server } = await connectedPair(t, memory("memory"));
    for (const socket of [client, server]) {
      assert.deepEqual([socket.tcpInfo(), socket.peerCredentials], [undefined, undefined]);
    }
  });

  it("is undefined without the addon", async (t) => {
    const { line, ended } = child(
      t,
      `process.env.ASYNCSOCKET_NATIVE = "0";
       const { AsyncSocket } = await import("asyncsocket");
       const listener = await AsyncSocket.listen({ host: "127.0.0.1", port: 0 });
       const socket = await AsyncSocket.connect({ host: "127.0.0.1", port: listener.port });
       console.log(String([typeof socket.tcpInfo(), typeof socket.peerCredentials]));
       process.exit();`,
    );
    assert.equal(await line(), "undefined,undefined");
    await ended;
  });
});
