/** What goes along with a socket that moves: of none of it the loss would show in a stream of bytes. */

import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type RunLoop } from "asyncsocket";
import { pattern } from "../support/delegates.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { portOf, SAFETY } from "../support/transports.js";
import { loopOf, moduleOf, MOVABLE, pairOf } from "./helpers.js";

/** Tells what it has been given, of what users see, and of what only the socket itself knows. */
const TELLS = moduleOf(`
  RunLoop.current.onSocket((socket) => {
    const { bytesRead, bytesWritten, unread, proxied, allowHalfOpen } = socket;
    const { limits, isReferenced, origin: { isAccepted, host } } = socket._connection;
    parentPort.postMessage({ bytesRead, bytesWritten, unread: Buffer.from(unread), proxied, allowHalfOpen, limits,
      isAccepted, isReferenced, host, id: String(proxied?.tlvs?.uniqueId) });
    socket.write("there\\n");
  });`);

interface Facts {
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly unread: Uint8Array;
  readonly proxied: unknown;
  readonly allowHalfOpen: boolean;
  readonly limits: Readonly<Record<string, number>>;
  readonly isAccepted: boolean;
  readonly isReferenced: boolean;
  readonly host: string | undefined;
  /** The unique id that a proxy has told, as text: bytes are a Buffer there, too. */
  readonly id: string;
}

/** What its own thread has of a socket below its surface. */
interface Inside {
  readonly _connection: {
    readonly limits: Facts["limits"];
    readonly transport: { setRoom(bytes: number): void; readonly socket?: Socket };
  };
}

function insideOf(socket: AsyncSocket): Inside["_connection"] {
  return (socket as unknown as Inside)._connection;
}

async function told(loop: RunLoop): Promise<Facts> {
  const [facts] = (await once(loop.worker as NonNullable<RunLoop["worker"]>, "message")) as [Facts];
  return facts;
}

/**
 * Two accepted sockets, of which the first is told of bytes of its own, and then the other one gets its bytes. On the
 * native transport both are of one batch: what the first one's delegate does comes right before.
 */
async function inOneBatch(
  t: TestContext,
  transport: "native" | "node",
  bytes: Buffer,
  act: (other: AsyncSocket) => void,
): Promise<void> {
  const [first, other] = [await pairOf(t, { transport }), await pairOf(t, { transport })];
  await new Promise<void>((done) => {
    first.accepted.delegate = {
      didRead() {
        act(other.accepted);
        done();
      },
    };
    first.accepted.read();
    setImmediate(() => {
      first.client.write("now");
      other.client.write(bytes);
    });
  });
}

for (const transport of MOVABLE) {
  describe(`with a socket of the ${transport} transport that moves`, SAFETY, () => {
    it("go bytes of the same batch in which it is moved", async (t) => {
      const loop = await loopOf(t, TELLS);
      const bytes = pattern(5000);
      const facts = told(loop);
      await inOneBatch(t, transport, bytes, (socket) => {
        socket.moveTo(loop);
        // On the node transport no other socket's bytes are here; they come on the other thread.
        insideOf(socket).transport.socket?.pause().unshift(bytes);
      });
      const { bytesRead, unread } = await facts;
      assert.deepEqual(Buffer.from(unread).subarray(0, bytes.length), bytes);
      assert.equal(bytesRead, unread.length);
    });

    it("go bytes that came beyond the room there was", async (t) => {
      const loop = await loopOf(t, TELLS);
      const bytes = pattern(5000);
      const facts = told(loop);
      await inOneBatch(t, transport, bytes, (socket) => {
        const { transport: inside } = insideOf(socket);
        socket.moveTo(loop);
        inside.setRoom(10);
        inside.socket?.pause().unshift(bytes);
      });
      const { bytesRead, unread } = await facts;
      assert.deepEqual(Buffer.from(unread).subarray(0, bytes.length), bytes);
      assert.equal(bytesRead, unread.length);
    });

    it("go counters, limits, and whether it was accepted and holds the process", async (t) => {
      const loop = await loopOf(t, TELLS);
      const limits = { readAhead: 4321, readLength: 77, writeQueue: 88_888, idleMs: 99_999, lingerMs: 1234 };
      const { accepted, client } = await pairOf(t, { transport, limits, allowHalfOpen: true });
      client.write("one\ntwo");
      assert.equal(await accepted.readLine(), "one");
      assert.equal(String(await accepted.peek({ length: 3 })), "two");
      await accepted.write("12345");
      accepted.unref();
      const own = insideOf(accepted).limits;
      const facts = told(loop);
      accepted.moveTo(loop);
      const seen = await facts;
      assert.deepEqual(seen, {
        bytesRead: 7,
        bytesWritten: 5,
        unread: new Uint8Array(Buffer.from("two")),
        proxied: undefined,
        allowHalfOpen: true,
        limits: own,
        isAccepted: true,
        isReferenced: false,
        host: undefined,
        id: "undefined",
      });
      assert.equal(seen.limits["readAhead"], 4321);
    });

    it("goes the name that it has connected to, which TLS would ask for", async (t) => {
      const loop = await loopOf(t, TELLS);
      const belongings = Belongings.of(t);
      const listener = belongings.add(await AsyncSocket.listen({ port: 0, host: "127.0.0.1" }));
      const client = belongings.add(new AsyncSocket({ transport }));
      await client.connect({ host: "localhost", family: 4, port: portOf(listener) });
      const facts = told(loop);
      client.moveTo(loop);
      const { host, isAccepted, isReferenced, allowHalfOpen } = await facts;
      assert.deepEqual([host, isAccepted, isReferenced, allowHalfOpen], ["localhost", false, true, false]);
      for await (const peer of listener.connections()) {
        assert.equal(await belongings.add(peer).readLine(), "there");
        break;
      }
    });

    for (const isMovedBy of ["moveTo", "wantsRunLoopForNewSocket"] as const) {
      it(`goes what a proxy has told, by ${isMovedBy}`, async (t) => {
        const loop = await loopOf(t, TELLS);
        const belongings = Belongings.of(t);
        const listener = belongings.add(new AsyncSocket({ transport }));
        listener.delegate =
          isMovedBy === "moveTo"
            ? { didAccept: (_listener, socket) => void socket.moveTo(loop) }
            : { wantsRunLoopForNewSocket: () => loop };
        await listener.listen({ port: 0, host: "127.0.0.1", proxyProtocol: true });
        const client = belongings.add(new AsyncSocket());
        const facts = told(loop);
        client.write("rest");
        const source = { family: "IPv4", address: "192.0.2.1", port: 1111 } as const;
        const destination = { family: "IPv4", address: "192.0.2.2", port: 2222 } as const;
        const proxyProtocol = { version: 2, source, destination, tlvs: { uniqueId: Buffer.from("id") } } as const;
        await client.connect({ host: "127.0.0.1", port: portOf(listener), proxyProtocol });
        const { proxied, unread, id } = await facts;
        const tlvs = { crc32c: false, uniqueId: new Uint8Array(Buffer.from("id")), others: new Map() };
        assert.deepEqual(proxied, { local: destination, remote: source, tlvs });
        assert.equal(id, "id");
        assert.equal(String(Buffer.from(unread)), "rest");
        assert.equal(await client.readLine(), "there");
      });
    }
  });
}
