/**
 * An echo server: it says welcome, and repeats each line. It asks a client that says nothing for too long once whether it is
 * still there, and then disconnects it. The server is written in delegate style: nothing is awaited, nothing blocks.
 *
 *   node build/examples/echo-server.js --port 7000
 *   nc localhost 7000
 */

import { parseArgs } from "node:util";
import { AsyncSocket, type AsyncSocketDelegate } from "asyncsocket";

const { values } = parseArgs({
  options: {
    host: { type: "string" }, // none: every address of this machine
    port: { type: "string", default: "0" }, // 0: any free one
    timeout: { type: "string", default: "15000" }, // ms for a line
    extension: { type: "string", default: "10000" }, // ms more, after the warning
  },
});
const timeoutMs = Number(values.timeout);
const extensionMs = Number(values.extension);

const CRLF = "\r\n";
const WELCOME = `Welcome to the AsyncSocket Echo Server${CRLF}`;
const WARNING = `Are you still there?${CRLF}`;
const MAX_LINE_BYTES = 64 * 1024;

/** A tag by which `didWrite` tells the writes apart. */
type Tag = "welcome" | "echo" | "warning";

/** What the server remembers of each client. */
interface Client {
  name: string;
  wasWarned: boolean;
}

type ClientSocket = AsyncSocket<Tag, Client>;

function nameOf({ id, remote }: ClientSocket): string {
  return remote === undefined || remote.family === "unix" ? `#${id}` : `${remote.address} port ${remote.port}`;
}

function waitForLine(socket: ClientSocket): void {
  socket.readUntil(CRLF, { timeout: timeoutMs, maxLength: MAX_LINE_BYTES });
}

const delegate: AsyncSocketDelegate<Tag, Client> = {
  didAccept(_listener, socket) {
    socket.userData = { name: nameOf(socket), wasWarned: false };
    console.log(`${socket.userData.name} came`);
    socket.write(WELCOME, { tag: "welcome" });
    waitForLine(socket);
  },

  didRead(socket, line) {
    if (socket.userData !== undefined) socket.userData.wasWarned = false;
    socket.write(line, { tag: "echo" });
  },

  // The next line is read only when the echo is out: a client that sends and never reads would fill this server's memory.
  didWrite(socket, tag) {
    if (tag === "echo") waitForLine(socket);
  },

  shouldExtendReadTimeout(socket) {
    const client = socket.userData;
    if (client === undefined || client.wasWarned) return 0;
    client.wasWarned = true;
    socket.write(WARNING, { tag: "warning" });
    return extensionMs;
  },

  didDisconnect(socket, reason) {
    // The listener has this delegate, too, but it is no client.
    if (socket.userData !== undefined) console.log(`${socket.userData.name} left: ${reason.error?.code ?? reason.by}`);
  },
};

const listener = new AsyncSocket({ delegate });
await listener.listen({ host: values.host, port: Number(values.port) });
if (listener.local?.family !== "unix") console.log(`Echo server on port ${listener.local?.port ?? "?"}`);

// On Ctrl-C the server accepts no new clients, and gives the present ones a second to finish.
process.once("SIGINT", () => void listener.shutdown({ graceMs: 1_000 }));
process.once("SIGTERM", () => void listener.shutdown({ graceMs: 1_000 }));
