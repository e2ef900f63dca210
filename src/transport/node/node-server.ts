import { createServer, type ListenOptions, type Server } from "node:net";
import { type Address, ipAddress } from "../../base/address.js";
import { socketError } from "../../base/errors.js";
import { descriptorOf } from "../../base/undocumented.js";
import { listenerPath } from "../kernel-facts.js";
import { setKernel, settingsList } from "../kernel-settings.js";
import type { SocketSettings } from "../options.js";
import { type AcceptSink, type Bound, isSet, offerAlone, type Place, soleAddress } from "../place-listener.js";
import { NodeTransport } from "./node-transport.js";

/** Listens on one place with a `net.Server`. */
export async function bindNode(place: Place, settings: SocketSettings, sink: AcceptSink): Promise<Bound> {
  const { noDelay, keepAliveMs } = settings;
  const server = createServer({
    allowHalfOpen: true,
    noDelay,
    keepAlive: keepAliveMs !== false,
    keepAliveInitialDelay: keepAliveMs === false ? 0 : keepAliveMs,
  });
  const adopted = place.fd === null ? undefined : listenerPath(place.fd);
  await listening(server, listenOptions(place));
  // Only a Unix-domain socket that was adopted has no address that the runtime knows.
  const path = place.fd === null || server.address() !== null ? place.path : (adopted ?? "");
  setOnListener(server, settings);
  const address: Address | undefined = path === null ? addressOf(server) : { family: "unix", path };
  const sole = soleAddress(address);
  const list = settingsList(settings);
  server.on("connection", (socket) => {
    const transport = NodeTransport.accepted(socket, path, sole);
    // The listener cannot pass its settings on to a connection that came before they were made.
    if (list === undefined || isSet(transport, settings, sink)) offerAlone(sink, transport);
  });
  server.on("error", (error) => sink.didFailAccept(error));
  if (place.reusePort) await checkReusePort(server, place, address);
  return { address, close: () => server.close(), ref: () => server.ref(), unref: () => server.unref() };
}

/**
 * Makes the settings of a listener, which the system passes on to its connections. In a worker of `node:cluster` there
 * is no descriptor; the accepted connections get the settings one by one then.
 */
function setOnListener(server: Server, settings: SocketSettings): void {
  const descriptor = descriptorOf(server);
  if (descriptor < 0) return;
  try {
    setKernel("listen", descriptor, settings);
  } catch (error) {
    server.close();
    throw error;
  }
}

function listening(server: Server, options: ListenOptions): Promise<void> {
  return new Promise((settled, failed) => {
    server.once("error", failed);
    server.listen(options, () => {
      server.removeListener("error", failed);
      settled();
    });
  });
}

function listenOptions({ boundPath, address, port, backlog, ipv6Only, reusePort, fd }: Place): ListenOptions {
  if (fd !== null) return { fd, backlog } as ListenOptions;
  if (boundPath !== null) return { path: boundPath, backlog };
  const options: ListenOptions & { reusePort?: boolean } = { port, backlog, ipv6Only };
  // Without a host Node listens for both families, or for IPv4 alone. With `ipv6Only` it must not fall back to IPv4.
  const host = address ?? (ipv6Only ? "::" : undefined);
  if (host !== undefined) options.host = host;
  if (reusePort) options.reusePort = true;
  return options;
}

/** Some runtimes ignore the option `reusePort`. A second listener on the same port, opened as a test, then fails. */
async function checkReusePort(server: Server, place: Place, address: Address | undefined): Promise<void> {
  const probe = createServer();
  const port = address !== undefined && address.family !== "unix" ? address.port : place.port;
  try {
    await listening(probe, listenOptions({ ...place, port }));
  } catch (error) {
    server.close();
    const words = "Cannot listen with reusePort: this runtime cannot share a port";
    throw socketError("LISTEN", "listen", words, error);
  } finally {
    probe.close();
  }
}

function addressOf(server: Server): Address | undefined {
  const address = server.address();
  return typeof address === "object" && address !== null ? ipAddress(address.address, address.port) : undefined;
}
