/** How much one socket does in one turn of the event loop (decision 13). */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AsyncSocket } from "asyncsocket";
import { arrived, until } from "../support/delegates.js";
import { connectedPair, type Kind, overEveryTransport } from "../support/transports.js";

const LINES = 20_000;
/** "Some thousand". A turn of ours, from one `setImmediate` to the next, may hold the ends of two of theirs. */
const MOST_A_TURN = 5000;

/** The most that was counted between two turns of the event loop, until `isOver`. */
async function mostInATurn(count: () => number, isOver: () => boolean): Promise<number> {
  let most = 0;
  let before = count();
  await until(() => {
    const now = count();
    most = Math.max(most, now - before);
    before = now;
    return isOver();
  }, "all of them");
  return most;
}

/** All lines are unread before the first is asked for. */
async function lines(
  t: Parameters<typeof connectedPair>[0],
  kind: Kind,
): Promise<{ server: AsyncSocket; client: AsyncSocket }> {
  const pair = await connectedPair(t, kind);
  void pair.client.write("\n".repeat(LINES));
  await arrived(pair.server, LINES);
  return pair;
}

describe("some thousand entries a turn", () => {
  overEveryTransport((kind) => {
    it("decision 13: of a delegate that reads on and on", async (t) => {
      const { server } = await lines(t, kind);
      let count = 0;
      server.delegate = {
        didReadText(socket) {
          if (++count < LINES) socket.readLine();
        },
      };
      server.readLine();
      assert.ok(
        (await mostInATurn(
          () => count,
          () => count === LINES,
        )) <= MOST_A_TURN,
      );
    });

    it("decision 13: of reads that are queued", async (t) => {
      const { server } = await lines(t, kind);
      let count = 0;
      server.delegate = { didReadText: () => (count += 1) };
      for (let i = 0; i < LINES; i++) server.readLine();
      assert.ok(
        (await mostInATurn(
          () => count,
          () => count === LINES,
        )) <= MOST_A_TURN,
      );
    });

    it("decision 13: of code that awaits each read", async (t) => {
      const { server } = await lines(t, kind);
      let count = 0;
      const reading = (async () => {
        while (count < LINES) {
          await server.readLine();
          count++;
        }
      })();
      assert.ok(
        (await mostInATurn(
          () => count,
          () => count === LINES,
        )) <= MOST_A_TURN,
      );
      await reading;
    });

    it("decision 13: of an iterator", async (t) => {
      const { server } = await lines(t, kind);
      let count = 0;
      const reading = (async () => {
        for await (const line of server.lines()) if (line === "" && ++count === LINES) return;
      })();
      assert.ok(
        (await mostInATurn(
          () => count,
          () => count === LINES,
        )) <= MOST_A_TURN,
      );
      await reading;
    });

    it("decision 13: of reads that fail", async (t) => {
      const { server } = await connectedPair(t, kind);
      let count = 0;
      server.delegate = { didFailRead: () => (count += 1) };
      for (let i = 0; i < LINES; i++) server.readLine();
      server.cancelReads();
      assert.ok(
        (await mostInATurn(
          () => count,
          () => count === LINES,
        )) <= MOST_A_TURN,
      );
    });

    it("decision 13: of writes, queued or awaited", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const drop = server.skip(LINES + 4000);
      let count = 0;
      client.delegate = { didWrite: () => (count += 1) };
      for (let i = 0; i < LINES; i++) client.write("x");
      assert.ok(
        (await mostInATurn(
          () => count,
          () => count === LINES,
        )) <= MOST_A_TURN,
      );
      client.delegate = null;
      const writing = (async () => {
        for (let i = 0; i < 4000; i++) {
          await client.write("y");
          count++;
        }
      })();
      assert.ok(
        (await mostInATurn(
          () => count,
          () => count === LINES + 4000,
        )) <= MOST_A_TURN,
      );
      await Promise.all([writing, drop]);
    });

    it("with the FIN known, reads that are here take no turn each", async (t) => {
      const { client, server } = await connectedPair(t, kind, {}, { allowHalfOpen: true });
      client.write("x\n".repeat(500));
      client.end();
      await arrived(server, 1000);
      await until(() => server.peerEnded, "the FIN");
      let turns = 0;
      let isOver = false;
      const reading = (async () => {
        for (let i = 0; i < 500; i++) await server.readLine();
        isOver = true;
      })();
      await until(() => {
        turns++;
        return isOver;
      }, "all lines");
      await reading;
      assert.ok(turns < 20, `${turns} turns`);
      server.end();
    });
  });
});
