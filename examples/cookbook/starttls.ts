/**
 * STARTTLS, on both sides. An upgrade has its place in the queues: what was called before it goes in the clear, and what is called
 * after it is encrypted. The command, the answer and `startTLS` are three lines in a row; nothing waits for a handshake by itself.
 *
 *   openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=localhost \
 *     -addext subjectAltName=DNS:localhost
 *   node build/examples/cookbook/starttls.js --key key.pem --cert cert.pem --ca cert.pem
 */

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { AsyncSocket } from "asyncsocket";

const { values } = parseArgs({
  options: {
    key: { type: "string", default: "key.pem" }, // the server's
    cert: { type: "string", default: "cert.pem" },
    ca: { type: "string", default: "cert.pem" }, // whom the client trusts
  },
});
const [key, cert, ca] = [values.key, values.cert, values.ca].map((file) => readFileSync(file));

class Session {
  user = "nobody";
}

const read = { timeout: 10_000, maxLength: 1024 } as const;

const server = await AsyncSocket.listen({
  host: "localhost",
  port: 0,
  userDataFor: () => new Session(),
  delegate: {
    didAccept: (_listener, socket) => void socket.readLine(read),

    didReadText(socket, line) {
      const [command = "", argument = ""] = line.split(" ");
      if (command === "STARTTLS" && !socket.isSecure) {
        socket.userData = new Session(); // whatever came in the clear may be an attacker's: it is forgotten
        socket.writeLine("READY");
        socket.startTLS({ key, cert });
      } else if (command === "USER") {
        socket.userData.user = argument;
        socket.writeLine("OK");
      } else {
        socket.writeLine(`${socket.userData.user}, ${socket.isSecure ? "encrypted" : "in the clear"}`);
      }
      socket.readLine(read); // of the client's next command, which is encrypted where an upgrade stands before it
    },
  },
});

await using client = await AsyncSocket.connect({ host: "localhost", port: server.port ?? 0, timeout: 5_000 });

async function ask(command: string): Promise<string> {
  client.writeLine(command);
  const answer = await client.readLine(read);
  console.log(`${command} → ${answer}`);
  return answer;
}

await ask("USER eve");
await ask("WHO");
// Never go on in the clear: an attacker can remove the answer, or change it.
if ((await ask("STARTTLS")) !== "READY") throw new Error("the server does not offer TLS");
const { version } = await client.startTLS({ ca, timeout: 5_000 });
console.log(`now by ${version}`);
await ask("WHO");
await ask("USER ada");
await ask("WHO");
await client.disconnectAfterWriting();
await server.shutdown();
