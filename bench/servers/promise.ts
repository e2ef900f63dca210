/**
 * The line servers on this library, promise style, to tell what `await` adds: one read awaited at a time (`await`), and
 * the iterator over lines (`lines`), which gives text, so that a reply is encoded anew.
 */
import { AsyncSocket } from "asyncsocket";
import { MAX_LINE, READ_TIMEOUT_MS } from "../workloads.js";
import { serve } from "./host.js";

const LINE = { timeout: READ_TIMEOUT_MS, maxLength: MAX_LINE };

async function awaiting(socket: AsyncSocket): Promise<void> {
  while (socket.state === "open") socket.write(await socket.readUntil("\n", LINE));
}

async function iterating(socket: AsyncSocket): Promise<void> {
  for await (const line of socket.lines(LINE)) socket.write(line + "\n");
}

/** A client that leaves ends the loop by an error or without one: either way there is nothing left to do. */
async function serveConnections(listener: AsyncSocket, session: (socket: AsyncSocket) => Promise<void>): Promise<void> {
  for await (const socket of listener.connections()) session(socket).catch(() => socket.disconnect());
}

serve(async (protocol) => {
  if (protocol !== "lines") throw new Error(`Expected lines, got ${protocol}`);
  const listener = new AsyncSocket();
  await listener.listen({ port: 0, host: "127.0.0.1", noDelay: true });
  void serveConnections(listener, process.argv[2] === "lines" ? iterating : awaiting);
  if (listener.local === undefined || listener.local.family === "unix") throw new Error("Expected a port");
  return listener.local.port;
});
