import type { ProxiedAddresses } from "../base/address.js";

/** Where a connection comes from, and what it had done before this socket got it. Nothing of this changes later. */
export interface Origin {
  /** Whether a listener accepted the connection. */
  readonly isAccepted: boolean;
  /** The host that was connected to, by name or address; undefined for a path, and for an accepted connection. */
  readonly host: string | undefined;
  /** The addresses that a PROXY header has reported; null without one. */
  readonly proxied: ProxiedAddresses | null;
  /** How many bytes were read and written on the thread that the connection comes from. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Whether `end` was called on that thread. */
  readonly hasFinished: boolean;
}

/** The origin of a connection that begins with this socket. */
export const NEW: Origin = {
  isAccepted: false,
  host: undefined,
  proxied: null,
  bytesRead: 0,
  bytesWritten: 0,
  hasFinished: false,
};
