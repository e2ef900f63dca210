/**
 * The audio server, to be heard and seen: an HTTP server, itself built on AsyncSocket, whose page plays the stream and draws how
 * long it waited for each frame. The server's main thread is blocked again and again. It answers a request for /main from the main
 * thread. It reads a request for /worker there, too, and then moves the socket to a run loop, in the middle of the connection.
 *
 *   node build/examples/audio/player.js --port 8000
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { AsyncSocket, RunLoop } from "asyncsocket";
import { blockAgainAndAgain } from "./menu.js";
import { Station } from "./station.js";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "8000" },
    block: { type: "string", default: "500" },
  },
});

const PAGE = readFileSync(new URL("../../../examples/audio/player.html", import.meta.url));
const REQUEST = { timeout: 10_000, maxLength: 8192 };

function head(status: string, type: string, length?: number): string {
  const fields = [`HTTP/1.1 ${status}`, `Content-Type: ${type}`, "Cache-Control: no-store", "Connection: close"];
  if (length !== undefined) fields.push(`Content-Length: ${length}`);
  return `${fields.join("\r\n")}\r\n\r\n`;
}

function sendPage(socket: AsyncSocket, status: string, body: Buffer, type = "text/html; charset=utf-8"): void {
  socket.write([head(status, type, body.length), body]);
  socket.disconnectAfterWriting();
}

const station = new Station();
const loop = await RunLoop.spawn(new URL("./loop.js", import.meta.url), { name: "audio" });

async function answer(socket: AsyncSocket, path: string | undefined): Promise<void> {
  if (path === "/") return sendPage(socket, "200 OK", PAGE);
  if (path !== "/main" && path !== "/worker")
    return sendPage(socket, "404 Not Found", Buffer.from("Nothing is here\n"));
  await socket.write(head("200 OK", "application/octet-stream"));
  if (path === "/main") station.add(socket);
  else await socket.moveTo(loop);
}

const listener = new AsyncSocket({
  delegate: {
    didAccept: (_, socket) => void socket.readUntil("\r\n\r\n", REQUEST),
    didRead(socket, request) {
      const [method, path] = request.toString("latin1").split(" ", 2);
      // The reason of the failure is in the close.
      if (method === "GET") answer(socket, path).catch(() => socket.disconnect());
      else sendPage(socket, "405 Method Not Allowed", Buffer.from("Only GET\n"));
    },
    didDisconnect: (socket) => station.remove(socket),
  },
});
await listener.listen({ port: Number(values.port), host: "127.0.0.1" });
if (listener.local?.family !== "unix") console.log(`Open http://127.0.0.1:${listener.local?.port ?? "?"}/`);
blockAgainAndAgain(Number(values.block));
