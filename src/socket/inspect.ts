import { addressText } from "../base/address.js";
import type { SocketRequest } from "../base/request.js";
import type { SocketView } from "../socket-view.js";

export function describe(socket: SocketView): string {
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
