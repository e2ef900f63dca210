/**
 * A client of that chat: it says what is typed, and prints what everybody says, each line once. When its connection ends it connects
 * again, and asks for the lines that it has missed.
 *
 *   node build/examples/scaling/client.js --port 7000 --name ada
 */

import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { type AsyncSocket, reconnect } from "asyncsocket";

const { values } = parseArgs({ options: { port: { type: "string" }, name: { type: "string", default: "somebody" } } });

/** What was typed and not said yet. */
const typed: string[] = [];
/** The connection on which something may be said. */
let joined: AsyncSocket | undefined;
let lastId = "0-0";
const ending = new AbortController();

function sayAll(): void {
  for (let text = typed.shift(); text !== undefined; text = typed.shift()) joined?.writeLine(`SAY ${text}`);
}

const input = createInterface({ input: process.stdin });
input.on("line", (line) => {
  typed.push(line);
  if (joined !== undefined) sayAll();
});
input.on("close", () => {
  ending.abort();
  joined?.disconnectAfterWriting();
});

function take(socket: AsyncSocket, line: string): void {
  const [, id, text] = /^(\d+-\d+) (.*)$/.exec(line) ?? [];
  if (line.startsWith("JOINED ")) {
    console.error(line);
    joined = socket;
    sayAll();
  } else if (line === "BYE") {
    joined = undefined; // what was said before this is still read; what is typed now waits for the next connection
  } else if (id !== undefined) {
    lastId = id;
    console.log(text);
  }
}

const options = { host: "127.0.0.1", port: Number(values.port), timeout: 5_000 };
for await (const socket of reconnect(options, { delayMs: 20, maxDelayMs: 500, signal: ending.signal })) {
  socket.writeLine(`JOIN ${values.name} ${lastId}`);
  try {
    for await (const line of socket.lines({ maxLength: 2048 })) take(socket, line);
  } catch {
    // The connection was lost: the next one is asked for what is missing.
  }
  joined = undefined;
  socket.disconnectAfterWriting();
}
