/** The same with the connections on so many run loops; the main thread only accepts. */
import { AsyncSocket, RunLoop } from "asyncsocket";
import { serve } from "./host.js";
import { PROTOCOLS } from "./protocols.js";

serve(async (protocol) => {
  if (protocol === "relay") throw new Error("Nothing serves relay on run loops");
  const size = Number(process.argv[2]);
  const pool = await RunLoop.pool(new URL("./loop.js", import.meta.url), size, { workerData: protocol });
  const delegate = { ...PROTOCOLS[protocol], wantsRunLoopForNewSocket: () => pool };
  const listener = new AsyncSocket({ delegate });
  await listener.listen({ port: 0, host: "127.0.0.1", noDelay: true });
  if (listener.local === undefined || listener.local.family === "unix") throw new Error("Expected a port");
  return listener.local.port;
});
