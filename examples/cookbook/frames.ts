/**
 * Lines and frames in both directions. The client announces an upload by a line, sends it as frames (a length of four bytes, then
 * so many bytes), and an empty frame says that it was the last. It never has more than one chunk in memory: it awaits each write,
 * and so is as fast as the server reads.
 *
 *   node build/examples/cookbook/frames.js
 */

import { createHash } from "node:crypto";
import { AsyncSocket } from "asyncsocket";

const FRAME = { lengthBytes: 4, maxLength: 64 * 1024 } as const;
const LINE = { maxLength: 1024, timeout: 10_000 } as const;

// ------------------------------------------------------------------ the server

async function receive(socket: AsyncSocket): Promise<void> {
  const [, name] = /^UPLOAD (\w+)$/.exec(await socket.readLine(LINE)) ?? [];
  if (name === undefined) {
    socket.writeLine("expected UPLOAD and a name");
    return void socket.disconnectAfterWriting();
  }
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of socket.frames({ ...FRAME, timeout: 10_000 })) {
    if (chunk.length === 0) break;
    hash.update(chunk);
    bytes += chunk.length;
  }
  socket.writeLine(`${name} ${bytes} ${hash.digest("hex")}`);
}

const server = await AsyncSocket.listen({
  host: "127.0.0.1",
  port: 0,
  delegate: {
    didAccept: (_listener, socket) => void receive(socket).catch((error: unknown) => console.log(String(error))),
  },
});

// ------------------------------------------------------------------ the client

await using client = await AsyncSocket.connect({ host: "127.0.0.1", port: server.port ?? 0, timeout: 5_000 });
const hash = createHash("sha256");
client.writeLine("UPLOAD numbers");
for (let i = 0; i < 100; i++) {
  const chunk = Buffer.alloc(10_000, i);
  hash.update(chunk);
  await client.writeFrame(chunk, { lengthBytes: 4 });
}
client.writeFrame("", { lengthBytes: 4 });
const [name, bytes, digest] = (await client.readLine(LINE)).split(" ");
console.log(`${name}: the server has ${bytes} bytes, ${digest === hash.digest("hex") ? "all right" : "but others"}`);
try {
  client.writeLine("one\r\nUPLOAD two");
} catch (error) {
  console.log(error instanceof RangeError ? "no line can be smuggled into a line" : error);
}
await client.disconnectAfterWriting();
await server.shutdown();
