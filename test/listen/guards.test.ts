/** Rules for addresses: nobody slips past them, and whatever becomes of a connection, it counts for as long as it is open. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { connect, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import {
  type AcceptInfo,
  AsyncSocket,
  type AsyncSocketDelegate,
  type AsyncSocketError,
  type AsyncSocketOptions,
  type ListenOptions,
} from "asyncsocket";
import { ECHO, loopOf, MOVABLE } from "../loops/helpers.js";
import { NO_NATIVE } from "../support/availability.js";
import { Authority } from "../support/certificates.js";
import { shortCode, until } from "../support/delegates.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { portOf, SAFETY } from "../support/transports.js";

const TRANSPORTS = NO_NATIVE === false ? (["node", "native"] as const) : (["node"] as const);
const HOST = "127.0.0.1";
const HEADER = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n";

interface Watched {
  readonly listener: AsyncSocket;
  readonly port: number;
  readonly accepted: AsyncSocket[];
  readonly refused: [AsyncSocketError, AcceptInfo][];
  /** A raw connection, not waited for. */
  readonly knock: (bytes?: string) => Socket;
}

async function watched(
  t: TestContext,
  options: AsyncSocketOptions,
  listen: ListenOptions = {},
  also: AsyncSocketDelegate = {},
  Kind: typeof AsyncSocket = AsyncSocket,
): Promise<Watched> {
  const belongings = Belongings.of(t);
  const accepted: AsyncSocket[] = [];
  const refused: [AsyncSocketError, AcceptInfo][] = [];
  const delegate: AsyncSocketDelegate = {
    didAccept(_listener, socket) {
      accepted.push(belongings.add(socket));
      socket.readLine();
    },
    didFailAccept: (_listener, error, info) => void refused.push([error, info]),
    ...also,
  };
  const listener = belongings.add(new Kind({ ...options, delegate }));
  await listener.listen({ port: 0, host: HOST, ...listen });
  const knock = (bytes = ""): Socket => {
    const socket = belongings.addRaw(connect(portOf(listener), HOST));
    if (bytes !== "") socket.write(bytes);
    return socket;
  };
  return { listener, port: portOf(listener), accepted, refused, knock };
}

/** Connects, says something and resets, all of it while this thread is busy. */
function knockAndReset(port: number, bytes: string): void {
  const program = `
    const socket = require("net").connect(${port}, "${HOST}");
    socket.write(${JSON.stringify(bytes)}, () => setTimeout(() => socket.resetAndDestroy(), 20));`;
  const { status, stderr } = spawnSync(process.execPath, ["-e", program]);
  assert.equal(status, 0, String(stderr));
}

for (const transport of TRANSPORTS) {
  describe(`a client that resets at once, on the ${transport} transport`, SAFETY, () => {
    const rules: Readonly<Record<string, [AsyncSocketOptions, ListenOptions]>> = {
      "a block list": [{}, { blockList: { check: (address) => address === HOST } }],
      "a limit per address, reached": [{ limits: { connectionsPerAddress: 1 } }, {}],
    };
    const ways: Readonly<Record<string, [opening: string, ListenOptions]>> = {
      "": ["", {}],
      " with a PROXY header": ["PROXY UNKNOWN\r\n", { proxyProtocol: true }],
    };
    for (const [rule, [options, guards]] of Object.entries(rules)) {
      for (const [way, [opening, listen]] of Object.entries(ways)) {
        it(`is not let past ${rule}${way}, nor shown to whoever chooses run loops`, async (t) => {
          let asked = 0;
          const wantsRunLoopForNewSocket = (): null => (asked++, null);
          const all = { ...guards, ...listen };
          const server = await watched(t, { transport, ...options }, all, { wantsRunLoopForNewSocket });
          const expected = guards.blockList === undefined ? 1 : 0;
          if (expected === 1) server.knock(`${opening}x`);
          await until(() => server.accepted.length === expected, "the first one is in");
          knockAndReset(server.port, `${opening}delete everything\n`);
          await until(() => server.refused.length === 1, "a refusal");
          assert.equal(shortCode(server.refused[0]?.[0]), "ACCEPT");
          assert.deepEqual([server.accepted.length, asked], [expected, expected]);
        });
      }
    }

    it("has an address in didAccept, or is told by didFailAccept, with the errno, in words", async (t) => {
      const infos: AcceptInfo[] = [];
      const { accepted, refused, port } = await watched(
        t,
        { transport },
        {},
        {
          wantsRunLoopForNewSocket(_listener, info) {
            infos.push(info);
            return null;
          },
        },
      );
      knockAndReset(port, "hello\n");
      await until(() => accepted.length + refused.length === 1, "it is told of");
      for (const { remote } of [...accepted, ...infos]) assert.ok(remote?.family === "IPv4" && remote.address === HOST);
      for (const [error] of refused) {
        assert.match(error.message, /^A connection could not be accepted: the peer was gone already \(ENOTCONN\)$/);
        assert.equal((error.cause as NodeJS.ErrnoException).code, "ENOTCONN");
      }
    });
  });

  describe(`limits.connectionsPerAddress, on the ${transport} transport`, SAFETY, () => {
    const options: AsyncSocketOptions = { transport, limits: { connectionsPerAddress: 1 } };

    /** Of one address one connection is taken, and no second. */
    async function countsFromZero(server: Watched, opening = ""): Promise<void> {
      const before = [server.accepted.length, server.refused.length] as const;
      const first = server.knock(opening);
      await until(() => server.accepted.length > before[0], "a connection in place of those that ended");
      server.knock(opening);
      await until(() => server.refused.length > before[1], "a refusal of the second");
      const [error] = server.refused.at(-1) ?? [];
      assert.match(String(error), /connectionsPerAddress, 1, are open/);
      assert.equal(server.accepted.length, before[0] + 1);
      first.destroy();
      await until(() => server.accepted.at(-1)?.state === "closed", "it is closed");
    }

    const ends: Readonly<Record<string, (server: Watched) => void>> = {
      "speaks no TLS": ({ knock }) => void knock("GET / HTTP/1.1\r\n\r\n"),
      "goes in the handshake": ({ knock }) =>
        void knock("").once("connect", function (this: Socket) {
          this.end();
        }),
      "resets in the handshake": ({ knock }) => {
        const socket = knock("\x16\x03\x01");
        socket.once("connect", () => socket.resetAndDestroy());
      },
    };
    for (const [how, knockOnce] of Object.entries(ends)) {
      it(`counts no more whoever ${how}`, async (t) => {
        const identity = await (await Authority.create()).issue(["localhost"]);
        const server = await watched(t, options, { tls: identity });
        for (let i = 1; i <= 3; i++) {
          knockOnce(server);
          await until(() => server.accepted.length + server.refused.length === i, "it is told of");
          await until(() => server.accepted.every(({ state }) => state === "closed"), "it is closed");
        }
        const before = server.refused.length;
        await countsFromZero(server);
        assert.equal(server.refused.length, before + 1);
      });
    }

    it("counts no more a client whose certificate is refused", async (t) => {
      const authority = await Authority.create();
      const identity = await authority.issue([HOST]);
      const tls = { ...identity, requestCert: true, ca: authority.cert };
      const server = await watched(t, options, { tls });
      for (let i = 1; i <= 3; i++) {
        const client = Belongings.of(t).add(new AsyncSocket());
        client.connect({ host: HOST, port: server.port, tls: { ca: authority.cert } }).catch(() => undefined);
        await until(() => server.accepted[i - 1]?.state === "closed", "it is refused");
      }
      assert.equal(server.refused.length, 0);
      await countsFromZero(server);
    });

    it("counts no connection that was refused for its PROXY header", async (t) => {
      const server = await watched(t, options, { proxyProtocol: true });
      for (let i = 1; i <= 3; i++) {
        server.knock("nonsense");
        await until(() => server.refused.length === i, "it is refused");
      }
      await countsFromZero(server, HEADER);
    });

    it("counts a socket that moved for as long as it is open there", { skip: MOVABLE.length === 0 }, async (t) => {
      const loop = await loopOf(t, ECHO);
      let moves = true;
      const server = await watched(
        t,
        options,
        {},
        {
          wantsRunLoopForNewSocket: () => (moves ? loop : null),
        },
      );
      for (let i = 0; i < 3; i++) {
        const client = Belongings.of(t).add(new AsyncSocket());
        await client.connect({ host: HOST, port: server.port });
        client.write("hello\n");
        await client.readLine();
        server.knock();
        await until(() => server.refused.length === i + 1, "a second one is refused");
        await client.disconnect();
        await until(() => loop.sockets === 0, "it is gone there");
      }
      moves = false;
      await countsFromZero(server);
    });

    it("counts anew in a new life of the listener, whatever is left of the old one", async (t) => {
      const server = await watched(t, options);
      const old = server.knock();
      await until(() => server.accepted.length === 1, "a connection");
      await server.listener.disconnect();
      await server.listener.listen({ port: server.port, host: HOST });
      old.destroy();
      await until(() => server.accepted[0]?.state === "closed", "the old connection is closed");
      await countsFromZero(server);
    });

    it("counts no connection for which no socket can be made, or on which the block list fails", async (t) => {
      let fails = true;
      class Fragile extends AsyncSocket {
        constructor(given?: AsyncSocketOptions) {
          super(given);
          if (fails && given?.delegate !== undefined && made++ > 0) throw new Error("no more of these");
        }
      }
      let made = 0;
      let isBroken = false;
      const check = (): boolean => {
        if (isBroken) throw new Error("the list is broken");
        return false;
      };
      const server = await watched(t, options, { blockList: { check } }, {}, Fragile);
      for (const words of [
        /no socket could be made for it: no more of these/,
        /the block list failed: the list is broken/,
      ]) {
        const client = server.knock();
        const before = server.refused.length;
        await until(() => server.refused.length > before, "it is told of");
        const [error] = server.refused.at(-1) ?? [];
        assert.equal(shortCode(error), "ACCEPT");
        assert.match(String(error), words);
        assert.ok(error?.cause instanceof Error);
        await until(() => client.closed, "it is closed");
        isBroken = true;
      }
      fails = isBroken = false;
      await countsFromZero(server);
    });
  });
}
