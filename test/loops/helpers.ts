/** What the tests of run loops share: modules for threads, and loops that end with their test. */

import type { TestContext } from "node:test";
import { AsyncSocket, type AsyncSocketOptions, RunLoop, type RunLoopPool, type RunLoopPoolOptions } from "asyncsocket";
import { NO_NATIVE } from "../support/availability.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { portOf } from "../support/transports.js";

const ENTRY = import.meta.resolve("asyncsocket");

/** A module for a thread, which has AsyncSocket and RunLoop. */
export function moduleOf(code: string): string {
  const source = `
    import { parentPort, workerData } from "node:worker_threads";
    import { AsyncSocket, RunLoop } from ${JSON.stringify(ENTRY)};
    ${code}`;
  return `data:text/javascript,${encodeURIComponent(source)}`;
}

/** Answers each line with its own name, and the line. */
export const ECHO = moduleOf(`
  const delegate = {
    didReadText(socket, text) {
      if (text === "crash") throw new Error("as asked for");
      if (text === "exit") process.exit(3);
      socket.write(RunLoop.current.name + " " + text + "\\n");
      socket.readLine();
    },
  };
  RunLoop.current.onSocket((socket) => { socket.delegate = delegate; socket.readLine(); });`);

export async function loopOf(t: TestContext, module = ECHO, options: RunLoopPoolOptions = {}): Promise<RunLoop> {
  const loop = await RunLoop.spawn(module, options);
  t.after(() => end(loop));
  return loop;
}

export async function poolOf(
  t: TestContext,
  size: number,
  options: RunLoopPoolOptions = {},
  module = ECHO,
): Promise<RunLoopPool> {
  const pool = await RunLoop.pool(module, size, options);
  t.after(() => Promise.all(pool.loops.map(end)));
  return pool;
}

async function end(loop: RunLoop): Promise<void> {
  await loop.worker?.terminate();
  await loop.closed;
}

/** Two connected sockets on this thread; by default on the transport that is best here. */
export async function pairOf(
  t: TestContext,
  options: AsyncSocketOptions = {},
): Promise<{ listener: AsyncSocket; accepted: AsyncSocket; client: AsyncSocket }> {
  const belongings = Belongings.of(t);
  const listener = belongings.add(new AsyncSocket(options));
  await listener.listen({ port: 0, host: "127.0.0.1" });
  const client = belongings.add(new AsyncSocket());
  await client.connect({ host: "127.0.0.1", port: portOf(listener) });
  const { value } = await listener.connections().next();
  return { listener, accepted: belongings.add(value as AsyncSocket), client };
}

/** The transports whose sockets move in mid-stream. */
export const MOVABLE = NO_NATIVE === false ? (["native", "node"] as const) : [];
