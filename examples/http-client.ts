/**
 * An HTTP/1.1 client: it reads the head up to a blank line, and then the body as the head says: a number of bytes, chunks, or
 * everything until the end of the stream. It is written in promise style: the protocol reads from top to bottom.
 *
 *   node build/examples/http-client.js http://example.com/
 *   node build/examples/http-client.js http://localhost:8080/film.mkv --output film.mkv
 *   node build/examples/http-client.js https://localhost:8443/ --ca ca.pem
 */

import { createWriteStream, readFileSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import { AsyncSocket, type TLSOptions } from "asyncsocket";
import { Progress } from "./progress.js";

const USAGE = "Usage: http-client http[s]://HOST[:PORT]/PATH [--output FILE] [--ca FILE]";
const HEAD_TIMEOUT_MS = 30_000;
const MAX_HEAD_BYTES = 64 * 1024;
const MAX_SIZE_LINE_BYTES = 1024;

interface Head {
  /** For example "HTTP/1.1 200 OK". */
  statusLine: string;
  status: number;
  /** The headers, by their names in lower case. */
  fields: Map<string, string>;
}

function parseHead(text: string): Head {
  const [statusLine = "", ...lines] = text.trimEnd().split("\r\n");
  const status = /^HTTP\/1\.[01] (\d{3})\b/.exec(statusLine)?.[1];
  if (status === undefined) throw new Error(`Expected an HTTP/1 status line, got ${JSON.stringify(statusLine)}`);
  const fields = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    fields.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return { statusLine, status: Number(status), fields };
}

/** Reads the head of the answer. Heads before it (100 Continue, 103 Early Hints) announce another head, and are skipped. */
async function readHead(socket: AsyncSocket): Promise<Head> {
  for (;;) {
    const options = { timeout: HEAD_TIMEOUT_MS, maxLength: MAX_HEAD_BYTES, encoding: "latin1" } as const;
    const head = parseHead(await socket.readUntil("\r\n\r\n", options));
    if (head.status >= 200) return head;
  }
}

/** The body's length, if the head tells it. */
function lengthOf({ status, fields }: Head): number | undefined {
  if (status === 204 || status === 304) return 0;
  const text = fields.get("content-length");
  if (text === undefined || isChunked(fields)) return undefined;
  if (!/^\d+$/.test(text)) throw new Error(`Expected a Content-Length, got ${JSON.stringify(text)}`);
  return Number(text);
}

function isChunked(fields: Map<string, string>): boolean {
  return fields.get("transfer-encoding")?.toLowerCase() === "chunked";
}

/** Gives `length` bytes as they come: a large body never has to be in memory. */
async function* readBytes(socket: AsyncSocket, length: number): AsyncGenerator<Buffer> {
  for (let left = length; left > 0;) {
    const data = await socket.read({ maxLength: left });
    left -= data.length;
    yield data;
  }
}

/** Gives the chunks, each of which follows a line with its size in hexadecimal. The last one is empty, and a trailer follows it. */
async function* readChunks(socket: AsyncSocket): AsyncGenerator<Buffer> {
  for (;;) {
    const line = await socket.readLine({ maxLength: MAX_SIZE_LINE_BYTES });
    const size = /^[0-9a-f]{1,12}(?=\s*(;|$))/i.exec(line)?.[0];
    if (size === undefined) throw new Error(`Expected the size of a chunk, got ${JSON.stringify(line)}`);
    if (Number.parseInt(size, 16) === 0) break;
    yield* readBytes(socket, Number.parseInt(size, 16));
    await socket.readUntil("\r\n", { maxLength: 2 });
  }
  while ((await socket.readLine({ maxLength: MAX_HEAD_BYTES })) !== "");
}

function readBody(socket: AsyncSocket, head: Head): AsyncIterable<Buffer> {
  if (isChunked(head.fields)) return readChunks(socket);
  const length = lengthOf(head);
  return length === undefined ? socket : readBytes(socket, length); // a socket gives all until the end of the stream
}

async function* watched(body: AsyncIterable<Buffer>, progress: Progress): AsyncGenerator<Buffer> {
  for await (const data of body) {
    progress.add(data.length);
    yield data;
  }
}

/** The TLS options for https://. A body that ends with the stream is whole only if the server itself ended the stream. */
function encryption(ca: string | undefined): TLSOptions {
  const authorities = ca === undefined ? undefined : readFileSync(ca); // undefined: those that Node.js knows
  return { ca: authorities, ALPNProtocols: ["http/1.1"], requireCloseNotify: true };
}

/** @returns the HTTP status */
async function get(url: URL, { output, ca }: { output?: string; ca?: string }): Promise<number> {
  const isSecure = url.protocol === "https:";
  await using socket = await AsyncSocket.connect({
    host: url.hostname.replace(/^\[|\]$/g, ""), // IPv6 addresses are in brackets in URLs
    port: Number(url.port || (isSecure ? 443 : 80)),
    tls: isSecure && encryption(ca),
    timeout: 10_000,
    limits: { idleMs: 60_000 }, // for a body: it may take long, but something has to come
  });
  socket.write(
    `GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\n` +
      "Accept: */*\r\nUser-Agent: asyncsocket-example\r\nConnection: close\r\n\r\n",
  );
  const head = await readHead(socket);
  console.error(head.statusLine);
  const progress = new Progress("received", lengthOf(head));
  try {
    const sink = output === undefined ? process.stdout : createWriteStream(output);
    await pipeline(watched(readBody(socket, head), progress), sink, { end: output !== undefined });
  } finally {
    progress.stop();
  }
  return head.status;
}

const options = { output: { type: "string" }, ca: { type: "string" } } as const;
const { values, positionals } = parseArgs({ options, allowPositionals: true });
const [address = ""] = positionals;
if (!URL.canParse(address) || !/^https?:/.test(address) || positionals.length !== 1) {
  console.error(USAGE);
  process.exitCode = 2;
} else {
  try {
    if ((await get(new URL(address), values)) >= 400) process.exitCode = 1;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
