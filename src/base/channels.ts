/**
 * The channels of `node:diagnostics_channel` on which sockets tell of their doings, with the shape of each message. Code
 * that runs for each read, write or chunk asks `hasSubscribers` before it does anything else. The modules hold the channel
 * objects, since a runtime forgets a channel that nobody holds.
 */

import { channel } from "node:diagnostics_channel";
import type { Address, ProxiedAddresses } from "./address.js";
import type { AsyncSocketError } from "./errors.js";
import type { RequestKind, SocketRequest } from "./request.js";

export const READ = channel("asyncsocket:read");
export const WRITE = channel("asyncsocket:write");
export const BYTES = channel("asyncsocket:bytes");
export const LISTEN = channel("asyncsocket:listen");
export const ACCEPT = channel("asyncsocket:accept");
export const REFUSE = channel("asyncsocket:refuse");
export const SECURE = channel("asyncsocket:secure");
export const TIMEOUT = channel("asyncsocket:timeout");
export const CLOSE = channel("asyncsocket:close");
export const MOVE = channel("asyncsocket:move");

/** The events of `tracingChannel("asyncsocket:connect")`, under the names that Node gives them. */
export const CONNECT = {
  start: channel("tracing:asyncsocket:connect:start"),
  end: channel("tracing:asyncsocket:connect:end"),
  asyncStart: channel("tracing:asyncsocket:connect:asyncStart"),
  asyncEnd: channel("tracing:asyncsocket:connect:asyncEnd"),
  error: channel("tracing:asyncsocket:connect:error"),
};

/** An address that `connect` has tried, or the proxy's. */
export interface TriedAddress {
  /** The address with its port, or the path. */
  readonly address: Address;
  /** Undefined while the attempt goes on. `"canceled"`: another address was faster, or the connect was given up. */
  outcome: "connected" | "failed" | "canceled" | undefined;
  /** How long the attempt took; undefined while it goes on. */
  ms: number | undefined;
  /** Why it failed. */
  error: Error | undefined;
}

/** One question for the addresses of a name. */
export interface NameLookup {
  readonly host: string;
  /** 4 or 6, or 0 for both in one question. */
  readonly family: 0 | 4 | 6;
  /** How long the answer took; undefined while there is none. */
  ms: number | undefined;
  /** How many addresses the answer has. */
  addresses: number;
  error: Error | undefined;
}

/**
 * One `connect`, from its call until the socket can be used. All events of the tracing channel have the same object,
 * which fills up.
 */
export interface ConnectMessage<S = object> {
  readonly socket: S;
  readonly request: SocketRequest<unknown>;
  /** The host or the service that was asked for; undefined for a path. */
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly path: string | undefined;
  /** The host and port of the proxy, without name and password; undefined without one. */
  readonly proxy: string | undefined;
  readonly lookups: NameLookup[];
  readonly tried: TriedAddress[];
  /** The time of the longest name lookup; undefined where no name was looked up. */
  dnsMs: number | undefined;
  /** The time of the TLS handshake, the trust in the peer included; undefined without one. */
  tlsMs: number | undefined;
  /** The time of everything; undefined before the end. */
  ms: number | undefined;
  /** The socket, once it can be used. */
  result?: S;
  /** Why the connect failed. */
  error?: AsyncSocketError;
}

export interface ListenMessage<S = object> {
  readonly socket: S;
  readonly local: Address | undefined;
  /** Why the socket does not listen; undefined if it does. */
  readonly error: AsyncSocketError | undefined;
}

/** A connection that became a socket of this thread, before a TLS handshake. */
export interface AcceptMessage<S = object> {
  readonly listener: S;
  readonly socket: S;
  readonly local: Address | undefined;
  readonly remote: Address | undefined;
  readonly proxied: ProxiedAddresses | undefined;
}

/** A connection that never became a socket: what `didFailAccept` tells of. */
export interface RefuseMessage<S = object> {
  readonly listener: S;
  readonly local: Address | undefined;
  readonly remote: Address | undefined;
  readonly error: AsyncSocketError;
}

/** A TLS handshake that is over. */
export interface SecureMessage<S = object> {
  readonly socket: S;
  /** From the beginning of the handshake until the peer was trusted or refused. */
  readonly ms: number;
  readonly version: string | undefined;
  readonly cipher: string | undefined;
  readonly alpn: string | undefined;
  readonly servername: string | undefined;
  readonly resumed: boolean;
  /** Whether the peer showed a certificate with which nothing is wrong. */
  readonly authorized: boolean;
  /** Why the handshake failed, or the peer is not trusted; undefined if the connection is encrypted now. */
  readonly error: AsyncSocketError | undefined;
}

/** A read or a write that is settled. Of a standing read there is one message for each message that it was served. */
export interface EntryMessage<S = object> {
  readonly socket: S;
  readonly request: SocketRequest<unknown>;
  readonly kind: RequestKind;
  readonly tag: unknown;
  /** How many bytes the read took, or the operating system has taken of the write. */
  readonly bytes: number;
  /**
   * How long the entry waited for those before it, and how long it was the current one. Undefined for an entry that was
   * queued before anybody subscribed.
   */
  readonly queuedMs: number | undefined;
  readonly currentMs: number | undefined;
  /** Why it failed; undefined if it is done. */
  readonly error: AsyncSocketError | undefined;
}

/** A deadline that has struck: every error whose code ends with `_TIMEOUT`. */
export interface TimeoutMessage<S = object> {
  readonly socket: S;
  readonly operation: string;
  readonly error: AsyncSocketError;
}

export interface CloseMessage<S = object> {
  readonly socket: S;
  readonly by: "local" | "remote" | "error";
  readonly error: AsyncSocketError | undefined;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** How many received bytes were never read. */
  readonly unreadBytes: number;
  readonly unsentBytes: number;
  /** How long the connection was open; undefined if it never was. */
  readonly openMs: number | undefined;
  /** The name of the run loop to which the connection has moved. */
  readonly movedTo: string | undefined;
  /** The first call of a `disconnect` method; undefined where there was none. */
  readonly request: SocketRequest<unknown> | undefined;
}

export interface MoveMessage<S = object> {
  readonly socket: S;
  /** Whether the connection leaves this thread, or has come from another one. */
  readonly direction: "out" | "in";
  /** The name of the run loop to which the connection goes; undefined for one that has come. */
  readonly runLoop: string | undefined;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

/** One chunk of the stream of a connection, on the clear side of TLS. */
export interface BytesMessage<S = object> {
  readonly socket: S;
  /** `"received"`: the transport has delivered the chunk. `"sent"`: the chunk was handed to the transport. */
  readonly direction: "received" | "sent";
  /** The bytes. The view is valid only until the subscriber returns; empty for the end of the stream. */
  readonly bytes: Uint8Array;
  /** Whether TLS carried the bytes. */
  readonly isSecure: boolean;
  /** Whether this is the FIN of that direction. */
  readonly isEnd: boolean;
}
