/** What all servers share: the IPC channel by which they are started and asked for their CPU time and memory. */
import { setTimeout as delay } from "node:timers/promises";
import type { Identity } from "../../test/support/certificates.js";
import { answerRequests } from "../ipc/answers.js";
import { startBehind } from "./behind.js";
import type { Memory, ServerRequests } from "../ipc/requests.js";
import type { Protocol } from "../workloads.js";

/**
 * @param listen - starts the server on 127.0.0.1; gives its port. It is told the port of the server behind it, if it is
 * to relay
 */
export function serve(
  listen: (protocol: Protocol, identity: Identity | null, behind: number) => Promise<number>,
): void {
  answerRequests<ServerRequests>({
    listen: async ({ protocol, identity }) =>
      await listen(protocol, identity, protocol === "relay" ? await startBehind() : 0),
    usage: () => process.cpuUsage(),
    memory,
  });
}

/** After what is still arriving has arrived, and two collections: finalizers of the first free what the second finds. */
async function memory(): Promise<Memory> {
  if (globalThis.gc === undefined) throw new Error("Expected a process with --expose-gc");
  await delay(300);
  for (let i = 0; i < 2; i++) {
    globalThis.gc();
    await delay(50);
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { used: heapUsed + external, rss };
}
