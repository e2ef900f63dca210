import { connect, type SocketConnectOpts, type SocketConstructorOpts } from "node:net";
import { realClock } from "../../base/clock.js";
import { onreadOption } from "../../base/undocumented.js";
import { PlaceListener } from "../place-listener.js";
import type { Endpoint, SocketSettings } from "../options.js";
import type { ConnectSink, TransportFactory } from "../transport.js";
import { bindNode } from "./node-server.js";
import { NodeTransport } from "./node-transport.js";

function connectOptions(endpoint: Endpoint, settings: SocketSettings): SocketConnectOpts {
  if (endpoint.path !== null) return { path: endpoint.path };
  const { address, family, port, localAddress, localPort } = endpoint;
  return {
    host: address,
    port,
    family,
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(localPort === undefined ? {} : { localPort }),
    autoSelectFamily: false,
    noDelay: settings.noDelay,
    keepAlive: settings.keepAliveMs !== false,
    keepAliveInitialDelay: settings.keepAliveMs === false ? 0 : settings.keepAliveMs,
  };
}

function connectNode(endpoint: Endpoint, settings: SocketSettings, sink: ConnectSink): NodeTransport {
  // A closure is needed, because not every runtime calls the function with the socket as `this`.
  const receive = (length: number, chunk: Buffer): boolean => made.receive(chunk, length);
  const options = {
    ...connectOptions(endpoint, settings),
    allowHalfOpen: true,
    onread: onreadOption(receive),
  } satisfies SocketConnectOpts & SocketConstructorOpts;
  const made = NodeTransport.connecting(connect(options), sink, endpoint.path, settings);
  return made;
}

/** Transports on `node:net`, which every runtime has. */
export const nodeTransports: TransportFactory = {
  clock: realClock,
  name: "node",
  connect: connectNode,
  isOfTheSystem: true,
  listen: (target, settings, sink) => new PlaceListener(target, settings, sink, bindNode),
};
