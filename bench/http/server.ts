/** An `http.Server` on sockets of the runtime's own, or fed with streams of ours; told by the first argument. */
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { AsyncSocket } from "asyncsocket";
import type { Identity } from "../../test/support/certificates.js";
import { answerRequests } from "../ipc/answers.js";
import type { Usage } from "../ipc/requests.js";

export interface HttpRequests {
  /** With an identity: over TLS. */
  listen: { ask: Identity | null; answer: number };
  usage: { ask: null; answer: Usage };
}

const HOST = "127.0.0.1";
const PAGE = "a small page\n";
const FILE = Buffer.alloc(65_536, "a line of a file\n");

const answer: RequestListener = (request, response) => void response.end(request.url === "/file" ? FILE : PAGE);

async function byRuntime(identity: Identity | null): Promise<number> {
  const server = identity === null ? createServer(answer) : createSecureServer({ ...identity }, answer);
  server.listen(0, HOST);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function byOurs(transport: "node" | "native", identity: Identity | null): Promise<number> {
  const server = createServer(answer);
  const listener = new AsyncSocket({
    transport,
    delegate: { didAccept: (_, socket) => void server.emit("connection", socket.toDuplex()) },
  });
  await listener.listen({ host: HOST, port: 0, ...(identity !== null && { tls: identity }) });
  return listener.port ?? 0;
}

const base = process.argv[2];
answerRequests<HttpRequests>({
  listen: (identity) => (base === "node" || base === "native" ? byOurs(base, identity) : byRuntime(identity)),
  usage: () => process.cpuUsage(),
});
