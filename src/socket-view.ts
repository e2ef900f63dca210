import { inspect } from "node:util";
import type { Address, ProxiedAddresses } from "./base/address.js";
import type { SocketRequest } from "./base/request.js";
import type { CloseReason } from "./connection/close-reason.js";
import type { Connection } from "./connection/connection.js";
import { UpgradeGate } from "./connection/upgrade.js";
import type { Listener } from "./listen/listener.js";
import { describe } from "./socket/inspect.js";
import type { TLSInfo } from "./tls/options.js";

/** Where a socket stands. */
export type SocketState = "idle" | "connecting" | "listening" | "open" | "closing" | "closed";

/** A socket in JSON. */
export type SocketSummary = Pick<
  SocketView,
  "id" | "state" | "isSecure" | "local" | "remote" | "bytesRead" | "bytesWritten" | "unreadBytes" | "unsentBytes"
>;

let lastId = 0;

/** What can be seen of a socket: readable at any time, after its close too, until it is used again. */
export abstract class SocketView {
  /** Unique in the process. */
  readonly id: number = ++lastId;
  /** @internal The present life, or the last one. */
  abstract _connection: Connection;
  /** @internal The present life as a listener. */
  _listener: Listener | null = null;
  /** @internal Whether it was turned into a stream, which alone reads and writes then. */
  _isStream = false;

  /** Where it stands. From `"closed"` on it may connect or listen again. */
  get state(): SocketState {
    return (this._listener ?? this._connection).phase;
  }

  /** Whether what is sent is encrypted. */
  get isSecure(): boolean {
    return this._connection.securing?.state === "secure";
  }

  /** What the TLS handshake came to, also one that failed once it was through; undefined before, and in the clear. */
  get tls(): TLSInfo | undefined {
    return this._connection.securing?.info ?? undefined;
  }

  /** This end; of a listener, where it listens. Undefined before there is a connection. */
  get local(): Address | undefined {
    return (this._listener ?? this._connection).transport?.local;
  }

  /** The other end of the connection itself: through a proxy, either way, the proxy. Undefined before there is one. */
  get remote(): Address | undefined {
    return this._connection.transport?.remote;
  }

  /**
   * Of a connection accepted with `proxyProtocol`: whose it is, and where that came in, as the proxy tells it.
   * Undefined without a proxy, and where it passes on no connection, but checks the server's health.
   */
  get proxied(): ProxiedAddresses | undefined {
    return this._connection.proxied ?? undefined;
  }

  /** Bytes received, unread ones included; over TLS those of the application. */
  get bytesRead(): number {
    return this._connection.bytesRead;
  }

  /** Bytes that the operating system has taken; over TLS those of the application. */
  get bytesWritten(): number {
    return this._connection.writing.bytesWritten;
  }

  /** Received, not read yet. */
  get unreadBytes(): number {
    return this._connection.reading.queue.buffer.length;
  }

  /** A copy of what was received and not read yet. */
  get unread(): Buffer {
    const { buffer } = this._connection.reading.queue;
    return buffer.copyOut(buffer.length);
  }

  /** Queued, not taken by the operating system yet. After a close: what was never sent. */
  get unsentBytes(): number {
    return this._connection.reason?.unsentBytes ?? this._connection.writing.unsentBytes;
  }

  /** Whether the peer's FIN has come, even if bytes before it are still unread. */
  get peerEnded(): boolean {
    return this._connection.reading.peerEnded;
  }

  /** Reads that are queued, the current one included. A `startTLS` is one of them. */
  get pendingReads(): number {
    return this._connection.reading.queue.length;
  }

  /** Writes that are queued, the current one included. An `end` and a `startTLS` are among them. */
  get pendingWrites(): number {
    return this._connection.writing.queue.length;
  }

  /** The read, or the `startTLS`, that all others wait for; undefined where there is none, or no connection yet. */
  get currentRead(): SocketRequest<unknown> | undefined {
    return current(this._connection.reading.queue.head);
  }

  /**
   * The same of the writes. Where a `startTLS` waits for reads before it, it is here while another is `currentRead`.
   */
  get currentWrite(): SocketRequest<unknown> | undefined {
    return current(this._connection.writing.queue.head);
  }

  /** Why the socket was closed, or is being closed. */
  get closeReason(): CloseReason | undefined {
    return (this._listener ?? this._connection).reason ?? undefined;
  }

  /** One line, without any payload. */
  [inspect.custom](): string {
    return describe(this);
  }

  /** What can be told of it in JSON, without any payload. */
  toJSON(): SocketSummary {
    const { id, state, isSecure, local, remote, bytesRead, bytesWritten, unreadBytes, unsentBytes } = this;
    return { id, state, isSecure, local, remote, bytesRead, bytesWritten, unreadBytes, unsentBytes };
  }
}

function current(entry: SocketRequest<unknown> | null): SocketRequest<unknown> | undefined {
  if (entry?.state !== "current") return undefined;
  return entry instanceof UpgradeGate ? entry.entry : entry;
}
