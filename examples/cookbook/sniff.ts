/**
 * One port for several protocols. `peek` looks at the first byte and leaves it, so that whoever comes next reads the protocol from
 * its beginning: 0x16 is a TLS handshake, an upper-case letter is HTTP here, and anything else is a protocol of lines. The HTTP
 * server is Node's own: it is given the connection as a stream.
 *
 *   node build/examples/cookbook/sniff.js --port 8443 --key key.pem --cert cert.pem
 *   curl http://localhost:8443/; curl --cacert cert.pem https://localhost:8443/; nc localhost 8443
 */

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { AsyncSocket } from "asyncsocket";

const { values } = parseArgs({
  options: {
    host: { type: "string" },
    port: { type: "string", default: "0" },
    key: { type: "string", default: "key.pem" },
    cert: { type: "string", default: "cert.pem" },
  },
});
const tls = { key: readFileSync(values.key), cert: readFileSync(values.cert) };
const TLS_HANDSHAKE = 0x16;
const isUpperCase = (byte: number): boolean => byte >= 0x41 && byte <= 0x5a;

const web = createServer((request, response) => {
  response.setHeader("Connection", "close");
  response.end(`HTTP, and you asked for ${request.url}\n`);
});

async function firstByte(socket: AsyncSocket): Promise<number> {
  const [byte = 0] = await socket.peek({ length: 1, timeout: 10_000 });
  return byte;
}

async function serve(socket: AsyncSocket): Promise<void> {
  let byte = await firstByte(socket);
  if (byte === TLS_HANDSHAKE) {
    await socket.startTLS(tls);
    byte = await firstByte(socket); // of what is inside
  }
  if (isUpperCase(byte)) web.emit("connection", socket.toDuplex());
  else for await (const line of socket.lines({ maxLength: 1024 })) await socket.writeLine(`line: ${line}`);
}

const listener = await AsyncSocket.listen({
  host: values.host,
  port: Number(values.port),
  limits: { idleMs: 60_000 }, // for HTTP as well: a server that does not listen by itself has no timeouts of its own
});
console.log(`Listening on port ${listener.port}`);
process.once("SIGTERM", () => void listener.shutdown({ graceMs: 1_000 }));

for await (const socket of listener.connections()) {
  // What fails here has closed its connection by itself. It must not end the loop.
  serve(socket).catch((error: unknown) => console.log(String(error)));
}
