/** The servers on this library, delegate style. */
import { AsyncSocket, type AsyncSocketDelegate, relay } from "asyncsocket";
import { serve } from "./host.js";
import { PROTOCOLS } from "./protocols.js";

const transport = process.argv[2] === "native" ? "native" : "node";

function relayTo(behind: number): AsyncSocketDelegate {
  return {
    didAccept(_listener, socket) {
      const upstream = new AsyncSocket({ transport });
      upstream.connect({ port: behind, host: "127.0.0.1" });
      void relay(socket, upstream);
    },
  };
}

serve(async (protocol, identity, behind) => {
  const delegate = protocol === "relay" ? relayTo(behind) : PROTOCOLS[protocol];
  const listener = new AsyncSocket({ delegate, transport });
  await listener.listen({ port: 0, host: "127.0.0.1", noDelay: true, tls: identity ?? false });
  if (listener.local === undefined || listener.local.family === "unix") throw new Error("Expected a port");
  return listener.local.port;
});
