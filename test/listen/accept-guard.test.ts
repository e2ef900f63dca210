/** Whom a listener lets in: how many in a second, and how many of one IPv6 network. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, it, type TestContext } from "node:test";
import {
  AsyncSocket,
  type AsyncSocketOptions,
  type ConnectOptions,
  type Limits,
  type ListenOptions,
} from "asyncsocket";
import { ipv6Network } from "#dist/base/ip-bytes.js";
import { settled, shortCode, until } from "../support/delegates.js";
import { Belongings, opened, timedNetwork } from "../support/lifecycle-helpers.js";
import { overEveryTransport, portOf } from "../support/transports.js";

interface Guarded {
  readonly accepted: AsyncSocket[];
  /** The messages of the refusals. */
  readonly refused: string[];
  readonly knock: (options?: ConnectOptions) => Promise<void>;
  readonly pass: (ms: number) => Promise<void>;
}

/** A listener in memory, under a virtual clock. */
async function guarded(t: TestContext, limits: Limits, listen: ListenOptions = {}): Promise<Guarded> {
  const { transport, belongings, pass } = timedNetwork(t);
  const accepted: AsyncSocket[] = [];
  const refused: string[] = [];
  const delegate: AsyncSocketOptions["delegate"] = {
    didAccept: (_listener, socket) => void accepted.push(belongings.add(socket)),
    didFailAccept(_listener, error) {
      assert.equal(shortCode(error), "ACCEPT");
      refused.push(error.message);
    },
  };
  const listener = belongings.add(new AsyncSocket({ transport, limits, delegate }));
  await listener.listen({ port: 7, ...listen });
  return {
    accepted,
    refused,
    pass,
    async knock(options = {}) {
      belongings
        .add(new AsyncSocket({ transport }))
        .connect({ port: 7, ...options })
        .catch(() => undefined);
      await settled();
    },
  };
}

describe("limits.acceptsPerSecond", () => {
  it("lets in as many at once as in a second, and then as many as grow back", async (t) => {
    const { accepted, refused, knock, pass } = await guarded(t, { acceptsPerSecond: 4 });
    for (let i = 0; i < 6; i++) await knock();
    assert.deepEqual([accepted.length, refused.length], [4, 2]);
    assert.match(
      refused[0] ?? "",
      /A connection was refused: limits.acceptsPerSecond, 4, were accepted within a second$/,
    );
    await pass(249);
    await knock();
    assert.deepEqual([accepted.length, refused.length], [4, 3], "none has grown back");
    await pass(1);
    await knock();
    await knock();
    assert.deepEqual([accepted.length, refused.length], [5, 4], "one has");
    await pass(500);
    for (let i = 0; i < 3; i++) await knock();
    assert.deepEqual([accepted.length, refused.length], [7, 5], "two have");
  });

  it("saves up no more than those of one second", async (t) => {
    const { accepted, refused, knock, pass } = await guarded(t, { acceptsPerSecond: 2 });
    await pass(3_600_000);
    for (let i = 0; i < 5; i++) await knock();
    assert.deepEqual([accepted.length, refused.length], [2, 3]);
  });

  it("counts no connection that another rule refuses", async (t) => {
    const blockList = { check: (address: string) => address === "192.0.2.1" };
    const { accepted, refused, knock } = await guarded(t, { acceptsPerSecond: 1 }, { blockList });
    for (let i = 0; i < 3; i++) await knock({ localAddress: "192.0.2.1" });
    assert.deepEqual([accepted.length, refused.length], [0, 3]);
    await knock();
    await knock();
    assert.deepEqual([accepted.length, refused.length], [1, 4]);
    assert.match(refused[3] ?? "", /acceptsPerSecond/);
  });

  it("counts a connection with a PROXY header once", async (t) => {
    const belongings = Belongings.of(t);
    const refused: string[] = [];
    const accepted: AsyncSocket[] = [];
    const listener = belongings.add(
      new AsyncSocket({
        limits: { acceptsPerSecond: 2 },
        delegate: {
          didAccept: (_listener, socket) => void accepted.push(belongings.add(socket)),
          didFailAccept: (_listener, error) => void refused.push(error.message),
        },
      }),
    );
    await listener.listen({ port: 0, host: "127.0.0.1", proxyProtocol: true });
    for (const count of [1, 2]) {
      const raw = belongings.addRaw(connect(portOf(listener), "127.0.0.1"));
      raw.write("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n");
      await until(() => accepted.length + refused.length === count, "a connection");
    }
    assert.deepEqual([accepted.length, refused], [2, []]);
  });

  overEveryTransport((kind) => {
    it("refuses the second connection within a second", async (t) => {
      const refused: string[] = [];
      const { connect, listener } = await opened(t, kind, {
        limits: { acceptsPerSecond: 1 },
        delegate: { didFailAccept: (_listener, error) => void refused.push(shortCode(error)) },
      });
      // On a machine that is busy for a second in between, the third is refused, or a later one.
      for (let i = 0; refused.length === 0 && i < 20; i++) {
        void connect().then(
          (socket) => socket.closed,
          () => undefined,
        );
        await until(() => [...listener.sockets].length + refused.length > i, "it is told of");
      }
      assert.deepEqual(refused, ["ACCEPT"]);
    });
  });
});

describe("limits.ipv6PrefixLength", () => {
  const from = (localAddress: string): ConnectOptions => ({ host: "2001:db8:ffff::1", localAddress });

  it("counts the addresses of an IPv6 network as one for limits.connectionsPerAddress", async (t) => {
    const { accepted, refused, knock, pass } = await guarded(t, { connectionsPerAddress: 2, ipv6PrefixLength: 64 });
    await knock(from("2001:db8::1"));
    await knock(from("2001:db8::2:0:0:2"));
    await knock(from("2001:db8:0:0:ffff::3"));
    assert.deepEqual([accepted.length, refused.length], [2, 1]);
    assert.match(refused[0] ?? "", /limits.connectionsPerAddress, 2, are open from 2001:db8::\/64$/);
    await knock(from("2001:db8:0:1::1"));
    assert.equal(accepted.length, 3, "another network");
    await accepted[0]?.disconnect();
    await pass(0);
    await knock(from("2001:db8::77"));
    await knock(from("2001:db8::78"));
    assert.deepEqual([accepted.length, refused.length], [4, 2], "one has gone");
  });

  it("is 128 unless it is given: each address counts by itself", async (t) => {
    const { accepted, refused, knock } = await guarded(t, { connectionsPerAddress: 1 });
    for (const address of ["2001:db8::1", "2001:db8::2", "2001:db8::1"]) await knock(from(address));
    assert.equal(accepted.length, 2);
    assert.match(refused[0] ?? "", /are open from 2001:db8::1$/);
  });

  it("leaves IPv4 addresses alone", async (t) => {
    const { accepted, refused, knock } = await guarded(t, { connectionsPerAddress: 1, ipv6PrefixLength: 8 });
    for (const localAddress of ["192.0.2.1", "192.0.2.2", "192.0.2.1"]) await knock({ localAddress });
    assert.equal(accepted.length, 2);
    assert.match(refused[0] ?? "", /are open from 192.0.2.1$/);
  });

  it("cuts an address at any bit, and keeps its zone", () => {
    const cut = (length: number): string => ipv6Network("2001:db8:abcd:1234:5678:9abc:def0:ffff", length);
    assert.equal(cut(64), "2001:db8:abcd:1234::/64");
    assert.equal(cut(60), "2001:db8:abcd:1230::/60");
    assert.equal(cut(48), "2001:db8:abcd::/48");
    assert.equal(cut(33), "2001:db8:8000::/33");
    assert.equal(cut(1), "::/1");
    assert.equal(cut(127), "2001:db8:abcd:1234:5678:9abc:def0:fffe/127");
    assert.equal(ipv6Network("fe80::1%eth0", 64), "fe80::%eth0/64");
    assert.notEqual(ipv6Network("fe80::1%eth0", 64), ipv6Network("fe80::1%eth1", 64));
  });
});
