/** Speaks to a server: it sends the lines that are typed, and shows what comes back. */

import { createInterface } from "node:readline";
import { pipeline } from "node:stream/promises";
import { AsyncSocket } from "asyncsocket";

/** Sends lines until there are no more, then ends its side; the server may still send something. */
async function sendLines(socket: AsyncSocket, lines: AsyncIterable<string>): Promise<void> {
  for await (const line of lines) await socket.write(`${line}\r\n`);
  await socket.end();
}

export async function talk(host: string, port: number): Promise<void> {
  const socket = await AsyncSocket.connect({ host, port, timeout: 10_000 });
  console.error(`Connected to ${host}, port ${port}. What you type is sent line by line; Ctrl-D ends.`);

  const lines = createInterface({ input: process.stdin });
  const sending = sendLines(socket, lines).catch(() => undefined); // why it cannot be sent, the other direction tells
  try {
    await pipeline(socket, process.stdout, { end: false }); // the socket gives what comes, until the server ends
  } finally {
    lines.close(); // nobody is there any more to whom to say what is typed
  }
  await sending;
  const reason = await socket.closed;
  console.error(`Closed by ${reason.by}: ${reason.bytesWritten} bytes sent, ${reason.bytesRead} received.`);
}
