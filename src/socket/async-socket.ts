import type { Duplex } from "node:stream";
import { inspect } from "node:util";
import type { Address, ProxiedAddresses } from "../base/address.js";
import { rememberCaller } from "../base/callers.js";
import {
  type Bytes,
  checkBoolean,
  checkOptions,
  checkSignal,
  needOptions,
  toBytes,
  toParts,
  wrongType,
} from "../base/checks.js";
import { checkNames, named } from "../base/option-names.js";
import { badState } from "../base/errors.js";
import { type FullLimits, checkLimits } from "../base/limits.js";
import type { SocketRequest } from "../base/request.js";
import { checkConnect, CONNECT_OPTIONS, type ConnectOptions } from "../connect/options.js";
import type { Conversation, OpenConversation } from "../connect/proxy/conversation.js";
import type { CloseReason } from "../connection/close-reason.js";
import { AFTER_READING, AFTER_WRITING, dispose } from "../connection/closing.js";
import { Connection } from "../connection/connection.js";
import type { SocketDelegate } from "../connection/delegate.js";
import type { Destination } from "../connection/destination.js";
import type { Reading } from "../connection/reading.js";
import { Upgrade, UpgradeGate } from "../connection/upgrade.js";
import type { Framing, MessageFraming } from "../framing/framing.js";
import { type ListenerTLS, sendingOf } from "../listen/dispatcher.js";
import { Listener } from "../listen/listener.js";
import {
  type ListenOptions,
  type ShutdownOptions,
  type ShutdownResult,
  checkFilter,
  checkGrace,
  LISTEN_OPTIONS,
  listenTarget,
} from "../listen/options.js";
import { NO_TIMEOUT, checkTimeout } from "../pump/entry.js";
import type { ReadEntry } from "../pump/read-entry.js";
import { WriteEntry } from "../pump/write-queue.js";
import type { StartTLSOptions, TLSInfo, TLSOptions } from "../tls/options.js";
import { clientSettings, isAskedFor, serverSettings } from "../tls/settings.js";
import { checkTransport } from "../transport/choose.js";
import { DuplexTransport, duplexFactory } from "../transport/duplex.js";
import { type SocketSettings, checkKeepAlive, socketSettings } from "../transport/options.js";
import type { AcceptedTransport, TransportFactory } from "../transport/transport.js";
import { describe } from "./inspect.js";
import { ReadIterator } from "./iterators.js";
import {
  MOVE_OPTIONS,
  SOCKET_OPTIONS,
  type MoveOptions,
  type SocketOptions,
  type WebStreams,
  checkDelegate,
} from "./options.js";
import * as reads from "./read-options.js";
import type {
  DataOptions,
  DelimitedOptions,
  FrameOptions,
  LineOptions,
  MessageOptions,
  OperationOptions,
  PeekOptions,
  ReadOptions,
  ReadingOptions,
  WithEncoding,
  WithoutEncoding,
} from "./read-options.js";
import { SocketDuplex, webStreams } from "./streams.js";
import { mayBecomeStream, mayBegin, mayListen, mayRead, mayStartTLS, mayWrite } from "../connection/permissions.js";

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

/** Where a socket stands. */
export type SocketState = "idle" | "connecting" | "listening" | "open" | "closing" | "closed";

/** A socket in JSON. */
export type SocketSummary = Pick<
  AsyncSocket,
  "id" | "state" | "isSecure" | "local" | "remote" | "bytesRead" | "bytesWritten" | "unreadBytes" | "unsentBytes"
>;

let lastId = 0;

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
export class AsyncSocket<Tag = unknown, UserData = unknown> implements AsyncDisposable {
  /** Unique in the process. */
  readonly id: number = ++lastId;
  /** @internal The present life as a listener. */
  _listener: Listener | null = null;
  /** @internal Whether it was turned into a stream, which alone reads and writes then. */
  _isStream = false;
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
    const given = checkOptions(options) ?? {};
    checkNames("options of a socket", given, SOCKET_OPTIONS);
    this.#delegate = checkDelegate(given.delegate);
    this.userData = given.userData;
    this.allowHalfOpen = checkBoolean("allowHalfOpen", given.allowHalfOpen, false);
    this.#limits = checkLimits(given.limits);
    this.#factory = checkTransport(given.transport);
    this._connection = new Connection(this, this.#limits, this.#factory.clock);
  }

  /** A socket that connects at once. Takes the constructor's options as well as those of `connect`. */
  static connect<Tag = unknown, UserData = unknown>(
    options: ConnectOptions & AsyncSocketOptions<Tag, UserData>,
  ): SocketRequest<AsyncSocket<Tag, UserData>> {
    checkNames("options of connect", needOptions(options), CONNECT_OPTIONS, SOCKET_OPTIONS);
    return new this<Tag, UserData>(named(options, SOCKET_OPTIONS)).connect(named(options, CONNECT_OPTIONS));
  }

  /** A socket that listens at once. Takes the constructor's options as well as those of `listen`. */
  static listen<Tag = unknown, UserData = unknown>(
    options: ListenOptions & AsyncSocketOptions<Tag, UserData>,
  ): SocketRequest<AsyncSocket<Tag, UserData>> {
    checkNames("options of listen", needOptions(options), LISTEN_OPTIONS, SOCKET_OPTIONS);
    return new this<Tag, UserData>(named(options, SOCKET_OPTIONS)).listen(named(options, LISTEN_OPTIONS));
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
    mayBegin("connect", this, this.#isOneWay);
    this.#begin();
    const connection = this._connection;
    if (secure !== null) {
      if (connection.upgrade !== null) throw badState("connect", "startTLS is queued, and tls is asked for, too");
      connection.upgrade = new Upgrade(connection, secure);
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
    const secured = isAskedFor(tls) ? securedBy(tls) : null;
    mayListen(this, this.#isOneWay);
    const listener = new Listener(this, this.#limits, this.#factory.clock, filter, secured);
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

  /** A socket that is used again gets a new life. */
  #begin(): void {
    if (this.state === "idle") return;
    this._connection = new Connection(this, this.#limits, this.#factory.clock);
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
    const given = checkOptions(options) ?? {};
    checkNames("options of moveTo", given, MOVE_OPTIONS);
    const sending = Array.isArray(runLoop) ? null : sendingOf(runLoop);
    if (sending === null) throw wrongType("runLoop", "a RunLoop or a pool of them", runLoop);
    const userData = given.userData === undefined ? this.userData : given.userData;
    const request = sending.move(this._connection, this.state, runLoop, userData);
    if (this._connection.phase === "closing") this.#isOneWay = true;
    return request;
  }

  // ------------------------------------------------------------------ reading

  /** Whatever is there: at least one byte, at most `maxLength`. */
  read(options: ReadOptions<Tag> & WithEncoding): SocketRequest<string>;
  read(options?: ReadOptions<Tag> & WithoutEncoding): SocketRequest<Buffer>;
  read(options?: ReadOptions<Tag>): SocketRequest<Buffer | string>;
  read(options?: ReadOptions<Tag>): SocketRequest<Buffer | string> {
    return this.#queueRead("read", reads.readEntry(this._connection.reading, options), options);
  }

  /** Exactly `length` bytes; 0 gives an empty buffer in its turn. */
  readExactly(length: number, options: DataOptions<Tag> & WithEncoding): SocketRequest<string>;
  readExactly(length: number, options?: DataOptions<Tag> & WithoutEncoding): SocketRequest<Buffer>;
  readExactly(length: number, options?: DataOptions<Tag>): SocketRequest<Buffer | string>;
  readExactly(length: number, options?: DataOptions<Tag>): SocketRequest<Buffer | string> {
    return this.#queueRead("readExactly", reads.readExactlyEntry(this._connection.reading, length, options), options);
  }

  /**
   * All through the delimiter, which is included. Of a list, the one that ends first wins.
   * Fails with `READ_LIMIT` exactly when `maxLength` bytes are there and no delimiter ends within them.
   */
  readUntil(delimiter: Bytes | readonly Bytes[], options: DelimitedOptions<Tag> & WithEncoding): SocketRequest<string>;
  readUntil(
    delimiter: Bytes | readonly Bytes[],
    options?: DelimitedOptions<Tag> & WithoutEncoding,
  ): SocketRequest<Buffer>;
  readUntil(delimiter: Bytes | readonly Bytes[], options?: DelimitedOptions<Tag>): SocketRequest<Buffer | string>;
  readUntil(delimiter: Bytes | readonly Bytes[], options?: DelimitedOptions<Tag>): SocketRequest<Buffer | string> {
    return this.#queueRead("readUntil", reads.readUntilEntry(this._connection.reading, delimiter, options), options);
  }

  /** One line, without its ending, which is LF or CRLF. */
  readLine(options?: LineOptions<Tag>): SocketRequest<string> {
    return this.#queueRead("readLine", reads.readLineEntry(this._connection.reading, options), options);
  }

  /**
   * A length, and so many bytes: gives the bytes. Memory grows with what has come, not with what was announced.
   * Fails with `READ_LIMIT` as soon as more than `maxLength` is announced, with `BAD_FRAME` for an impossible length.
   */
  readFrame(options: FrameOptions<Tag> & WithEncoding): SocketRequest<string>;
  readFrame(options: FrameOptions<Tag> & WithoutEncoding): SocketRequest<Buffer>;
  readFrame(options: FrameOptions<Tag>): SocketRequest<Buffer | string>;
  readFrame(options: FrameOptions<Tag>): SocketRequest<Buffer | string> {
    return this.#queueRead("readFrame", reads.readFrameEntry(this._connection.reading, options), options);
  }

  /**
   * One message of a framing of your own, or of a built-in one. Gives what the framing decodes it to.
   * Fails with `READ_LIMIT` where the message, or what has come of it, is longer than `maxLength`, and with `BAD_FRAME`
   * where the framing throws, or gives a length that cannot be; its `cause` tells.
   */
  readMessage<T>(framing: Framing<T>, options?: MessageOptions<Tag>): SocketRequest<T> {
    const entry = reads.readMessageEntry(this._connection.reading, framing, options);
    return this.#queueRead("readMessage", entry, options);
  }

  /** A copy of the next `length` bytes, which stay for the next read. */
  peek(options: PeekOptions<Tag> & WithEncoding): SocketRequest<string>;
  peek(options: PeekOptions<Tag> & WithoutEncoding): SocketRequest<Buffer>;
  peek(options: PeekOptions<Tag>): SocketRequest<Buffer | string>;
  peek(options: PeekOptions<Tag>): SocketRequest<Buffer | string> {
    return this.#queueRead("peek", reads.peekEntry(this._connection.reading, options), options);
  }

  /** Drops the next `length` bytes without copying. One longer than `limits.readAhead` drops as they come, for good. */
  skip(length: number, options?: ReadingOptions<Tag>): SocketRequest<undefined> {
    return this.#queueRead("skip", reads.skipEntry(this._connection.reading, length, options), options);
  }

  /**
   * Every queued read, the current one included, fails with `CANCELED`; no byte is taken. A `startTLS` stays.
   * @returns how many
   */
  cancelReads(): number {
    return this._connection.cancelReads();
  }

  /**
   * Lines, until the end of the stream. Ends normally there and after a close of this side's; throws `END_OF_STREAM`
   * where a part of a line is left, and what else ends the connection or a read. Options are those of each read.
   */
  lines(options?: LineOptions<Tag>): AsyncIterableIterator<string, undefined> {
    return this.#iterate("readLine", options, (reading) => reads.readLineEntry(reading, options));
  }

  /** The bodies of frames, until the end of the stream; it ends as `lines` does. */
  frames(options: FrameOptions<Tag> & WithEncoding): AsyncIterableIterator<string, undefined>;
  frames(options: FrameOptions<Tag> & WithoutEncoding): AsyncIterableIterator<Buffer, undefined>;
  frames(options: FrameOptions<Tag>): AsyncIterableIterator<Buffer | string, undefined>;
  frames(options: FrameOptions<Tag>): AsyncIterableIterator<Buffer | string, undefined> {
    return this.#iterate("readFrame", options, (reading) => reads.readFrameEntry(reading, options));
  }

  /** The messages of a framing, until the end of the stream; it ends as `lines` does. */
  messages<T>(framing: Framing<T>, options?: MessageOptions<Tag>): AsyncIterableIterator<T, undefined> {
    return this.#iterate("readMessage", options, (reading) => reads.readMessageEntry(reading, framing, options));
  }

  /** What comes, as it comes, until the end of the stream; it ends as `lines` does. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Buffer, undefined> {
    return this.#iterate("read", undefined, (reading) => reads.readEntry(reading, undefined));
  }

  /** Wrong options throw here, not with the first read. */
  #iterate<T>(
    operation: string,
    options: ReadingOptions | undefined,
    entry: (reading: Reading) => ReadEntry<T>,
  ): ReadIterator<T> {
    const { reading } = this._connection;
    mayRead(operation, this);
    entry(reading);
    return new ReadIterator(
      this,
      options?.signal !== undefined,
      () => entry(reading),
      (one) => this.#queueRead(operation, one, options),
    );
  }

  #queueRead<T>(operation: string, entry: ReadEntry<T>, options: ReadingOptions | undefined): SocketRequest<T> {
    mayRead(operation, this);
    this._connection.reading.enqueue(entry, options?.signal);
    return entry;
  }

  // ------------------------------------------------------------------ writing

  /**
   * Sends a string (UTF-8), bytes, or a list of them. Done when the operating system has them all. Bytes are not
   * copied: leave them alone until then. Fails, and closes, with `QUEUE_FULL` when it would pass `limits.writeQueue`.
   * Once a byte of it is on its way, a timeout or a cancellation closes the connection; `error.bytesDone` are out then.
   * @throws BAD_STATE after `end` or `disconnectAfterWriting`, and on a listener
   */
  write(data: Bytes | readonly Bytes[], options?: OperationOptions<Tag>): SocketRequest<void> {
    return this.#write("write", data, options);
  }

  #write(
    operation: "write" | "writeMessage",
    data: Bytes | readonly Bytes[],
    options: OperationOptions<Tag> | undefined,
  ): WriteEntry {
    if (options === undefined) return this.#queueWrite(operation, data, undefined, NO_TIMEOUT, undefined);
    checkOptions(options);
    const timeoutMs = checkTimeout(options.timeout);
    return this.#queueWrite(operation, data, options.tag, timeoutMs, checkSignal(options.signal));
  }

  /**
   * Sends one message, as the framing encodes it: the mirror of `readMessage`. All else is as with `write`.
   * @throws what `encode` throws for a value that is no message; nothing is written then
   */
  writeMessage<Value>(
    framing: Pick<MessageFraming<unknown, Value>, "encode">,
    value: Value,
    options?: OperationOptions<Tag>,
  ): SocketRequest<void> {
    if (typeof needOptions(framing).encode !== "function")
      throw wrongType("framing.encode", "a function", framing.encode);
    return this.#write("writeMessage", framing.encode(value), options);
  }

  /**
   * FIN after the queued writes; reading goes on. A second call gives the first one's request. Done when the operating
   * system has the FIN; fails with `CANCELED`, `CLOSED` or `CONNECTION_LOST`.
   * @throws BAD_STATE on a listener
   */
  end(): SocketRequest<void> {
    const { writing } = this._connection;
    writing.endEntry ??= this.#queueWrite("end", [], undefined, NO_TIMEOUT, undefined);
    return writing.endEntry;
  }

  #queueWrite(
    operation: "write" | "writeMessage" | "end",
    data: Bytes | readonly Bytes[],
    tag: unknown,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): WriteEntry {
    const bytes = Array.isArray(data) ? toParts(data) : toBytes("data", data);
    mayWrite(operation, this);
    const connection = this._connection;
    const entry = new WriteEntry(operation, tag, connection.writing, timeoutMs, bytes);
    connection.writing.enqueue(entry, signal);
    return entry;
  }

  /**
   * Goes on encrypted: what was queued before goes in the clear, then the handshake, then what is queued after. Bytes
   * that were received ahead belong to the handshake, none ever reaches a read. Gives what was negotiated.
   *
   * A client verifies the server's certificate for `servername`, or the host connected to. `limits.handshakeMs` runs
   * from when both queues have come to it, `timeout` from when the first has, until the peer is trusted.
   *
   * Fails with `TLS`, `TLS_TIMEOUT`, `END_OF_STREAM` (the peer ended before it), `CANCELED`, `CLOSED` or
   * `CONNECTION_LOST`. However it fails, cancelled too, that closes the connection: the rest must not go in the clear.
   * @throws BAD_STATE where it is secure already, or is going to be, after `end` or a graceful disconnect, and on a
   * listener
   * @throws TypeError for keys and certificates that cannot be used, and for a server without any
   */
  startTLS(options?: StartTLSOptions<Tag>): SocketRequest<TLSInfo> {
    const given = checkOptions(options) ?? {};
    const isServer = checkBoolean("isServer", given.isServer, this._connection.isAccepted);
    const settings = isServer ? serverSettings(given) : clientSettings(given);
    const timeoutMs = checkTimeout(given.timeout);
    const signal = checkSignal(given.signal);
    mayStartTLS(this);
    const connection = this._connection;
    const upgrade = new Upgrade(connection, settings);
    if (!connection.isEnding) connection.upgrade = upgrade;
    return upgrade.enqueue(given.tag, timeoutMs, signal);
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
    return this.#asListener("connections").backlog.iterate() as unknown as AsyncIterableIterator<
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
    return this.#asListener("shutdown").shutdown(checkGrace(options));
  }

  /**
   * Of a listener with `tls`: connections accepted from now on are secured by these options (a renewed certificate,
   * say). Those that are open stay as they are.
   * @throws BAD_STATE unless the socket listens with `tls`
   * @throws TypeError for keys and certificates that cannot be used; those from before stay
   */
  setTLS(options: TLSOptions): void {
    const tls = securedBy(options);
    const listener = this.#asListener("setTLS");
    if (listener.tls === null) throw badState("setTLS", "the socket listens without tls");
    listener.setTLS(tls);
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
    mayBecomeStream(operation, this);
    const { _connection } = this;
    this._isStream = this.#isOneWay = true;
    _connection.upgrade?.keepJudge(this.#delegate);
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

  // ------------------------------------------------------------------ what can be seen

  /** Where it stands. From `"closed"` on it may connect or listen again. */
  get state(): SocketState {
    return (this._listener ?? this._connection).phase;
  }

  /** Whether what is sent is encrypted. */
  get isSecure(): boolean {
    return this._connection.upgrade?.state === "secure";
  }

  /** What the TLS handshake came to, also one that failed once it was through; undefined before, and in the clear. */
  get tls(): TLSInfo | undefined {
    return this._connection.upgrade?.info ?? undefined;
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

/** As they are now: what is changed in them later has no effect. */
function securedBy(options: TLSOptions): ListenerTLS {
  return { options: { ...options }, settings: serverSettings(options) };
}
