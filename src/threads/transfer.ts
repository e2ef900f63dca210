/**
 * Moves connections between threads. There are two ways, and the first is preferred:
 * - The addon keeps the descriptor under a number, the ticket. This works for open TCP and Unix-domain connections. For
 * a socket of the runtime, the addon keeps a copy of the descriptor, and the socket's own is closed.
 * - The runtime transfers a `net.Socket` in a message. This works only for TCP connections from which nothing was read
 * or written.
 */

import type { Socket } from "node:net";
import type { Address } from "../base/address.js";
import { byteCount } from "../base/byte-count.js";
import type { FullLimits } from "../base/limits.js";
import { canTransfer, descriptorOf } from "../base/undocumented.js";
import type { Connection } from "../connection/connection.js";
import type { Origin } from "../connection/origin.js";
import { dropTicket, nativeProblem, parkDescriptor } from "../transport/native/addon.js";
import { NativeTransport } from "../transport/native/native-transport.js";
import { NodeTransport } from "../transport/node/node-transport.js";
import type { AcceptedTransport, Transport } from "../transport/transport.js";

/** What represents the connection in the message to the other thread. */
export interface TransferHandle {
  /**
   * The transport of the connection on the other thread. It is the native one whenever the addon moved the connection,
   * whatever transport it had before.
   */
  readonly carrier: "native" | "node";
  readonly local: Address | undefined;
  readonly remote: Address | undefined;
  /** The addon's ticket; null if the socket itself is in the message. */
  readonly ticket: number | null;
  readonly socket: Socket | null;
}

/** A packed connection: its handle, and bytes that were received from the kernel and not passed on yet. */
export interface Packed {
  readonly handle: TransferHandle;
  readonly surplus: readonly Buffer[];
}

/** The reason why a connection cannot go to another thread; null if it can. */
export function whyStuck(transport: Transport): string | null {
  if (transport instanceof NativeTransport) return null;
  if (!(transport instanceof NodeTransport)) return "only TCP and Unix-domain sockets of the system can be moved";
  if (transport.isSecure) return "an encrypted connection cannot be moved";
  const problem = nativeProblem();
  if (problem === null) return descriptorOf(transport.socket) >= 0 ? null : "its descriptor is closed already";
  if (canTransfer && transport.remote?.family !== "unix" && transport.isFresh) return null;
  const instead = canTransfer
    ? "without it only a TCP connection can be moved of which nothing was read or written: by wantsRunLoopForNewSocket"
    : "this runtime cannot transfer sockets (Node 24.20 and 26.6 can): install the addon (docs/runtimes.md), or listen on each thread with reusePort";
  return `the addon is not there (${problem}), and ${instead}`;
}

/**
 * Takes a connection off this thread. `whyStuck` must have returned null for it. It must not be called from inside an
 * event of the transport.
 * @throws the system's error; the transport is then unchanged
 */
export function pack(transport: Transport): Packed {
  if (transport instanceof NativeTransport) {
    const { local, remote } = transport;
    const { ticket, surplus } = transport.park();
    return { handle: { carrier: "native", local, remote, ticket, socket: null }, surplus };
  }
  if (!(transport instanceof NodeTransport)) throw new Error("this transport has nothing to move");
  const from = transport;
  const { local, remote, socket } = from;
  // The event for an error that has destroyed the socket, such as a reset met by a write, comes a tick later; so it is
  // checked here.
  if (socket.destroyed || (socket.errored ?? null) !== null) {
    throw socket.errored ?? new Error("it was closed underneath");
  }
  if (nativeProblem() !== null) {
    return { handle: { carrier: "node", local, remote, ticket: null, socket: left(from) }, surplus: [] };
  }
  const ticket = parkDescriptor(descriptorOf(socket));
  const surplus: Buffer[] = [from.takeKept()];
  left(from).pause();
  for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
    surplus.push(chunk);
  }
  // The copy of the descriptor keeps the connection open: closing one of two descriptors sends no FIN.
  socket.destroy();
  return { handle: { carrier: "native", local, remote, ticket, socket: null }, surplus };
}

/** Detaches the runtime's socket. It gets an error listener, since an error without one would end the process. */
function left(transport: NodeTransport): Socket {
  return transport.leave().on("error", ignore);
}

function ignore(): void {
  // Errors of a detached socket do not matter.
}

/** Makes a transport on this thread. @throws if the connection is gone, or cannot be used on this thread */
export function unpack({ ticket, socket, local, remote }: TransferHandle): AcceptedTransport {
  if (ticket !== null) return NativeTransport.taken(ticket, local, remote);
  if (socket === null) throw new Error("there is neither a ticket nor a socket");
  socket.allowHalfOpen = true;
  const transport = new NodeTransport(socket);
  transport.local = local;
  transport.remote = remote;
  return transport;
}

/**
 * Called by the sender when no thread will take the connection: it is reset. If the other thread has taken it
 * meanwhile, nothing happens.
 */
export function drop({ ticket, socket }: TransferHandle): void {
  if (ticket !== null) dropTicket(ticket);
  else socket?.destroy();
}

/** Called by the receiver when it does not take the connection. A ticket is left to the sender, which drops it. */
export function turnAway({ socket }: TransferHandle): void {
  socket?.destroy();
}

/** The state of a connection that goes with its descriptor. All of it can be cloned. */
export interface TransferState {
  /** Bytes that were received and not read. */
  readonly ahead: Uint8Array;
  /** The origin of the connection on the other thread. The bytes read are those without `ahead`. */
  readonly origin: Origin;
  readonly allowHalfOpen: boolean;
  readonly limits: FullLimits;
  readonly isReferenced: boolean;
  readonly userData: unknown;
  /** The number of the TLS options with which the receiver starts a handshake; null if there is none. */
  readonly tlsId: number | null;
}

export interface Transfer {
  /** The sender's number for this connection. */
  readonly id: number;
  readonly handle: TransferHandle;
  readonly state: TransferState;
}

/** The state to send for a connection. `counted` bytes of `ahead` were already counted as read. */
export function stateOf(
  { socket, limits, isReferenced, origin, bytesRead, writing }: Connection,
  ahead: Uint8Array,
  counted: number,
  userData: unknown,
): TransferState {
  return {
    ahead,
    origin: {
      ...origin,
      bytesRead: bytesRead - counted,
      bytesWritten: writing.bytesWritten,
      hasFinished: writing.finSent,
    },
    allowHalfOpen: socket.allowHalfOpen,
    limits,
    isReferenced,
    userData,
    tlsId: null,
  };
}

/** Joins bytes in a new memory of exact size, because a transferred view brings all of its memory along. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(byteCount(parts));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
