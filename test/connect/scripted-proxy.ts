/** A proxy that says what a test tells it to, at every chunk size, on a network in memory. */

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { AsyncSocket, AsyncSocketError, type AsyncSocketOptions } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import type { ProxyServer, ProxyTarget } from "#dist/connect/proxy/proxy-url.js";

/** What it waits for, to the byte, and what it then says. */
export type Step = readonly [expected: Uint8Array | string, answer: Uint8Array | string];

export type Handshake = (socket: AsyncSocket, proxy: ProxyServer, target: ProxyTarget) => Promise<void>;

export interface Chunking {
  readonly name: string;
  readonly chunkBytes: () => number;
}

function randomSizes(): () => number {
  let state = 12_345;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return 1 + ((state >>> 16) % 20);
  };
}

export const CHUNKINGS: readonly Chunking[] = [
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((bytes) => ({ name: `in chunks of ${bytes}`, chunkBytes: () => bytes })),
  { name: "in one piece", chunkBytes: () => Infinity },
  { name: "in random chunks", chunkBytes: randomSizes() },
];

export const WHOLE: Chunking = { name: "in one piece", chunkBytes: () => Infinity };

/** A socket that is connected to a proxy, and the proxy's end. Both are closed when the test is over. */
export async function connectedToProxy(
  t: TestContext,
  { chunkBytes }: Chunking = WHOLE,
  options: AsyncSocketOptions = {},
): Promise<{ socket: AsyncSocket; proxySide: AsyncSocket }> {
  const transport = new MemoryNetwork({ chunkBytes });
  const listener = await AsyncSocket.listen({ port: 1080, transport });
  const [socket, accepted] = await Promise.all([
    AsyncSocket.connect({ ...options, port: 1080, transport }),
    listener.connections().next(),
  ]);
  assert.ok(accepted.value !== undefined);
  const proxySide = accepted.value;
  t.after(() => Promise.all([socket.disconnect(), proxySide.disconnect(), listener.disconnect()]));
  return { socket, proxySide };
}

export async function play(proxySide: AsyncSocket, steps: readonly Step[]): Promise<void> {
  for (const [expected, answer] of steps) {
    const bytes = Buffer.from(expected as string);
    assert.equal((await proxySide.readExactly(bytes.length)).toString("latin1"), bytes.toString("latin1"));
    proxySide.write(answer);
  }
}

/** After the handshake both ends must be in step: not a byte missing, nor one too many. */
export async function assertInStep(socket: AsyncSocket, proxySide: AsyncSocket): Promise<void> {
  socket.write("question");
  assert.equal(await proxySide.readExactly(8, { encoding: "utf8" }), "question");
  assert.equal(proxySide.unreadBytes, 0);
  proxySide.write("answer\n");
  assert.equal(await socket.readLine(), "answer");
  assert.equal(socket.unreadBytes, 0);
}

export interface Failing {
  readonly handshake: Handshake;
  readonly proxy: ProxyServer;
  readonly target: ProxyTarget;
  readonly steps: readonly Step[];
  readonly message: RegExp;
  /** The proxy goes away after the last step. */
  readonly ends?: boolean;
}

/** The handshake fails with PROXY, in words that name the proxy and never a password. */
export async function assertFails(t: TestContext, chunking: Chunking, failing: Failing): Promise<void> {
  const { socket, proxySide } = await connectedToProxy(t, chunking);
  const playing = play(proxySide, failing.steps).then(() => {
    if (failing.ends === true) proxySide.end();
  });
  const failed = assert.rejects(failing.handshake(socket, failing.proxy, failing.target), (error) => {
    assert.ok(error instanceof AsyncSocketError);
    assert.equal(error.code, "ERR_ASYNCSOCKET_PROXY");
    assert.equal(error.operation, "connect");
    const { target, proxy } = failing;
    const beginning = `Cannot connect to ${target.host} port ${target.port} through the proxy ${proxy.host}:${proxy.port}: `;
    assert.ok(error.message.startsWith(beginning), error.message);
    assert.match(error.message, failing.message);
    assert.doesNotMatch(error.message, /hunter2/);
    assert.ok(error.message.length < 400, error.message);
    return true;
  });
  await Promise.all([playing, failed]);
}
