/** Servers that say nothing when they are ready. */

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { AsyncSocket, AsyncSocketError } from "asyncsocket";
import { Program } from "../support/programs.js";
import { portOf } from "../support/transports.js";

export const LOCALHOST = "127.0.0.1";

/** A port of this machine on which nothing listens, as far as anyone can know. */
export async function deadPort(): Promise<number> {
  const listener = await AsyncSocket.listen({ host: LOCALHOST, port: 0 });
  const port = portOf(listener);
  await listener.disconnect();
  return port;
}

/** Whether it is ready shows when it takes a connection. */
export async function startSilent(t: TestContext, name: string, argsFor: (port: number) => string[]): Promise<number> {
  const port = await deadPort();
  const program = new Program(t, name, argsFor(port));
  const hasEnded = program.ended().then(({ stderr }) => assert.fail(`${name} ended: ${stderr}`));
  hasEnded.catch(() => undefined); // that it ends when the test is over is no failure
  for (;;) {
    try {
      const socket = await Promise.race([AsyncSocket.connect({ host: LOCALHOST, port }), hasEnded]);
      await socket.disconnect();
      return port;
    } catch (error) {
      if (!(error instanceof AsyncSocketError)) throw error;
    }
  }
}
