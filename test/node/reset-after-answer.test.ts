/** A peer that answers and resets at once, while this side still writes: what it has sent is read first. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { createServer as createTLSServer } from "node:tls";
import { AsyncSocket, type AsyncSocketOptions } from "asyncsocket";
import { Authority } from "../support/certificates.js";
import { failure, pattern, settled } from "../support/delegates.js";
import { Belongings, errnoOf } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";

const HOST = "127.0.0.1";
const ANSWER = "413 too much\n";
const authority = await Authority.create();
const identity = await authority.issue([HOST]);

interface Way {
  readonly name: string;
  server(): Server;
  connect(port: number, options: AsyncSocketOptions): Promise<AsyncSocket>;
}

const WAYS: readonly Way[] = [
  {
    name: "the node transport",
    server: () => createServer(),
    connect: (port, options) => AsyncSocket.connect({ ...options, transport: "node", host: HOST, port }),
  },
  {
    name: "TLS",
    server: () => createTLSServer(identity),
    connect: (port, options) =>
      AsyncSocket.connect({ ...options, transport: "node", host: HOST, port, tls: { ca: authority.cert } }),
  },
  {
    name: "a stream",
    server: () => createServer(),
    async connect(port, options) {
      const socket = connect(port, HOST);
      await once(socket, "connect");
      return AsyncSocket.from(socket, options);
    },
  },
];

/** The client, and its peer's end, which has read what the client has sent. */
async function pair(
  t: TestContext,
  way: Way,
  options: AsyncSocketOptions,
): Promise<{ client: AsyncSocket; peer: Socket }> {
  const belongings = Belongings.of(t);
  const server = belongings.addRaw(way.server());
  const accepted = once(
    server,
    server.listenerCount("secureConnection") > 0 || "setTicketKeys" in server ? "secureConnection" : "connection",
  );
  server.listen(0, HOST);
  await once(server, "listening");
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const client = belongings.add(await way.connect(address.port, options));
  const [peer] = (await accepted) as [Socket];
  belongings.addRaw(peer).on("error", () => undefined);
  peer.setNoDelay(true);
  client.write("a request");
  await once(peer, "data");
  // Whatever belongs to a handshake is out by then, so that the answer goes out at once.
  await settled(20);
  return { client, peer };
}

/** All in one turn, as it is for who was busy meanwhile: neither the answer nor the reset is known when it writes. */
function answerAndReset(peer: Socket, answer: string | Buffer): void {
  peer.write(answer);
  const raw = (peer as Socket & { _parent?: Socket })._parent ?? peer;
  raw.resetAndDestroy();
}

for (const way of WAYS) {
  describe(`a reset behind an answer, over ${way.name}`, SAFETY, () => {
    it("decision 6: a read that waits has the answer, the write fails", async (t) => {
      const { client, peer } = await pair(t, way, {});
      const line = client.readLine();
      answerAndReset(peer, ANSWER);
      const write = client.write(pattern(1000));
      assert.equal(`${await line}\n`, ANSWER);
      await failure(write, "CONNECTION_LOST");
      const { error, unread } = await client.closed;
      assert.match(String(errnoOf(error)), /ECONNRESET|EPIPE/);
      assert.equal(unread.length, 0);
    });

    it("decision 6: with no read it is in unread", async (t) => {
      const { client, peer } = await pair(t, way, {});
      answerAndReset(peer, ANSWER);
      await failure(client.write(pattern(1000)), "CONNECTION_LOST");
      assert.equal(String((await client.closed).unread), ANSWER);
    });

    it("decision 6: what exceeds what is read ahead is in unread, too", async (t) => {
      const { client, peer } = await pair(t, way, { limits: { readAhead: 100 } });
      const data = pattern(40_000);
      peer.write(data.subarray(0, 35_000));
      await settled(20);
      answerAndReset(peer, data.subarray(35_000));
      await failure(client.write(pattern(1000)), "CONNECTION_LOST");
      const { unread, bytesRead } = await client.closed;
      assert.deepEqual([unread.length, bytesRead], [data.length, data.length]);
      assert.ok(unread.equals(data));
    });
  });
}
