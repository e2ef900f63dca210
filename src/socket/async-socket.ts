import type { Duplex } from "node:stream";
import { rememberCaller } from "../base/callers.js";
import { checkBoolean, checkMs, checkOptions, wrongType } from "../base/checks.js";
import { badState } from "../base/errors.js";
import { checkLimits, type FullLimits } from "../base/limits.js";
import type { SocketRequest } from "../base/request.js";
import { checkConnect, type ConnectOptions } from "../connect/options.js";
import type { CloseReason } from "../connection/close-reason.js";
import { AFTER_READING, AFTER_WRITING, dispose } from "../connection/closing.js";
import type { Conversation, OpenConversation } from "../connect/proxy/conversation.js";
import { Connection } from "../connection/connection.js";
import type { SocketDelegate } from "../connection/delegate.js";
import type { Destination } from "../connection/destination.js";
import { Securing } from "../connection/upgrade.js";
import { sendingOf } from "../listen/dispatcher.js";
import { Listener } from "../listen/listener.js";
import {
  checkFilter,
  type ListenOptions,
  listenTarget,
  type ShutdownOptions,
  type ShutdownResult,
} from "../listen/options.js";
import { SocketWriter } from "../socket-writer.js";
import type { TLSOptions } from "../tls/options.js";
import { isAskedFor, serverSettings } from "../tls/settings.js";
import { checkTransport } from "../transport/choose.js";
import { duplexFactory, DuplexTransport } from "../transport/duplex.js";
import { checkKeepAlive, socketSettings, type SocketSettings } from "../transport/options.js";
import type { AcceptedTransport, TransportFactory } from "../transport/transport.js";
import { type SocketOptions, checkDelegate, type MoveOptions, type WebStreams } from "./options.js";
import { SocketDuplex, webStreams } from "./streams.js";

/**
 * Whoever is told what happens to sockets. Every method is optional.
 *
 * @typeParam Tag - what `tag` options hold
 * @typeParam UserData - what `userData` holds
 */
export type AsyncSocketDelegate<Tag = unknown, UserData = unknown> = SocketDelegate<AsyncSocket<Tag, UserData>, Tag>;

/** What the constructor takes. */
export type AsyncSocketOptions<Tag = unknown, UserData = unknown> = SocketOptions<
  AsyncSocketDelegate<Tag, UserData>,
  UserData
>;

/**
 * A socket with fire-and-forget reads and writes: tell it what to read, and it tells you when it has it, by its
 * delegate, by the request that each call returns, or by both. Reads and writes wait in a queue each, first in, first
 * out; they may be queued before the connection is there. No call blocks, and none calls back before it has returned.
 *
 * Arguments of the wrong kind throw `TypeError` or `RangeError`, calls that can never be right
 * `ERR_ASYNCSOCKET_BAD_STATE`. On a socket that is closing or closed, an operation gives a request that fails with
 * `ERR_ASYNCSOCKET_CLOSED`.
 *
 * Any read may fail with `READ_TIMEOUT`, `END_OF_STREAM`, `CANCELED`, `CLOSED` or `CONNECTION_LOST`, any write with
 * `WRITE_TIMEOUT`, `CANCELED`, `CLOSED` or `CONNECTION_LOST` (after `ERR_ASYNCSOCKET_`). A read that fails takes no
 * byte (but for a long `skip`): what had come for it is in `error.partial`, and there for the next read. A timeout
 * closes the connection, unless the read was told to fail alone.
 *
 * @typeParam Tag - what `tag` options hold
 * @typeParam UserData - what `userData` holds
 */
export class AsyncSocket<Tag = unknown, UserData = unknown> extends SocketWriter<Tag> implements AsyncDisposable {
  /** Yours. */
  userData: UserData | undefined;
  /** Whether writing goes on after the peer's FIN has taken effect. @default false */
  readonly allowHalfOpen: boolean;
  readonly #limits: FullLimits;
  readonly #factory: TransportFactory;
  #delegate: AsyncSocketDelegate<Tag, UserData> | null;
  /** @internal */ _connection: Connection;
  #isOneWay = false;
  #isReferenced = true;
  #closed: SocketRequest<CloseReason> | null = null;

  constructor(options?: AsyncSocketOptions<Tag, UserData>) {
    super();
    const given = checkOptions(options) ?? {};
    this.#delegate = checkDelegate(given.delegate);
    this.userData = given.userData;
    this.allowHalfOpen = checkBoolean("allowHalfOpen", given.allowHalfOpen, false);
    this.#limits = checkLimits(given.limits);
    this.#factory = checkTransport(given.transport);
    this._connection = new Connection(this as AsyncSocket, this.#limits, this.#factory.clock);
  }

  /** A socket that connects at once. Takes the constructor's options as well as those of `connect`. */
  static connect<Tag = unknown, UserData = unknown>(
    options: ConnectOptions & AsyncSocketOptions<Tag, UserData>,
  ): SocketRequest<AsyncSocket<Tag, UserData>> {
    return new this<Tag, UserData>(checkOptions(options)).connect(options);
  }

  /** A socket that listens at once. Takes the constructor's options as well as those of `listen`. */
  static listen<Tag = unknown, UserData = unknown>(
    options: ListenOptions & AsyncSocketOptions<Tag, UserData>,
  ): SocketRequest<AsyncSocket<Tag, UserData>> {
    return new this<Tag, UserData>(checkOptions(options)).listen(options);
  }

  /**
   * The same face over any Node stream, or a connected `net.Socket`, which is this socket's from then on. Such a socket
   * cannot be used again after its close.
   * @throws BAD_STATE where the stream is not open
   */
  static from<Tag = unknown, UserData = unknown>(
    duplex: Duplex,
    options?: AsyncSocketOptions<Tag, UserData>,
  ): AsyncSocket<Tag, UserData> {
    const socket = new this<Tag, UserData>({ ...checkOptions(options), transport: duplexFactory });
    const transport = new DuplexTransport(duplex);
    socket.#isOneWay = true;
    socket._connection.adopt(transport);
    transport.adopt(socket._connection);
    return socket;
  }

  /** Told what happens; null for nobody. The delegate of the moment is told. */
  get delegate(): AsyncSocketDelegate<Tag, UserData> | null {
    return this.#delegate;
  }

  set delegate(delegate: AsyncSocketDelegate<Tag, UserData> | null) {
    this.#delegate = checkDelegate(delegate);
  }

  // ------------------------------------------------------------------ beginning

  /**
   * Connects to `{ host, port }`, `{ service, host }` or `{ path }`. Gives the socket once it is usable: with `tls`
   * once the peer is trusted. `timeout` and `signal` count from now until then.
   *
   * Fails with `CONNECT` (naming every address tried), `DNS`, `PROXY`, `TLS`, `CONNECT_TIMEOUT`, `TLS_TIMEOUT`,
   * `CANCELED`, or `CLOSED`. That closes the socket, and what was queued fails with `CLOSED`; it may connect again.
   * @throws BAD_STATE unless the socket is idle or closed
   */
  connect(options: ConnectOptions): SocketRequest<this> {
    const { secure, ...checked } = checkConnect(options);
    const { target } = checked;
    this.#mayBegin("connect");
    this.#begin();
    const connection = this._connection;
    if (secure !== null) {
      if (connection.securing !== null) throw badState("connect", "startTLS is queued, and tls is asked for, too");
      connection.securing = new Securing(connection, secure);
    }
    if (target.path === null) connection.host = target.host;
    connection.isReferenced = this.#isReferenced;
    const openConversation: OpenConversation = (transport, closed) => this.#openConversation(transport, closed);
    const request = connection.connect({ ...checked, factory: this.#factory, openConversation });
    rememberCaller(request, AsyncSocket.prototype, "connect");
    return request as unknown as SocketRequest<this>;
  }

  /**
   * Listens on `{ port, host? }` or `{ path }`. Gives the socket once it does; `local` then tells the port.
   * Each connection becomes a socket of this one's class, with its delegate, limits and options: `didAccept` is told of
   * it, or, where there is no such method, `connections()` gives it, in either case before a TLS handshake. Fails with
   * `LISTEN`, `DNS` (of `host`), `CANCELED` or `CLOSED`.
   * @throws BAD_STATE unless the socket is idle, with nothing queued, or closed
   */
  listen(options: ListenOptions): SocketRequest<this> {
    const target = listenTarget(options);
    const settings = socketSettings(options);
    const filter = checkFilter(options.blockList);
    const expectsHeader = checkBoolean("proxyProtocol", options.proxyProtocol, false);
    const { tls } = options;
    const secured = isAskedFor(tls) ? { options: { ...(tls as TLSOptions) }, settings: serverSettings(tls) } : null;
    if (this.pendingReads + this.pendingWrites > 0) throw badState("listen", "reads or writes are queued");
    this.#mayBegin("listen");
    const listener = new Listener(this as AsyncSocket, this.#limits, this.#factory.clock, filter, secured);
    listener.expectsHeader = expectsHeader;
    if (options.loops !== undefined) listener.spread(options.loops);
    this.#begin();
    const shared = { settings, blockList: options.blockList, proxyProtocol: expectsHeader };
    listener.listen(this.#factory, target, shared);
    if (!this.#isReferenced) listener.transport?.unref();
    this._listener = listener;
    rememberCaller(listener.listenRequest, AsyncSocket.prototype, "listen");
    return listener.listenRequest as unknown as SocketRequest<this>;
  }

  #mayBegin(operation: string): void {
    const { state } = this;
    if (this.#isOneWay)
      throw badState(operation, "it was made from a stream, turned into one, or moved: it cannot be used again");
    if (state !== "idle" && state !== "closed") throw badState(operation, `the socket is ${state}`);
  }

  /** A socket that is used again gets a new life. */
  #begin(): void {
    if (this.state === "idle") return;
    this._connection = new Connection(this as AsyncSocket, this.#limits, this.#factory.clock);
    this._listener = null;
    this.#closed = null;
  }

  /** A socket that nobody is told of, on the way to this one's own connection: for the talk with a proxy. */
  #openConversation(transport: AcceptedTransport, closed: () => void): Conversation {
    const socket = new AsyncSocket({ allowHalfOpen: true, transport: this.#factory });
    const connection = socket._connection;
    connection.isReferenced = this.#isReferenced;
    connection.onClosed = closed;
    connection.adopt(transport);
    transport.adopt(connection);
    return {
      socket,
      release: () => connection.release(),
      disconnect: () => void connection.disconnect(false),
      setReferenced: (on) => connection.setReferenced(on),
      change: (settings) => connection.change(settings),
    };
  }

  /** @internal A new socket for a connection that this one accepted. */
  _adopt(transport: AcceptedTransport): { socket: AsyncSocket; connection: Connection } {
    const socket = new (this.constructor as typeof AsyncSocket)<Tag, UserData>({
      delegate: this.#delegate,
      allowHalfOpen: this.allowHalfOpen,
      limits: this.#limits,
      transport: this.#factory,
    });
    socket._connection.isAccepted = true;
    socket._connection.adopt(transport);
    return { socket: socket as AsyncSocket, connection: socket._connection };
  }

  /**
   * Hands the connection to the loop of another thread, in mid-stream: unread bytes, limits, settings and counters go
   * along, and a structured clone of `userData`, by default this socket's own. There `onSocket` is told of it. Done once
   * it has arrived. This socket then ends, `closeReason.movedTo` says where it went, and it is not used again.
   *
   * Fails with `TRANSFER` where it cannot be moved here (it stays as it is), where it was lost meanwhile, or where the
   * thread ends before it has it; then it is closed. Anything asked of it meanwhile fails with `CLOSED`.
   * @throws BAD_STATE unless it is open, in the clear, with nothing queued, and not on that loop
   * @throws DataCloneError for user data that cannot be cloned
   */
  moveTo(runLoop: Destination, options?: MoveOptions): SocketRequest<void> {
    const given = checkOptions(options);
    const sending = Array.isArray(runLoop) ? null : sendingOf(runLoop);
    if (sending === null) throw wrongType("runLoop", "a RunLoop or a pool of them", runLoop);
    const userData = given?.userData === undefined ? this.userData : given.userData;
    const request = sending.move(this._connection, this.state, runLoop, userData);
    if (this._connection.phase === "closing") this.#isOneWay = true;
    return request;
  }

  // ------------------------------------------------------------------ ending

  /**
   * Closes at once; unsent writes are dropped, and everything queued fails with `CLOSED`. Over TLS the peer sees a
   * truncated stream. Never fails, as none of the following do; of a listener each is the end of accepting.
   */
  disconnect(): SocketRequest<CloseReason> {
    return this.#stopListening() ?? this._connection.disconnect(false);
  }

  /** Closes at once with a RST, so that the peer knows that bytes were dropped. */
  reset(): SocketRequest<CloseReason> {
    return this.#stopListening() ?? this._connection.disconnect(true);
  }

  /** Closes gracefully, as `disconnectAfterWriting`, once no read is queued. Later reads throw BAD_STATE. */
  disconnectAfterReading(): SocketRequest<CloseReason> {
    return this.#stopListening() ?? this._connection.disconnectAfter(AFTER_READING);
  }

  /**
   * Closes gracefully once no write is queued: all is sent, reads that wait fail with `CLOSED`, then FIN (over TLS
   * close_notify first), then the peer has `limits.lingerMs` for its own; what still comes is dropped. Later writes
   * throw BAD_STATE.
   */
  disconnectAfterWriting(): SocketRequest<CloseReason> {
    return this.#stopListening() ?? this._connection.disconnectAfter(AFTER_WRITING);
  }

  /** Closes gracefully once nothing is queued. */
  disconnectAfterReadingAndWriting(): SocketRequest<CloseReason> {
    return this.#stopListening() ?? this._connection.disconnectAfter(AFTER_READING | AFTER_WRITING);
  }

  /** The graceful close, of a listener the end of accepting. `limits.lingerMs` bounds it all. */
  async [Symbol.asyncDispose](): Promise<void> {
    await (this.#stopListening() ?? dispose(this._connection));
  }

  #stopListening(): SocketRequest<CloseReason> | null {
    if (this._listener === null) return null;
    this._listener.close();
    return this._listener.whenClosed("disconnect");
  }

  /** Settles when the socket is closed, whoever closed it. */
  get closed(): SocketRequest<CloseReason> {
    this.#closed ??= (this._listener ?? this._connection).whenClosed("closed");
    return this.#closed;
  }

  // ------------------------------------------------------------------ listening

  /**
   * Accepted sockets, where the delegate has no `didAccept`, until the listener is closed; where that was by an error,
   * it is thrown. Leaving the loop early loses none: they wait for the next one.
   * @throws BAD_STATE unless the socket listens, or has listened
   */
  connections(): AsyncIterableIterator<AsyncSocket<Tag, UserData>, undefined> {
    return this.#asListener("connections").backlog.iterate() as AsyncIterableIterator<
      AsyncSocket<Tag, UserData>,
      undefined
    >;
  }

  /**
   * Stops accepting and lets the connections finish; those that have not within `graceMs` are closed.
   * @returns how many finished by themselves, and how many were closed
   * @throws BAD_STATE unless the socket listens, and a second time
   */
  shutdown(options?: ShutdownOptions): SocketRequest<ShutdownResult> {
    const graceMs = checkMs("graceMs", checkOptions(options)?.graceMs);
    return this.#asListener("shutdown").shutdown(graceMs);
  }

  /**
   * Of a listener with `tls`: connections accepted from now on are secured by these options (a renewed certificate,
   * say). Those that are open stay as they are.
   * @throws BAD_STATE unless the socket listens with `tls`
   * @throws TypeError for keys and certificates that cannot be used; those from before stay
   */
  setTLS(options: TLSOptions): void {
    const settings = serverSettings(options);
    const listener = this.#asListener("setTLS");
    if (listener.tls === null) throw badState("setTLS", "the socket listens without tls");
    listener.setTLS({ options: { ...options }, settings });
  }

  #asListener(operation: string): Listener {
    if (this._listener === null) throw badState(operation, "the socket does not listen");
    return this._listener;
  }

  // ------------------------------------------------------------------ streams

  /**
   * The connection as a stream of the runtime's, which alone reads and writes from then on: unread bytes come first, what
   * was written before goes first. The socket has no delegate any more (but for `shouldTrustPeer`, while a handshake is
   * under way), keeps its limits, and can still be looked at and
   * closed; it cannot be used again after its close. An error of the stream is the one that closed the socket.
   * @throws BAD_STATE unless the socket is connecting or open, with no read queued, and has not been ended
   */
  toDuplex(): Duplex {
    this.#becomeStream("toDuplex");
    return new SocketDuplex(this._connection, this.allowHalfOpen);
  }

  /** The same as a pair of web streams. @throws BAD_STATE as `toDuplex` */
  toWeb(): WebStreams {
    this.#becomeStream("toWeb");
    return webStreams(this._connection, this.allowHalfOpen);
  }

  #becomeStream(operation: string): void {
    const { state, pendingReads, _connection } = this;
    if (this._isStream) throw badState(operation, "the socket was turned into a stream already");
    if (state !== "open" && state !== "connecting") throw badState(operation, `the socket is ${state}`);
    if (pendingReads > 0) throw badState(operation, "reads are queued");
    if (_connection.writing.endEntry !== null || _connection.closeWhen !== 0) {
      throw badState(operation, "the socket is to be ended by what was called before");
    }
    this._isStream = this.#isOneWay = true;
    _connection.securing?.keepJudge(this.#delegate);
    this.#delegate = null;
  }

  // ------------------------------------------------------------------ settings

  /** Whether small segments are sent at once (TCP_NODELAY). @throws BAD_STATE unless connecting or connected */
  setNoDelay(on = true): void {
    this.#change("setNoDelay", { noDelay: checkBoolean("on", on, true) });
  }

  /**
   * Idle ms before the first keepalive probe, as for `connect`; true: the one before, or the system's own; false: none.
   * @throws BAD_STATE unless connecting or connected
   */
  setKeepAlive(ms: number | boolean): void {
    this.#change("setKeepAlive", { keepAliveMs: checkKeepAlive("ms", ms) });
  }

  /** The socket keeps the process alive while it is open: the default. */
  ref(): void {
    this.#isReferenced = true;
    this._listener?.transport?.ref();
    this._connection.setReferenced(true);
  }

  /** The socket alone does not keep the process alive. */
  unref(): void {
    this.#isReferenced = false;
    this._listener?.transport?.unref();
    this._connection.setReferenced(false);
  }

  #change(operation: string, settings: Partial<SocketSettings>): void {
    const { transport, reason, phase } = this._connection;
    const isLive = reason === null && (transport !== null || phase === "connecting");
    if (!isLive) throw badState(operation, `the socket is ${this.state}`);
    this._connection.change(settings);
  }
}
