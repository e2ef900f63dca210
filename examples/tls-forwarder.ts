/**
 * A forwarder that takes the TLS off: clients speak TLS with it, the server behind it gets what they say in the clear. The
 * server learns by a PROXY header who the client is, which name it asked for and what was negotiated (HAProxy, nginx, Postfix
 * and many others understand that header).
 *
 *   node build/examples/tls-forwarder.js --port 8443 --key key.pem --cert cert.pem --to localhost:8080
 *   curl --cacert cert.pem https://localhost:8443/
 */

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { AsyncSocket, type AsyncSocketDelegate, type ProxyHeaderOptions, relay } from "asyncsocket";

const { values } = parseArgs({
  options: {
    host: { type: "string" }, // none: every address of this machine
    port: { type: "string", default: "0" }, // 0: any free one
    key: { type: "string" }, // PEM files
    cert: { type: "string" },
    alpn: { type: "string", default: "http/1.1" }, // the protocols that the server speaks, with commas between them
    to: { type: "string", default: "localhost:80" }, // the server
    proxy: { type: "string", default: "2" }, // the version of the PROXY header: 1 is text, 2 has room for what TLS says
    idle: { type: "string", default: "300000" }, // ms without a byte either way, after which both sides are closed
  },
});
if (values.key === undefined || values.cert === undefined) {
  console.error("Usage: tls-forwarder --key FILE --cert FILE [--port PORT] [--to HOST:PORT]");
  process.exit(2);
}
const colon = values.to.lastIndexOf(":");
const server = { host: values.to.slice(0, colon), port: Number(values.to.slice(colon + 1)), timeout: 10_000 };

function headerFor({ remote: source, local: destination, tls: negotiated }: AsyncSocket): ProxyHeaderOptions {
  if (values.proxy === "1") return { version: 1, source, destination };
  const { alpn, servername, version, cipher } = negotiated ?? {};
  const tls = { version: version ?? undefined, cipher: cipher ?? undefined };
  const tlvs = { alpn: alpn ?? undefined, authority: servername ?? undefined, tls };
  return { version: 2, source, destination, tlvs };
}

const delegate: AsyncSocketDelegate = {
  didSecure(client) {
    const upstream = new AsyncSocket();
    upstream.connect({ ...server, proxyProtocol: headerFor(client) });
    void relay(client, upstream, { idleMs: Number(values.idle) }).then(({ aToB, bToA, ended, side, error }) => {
      const why = error === null ? "" : ` (${side === "a" ? "client" : "server"}: ${error.message})`;
      console.log(`${aToB} bytes to the server, ${bToA} bytes to the client, ${ended}${why}`);
    });
  },
  // One that never came so far: the handshake has failed.
  didDisconnect(_client, { error }) {
    if (error !== null) console.log(`a client failed: ${error.message}`);
  },
};

const listener = new AsyncSocket({ delegate });
await listener.listen({
  host: values.host,
  port: Number(values.port),
  tls: { key: readFileSync(values.key), cert: readFileSync(values.cert), ALPNProtocols: values.alpn.split(",") },
});
console.log(`Forwarder on port ${listener.port ?? "?"}`);
process.once("SIGTERM", () => void listener.shutdown({ graceMs: 1_000 }));
