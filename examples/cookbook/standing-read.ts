/**
 * A server whose messages are a few lines, then bytes whose number stands in one of the lines. A standing read (`repeat: true`)
 * gives one line after the other. When the empty line comes, `cancel` ends it, and the very next byte is the first of the body,
 * wherever the packets were cut. After the body comes the next message.
 *
 *   node build/examples/cookbook/standing-read.js --port 7000
 *   printf 'Name: greeting\nLength: 5\n\nhello' | nc -N localhost 7000
 */

import { parseArgs } from "node:util";
import { type AcceptedSocket, AsyncSocket, type SocketRequest } from "asyncsocket";

const { values } = parseArgs({ options: { host: { type: "string" }, port: { type: "string", default: "0" } } });

const MAX_FIELDS = 20;

/** What has come of the present message. */
class Message {
  readonly fields = new Map<string, string>();
  header: SocketRequest<number> | undefined;
}

type Client = AcceptedSocket<unknown, Message>;

function beginMessage(socket: Client): void {
  socket.userData = new Message();
  socket.userData.header = socket.readLine({ repeat: true, timeout: 30_000, maxLength: 1024 });
}

function sendAway(socket: Client, why: string): void {
  socket.cancelReads();
  socket.writeLine(`error: ${why}`);
  socket.disconnectAfterWriting();
}

const listener = await AsyncSocket.listen({
  host: values.host,
  port: Number(values.port),
  userDataFor: () => new Message(),
  delegate: {
    didAccept: (_listener, socket) => beginMessage(socket),

    didReadText(socket, line) {
      const { fields, header } = socket.userData;
      const [, name, value = ""] = /^(\w+): (.*)$/.exec(line) ?? [];
      if (name !== undefined && fields.size < MAX_FIELDS) return void fields.set(name, value);
      if (line !== "") return sendAway(socket, "expected at most 20 fields, then an empty line");
      const length = fields.get("Length") ?? "0";
      if (!/^\d{1,6}$/.test(length)) return sendAway(socket, "expected a Length of at most six digits");
      header?.cancel();
      socket.readExactly(Number(length), { timeout: 30_000 });
    },

    didRead(socket, body) {
      socket.writeLine(`stored ${body.length} bytes as ${socket.userData.fields.get("Name")}`);
      beginMessage(socket);
    },
  },
});
console.log(`Store on port ${listener.port}`);
process.once("SIGTERM", () => void listener.shutdown({ graceMs: 1_000 }));
