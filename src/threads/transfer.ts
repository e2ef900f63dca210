/**
 * A connection on its way to another thread. Two ways, the better first:
 *
 * - the addon parks the descriptor under a ticket (of a socket of the runtime's a copy, which is closed here): in
 *   mid-stream, TCP and Unix-domain sockets;
 * - the runtime transfers a `net.Socket` in a message: TCP of which nothing was read or written.
 */

import type { Socket } from "node:net";
import type { Address, ProxiedAddresses } from "../base/address.js";
import type { FullLimits } from "../base/limits.js";
import { canTransfer, descriptorOf } from "../base/undocumented.js";
import type { Connection } from "../connection/connection.js";
import { dropTicket, nativeProblem, parkDescriptor } from "../transport/native/addon.js";
import { NativeTransport } from "../transport/native/native-transport.js";
import { NodeTransport } from "../transport/node/node-transport.js";
import type { AcceptedTransport, Transport } from "../transport/transport.js";

/** What crosses to the other thread, in a message. */
export interface TransferHandle {
  /** What carries it on the other thread: the native transport whatever was the first, where the addon moved it. */
  readonly carrier: "native" | "node";
  readonly local: Address | undefined;
  readonly remote: Address | undefined;
  /** Of the addon; null: the socket itself is in the message. */
  readonly ticket: number | null;
  readonly socket: Socket | null;
}

/** TransferHandle, and what had been received from the kernel and not been given. */
export interface Packed {
  readonly handle: TransferHandle;
  readonly surplus: readonly Buffer[];
}

/** Why a connection cannot go to another thread; null: it can. */
export function whyStuck(transport: Transport): string | null {
  if (transport instanceof NativeTransport) return null;
  if (!(transport instanceof NodeTransport)) return "only TCP and Unix-domain sockets of the system can be moved";
  if (transport.isSecure) return "an encrypted connection cannot be moved";
  const problem = nativeProblem();
  if (problem === null) return descriptorOf(transport.socket) >= 0 ? null : "its descriptor is closed already";
  if (canTransfer && transport.remote?.family !== "unix" && transport.isFresh) return null;
  const instead = canTransfer
    ? "without it only a TCP connection can be moved of which nothing was read or written: by wantsRunLoopForNewSocket"
    : "this runtime cannot transfer sockets (Node 24.20 and 26.6 can): compile the addon by npm install, or listen on each thread with reusePort";
  return `the addon is not there (${problem}), and ${instead}`;
}

/**
 * Takes a connection from this thread, for which `whyStuck` knew no reason. Not to be called from inside a call that
 * tells of something received. @throws the system's error; the transport is then as it was
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
  // What has destroyed it, a reset that a write has met, is told of a tick later.
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
  // The connection lives on in the copy: closing one of two descriptors sends no FIN.
  socket.destroy();
  return { handle: { carrier: "native", local, remote, ticket, socket: null }, surplus };
}

/** The runtime's socket, which has nobody to be told of errors any more: unheard, they would end the process. */
function left(transport: NodeTransport): Socket {
  return transport.leave().on("error", ignore);
}

function ignore(): void {
  // Nothing that happens to it matters any more.
}

/** Makes it a connection of this thread's. @throws where it is gone, or cannot be carried here */
export function unpack({ ticket, socket, local, remote }: TransferHandle): AcceptedTransport {
  if (ticket !== null) return NativeTransport.taken(ticket, local, remote);
  if (socket === null) throw new Error("there is neither a ticket nor a socket");
  socket.allowHalfOpen = true;
  const transport = new NodeTransport(socket);
  transport.local = local;
  transport.remote = remote;
  return transport;
}

/** Nobody will take it any more: the connection is reset. Of what was taken meanwhile, nothing is touched. */
export function drop({ ticket, socket }: TransferHandle): void {
  if (ticket !== null) dropTicket(ticket);
  else socket?.destroy();
}

/** It has come here, and nobody takes it. What the addon has parked, its sender drops. */
export function turnAway({ socket }: TransferHandle): void {
  socket?.destroy();
}

/** What of a connection travels besides its descriptor. All of it can be cloned. */
export interface TransferState {
  /** Received and not read. */
  readonly ahead: Uint8Array;
  /** Without those. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly allowHalfOpen: boolean;
  readonly limits: FullLimits;
  readonly isAccepted: boolean;
  readonly isReferenced: boolean;
  readonly host: string | undefined;
  readonly proxied: ProxiedAddresses | null;
  /** Whether our FIN is out. */
  readonly hasFinished: boolean;
  readonly userData: unknown;
  /** By which secrets it is encrypted from its start; null: it is not. */
  readonly secrets: number | null;
}

export interface Transfer {
  /** The sender's number for it. */
  readonly id: number;
  readonly handle: TransferHandle;
  readonly state: TransferState;
}

/** What of a connection goes along. */
export function stateOf(
  { socket, limits, isAccepted, isReferenced, host, proxied, bytesRead, writing }: Connection,
  ahead: Uint8Array,
  counted: number,
  userData: unknown,
): TransferState {
  return {
    ahead,
    bytesRead: bytesRead - counted,
    bytesWritten: writing.bytesWritten,
    allowHalfOpen: socket.allowHalfOpen,
    limits,
    isAccepted,
    isReferenced,
    host,
    proxied,
    hasFinished: writing.finSent,
    userData,
    secrets: null,
  };
}

/** In memory of their own: what is sent takes all of its memory along. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
