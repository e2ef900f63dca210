import { type Address, addressText } from "../base/address.js";
import type { SocketRequest } from "../base/request.js";

/**
 * The state of a socket. It starts as `"idle"`; `"closing"` begins when the socket starts to close, and `"closed"` when
 * its descriptor is closed.
 */
export type SocketState = "idle" | "connecting" | "listening" | "open" | "closing" | "closed";

/** The properties of a socket that its printed form shows. */
export interface InspectedSocket {
  readonly id: number;
  readonly state: string;
  readonly local: Address | undefined;
  readonly remote: Address | undefined;
  readonly pendingReads: number;
  readonly pendingWrites: number;
  readonly currentRead: SocketRequest<unknown> | undefined;
  readonly currentWrite: SocketRequest<unknown> | undefined;
  readonly unreadBytes: number;
  readonly unsentBytes: number;
}

/** The facts about a socket that `toJSON` gives. */
export interface SocketSummary {
  readonly id: number;
  readonly state: SocketState;
  readonly isSecure: boolean;
  readonly local: Address | undefined;
  readonly remote: Address | undefined;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly unreadBytes: number;
  readonly unsentBytes: number;
}

export function describe(socket: InspectedSocket): string {
  const name = `${socket.constructor.name} #${socket.id} ${socket.state}`;
  if (socket.state === "listening") return `${name} on ${addressText(socket.local)}`;
  const ends = socket.local === undefined ? "" : ` ${addressText(socket.local)} to ${addressText(socket.remote)}`;
  return (
    `${name}${ends}: ${socket.pendingReads} reads${kindOf(socket.currentRead)}, ` +
    `${socket.pendingWrites} writes${kindOf(socket.currentWrite)}, ` +
    `${socket.unreadBytes} bytes unread, ${socket.unsentBytes} unsent`
  );
}

function kindOf(request: SocketRequest<unknown> | undefined): string {
  return request === undefined ? "" : ` (${request.kind})`;
}
