import type { Connection } from "./connection.js";

/** Why a socket cannot leave as it is. */
export function obstacle(connection: Connection, state: string): string | null {
  const { phase, reading, writing, closeWhen, securing } = connection;
  if (phase !== "open") return `the socket is ${state}`;
  if (securing !== null) return "the connection is encrypted, or is going to be: move it before that";
  if (reading.queue.length > 0) return `${reading.queue.length} reads are queued: await them, or cancelReads()`;
  if (writing.queue.length > 0) return `${writing.queue.length} writes are queued: await them`;
  return closeWhen === 0 ? null : "the socket is about to be closed";
}
