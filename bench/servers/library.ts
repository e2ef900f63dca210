/** The servers on this library, delegate style. */
import { AsyncSocket } from "asyncsocket";
import { serve } from "./host.js";
import { PROTOCOLS } from "./protocols.js";

serve(async (protocol, identity) => {
  const transport = process.argv[2] === "native" ? "native" : "node";
  const listener = new AsyncSocket({ delegate: PROTOCOLS[protocol], transport });
  await listener.listen({ port: 0, host: "127.0.0.1", noDelay: true, tls: identity ?? false });
  if (listener.local === undefined || listener.local.family === "unix") throw new Error("Expected a port");
  return listener.local.port;
});
