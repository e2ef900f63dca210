import { AsyncSocket, AsyncSocketError } from "../index.js";
import type { Format } from "./format.js";

/**
 * Hands on what comes, in the pieces that are asked for, until the peer has ended its side. A last line need not be
 * ended; any other message that is cut short is handed on as far as it has come, and fails.
 * @throws AsyncSocketError if the connection fails
 */
export async function receive(
  socket: AsyncSocket,
  { framing, isLines }: Format,
  take: (bytes: Buffer) => Promise<void>,
): Promise<void> {
  try {
    for await (const bytes of framing === null ? socket : socket.messages(framing)) await take(bytes);
  } catch (error) {
    if (!isUnfinished(error)) throw error;
    await take(error.partial ?? Buffer.alloc(0));
    if (!isLines) throw error;
  }
}

/** Whether the peer has ended its side in the middle of a message. */
function isUnfinished(error: unknown): error is AsyncSocketError {
  return error instanceof AsyncSocketError && error.code === "ERR_ASYNCSOCKET_END_OF_STREAM";
}
