/** Programs of reads as a socket serves them, up to the peer's FIN (decision 9), over a network that cuts at will. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, AsyncSocketError, type AsyncSocketOptions, type SocketRequest } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import fc from "fast-check";
import { runs } from "../support/runs.js";
import type { ReadSpec } from "./entries.js";
import { Model, type Outcome } from "./model.js";
import { bytesUpTo, fixedRead } from "./programs.js";

interface Pair {
  readonly client: AsyncSocket;
  readonly server: AsyncSocket;
  readonly close: () => Promise<unknown>;
}

async function connectedPair(sizes: readonly number[], options: AsyncSocketOptions = {}): Promise<Pair> {
  let delivery = 0;
  const network = new MemoryNetwork({ chunkBytes: () => sizes[delivery++ % sizes.length] ?? 1 });
  const listener = new AsyncSocket({ ...options, transport: network });
  await listener.listen({ port: 1 });
  const client = new AsyncSocket({ transport: network, allowHalfOpen: true });
  const accepted = listener.connections().next();
  await client.connect({ port: 1 });
  const server = (await accepted).value;
  assert.ok(server !== undefined);
  const close = (): Promise<unknown> => Promise.all([client.disconnect(), server.disconnect(), listener.disconnect()]);
  return { client, server, close };
}

async function pairFor(t: TestContext, options?: AsyncSocketOptions): Promise<Pair> {
  const pair = await connectedPair([3], options);
  t.after(() => pair.close());
  return pair;
}

function intoOf({ length, intoSlack }: ReadSpec): Uint8Array | undefined {
  return intoSlack === undefined || length === 0 ? undefined : new Uint8Array(length + intoSlack);
}

/** Asks a socket for what the spec says. */
function ask(socket: AsyncSocket, spec: ReadSpec): SocketRequest<unknown> {
  const { kind, length, encoding } = spec;
  const maxLength = length;
  const options = { encoding, into: intoOf(spec), onFailure: "continue" as const };
  switch (kind) {
    case "readExactly":
      return socket.readExactly(length, options);
    case "peek":
      return socket.peek({ ...options, length });
    case "skip":
      return socket.skip(length, { onFailure: "continue" });
    case "readUntil":
      return socket.readUntil(spec.delimiters ?? [], { ...options, maxLength });
    case "readLine":
      return socket.readLine({ encoding, onFailure: "continue", maxLength });
    case "readFrame":
      return socket.readFrame({ lengthBytes: 4, ...spec.frame, ...options, maxLength });
    case "read":
      return socket.read({ ...options, maxLength });
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The FIN has come, and has had its time to take effect. */
async function peerEnd(socket: AsyncSocket): Promise<void> {
  while (!socket.peerEnded) await turn();
  for (let turns = 0; turns < 5; turns++) await turn();
}

type End = Outcome | "END_OF_STREAM";

async function outcomeOf(request: SocketRequest<unknown>): Promise<End> {
  try {
    const value = await request;
    if (typeof value === "string") return { text: value };
    return Buffer.isBuffer(value) ? { bytes: value.toString("hex") } : "nothing";
  } catch (error) {
    assert.ok(error instanceof AsyncSocketError);
    switch (error.code) {
      case "ERR_ASYNCSOCKET_READ_LIMIT":
        return { failed: "over-limit" };
      case "ERR_ASYNCSOCKET_BAD_FRAME":
        return { failed: "bad-frame" };
      case "ERR_ASYNCSOCKET_END_OF_STREAM":
        return "END_OF_STREAM";
      default:
        throw error;
    }
  }
}

interface Run {
  readonly outcomes: readonly End[];
  readonly unread: string;
}

function expectedRun(reads: readonly ReadSpec[], bytes: Uint8Array): Run {
  const model = new Model(Infinity);
  model.receive(bytes);
  for (const read of reads) model.push(read);
  const ends = Array.from({ length: model.waiting }, (): End => "END_OF_STREAM");
  return { outcomes: [...model.outcomes, ...ends], unread: model.unread.toString("hex") };
}

async function socketRun(reads: readonly ReadSpec[], bytes: Uint8Array, sizes: readonly number[]): Promise<Run> {
  const { client, server, close } = await connectedPair(sizes);
  const requests = reads.map((read) => ask(server, read));
  client.write(bytes);
  client.end();
  const outcomes = await Promise.all(requests.map((request) => outcomeOf(request)));
  // With no read left to fail at it, the FIN may be still to come.
  await peerEnd(server);
  const unread = server.unread.toString("hex");
  await close();
  return { outcomes, unread };
}

/** What a socket would refuse at once is not asked of it. */
function isSensible({ kind, length, delimiters = [] }: ReadSpec): boolean {
  if (kind === "readUntil") return delimiters.some((delimiter) => delimiter.length <= length);
  return kind !== "readLine" || length > 0;
}

describe("at the peer's FIN", () => {
  it("the current read and all behind it fail, for every chunking, and what they would have taken is unread", async () => {
    const reads = fc.array(fixedRead(30).filter(isSensible), { maxLength: 8 });
    const sizes = fc.oneof(
      fc.constantFrom([1], [2], [3], [Infinity]),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
    );
    await fc.assert(
      fc.asyncProperty(reads, bytesUpTo(60), sizes, async (reads, bytes, sizes) => {
        assert.deepEqual(await socketRun(reads, bytes, sizes), expectedRun(reads, bytes));
      }),
      { numRuns: runs(200) },
    );
  });

  it("no read is served from bytes that were meant for one before it", async (t) => {
    const { client, server } = await pairFor(t);
    const requests = [server.readExactly(10), server.readExactly(1), server.readExactly(0), server.readLine()];
    client.write("abc\n");
    client.end();
    const outcomes = await Promise.all(requests.map((request) => outcomeOf(request)));
    assert.deepEqual(outcomes, Array(4).fill("END_OF_STREAM"));
    assert.equal(server.unread.toString(), "abc\n");
  });

  it("the error holds what had come for the read", async (t) => {
    const { client, server } = await pairFor(t);
    const request = server.readUntil("#", { tag: "t" });
    client.write("abc");
    client.end();
    await assert.rejects(Promise.resolve(request), (error: AsyncSocketError) => {
      assert.equal(error.code, "ERR_ASYNCSOCKET_END_OF_STREAM");
      assert.equal(error.partial?.toString(), "abc");
      assert.equal(error.bytesDone, 3);
      assert.equal(error.tag, "t");
      return true;
    });
  });

  it("the socket is open as long as bytes are unread, and closes when the last one is read", async (t) => {
    const { client, server } = await pairFor(t);
    client.write("abcdef");
    client.end();
    await peerEnd(server);
    assert.equal(server.state, "open");
    assert.equal((await server.readExactly(4)).toString(), "abcd");
    assert.equal(server.state, "open");
    assert.equal((await server.read()).toString(), "ef");
    const reason = await server.closed;
    assert.equal(reason.by, "remote");
    assert.equal(reason.error, null);
    assert.equal(reason.unread.length, 0);
  });

  it("code that awaited the last bytes can answer them before the socket closes", async (t) => {
    const { client, server } = await pairFor(t);
    client.write("question");
    client.end();
    await peerEnd(server);
    assert.equal((await server.readExactly(8)).toString(), "question");
    await server.write("answer");
    assert.equal((await client.readExactly(6)).toString(), "answer");
    assert.equal((await server.closed).by, "remote");
  });

  it("a half-open socket serves later reads from what is unread, if they can be met by it", async (t) => {
    const { client, server } = await pairFor(t, { allowHalfOpen: true });
    const long = server.readExactly(10);
    client.write("abcdef");
    client.end();
    assert.equal(await outcomeOf(long), "END_OF_STREAM");
    assert.equal((await server.readExactly(4)).toString(), "abcd");
    assert.equal(await outcomeOf(server.readExactly(3)), "END_OF_STREAM");
    assert.equal((await server.readExactly(2)).toString(), "ef");
    assert.equal(await outcomeOf(server.read()), "END_OF_STREAM");
    server.write("still here");
    assert.equal((await client.readExactly(10)).toString(), "still here");
  });
});
