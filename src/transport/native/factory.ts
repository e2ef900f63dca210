import cluster from "node:cluster";
import { ipAddress } from "../../base/address.js";
import { realClock } from "../../base/clock.js";
import { probesOf, refusalIn, settingsList } from "../kernel-settings.js";
import { PlaceListener } from "../place-listener.js";
import { nodeTransports } from "../node/factory.js";
import type { Endpoint, SocketSettings } from "../options.js";
import type { ConnectSink, TransportFactory } from "../transport.js";
import { addon } from "./addon.js";
import { bindNative } from "./native-server.js";
import { NativeTransport, PATH } from "./native-transport.js";

function connectNative(endpoint: Endpoint, settings: SocketSettings, sink: ConnectSink): NativeTransport {
  const list = settingsList(settings);
  const refused = (): Error | null => refusalIn(list, "connect");
  if (endpoint.path !== null) {
    const ends = [{ family: "unix", path: "" } as const, { family: "unix", path: endpoint.path } as const] as const;
    return new NativeTransport(addon.connect(endpoint.path, PATH, undefined, 0, list), ...ends, sink, refused());
  }
  const { address, port, localAddress, localPort } = endpoint;
  const id = addon.connect(address, port, localAddress, localPort ?? 0, list);
  const transport = new NativeTransport(id, undefined, ipAddress(address, port), sink, refused());
  transport.setNoDelay(settings.noDelay);
  if (settings.keepAliveMs !== false) {
    transport.setKeepAlive(settings.keepAliveMs);
    transport.setKernel("connect", probesOf(settings));
  }
  return transport;
}

/**
 * Transports by the addon. In a worker of `node:cluster` the primary process listens and passes connections on, as for
 * every `net.Server`, so listening is left to `node:net` there.
 */
export const nativeTransports: TransportFactory = {
  clock: realClock,
  name: "native",
  connect: connectNative,
  isOfTheSystem: true,
  listen: (target, settings, sink) =>
    cluster.isWorker
      ? nodeTransports.listen(target, settings, sink)
      : new PlaceListener(target, settings, sink, bindNative),
};
