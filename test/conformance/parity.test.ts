/**
 * The same random programs on every transport must come to the same observations: so the network in memory, on which the
 * simulation runs, cannot drift from what real connections do. What depends on time and on chunks is left out of these
 * programs: each of their reads has one answer only.
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it, type TestContext } from "node:test";
import { type AsyncSocket, AsyncSocketError, type SocketRequest } from "asyncsocket";
import { seededRandom } from "asyncsocket/testing";
import { connectedPair, type Kind, KINDS, SAFETY } from "../support/transports.js";

const PROGRAMS = 25;
const READS = ["readExactly", "readUntil", "readLine", "readFrame", "skip", "peek"] as const;
const TEXT = "abcdefgh\n\r\n0123456789";

interface Asked {
  readonly kind: (typeof READS)[number];
  readonly length: number;
}

interface Side {
  readonly writes: readonly Buffer[][];
  readonly reads: readonly Asked[];
  /** Whether the FIN comes right behind the writes, or when all is read. */
  readonly endsFirst: boolean;
}

function randomSide(random: () => number, endsFirst: boolean): Side {
  const below = (end: number): number => Math.floor(random() * end);
  const bytes = (): Buffer => {
    const length = Math.floor(3000 ** random()) - 1;
    return Buffer.from(Array.from({ length }, () => TEXT.charCodeAt(below(TEXT.length))));
  };
  return {
    writes: Array.from({ length: below(12) }, () => Array.from({ length: 1 + below(3) }, bytes)),
    reads: Array.from({ length: below(25) }, () => ({
      kind: READS[below(READS.length)] ?? "peek",
      length: Math.floor(600 ** random()),
    })),
    endsFirst,
  };
}

function ask(socket: AsyncSocket, { kind, length }: Asked): SocketRequest<Buffer | string | undefined> {
  const onFailure = "continue";
  switch (kind) {
    case "readExactly":
      return socket.readExactly(length, { onFailure });
    case "readUntil":
      return socket.readUntil("\r\n", { maxLength: length + 2, onFailure });
    case "readLine":
      return socket.readLine({ maxLength: length, onFailure });
    case "readFrame":
      return socket.readFrame({ lengthBytes: 1, maxLength: length, onFailure });
    case "skip":
      return socket.skip(length, { onFailure });
    case "peek":
      return socket.peek({ length, onFailure });
  }
}

function shown(value: Buffer | string | undefined): string {
  if (value === undefined) return "nothing";
  return `${value.length}:${createHash("sha256").update(value).digest("hex").slice(0, 8)}`;
}

async function outcome(request: SocketRequest<Buffer | string | undefined>): Promise<string> {
  try {
    return `${request.kind} ${shown(await request)}`;
  } catch (error) {
    assert.ok(error instanceof AsyncSocketError);
    return `${request.kind} ${error.code} ${shown(error.partial)}`;
  }
}

/**
 * Reads one after the other until the stream ends, and at last all that is left: whatever was not read would make the
 * close a RST. Behind the end it is a matter of time whether the socket is closed already.
 */
async function play(socket: AsyncSocket, side: Side): Promise<unknown[]> {
  const seen: unknown[] = [];
  for (const parts of side.writes) socket.write(parts);
  if (side.endsFirst) socket.end();
  let hasEnded = false;
  for (const read of side.reads) {
    const one = await outcome(ask(socket, read));
    seen.push(one);
    hasEnded = one.includes("END_OF_STREAM");
    if (hasEnded) break;
  }
  if (!hasEnded) seen.push(shown(await readAll(socket)));
  if (!side.endsFirst) socket.end();
  const { by, error, bytesRead, bytesWritten, unread, unsentBytes } = await socket.closed;
  seen.push({ by, error, bytesRead, bytesWritten, unread, unsentBytes });
  return seen;
}

async function readAll(socket: AsyncSocket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (;;) {
    try {
      chunks.push(await socket.read());
    } catch {
      return Buffer.concat(chunks);
    }
  }
}

async function observe(t: TestContext, kind: Kind, seed: number): Promise<unknown> {
  const random = seededRandom(seed);
  const sides = [randomSide(random, true), randomSide(random, random() < 0.5)] as const;
  const options = { allowHalfOpen: true };
  const { client, server } = await connectedPair(t, kind, options, options);
  return Promise.all([play(client, sides[0]), play(server, sides[1])]);
}

describe("parity", SAFETY, () => {
  for (let seed = 1; seed <= PROGRAMS; seed++) {
    it(`program ${seed} comes to the same on every transport`, async (t) => {
      const seen: unknown[] = [];
      for (const kind of KINDS) {
        await t.test(`over ${kind.name}`, async (t) => {
          seen.push(await observe(t, kind, seed));
          assert.deepEqual(seen.at(-1), seen[0]);
        });
      }
    });
  }
});
