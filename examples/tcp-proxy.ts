/**
 * A TCP proxy: each connection that it accepts is joined to a connection of its own to the server, whatever they speak. The
 * relay does the rest: it begins before the server is reached, holds a fast side up, and passes on the end of either side.
 *
 *   node build/examples/tcp-proxy.js --port 8080 --to example.com:80
 *   curl -H "Host: example.com" http://localhost:8080/
 */

import { parseArgs } from "node:util";
import { AsyncSocket, relay, type RelayResult } from "asyncsocket";

const { values } = parseArgs({
  options: {
    host: { type: "string" }, // none: every address of this machine
    port: { type: "string", default: "0" }, // 0: any free one
    to: { type: "string", default: "localhost:80" }, // the server
    idle: { type: "string", default: "300000" }, // ms without a byte either way, after which both sides are closed
  },
});
const colon = values.to.lastIndexOf(":");
const server = { host: values.to.slice(0, colon), port: Number(values.to.slice(colon + 1)), timeout: 10_000 };

const listener = await AsyncSocket.listen({ host: values.host, port: Number(values.port) });
console.log(`Proxy on port ${listener.port ?? "?"}`);
process.once("SIGTERM", () => void listener.shutdown({ graceMs: 1_000 }));

function report({ aToB, bToA, ended, side, error }: RelayResult): void {
  const why = error === null ? "" : ` (${side}: ${error.message})`;
  console.log(`${aToB} bytes up, ${bToA} bytes down, ${ended}${why}`);
}

for await (const client of listener.connections()) {
  const upstream = new AsyncSocket();
  upstream.connect(server);
  void relay(client, upstream, { idleMs: Number(values.idle) }).then(report);
}
