/**
 * A chat server: the first line is a name, every other line goes to everybody. Each client has state of its own, whose type is
 * known everywhere. Nobody can fill the server's memory, and SIGTERM lets everybody get what was said before.
 *
 *   node build/examples/cookbook/chat.js --port 7000
 *   nc localhost 7000
 */

import { parseArgs } from "node:util";
import { AsyncSocket } from "asyncsocket";

const { values } = parseArgs({ options: { host: { type: "string" }, port: { type: "string", default: "0" } } });

/** A client that has not taken so much of what was said is sent away. */
const MAX_UNSENT_BYTES = 64 * 1024;

class Client {
  name: string | null = null;
}

let isEnding = false;

function tellAll(text: string): void {
  if (isEnding) return; // the goodbye was the last line for everybody
  for (const socket of listener.sockets) {
    if (socket.unsentBytes > MAX_UNSENT_BYTES) socket.reset();
    else socket.writeLine(text);
  }
}

const listener = await AsyncSocket.listen({
  host: values.host,
  port: Number(values.port),
  limits: { connectionsPerAddress: 100, idleMs: 3_600_000 },
  userDataFor: () => new Client(), // before the delegate, so that its type is known there
  delegate: {
    didAccept(_listener, socket) {
      socket.writeLine("What is your name?");
      socket.readLine({ repeat: true, maxLength: 1000 });
    },

    didReadText({ userData: client }, line) {
      // A line may hold other control characters: a bare CR, which writeLine refuses, or what moves the cursor of a terminal.
      const text = line.replace(/\p{Cc}/gu, " ").trim();
      if (text === "") return;
      if (client.name !== null) return tellAll(`${client.name}: ${text}`);
      client.name = text.slice(0, 20);
      tellAll(`${client.name} came`);
    },

    didDisconnect({ userData: client }) {
      // The listener has this delegate, too, but no client.
      if ((client?.name ?? null) !== null) tellAll(`${client?.name} left`);
    },
  },
});
console.log(`Chat on port ${listener.port}`);

process.once("SIGTERM", () => {
  isEnding = true;
  listener.shutdown({
    graceMs: 5_000,
    goodbye(socket) {
      socket.writeLine("The server is going down. Goodbye!");
      socket.disconnectAfterWriting();
    },
  });
});
