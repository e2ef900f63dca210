/** One of the run loops of loops.ts. */
import { workerData } from "node:worker_threads";
import { RunLoop } from "asyncsocket";
import type { Protocol } from "../workloads.js";
import { PROTOCOLS } from "./protocols.js";

const delegate = PROTOCOLS[workerData as Exclude<Protocol, "relay">];

RunLoop.current.onSocket((socket) => {
  socket.delegate = delegate;
  delegate.didAccept?.(socket, socket);
});
