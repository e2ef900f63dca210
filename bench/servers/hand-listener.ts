/** The part of a server by hand that no protocol changes. */
import { createServer, type AddressInfo, type Socket } from "node:net";
import { createServer as createSecureServer } from "node:tls";
import { READ_TIMEOUT_MS, type Protocol } from "../workloads.js";
import { serve } from "./host.js";

/** @param behind - the port of the server behind this one, if it is to relay */
export type Session = (socket: Socket, behind: number) => void;

export function serveByHand(sessions: Partial<Record<Protocol, Session>>): void {
  serve((protocol, identity, behind) => {
    const session = sessions[protocol];
    if (session === undefined) throw new Error(`Nothing serves ${protocol}`);
    const accept = (socket: Socket): void => {
      socket.on("error", () => socket.destroy());
      session(socket, behind);
    };
    const server =
      identity === null
        ? createServer({ noDelay: true }, accept)
        : createSecureServer({ ...identity, noDelay: true }, accept);
    return new Promise((resolve) => {
      server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
    });
  });
}

export function expire(socket: Socket): void {
  socket.setTimeout(READ_TIMEOUT_MS, () => socket.destroy());
}
