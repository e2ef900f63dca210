/**
 * The interfaces through which listeners and sockets use other threads. Run loops and pools implement them; nothing in
 * this folder depends on threads.
 */

import type { Address, ProxiedAddresses } from "../base/address.js";
import type { AsyncSocketError } from "../base/errors.js";
import type { FullLimits } from "../base/limits.js";
import type { SocketRequest } from "../base/request.js";
import type { Connection } from "../connection/connection.js";
import type { AcceptInfo } from "../connection/delegate.js";
import type { RemoteConnection } from "../connection/destination.js";
import type { TLSOptions } from "../tls/options.js";
import type { SecureSettings } from "../tls/settings.js";
import type { ListenTarget, SocketSettings } from "../transport/options.js";
import type { AcceptedTransport, TransportListener } from "../transport/transport.js";

/** The TLS options of a listener: as the user gave them, and checked. */
export interface ListenerTLS {
  readonly options: TLSOptions;
  readonly settings: SecureSettings;
}

/** The listener, as a dispatcher sees it. */
export interface DispatcherOwner {
  readonly limits: FullLimits;
  readonly allowHalfOpen: boolean;
  readonly tls: ListenerTLS | null;
  readonly local: Address | undefined;
  /** Counts a connection from an address as one of the listener's, or counts it no more. */
  count(remote: Address | undefined, change: 1 | -1): void;
  /** Called when a connection has closed on its thread. */
  didEndOne(isForced: boolean): void;
  didFailAcceptWith(error: AsyncSocketError, info: AcceptInfo): void;
  didListen(): void;
  didFail(error: Error): void;
  didClose(): void;
}

/** The options for loops that listen by themselves. */
export interface SharedListening {
  readonly settings: SocketSettings;
  readonly blockList: unknown;
  readonly proxyProtocol: boolean;
}

/** Sends a listener's connections to other threads, and counts those that are there. */
export interface Dispatcher {
  /** The number of connections that are on other threads, or on their way there. */
  readonly size: number;
  /**
   * @param destination the run loop or pool that the delegate has chosen; undefined if the option `loops` decides
   * @returns whether the connection now belongs to another thread, or was closed because it could not get there
   */
  send(
    transport: AcceptedTransport,
    proxied: ProxiedAddresses | null,
    ahead: Buffer,
    info: AcceptInfo,
    destination: unknown,
  ): boolean;
  /** Counts a connection of the listener that has moved to another thread. */
  follow(connection: Connection, moved: RemoteConnection, isForced: boolean): void;
  /** The listener's TLS options are about to be replaced. @throws TypeError for what cannot go to another thread */
  replaceTLS(fresh: ListenerTLS): void;
  /** Sends no more connections. */
  stop(): void;
  /** Asks the other threads to close the connections there, as a deadline does that is over. */
  endAll(): void;
  /** Lets the loops listen by themselves if sockets cannot be moved between threads. Returns null if they can. */
  listen(target: ListenTarget, options: SharedListening): TransportListener | null;
}

/** What a destination does with sockets of this thread. */
export interface Sending {
  /**
   * @param loops the option of that name; undefined: the delegate decides on each connection
   * @throws TypeError for what is no list of loops, and for TLS options that cannot go to another thread
   */
  dispatcher(owner: DispatcherOwner, loops: unknown): Dispatcher;
  /** Moves an open connection. @throws BAD_STATE if it cannot leave in its present state */
  move(connection: Connection, state: string, destination: unknown, userData: unknown): SocketRequest<void>;
}

/** Returns the object that sends connections to a destination, or to the first of a list; null for anything else. */
export function sendingOf(given: unknown): Sending | null {
  const one: unknown = Array.isArray(given) ? given[0] : given;
  const sending = (one as { readonly _sending?: unknown } | null | undefined)?._sending;
  return typeof sending === "object" ? (sending as Sending | null) : null;
}
