/**
 * A chat of several processes. What is said goes into a stream of Redis, which every process follows, so it does not matter to which
 * process a client is connected. A client says with which line it has stopped, and gets all that came after it. On SIGTERM the
 * process sends its clients away without losing a line: it says BYE and ends its side, and goes on reading until they have ended
 * theirs.
 *
 *   JOIN name id   →   JOINED process, then ID NAME: TEXT for every line after that id (0-0: for all of them)
 *   SAY text
 *
 *   node build/examples/scaling/chat.js --port 7001 --redis 6379 --name a --proxy
 */

import { parseArgs } from "node:util";
import { type AcceptedSocket, AsyncSocket } from "asyncsocket";
import { Redis } from "./redis.js";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    redis: { type: "string", default: "6379" }, // the port of Redis, on this machine
    name: { type: "string", default: "chat" },
    proxy: { type: "boolean", default: false }, // connections begin with a PROXY header
  },
});

const ROOM = "asyncsocket:example:room";
const MAX_LINES = 1_000;
const MAX_UNSENT_BYTES = 64 * 1024;

class Client {
  name: string | null = null;
  /** The last line that was sent to it. */
  lastId = "0-0";
  isLeaving = false;
}

type ClientSocket = AcceptedSocket<unknown, Client>;

interface Line {
  id: string;
  text: string;
}

// ------------------------------------------------------------------ what Redis knows

const place = { host: "127.0.0.1", port: Number(values.redis) };
const commands = await Redis.connect(place);
const follower = await Redis.connect(place); // it waits in a command most of the time, so it has a connection of its own
const lines: Line[] = [];
let isEnding = false;

/** Takes all lines that are newer than the last one; with `BLOCK`, waits until there is one. */
async function takeLines(...block: string[]): Promise<Line[]> {
  const reply = await follower.send("XREAD", ...block, "STREAMS", ROOM, lines.at(-1)?.id ?? "0-0");
  const [[, entries] = [ROOM, []]] = (reply ?? []) as [string, [id: string, fields: [string, string]][]][];
  const taken = entries.map(([id, [, text]]) => ({ id, text }));
  lines.push(...taken);
  lines.splice(0, lines.length - MAX_LINES);
  return taken;
}

async function follow(): Promise<void> {
  try {
    for (;;) {
      for (const line of await takeLines("BLOCK", "0")) for (const socket of listener.sockets) tell(socket, line);
    }
  } catch (error) {
    if (!isEnding) throw error; // without Redis this process is of no use: it ends, and is started again
  }
}

/** An id is a time and a number: 1700000000000-0. */
function isAfter(id: string, other: string): boolean {
  const [ms = 0, number = 0] = id.split("-").map(Number);
  const [otherMs = 0, otherNumber = 0] = other.split("-").map(Number);
  return ms === otherMs ? number > otherNumber : ms > otherMs;
}

// ------------------------------------------------------------------ clients

function tell(socket: ClientSocket, { id, text }: Line): void {
  const client = socket.userData;
  if (client.name === null || client.isLeaving || !isAfter(id, client.lastId)) return;
  client.lastId = id;
  if (socket.unsentBytes > MAX_UNSENT_BYTES) socket.reset();
  else socket.writeLine(`${id} ${text}`);
}

function join(socket: ClientSocket, name: string, lastId: string): void {
  Object.assign(socket.userData, { name, lastId });
  socket.writeLine(`JOINED ${values.name}`);
  for (const line of lines) tell(socket, line);
}

await takeLines();
const listener = await AsyncSocket.listen({
  host: "127.0.0.1",
  port: Number(values.port),
  proxyProtocol: values.proxy,
  limits: { idleMs: 3_600_000 },
  userDataFor: () => new Client(),
  delegate: {
    didAccept(_listener, socket) {
      // A header without addresses: HAProxy itself asks whether this process is well.
      if (values.proxy && socket.proxied === undefined) socket.disconnect();
      else socket.readLine({ repeat: true, maxLength: 1000 });
    },

    didReadText(socket, line) {
      const { name, isLeaving } = socket.userData;
      const text = line.replace(/\p{Cc}/gu, " ");
      const [, newName, lastId] = /^JOIN (\w{1,20}) (\d{1,15}-\d{1,15})$/.exec(text) ?? [];
      if (name !== null && text.startsWith("SAY ")) {
        void commands.send("XADD", ROOM, "MAXLEN", "~", `${MAX_LINES}`, "*", "line", `${name}: ${text.slice(4)}`);
      } else if (newName !== undefined && lastId !== undefined && !isLeaving) {
        join(socket, newName, lastId);
      }
    },
  },
});

void follow();
console.log(`Chat ${values.name} on port ${listener.port}`);

process.once("SIGTERM", () => {
  void listener.shutdown({ graceMs: 10_000, goodbye: sayGoodbye }).then(async ({ finished, forced }) => {
    isEnding = true;
    await commands.close(); // when Redis has everything that was said
    await follower.abandon();
    console.log(`${finished} clients have left, ${forced} were closed`);
  });
});

function sayGoodbye(socket: ClientSocket): void {
  socket.userData.isLeaving = true;
  socket.writeLine("BYE");
  socket.end(); // what the client has said meanwhile is still read; the socket closes when the client ends, too
}
