/**
 * Two callers on one connection. Reads stand in the queue in the order of the calls. An answer that takes two reads (a line, then as
 * many bytes as the line says) is safe for one caller, and wrong for two at once: the line that the second caller reads is the
 * data of the first. This program shows the mistake, and the two remedies: a framing, which makes one read of the answer, and a
 * queue, in which each exchange has the connection to itself.
 *
 *   node build/examples/cookbook/exchanges.js
 */

import { AsyncSocket, type Framing } from "asyncsocket";

/** Answers `get KEY` as memcached does, with the value `value of KEY`. */
const server = await AsyncSocket.listen({
  host: "127.0.0.1",
  port: 0,
  delegate: {
    didAccept: (_listener, socket) => void socket.readLine({ repeat: true, maxLength: 250 }),
    didReadText(socket, line) {
      const [, key = ""] = line.split(" ");
      const value = `value of ${key}`;
      socket.write(`VALUE ${key} 0 ${Buffer.byteLength(value)}\r\n${value}\r\nEND\r\n`);
    },
  },
});

type Get = (socket: AsyncSocket, key: string) => Promise<string>;

// ------------------------------------------------------------------ wrong, where two call it at once

async function getByThreeReads(socket: AsyncSocket, key: string): Promise<string> {
  socket.write(`get ${key}\r\n`);
  const line = await socket.readLine(); // the second caller's line is what comes behind the first caller's line
  const data = await socket.readExactly(lengthIn(line) + 2);
  await socket.readLine();
  return data.toString("utf8", 0, data.length - 2);
}

function lengthIn(line: string): number {
  const length = Number(/^VALUE \S+ \d+ (\d+)$/.exec(line)?.[1]);
  if (Number.isNaN(length)) throw new Error(`Expected VALUE, got ${JSON.stringify(line)}`);
  return length;
}

// ------------------------------------------------------------------ right: one read for each answer

const END = "\r\nEND\r\n";

/** The line says how long the answer is as soon as the line is there. */
const answer: Framing<string> = {
  maxLength: 1024 * 1024,
  measure(bytes) {
    const lineEnd = bytes.indexOf("\r\n");
    if (lineEnd === -1) return undefined;
    return lineEnd + 2 + lengthIn(bytes.toString("utf8", 0, lineEnd)) + END.length;
  },
  decode: (bytes) => bytes.toString("utf8", bytes.indexOf("\r\n") + 2, bytes.length - END.length),
};

function getByFraming(socket: AsyncSocket, key: string): Promise<string> {
  socket.write(`get ${key}\r\n`);
  return socket.readMessage(answer, { timeout: 5_000 });
}

// ------------------------------------------------------------------ right: one exchange after the other

/** What is given to `run` has the connection to itself until it is done. */
class Exchanges {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(exchange: () => Promise<T>): Promise<T> {
    const result = this.#last.then(exchange);
    this.#last = result.catch(() => undefined); // its caller is told; the next exchange is another
    return result;
  }
}

const exchanges = new Exchanges();
const getInTurn: Get = (socket, key) => exchanges.run(() => getByThreeReads(socket, key));

// ------------------------------------------------------------------ two callers each

async function show(how: string, get: Get): Promise<void> {
  const socket = await AsyncSocket.connect({ host: "127.0.0.1", port: server.port ?? 0 });
  const results = await Promise.allSettled([get(socket, "one"), get(socket, "two")]);
  const words = results.map((result) => (result.status === "fulfilled" ? result.value : String(result.reason)));
  console.log(`${how}: ${words.join("; ")}`);
  await socket.disconnect();
}

await show("three reads", getByThreeReads);
await show("a framing", getByFraming);
await show("one after the other", getInTurn);
await server.disconnect();
