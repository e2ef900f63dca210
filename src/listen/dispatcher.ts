/** What a listener and a socket ask of other threads. Run loops and pools bring it along: nothing here knows them. */

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

/** How a listener's connections are encrypted from their start: as the user said it, and checked. */
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
  /** A connection from there is one of the listener's from now on, or is no more. */
  count(remote: Address | undefined, change: 1 | -1): void;
  /** One of its connections is closed on its thread. */
  didEndOne(isForced: boolean): void;
  didFailAcceptWith(error: AsyncSocketError, info: AcceptInfo): void;
  didListen(): void;
  didFail(error: Error): void;
  didClose(): void;
}

/** What loops that listen by themselves have to know. */
export interface SharedListening {
  readonly settings: SocketSettings;
  readonly blockList: unknown;
  readonly proxyProtocol: boolean;
}

/** Sends a listener's connections to other threads, and keeps count of those that are there. */
export interface Dispatcher {
  /** Connections that are on other threads, or on their way. */
  readonly size: number;
  /**
   * @param destination what the delegate has chosen; undefined: the option `loops` decides
   * @returns whether the connection is not this thread's any more
   */
  send(
    transport: AcceptedTransport,
    proxied: ProxiedAddresses | null,
    ahead: Buffer,
    info: AcceptInfo,
    destination: unknown,
  ): boolean;
  /** A connection of the listener's that has moved. */
  follow(connection: Connection, moved: RemoteConnection, isForced: boolean): void;
  /** The listener's TLS options are about to be replaced. @throws TypeError for what cannot go to another thread */
  replaceTLS(fresh: ListenerTLS): void;
  /** No more will be sent. */
  stop(): void;
  /** Closes those on other threads at once. @returns how many */
  endAll(): number;
  /** Where sockets cannot be moved, the loops listen by themselves. Null: they can. */
  listen(target: ListenTarget, options: SharedListening): TransportListener | null;
}

/** What a destination can do with sockets of this thread. */
export interface Sending {
  /**
   * @param loops the option of that name; undefined: the delegate decides on each connection
   * @throws TypeError for what is no list of loops, and for TLS options that cannot go to another thread
   */
  dispatcher(owner: DispatcherOwner, loops: unknown): Dispatcher;
  /** Moves a live connection. @throws BAD_STATE where it cannot leave as it is */
  move(connection: Connection, state: string, destination: unknown, userData: unknown): SocketRequest<void>;
}

/** What sends connections to a destination, or to the first of a list; null for anything else. */
export function sendingOf(given: unknown): Sending | null {
  const one: unknown = Array.isArray(given) ? given[0] : given;
  const sending = (one as { readonly _sending?: unknown } | null | undefined)?._sending;
  return typeof sending === "object" ? (sending as Sending | null) : null;
}
