import type { Address, ProxiedAddresses } from "../base/address.js";
import {
  ACCEPT,
  type AcceptMessage,
  LISTEN,
  type ListenMessage,
  REFUSE,
  type RefuseMessage,
} from "../base/channels.js";
import { wrongType } from "../base/checks.js";
import { surfacing } from "../base/uncaught.js";
import type { Clock } from "../base/clock.js";
import { inWords } from "../base/errno.js";
import { type AsyncSocketError, badState, isOurs, socketError } from "../base/errors.js";
import type { FullLimits } from "../base/limits.js";
import { nobody, type RequestOwner, settle, SocketRequest } from "../base/request.js";
import { type CloseReason, withoutPayload } from "../connection/close-reason.js";
import { warnIfUnheard } from "../connection/closing.js";
import type { Connection } from "../connection/connection.js";
import type { AcceptInfo } from "../connection/delegate.js";
import type { RemoteConnection } from "../connection/destination.js";
import { publishClose } from "../connection/diagnostics.js";
import { delist, enlist } from "../connection/live-sockets.js";
import { hears, notify, surfaceUnlessHeard } from "../connection/notify.js";
import type { SocketFace } from "../connection/owner.js";
import { Upgrade } from "../connection/upgrade.js";
import type { ListenTarget } from "../transport/options.js";
import type { AcceptedTransport, ListenerSink, TransportFactory, TransportListener } from "../transport/transport.js";
import { AcceptGuard } from "./accept-guard.js";
import { Backlog } from "./backlog.js";
import {
  type Dispatcher,
  type DispatcherOwner,
  type ListenerTLS,
  sendingOf,
  type SharedListening,
} from "./dispatcher.js";
import { Goodbyes } from "./goodbyes.js";
import type { AddressFilter, CheckedShutdown, ShutdownResult } from "./options.js";
import { PortListener } from "./port-listener.js";
import { ProxyHeaderReader, type HeaderOwner } from "./proxy-header-reader.js";
import type { ProxyHeader } from "./proxy-protocol.js";
import { Shutdown, type ShutdownOwner } from "./shutdown.js";

const NOTHING = Buffer.alloc(0);
const NO_BYTES = { bytesRead: 0, bytesWritten: 0, unsentBytes: 0 };

/** A socket that was made of an accepted connection. */
export interface Adopted {
  readonly socket: ListeningFace;
  readonly connection: Connection;
}

/** The parts of a listening socket that the listener uses. */
export interface ListeningFace extends SocketFace {
  /** Makes a socket of a connection that was accepted. */
  _adopt(transport: AcceptedTransport, info: AcceptInfo): Adopted;
  readonly _connection: { pause(): void; retire(reason: CloseReason): void };
  disconnect(): unknown;
}

/**
 * The listener of a socket: it accepts connections, applies limits and filters, and knows the connections that it has
 * accepted.
 */
export class Listener implements ListenerSink, HeaderOwner, RequestOwner, DispatcherOwner, ShutdownOwner {
  phase: "listening" | "closing" | "closed" = "listening";
  reason: CloseReason | null = null;
  transport: TransportListener | null = null;
  /** The TLS options of new connections; null without TLS. */
  tls: ListenerTLS | null;
  /** Sends connections to other threads; null until one is to be sent. */
  #dispatcher: Dispatcher | null = null;
  /** Whether the option `loops` was given. */
  #isSpread = false;
  /** Whether every connection begins with a PROXY header. */
  expectsHeader = false;
  /** Accepted sockets for `connections()`, if the delegate has no `didAccept`. */
  readonly backlog = new Backlog<ListeningFace>();
  readonly #socket: ListeningFace;
  readonly limits: FullLimits;
  readonly #clock: Clock;
  readonly #guard: AcceptGuard;
  /**
   * The open connections, each with the address that it counts for, since the connection's own information may change
   * in a handshake.
   */
  readonly #connections = new Map<Connection, Address | undefined>();
  /** Connections whose PROXY header has not come yet. */
  readonly #headerReaders = new Set<ProxyHeaderReader>();
  readonly #closeRequests: SocketRequest<CloseReason>[] = [];
  readonly #listenRequest: SocketRequest<unknown>;
  #shutdown: Shutdown | null = null;

  constructor(
    socket: ListeningFace,
    limits: FullLimits,
    clock: Clock,
    filter: AddressFilter | undefined,
    tls: ListenerTLS | null,
  ) {
    this.#socket = socket;
    this.limits = limits;
    this.#clock = clock;
    this.#guard = new AcceptGuard(limits, clock, filter);
    this.tls = tls;
    this.#listenRequest = new SocketRequest<unknown>("listen", undefined, this);
    this.#listenRequest._state = "current";
  }

  get listenRequest(): SocketRequest<unknown> {
    return this.#listenRequest;
  }

  get allowHalfOpen(): boolean {
    return this.#socket.allowHalfOpen;
  }

  get local(): Address | undefined {
    return this.transport?.local;
  }

  /** The accepted sockets on this thread that have not ended. Sockets may close while this goes on. */
  *sockets(): Generator<SocketFace, undefined> {
    for (const { socket } of this.#live()) yield socket;
  }

  /** Connections may end while this goes on: a Map is made for that. */
  *#live(): Generator<Connection, undefined> {
    for (const connection of this.#connections.keys()) if (connection.reason === null) yield connection;
  }

  /** The number of connections that are on other threads, or on their way there. */
  get #elsewhere(): number {
    return this.#dispatcher?.size ?? 0;
  }

  /** The number of connections that are open, here or elsewhere, or whose PROXY header has not come yet. */
  /** Whether the listener has closed, and so have all its connections. */
  get isOver(): boolean {
    return this.phase === "closed" && this.#connections.size + this.#elsewhere === 0;
  }

  /** The connections of this thread that have not been told closed. */
  get connections(): Iterable<Connection> {
    return this.#connections.keys();
  }

  get #size(): number {
    return this.#connections.size + this.#headerReaders.size + this.#elsewhere;
  }

  // ------------------------------------------------------------------ asked for

  /**
   * Sends connections to these loops from now on, unless the delegate decides on each.
   * @throws TypeError if `loops` is no list of loops, or the TLS options cannot go to another thread
   */
  spread(loops: unknown): void {
    const sending = sendingOf(loops);
    if (sending === null) throw wrongType("loops", "a pool, a RunLoop, or a list of them", loops);
    this.#dispatcher = sending.dispatcher(this, loops);
    this.#isSpread = true;
  }

  /**
   * Begins to listen, with a server of the transport factory, or with the loops themselves if sockets cannot be moved.
   */
  listen(factory: TransportFactory, target: ListenTarget, options: SharedListening): void {
    const isOfTheSystem = factory.isOfTheSystem === true;
    const mayShare = isOfTheSystem && this.#isSpread && !hears(this.#socket, "wantsRunLoopForNewSocket");
    const shared = mayShare ? (this.#dispatcher?.listen(target, options) ?? null) : null;
    this.transport =
      shared ??
      (isOfTheSystem
        ? new PortListener(factory, target, options.settings, this)
        : factory.listen(target, options.settings, this));
    enlist(this.#socket);
  }

  /** Stops accepting. Connections stay open, except those that were not handed to the application yet. */
  close(): void {
    this.#close({ by: "local", error: null, unread: NOTHING, ...NO_BYTES });
  }

  /** Stops accepting, and closes the connections that are still open when the grace period is over. */
  shutdown({ graceMs, goodbye }: CheckedShutdown<SocketFace>): SocketRequest<ShutdownResult> {
    if (this.#shutdown !== null) throw badState("shutdown", "it was called already");
    this.#shutdown = new Shutdown(this.#clock, this, graceMs);
    this.close();
    if (goodbye !== null) new Goodbyes(this.#clock, this.#live(), goodbye).start();
    return this.#shutdown.request;
  }

  /** Replaces the TLS options for connections accepted from now on. */
  setTLS(tls: ListenerTLS): void {
    this.#dispatcher?.replaceTLS(tls);
    this.tls = tls;
  }

  whenClosed(kind: "disconnect" | "closed"): SocketRequest<CloseReason> {
    const request = new SocketRequest<CloseReason>(kind, undefined, nobody);
    if (this.phase === "closed") settle(request, "done", this.reason);
    else this.#closeRequests.push(request);
    return request;
  }

  cancelRequest(request: SocketRequest<unknown>): boolean {
    if (request !== this.#listenRequest || request._state !== "current") return false;
    this.#closeFor(socketError("CANCELED", "listen", "listen was canceled"));
    return true;
  }

  extendRequest(): boolean {
    return false;
  }

  bytesDoneOf(): number {
    return 0;
  }

  // ------------------------------------------------------------------ told by the transport

  didListen(): void {
    if (this.#listenRequest._state !== "current") return;
    this.#publishListen(undefined);
    settle(this.#listenRequest, "done", this.#socket);
  }

  #publishListen(error: AsyncSocketError | undefined): void {
    if (!LISTEN.hasSubscribers) return;
    LISTEN.publish({ socket: this.#socket, local: this.local, error } satisfies ListenMessage);
  }

  didAccept(transport: AcceptedTransport): void {
    if (this.#refuses(transport, transport.remote) || this.#isTooMuch(transport)) return;
    if (this.expectsHeader) {
      this.#headerReaders.add(new ProxyHeaderReader(transport, this, this.#clock, this.limits.handshakeMs));
    } else this.#open(transport, null, NOTHING, false);
  }

  didReadHeader(intake: ProxyHeaderReader, { proxied }: ProxyHeader, rest: Buffer, hasEnded: boolean): void {
    this.#headerReaders.delete(intake);
    if (proxied !== null && this.#refuses(intake.transport, proxied.remote)) return;
    this.#open(intake.transport, proxied, rest, hasEnded);
  }

  didFailHeader(intake: ProxyHeaderReader, error: AsyncSocketError): void {
    this.#headerReaders.delete(intake);
    const { local, remote } = intake.transport;
    this.didFailAcceptWith(error, { local, remote });
  }

  /**
   * @param ahead bytes that were already received; they are copied
   * @param hasEnded whether the peer's FIN has arrived, too
   */
  #open(transport: AcceptedTransport, proxied: ProxiedAddresses | null, ahead: Buffer, hasEnded: boolean): void {
    const { local, remote: peer } = transport;
    const info: AcceptInfo = proxied === null ? { local, remote: peer } : { local, remote: peer, proxied };
    if (this.#sends(transport, proxied, ahead, info)) return;
    const adopted = this.#adopt(transport, info);
    if (adopted === null) return;
    const { socket, connection, isTold } = adopted;
    const remote = proxied?.remote ?? peer;
    this.#connections.set(connection, remote);
    connection.onClosed = this.#forget;
    this.count(remote, 1);
    if (ahead.length > 0) connection.takeAhead(ahead);
    transport.adopt(connection);
    if (this.tls !== null) {
      connection.upgrade = new Upgrade(connection, this.tls.settings);
      connection.upgrade.begin();
    }
    if (ACCEPT.hasSubscribers) {
      const listener = this.#socket;
      ACCEPT.publish({ listener, socket, local, remote: peer, proxied: proxied ?? undefined } satisfies AcceptMessage);
    }
    if (isTold) notify(this.#socket, "didAccept", socket);
    else if (this.phase === "listening") this.backlog.push(socket);
    else socket.disconnect(); // A callback has closed the listener, which hands out no sockets any more.
    if (hasEnded) connection.didEnd();
    connection.drain();
  }

  /**
   * Sends the connection to another thread if the delegate or the option `loops` says so.
   * @returns whether it was sent
   */
  #sends(transport: AcceptedTransport, proxied: ProxiedAddresses | null, ahead: Buffer, info: AcceptInfo): boolean {
    if (!hears(this.#socket, "wantsRunLoopForNewSocket")) {
      return this.#isSpread && this.#dispatcher?.send(transport, proxied, ahead, info, undefined) === true;
    }
    const wanted = notify(this.#socket, "wantsRunLoopForNewSocket", info) ?? null;
    if (wanted === null) return false;
    this.#dispatcher ??= sendingOf(wanted)?.dispatcher(this, undefined) ?? null;
    if (this.#dispatcher !== null) return this.#dispatcher.send(transport, proxied, ahead, info, wanted);
    transport.destroy(true);
    const cause = wrongType("runLoop", "a RunLoop or a pool of them", wanted);
    surfaceUnlessHeard(this.#socket, cause);
    const words = `A connection could not be sent to a run loop: ${cause.message}`;
    this.didFailAcceptWith(socketError("TRANSFER", "listen", words, cause), info);
    return true;
  }

  #follow(connection: Connection, moved: RemoteConnection): void {
    const to = connection.reason?.error === null ? connection.reason.movedTo : undefined;
    this.#dispatcher ??= sendingOf(to)?.dispatcher(this, undefined) ?? null;
    this.#dispatcher?.follow(connection, moved, this.#shutdown?.isGraceOver === true);
  }

  /**
   * Makes a socket. A subclass written by the user may throw in its constructor, and so may `userDataFor`, and a getter
   * `didAccept`, which is therefore asked first: otherwise nobody would ever hear of the socket.
   */
  #adopt(transport: AcceptedTransport, info: AcceptInfo): (Adopted & { isTold: boolean }) | null {
    try {
      const isTold = surfacing(() => (this.#socket.delegate?.didAccept ?? null) !== null);
      const { socket, connection } = this.#socket._adopt(transport, info);
      return { socket, connection, isTold };
    } catch (error) {
      this.#refuse(transport, `no socket could be made for it: ${inWords(error)}`, error);
      return null;
    }
  }

  didFailAcceptWith(error: AsyncSocketError, info: AcceptInfo): void {
    if (REFUSE.hasSubscribers) {
      const { local, remote } = info;
      REFUSE.publish({ listener: this.#socket, local, remote, error } satisfies RefuseMessage);
    }
    notify(this.#socket, "didFailAccept", error, info);
  }

  didFailAccept(cause: Error): void {
    const error = socketError("ACCEPT", "listen", `A connection could not be accepted: ${inWords(cause)}`, cause);
    this.didFailAcceptWith(error, { local: this.transport?.local, remote: undefined });
  }

  didFail(error: Error): void {
    this.#closeFor(isOurs(error) ? error : socketError("LISTEN", "listen", `Cannot listen: ${inWords(error)}`, error));
  }

  didClose(): void {
    this.#clock.later(reportClosed, this);
  }

  // ------------------------------------------------------------------ guarding

  /** @param remote the address of the client; behind a proxy, the address that connected to the proxy */
  #refuses(transport: AcceptedTransport, remote: Address | undefined): boolean {
    let refusal: string | null;
    try {
      refusal = this.phase === "listening" ? this.#guard.refusal(remote, this.#size) : "the listener is closed";
    } catch (error) {
      surfaceUnlessHeard(this.#socket, error);
      this.#refuse(transport, `the block list failed: ${inWords(error)}`, error);
      return true;
    }
    if (refusal !== null) this.#refuse(transport, refusal);
    return refusal !== null;
  }

  /** Refuses a connection that `limits.acceptsPerSecond` does not allow. @returns whether it was refused */
  #isTooMuch(transport: AcceptedTransport): boolean {
    const refusal = this.#guard.takeAccept();
    if (refusal !== null) this.#refuse(transport, refusal);
    return refusal !== null;
  }

  #refuse(transport: AcceptedTransport, why: string, cause?: unknown): void {
    const { local, remote } = transport;
    transport.destroy(true);
    this.didFailAcceptWith(socketError("ACCEPT", "listen", `A connection was refused: ${why}`, cause), {
      local,
      remote,
    });
  }

  /** Counts one connection more or less from an address. */
  count(remote: Address | undefined, change: 1 | -1): void {
    this.#guard.count(remote, change);
  }

  readonly #forget = (connection: Connection): void => {
    this.count(this.#connections.get(connection), -1);
    this.#connections.delete(connection);
    const { moved } = connection;
    // The connection is on another thread now, but still counts as one of this listener's.
    if (moved !== null && moved.state !== "over") this.#follow(connection, moved);
    else this.#shutdown?.didEnd(connection);
  };

  didEndOne(isForced: boolean): void {
    this.#shutdown?.didEndOne(isForced);
  }

  forceElsewhere(): void {
    this.#dispatcher?.endAll();
  }

  // ------------------------------------------------------------------ closing

  #closeFor(error: AsyncSocketError): void {
    this.#close({ by: "error", error, unread: NOTHING, ...NO_BYTES });
  }

  #close(reason: CloseReason): void {
    if (this.phase !== "listening") return;
    this.phase = "closing";
    this.reason = withoutPayload(reason);
    this.#socket._connection.retire(reason);
    this.backlog.disconnectAll();
    this.#dispatcher?.stop();
    for (const intake of this.#headerReaders) intake.cancel();
    this.#headerReaders.clear();
    this.transport?.close();
  }

  reportClosed(): void {
    const reason = this.reason as CloseReason;
    this.phase = "closed";
    delist(this.#socket);
    if (this.#listenRequest._state === "current") {
      const error = reason.error ?? socketError("CLOSED", "listen", "listen failed: the socket was closed meanwhile");
      this.#publishListen(error);
      settle(this.#listenRequest, "failed", error);
      warnIfUnheard(this.#socket, this.#listenRequest, reason);
    }
    this.backlog.end(reason.error);
    publishClose(this.#socket, reason, undefined, this.#closeRequests);
    notify(this.#socket, "didDisconnect", reason);
    for (const request of this.#closeRequests.splice(0)) settle(request, "done", reason);
    this.#shutdown?.finish();
  }
}

function reportClosed(listener: Listener): void {
  listener.reportClosed();
}
