/**
 * Sends a file to a `file-receiver`: a line with its size and name, its bytes, and a line with their SHA-256. A file may have
 * any size: a few chunks are under way at a time, and the next is read from the disk when the first of them is out.
 *
 *   node build/examples/file-sender.js FILE --host HOST --port 7001
 */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { AsyncSocket, type SocketRequest } from "asyncsocket";
import { mebibytes, Progress } from "./progress.js";

const CHUNK_BYTES = 256 * 1024;
/** How many chunks are under way. More would only wait in memory; with fewer, the network might wait for the disk. */
const CHUNKS_UNDER_WAY = 4;

/** Sends the bytes as fast as the receiver takes them. @returns their SHA-256 */
async function sendBytes(socket: AsyncSocket, file: string, progress: Progress): Promise<string> {
  const hash = createHash("sha256");
  const underWay: SocketRequest<void>[] = [];
  for await (const chunk of createReadStream(file, { highWaterMark: CHUNK_BYTES }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    underWay.push(socket.write(chunk));
    if (underWay.length >= CHUNKS_UNDER_WAY) await underWay.shift();
    progress.add(chunk.length);
  }
  return hash.digest("hex");
}

/** @returns the receiver's answer */
async function send(file: string, host: string, port: number): Promise<string> {
  const { size } = await stat(file);
  await using socket = await AsyncSocket.connect({ host, port, timeout: 10_000, limits: { idleMs: 60_000 } });
  const progress = new Progress("sent", size);
  try {
    socket.write(`${size} ${basename(file)}\n`);
    const checksum = await sendBytes(socket, file, progress);
    socket.write(`${checksum}\n`);
  } finally {
    progress.stop();
  }
  return await socket.readLine({ maxLength: 1024 });
}

const { values, positionals } = parseArgs({
  options: { host: { type: "string", default: "localhost" }, port: { type: "string", default: "7001" } },
  allowPositionals: true,
});
const [file] = positionals;
if (file === undefined || positionals.length !== 1) {
  console.error("Usage: file-sender FILE [--host HOST] [--port PORT]");
  process.exitCode = 2;
} else {
  try {
    const verdict = await send(file, values.host, Number(values.port));
    console.log(`The receiver says: ${verdict}`);
    if (!verdict.startsWith("OK ")) process.exitCode = 1;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
  console.log(`At most ${mebibytes(1024 * process.resourceUsage().maxRSS)} of memory`);
}
