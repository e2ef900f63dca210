/** Knows the live sockets of this thread, and counts its open connections, over all transports. */

import type { SocketFace } from "./owner.js";

let open = 0;
let changed: (() => void) | null = null;

/**
 * Every socket that connects, is connected or listens, by its number. A socket that is dropped without a close, as one over
 * a stream of the application's can be, must not be kept for that.
 */
const live = new Map<number, WeakRef<SocketFace>>();
/** At this size the sockets are looked for that nobody keeps any more. */
let sweepAt = 1024;

/** Lists a socket that begins to connect or to listen, or is connected already. */
export function enlist(socket: SocketFace): void {
  if (live.has(socket.id)) return;
  if (live.size >= sweepAt) sweepAt = Math.max(1024, 2 * liveSockets().length);
  live.set(socket.id, new WeakRef(socket));
}

/** Takes a socket off the list, because it is closed or was given away. */
export function delist(socket: SocketFace): void {
  live.delete(socket.id);
}

/** The live sockets, in the order in which they began. */
export function liveSockets(): SocketFace[] {
  const sockets: SocketFace[] = [];
  for (const [id, reference] of live) {
    const socket = reference.deref();
    if (socket === undefined) live.delete(id);
    else sockets.push(socket);
  }
  return sockets;
}

export function socketOpened(socket: SocketFace): void {
  open++;
  enlist(socket);
  changed?.();
}

/** @param wasOpen whether the socket was counted as open */
export function socketClosed(socket: SocketFace, wasOpen: boolean): void {
  delist(socket);
  if (!wasOpen) return;
  open--;
  changed?.();
}

export function openSocketsHere(): number {
  return open;
}

/** Sets the function that is called at each change of the count. */
export function onOpenCount(told: () => void): void {
  changed = told;
}
