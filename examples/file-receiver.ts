/**
 * Receives files from `file-sender` into a folder, and checks their sizes and checksums. A file may have any size, and memory
 * does not grow: the program receives into one block again and again. Bytes that come while the block is written to the disk
 * wait in the kernel, and the sender waits, too.
 *
 *   node build/examples/file-receiver.js --port 7001 --folder ~/Downloads
 */

import { createHash } from "node:crypto";
import { open, rm, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { AsyncSocket } from "asyncsocket";
import { mebibytes, Progress } from "./progress.js";

const BLOCK_BYTES = 256 * 1024;

interface Header {
  size: number;
  name: string;
}

function parseHeader(line: string): Header {
  const [, size, name] = /^(\d{1,15}) (.+)$/.exec(line) ?? [];
  // The sender must not choose the folder. A name that begins with a dot is refused: it is "..", or a hidden file.
  if (size === undefined || name === undefined || /^\.|[/\\\0]/.test(name)) {
    throw new Error(`Expected a size and a file's name, got ${JSON.stringify(line)}`);
  }
  return { size: Number(size), name };
}

/** @returns the SHA-256 of the bytes */
async function receiveBytes(socket: AsyncSocket, file: FileHandle, { size, name }: Header): Promise<string> {
  const hash = createHash("sha256");
  const block = Buffer.allocUnsafe(Math.min(size, BLOCK_BYTES));
  const progress = new Progress(name, size);
  try {
    for (let left = size; left > 0;) {
      const data = await socket.readExactly(Math.min(left, BLOCK_BYTES), { into: block });
      hash.update(data);
      await file.writeFile(data);
      left -= data.length;
      progress.add(data.length);
    }
  } finally {
    progress.stop();
  }
  return hash.digest("hex");
}

/** @returns what to tell the sender */
async function receive(socket: AsyncSocket, folder: string): Promise<string> {
  const header = parseHeader(await socket.readLine({ timeout: 10_000, maxLength: 1024 }));
  const path = join(folder, header.name);
  const file = await open(path, "wx"); // not over one that is there
  let isWhole = false;
  try {
    const checksum = await receiveBytes(socket, file, header);
    const expected = await socket.readLine({ maxLength: 128 });
    isWhole = checksum === expected;
    return isWhole ? `OK ${header.size} bytes, SHA-256 ${checksum}` : `BAD Expected ${expected}, got ${checksum}`;
  } finally {
    await file.close();
    if (!isWhole) await rm(path); // half a file is worse than none
  }
}

async function serve(socket: AsyncSocket, folder: string): Promise<void> {
  let verdict: string;
  try {
    verdict = await receive(socket, folder);
  } catch (error) {
    verdict = `BAD ${error instanceof Error ? error.message : String(error)}`;
  }
  console.log(verdict);
  if (socket.state === "open") socket.write(`${verdict}\n`);
  await socket.disconnectAfterWriting();
}

const { values } = parseArgs({
  options: {
    host: { type: "string" }, // none: every address of this machine
    port: { type: "string", default: "7001" },
    folder: { type: "string", default: "." },
    once: { type: "boolean", default: false }, // one file, then end
  },
});
const listener = await AsyncSocket.listen({ host: values.host, port: Number(values.port), limits: { idleMs: 60_000 } });
if (listener.local?.family !== "unix") console.log(`Files are received on port ${listener.local?.port ?? "?"}`);
process.once("SIGINT", () => void listener.disconnect());

for await (const socket of listener.connections()) {
  const isServed = serve(socket, values.folder);
  if (!values.once) continue; // the next may come meanwhile
  await isServed;
  listener.disconnect();
}
console.log(`At most ${mebibytes(1024 * process.resourceUsage().maxRSS)} of memory`);
