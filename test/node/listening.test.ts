import assert from "node:assert/strict";
import dns from "node:dns";
import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { syncBuiltinESMExports } from "node:module";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { type Address, AsyncSocket, type AsyncSocketOptions, type ListenOptions } from "asyncsocket";
import { NO_NATIVE } from "../support/availability.js";
import { failure, settled, until } from "../support/delegates.js";
import { Belongings, errnoOf } from "../support/lifecycle-helpers.js";
import { portOf, SAFETY } from "../support/transports.js";

const HAS_IPV6 = await new Promise<boolean>((answer) => {
  const probe = createServer();
  probe.once("error", () => answer(false));
  probe.listen(0, "::1", () => probe.close(() => answer(true)));
});

const TRANSPORTS = NO_NATIVE === false ? (["node", "native"] as const) : (["node"] as const);

interface Listening {
  readonly belongings: Belongings;
  readonly listener: AsyncSocket;
  readonly port: number;
  /** Whether a connection to that address comes to this listener; if so, how the listener sees it. */
  readonly reach: (host: string) => Promise<{ local: Address | undefined; remote: Address | undefined } | string>;
}

async function listening(t: TestContext, options: ListenOptions & AsyncSocketOptions): Promise<Listening> {
  const belongings = Belongings.of(t);
  const listener = belongings.add(await AsyncSocket.listen(options));
  const port = portOf(listener);
  return {
    belongings,
    listener,
    port,
    async reach(host) {
      const accepted = listener.connections();
      const next = accepted.next();
      const client = belongings.addRaw(connect({ host, port }));
      const failed = new Promise<string>((answer) => {
        client.once("error", (error: NodeJS.ErrnoException) => answer(String(error.code)));
      });
      const result = await Promise.race([next, failed]);
      if (typeof result === "string") return result;
      assert.ok(result.value !== undefined);
      const { local, remote } = belongings.add(result.value);
      client.destroy();
      return { local, remote };
    },
  };
}

/** Has names found as this says, for a test; what listens asks the system and has no `lookup` of its own. */
function withNames(t: TestContext, names: Record<string, LookupAddress[]>): void {
  const before = dns.lookup;
  const replaced = (
    host: string,
    options: object,
    done: (error: Error | null, found: LookupAddress[]) => void,
  ): void => {
    const found = names[host];
    if (found === undefined) Reflect.apply(before, dns, [host, options, done]);
    else setImmediate(() => done(null, found));
  };
  dns.lookup = replaced as unknown as typeof dns.lookup;
  syncBuiltinESMExports();
  t.after(() => {
    dns.lookup = before;
    syncBuiltinESMExports();
  });
}

for (const transport of TRANSPORTS) {
  describe(`listening on the ${transport} transport`, SAFETY, () => {
    it("decision 16: without host both families come in on one port, port 0 too", async (t) => {
      const { reach, port, listener } = await listening(t, { transport, port: 0 });
      assert.ok(port > 0);
      assert.equal(listener.local?.family, HAS_IPV6 ? "IPv6" : "IPv4");
      const v4 = await reach("127.0.0.1");
      assert.ok(typeof v4 !== "string", JSON.stringify(v4));
      assert.deepEqual(v4.local, { family: "IPv4", address: "127.0.0.1", port });
      assert.ok(v4.remote?.family === "IPv4" && v4.remote.address === "127.0.0.1");
      if (!HAS_IPV6) return;
      const v6 = await reach("::1");
      assert.ok(typeof v6 !== "string", JSON.stringify(v6));
      assert.deepEqual(v6.local, { family: "IPv6", address: "::1", port });
    });

    it(
      "decision 16: without host IPv4 alone is no answer where the port of IPv6 is somebody else's",
      { skip: !HAS_IPV6 },
      async (t) => {
        const { port } = await listening(t, { transport, port: 0, ipv6Only: true });
        const error = await failure(AsyncSocket.listen({ transport, port }), "LISTEN");
        assert.equal(errnoOf(error), "EADDRINUSE");
        const other = await listening(t, { transport, port: 0, host: "0.0.0.0" });
        assert.equal(
          errnoOf(await failure(AsyncSocket.listen({ transport, port: other.port }), "LISTEN")),
          "EADDRINUSE",
        );
      },
    );

    it("decision 16: without host on a port of one's choice", async (t) => {
      const first = await listening(t, { transport, port: 0 });
      const { port } = first;
      await first.listener.disconnect();
      const again = await listening(t, { transport, port });
      assert.equal(again.port, port);
      assert.notEqual(typeof (await again.reach("127.0.0.1")), "string");
    });

    it("decision 16: a host with one address is listened on there alone", async (t) => {
      const { reach, listener, port } = await listening(t, { transport, port: 0, host: "127.0.0.1" });
      assert.deepEqual(listener.local, { family: "IPv4", address: "127.0.0.1", port });
      assert.notEqual(typeof (await reach("127.0.0.1")), "string");
      assert.equal(await reach("127.0.0.2"), "ECONNREFUSED");
      if (HAS_IPV6) assert.equal(await reach("::1"), "ECONNREFUSED");
    });

    it("decision 16: localhost is listened on at all its addresses, on one port", async (t) => {
      const { reach } = await listening(t, { transport, port: 0, host: "localhost" });
      for (const { address } of await lookup("localhost", { all: true })) {
        assert.notEqual(typeof (await reach(address)), "string", address);
      }
    });

    it("decision 16: a name with several addresses is listened on at all of them, on one port, for port 0 too", async (t) => {
      const addresses = ["127.0.0.3", "127.0.0.4", ...(HAS_IPV6 ? ["::1"] : [])];
      withNames(t, {
        "several.test": addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
      });
      const { reach, port, listener } = await listening(t, { transport, port: 0, host: "several.test" });
      assert.ok(port > 0);
      for (const address of addresses) {
        const ends = await reach(address);
        assert.ok(typeof ends !== "string", `${address}: ${JSON.stringify(ends)}`);
        assert.ok(ends.local?.family !== "unix" && ends.local?.address === address && ends.local.port === port);
      }
      assert.equal(await reach("127.0.0.5"), "ECONNREFUSED");
      await listener.disconnect();
      for (const address of addresses) assert.equal(await reachable(address, port), false, address);
    });

    it("decision 16: one address in use is a failure, and the others are let go", async (t) => {
      withNames(t, { "taken.test": ["127.0.0.3", "127.0.0.4"].map((address) => ({ address, family: 4 })) });
      const belongings = Belongings.of(t);
      const other = belongings.addRaw(createServer().listen(0, "127.0.0.4"));
      await once(other, "listening");
      const { port } = other.address() as AddressInfo;
      const error = await failure(AsyncSocket.listen({ transport, port, host: "taken.test" }), "LISTEN");
      assert.match(error.message, /in use/);
      assert.match(error.message, /taken\.test/);
      await settled();
      assert.equal(await reachable("127.0.0.3", port), false);
    });

    it("decision 16: an address that this machine has not is passed over where there are others", async (t) => {
      withNames(t, { "half.test": ["192.0.2.1", "127.0.0.3"].map((address) => ({ address, family: 4 })) });
      const { reach } = await listening(t, { transport, port: 0, host: "half.test" });
      assert.notEqual(typeof (await reach("127.0.0.3")), "string");
      const error = await failure(AsyncSocket.listen({ transport, port: 0, host: "192.0.2.1" }), "LISTEN");
      assert.equal(errnoOf(error), "EADDRNOTAVAIL");
      assert.match(error.message, /no such address/);
    });

    it("ipv6Only takes IPv6 alone", { skip: !HAS_IPV6 }, async (t) => {
      const { reach, port } = await listening(t, { transport, port: 0, ipv6Only: true });
      assert.notEqual(typeof (await reach("::1")), "string");
      assert.equal(await reach("127.0.0.1"), "ECONNREFUSED");
      // So that IPv4 is free for another.
      const other = await listening(t, { transport, port, host: "0.0.0.0" });
      assert.notEqual(typeof (await other.reach("127.0.0.1")), "string");
    });

    it("a port in use is LISTEN, in words, with the errno in the cause", async (t) => {
      const { port } = await listening(t, { transport, port: 0, host: "127.0.0.1" });
      const second = new AsyncSocket({ transport });
      const error = await failure(second.listen({ port, host: "127.0.0.1" }), "LISTEN");
      assert.match(error.message, /in use/);
      assert.match(error.message, new RegExp(String(port)));
      assert.equal(error.operation, "listen");
      assert.equal(errnoOf(error), "EADDRINUSE");
      assert.equal((await second.closed).error, error);
    });

    it("a host that there is not is DNS or LISTEN, and is named", async () => {
      const error = await failure(AsyncSocket.listen({ transport, port: 0, host: "no-such-host.invalid" }));
      assert.match(error.code, /_(DNS|LISTEN)$/);
      assert.match(error.message, /no-such-host\.invalid/);
    });

    it("backlog bounds the connections in the kernel's queue, and is taken", async (t) => {
      const { reach } = await listening(t, { transport, port: 0, backlog: 1 });
      assert.notEqual(typeof (await reach("127.0.0.1")), "string");
    });

    it("disconnect() right after listen() lets go of the port, and the listen fails with CLOSED", async () => {
      const socket = new AsyncSocket({ transport });
      const request = socket.listen({ port: 0, host: "localhost" });
      const reason = await socket.disconnect();
      assert.equal(reason.by, "local");
      await failure(request, "CLOSED");
      assert.equal(socket.state, "closed");
    });

    it("cancel() takes a listen back", async (t) => {
      const belongings = Belongings.of(t);
      const socket = belongings.add(new AsyncSocket({ transport }));
      const request = socket.listen({ port: 0, host: "localhost" });
      assert.equal(request.cancel(), true);
      await failure(request, "CANCELED");
      await socket.closed;
      await socket.listen({ port: 0 });
      assert.equal(socket.state, "listening");
    });

    it("a port is free again at once after the close, with connections open", async (t) => {
      const first = await listening(t, { transport, port: 0, host: "127.0.0.1" });
      const client = first.belongings.add(await AsyncSocket.connect({ host: "127.0.0.1", port: first.port }));
      const { value: server } = await first.listener.connections().next();
      assert.ok(server !== undefined);
      first.belongings.add(server);
      await first.listener.disconnect();
      const again = first.belongings.add(await AsyncSocket.listen({ transport, host: "127.0.0.1", port: first.port }));
      assert.equal(portOf(again), first.port);
      assert.equal(client.state, "open");
    });

    it("reusePort shares a port, or says that it cannot", async (t) => {
      const belongings = Belongings.of(t);
      const first = belongings.add(new AsyncSocket({ transport }));
      try {
        await first.listen({ port: 0, host: "127.0.0.1", reusePort: true });
      } catch (error) {
        assert.match(String(error), /reusePort/);
        assert.match(String((error as { code?: unknown }).code), /_LISTEN$/);
        return;
      }
      const port = portOf(first);
      const second = belongings.add(await AsyncSocket.listen({ transport, port, host: "127.0.0.1", reusePort: true }));
      assert.equal(portOf(second), port);
    });

    it("setNoDelay and setKeepAlive work on live sockets, from both ends", async (t) => {
      const { belongings, listener, port } = await listening(t, {
        transport,
        port: 0,
        noDelay: false,
        keepAlive: 60_000,
      });
      const options = { host: "127.0.0.1", port, noDelay: false, keepAlive: true } as const;
      const client = belongings.add(await AsyncSocket.connect(options));
      const { value: server } = await listener.connections().next();
      assert.ok(server !== undefined);
      for (const socket of [client, belongings.add(server)]) {
        socket.setNoDelay(true);
        socket.setNoDelay(false);
        socket.setKeepAlive(1500);
        socket.setKeepAlive(false);
        assert.throws(() => socket.setKeepAlive(-1), RangeError);
        assert.throws(() => socket.setNoDelay("on" as unknown as boolean), TypeError);
      }
      client.write("works\n");
      assert.equal(await server.readLine(), "works");
    });
  });
}

async function reachable(host: string, port: number): Promise<boolean> {
  const probe: Socket = connect({ host, port });
  let outcome: boolean | undefined;
  probe.once("connect", () => (outcome = true));
  probe.once("error", () => (outcome = false));
  await until(() => outcome !== undefined, "an outcome");
  probe.destroy();
  return outcome === true;
}
