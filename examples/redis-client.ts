/**
 * A Redis client. A reply is a line, or a line that announces a number of bytes, or of further replies: the client reads each by
 * line or by length. What has arrived is taken at once, the rest is read from the socket's queue. Then it sends ten thousand commands at once, in a pipeline.
 *
 *   node build/examples/redis-client.js --port 6379
 *   node build/examples/redis-client.js --path /run/redis/redis.sock --count 100000
 */

import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import { AsyncSocket, fixed, line } from "asyncsocket";

type Reply = string | number | null | Reply[];

/** An error that the server replied with. The connection can still be used. */
class RedisError extends Error {}

const LINE = line();
const SHORT = { maxLength: 64 * 1024 };

/** Reads a reply; its first byte tells its kind (https://redis.io/docs/latest/develop/reference/protocol-spec/, version 2). */
async function readReply(socket: AsyncSocket): Promise<Reply> {
  const line = socket.takeMessage(LINE, SHORT) ?? (await socket.readMessage(LINE, SHORT));
  const rest = line.slice(1);
  switch (line[0]) {
    case "+":
      return rest;
    case "-":
      throw new RedisError(rest);
    case ":":
      return Number(rest);
    case "$":
      return rest === "-1" ? null : readText(socket, Number(rest));
    case "*":
      return rest === "-1" ? null : readReplies(socket, Number(rest));
    default:
      throw new Error(`Expected a reply, got ${JSON.stringify(line)}`);
  }
}

/** Reads a number of bytes, which may hold anything, and the CRLF behind them. */
async function readText(socket: AsyncSocket, length: number): Promise<string> {
  const framing = fixed(length + 2);
  const data = socket.takeMessage(framing) ?? (await socket.readMessage(framing));
  return data.toString("utf8", 0, length);
}

async function readReplies(socket: AsyncSocket, count: number): Promise<Reply[]> {
  const replies: Reply[] = [];
  while (replies.length < count) replies.push(await readReply(socket));
  return replies;
}

/** Encodes a command: an array of its words, each with its length in bytes. */
function encode(words: readonly string[]): string {
  return `*${words.length}\r\n` + words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("");
}

/** Commands go out at once; their replies come in the order of the commands. */
class Redis {
  readonly #socket: AsyncSocket;
  /** The reply to the last command that was sent; the reply to the next command comes after it. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(socket: AsyncSocket) {
    this.#socket = socket;
  }

  send(...words: string[]): Promise<Reply> {
    this.#socket.write(encode(words));
    const reply = this.#last.then(() => readReply(this.#socket));
    this.#last = reply.catch(() => undefined); // who sent that command is told; this one has a reply of its own
    return reply;
  }
}

const PREFIX = "asyncsocket:example:";

async function introduce(redis: Redis): Promise<void> {
  console.log("PING →", await redis.send("PING"));
  console.log("SET →", await redis.send("SET", PREFIX + "greeting", "Grüße\r\naus Köln"));
  console.log("GET →", JSON.stringify(await redis.send("GET", PREFIX + "greeting")));
  console.log("RPUSH →", await redis.send("RPUSH", PREFIX + "list", "one", "two", ""));
  console.log("LRANGE →", await redis.send("LRANGE", PREFIX + "list", "0", "-1"));
  console.log("GET of nothing →", await redis.send("GET", PREFIX + "nothing"));
  const complaint: unknown = await redis.send("INCR", PREFIX + "greeting").catch((error: unknown) => error);
  assert.ok(complaint instanceof RedisError, "text cannot be incremented");
  console.log("INCR of a text →", complaint.message);
}

/** Half of the commands set a key, half get a key that was just set; none waits for a reply. */
async function pipeline(redis: Redis, count: number): Promise<void> {
  const start = performance.now();
  const replies: Promise<Reply>[] = [];
  for (let i = 0; i < count; i++) {
    const key = `${PREFIX}${i >> 1}`;
    replies.push(i % 2 === 0 ? redis.send("SET", key, `value ${i >> 1}`) : redis.send("GET", key));
  }
  const received = await Promise.all(replies);
  const ms = performance.now() - start;
  for (const [i, reply] of received.entries()) assert.equal(reply, i % 2 === 0 ? "OK" : `value ${i >> 1}`);
  console.log(`${count} commands in the pipeline: all ${received.length} replies are right, after ${ms.toFixed(0)} ms`);
}

async function removeKeys(redis: Redis, count: number): Promise<void> {
  const keys = ["greeting", "list"];
  for (let i = 0; i < count; i += 2) keys.push(String(i >> 1));
  console.log("DEL →", await redis.send("DEL", ...keys.map((key) => PREFIX + key)), "keys");
}

const { values } = parseArgs({
  options: {
    host: { type: "string", default: "localhost" },
    port: { type: "string", default: "6379" },
    path: { type: "string" },
    count: { type: "string", default: "10000" },
  },
});
const count = Number(values.count);
const { path } = values;
const place = path === undefined ? { host: values.host, port: Number(values.port) } : { path };

try {
  // A server that has not answered a command within ten seconds is not going to answer it.
  await using socket = await AsyncSocket.connect({ ...place, timeout: 5_000, limits: { idleMs: 10_000 } });
  const redis = new Redis(socket);
  await introduce(redis);
  await pipeline(redis, count);
  await removeKeys(redis, count);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
