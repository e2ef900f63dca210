import type { Duplex } from "node:stream";
import { inspect } from "node:util";
import type { AsyncValues } from "../base/async-values.js";
import type { Address, ProxiedAddresses } from "../base/address.js";
import { copyOf, type Stores, storesOfHere } from "../base/apart.js";
import { rememberCaller } from "../base/callers.js";
import { type Bytes, checkBoolean, checkOptions, checkSignal, needOptions, wrongType } from "../base/checks.js";
import { checkNames, named } from "../base/option-names.js";
import { badState } from "../base/errors.js";
import { type FullLimits, checkLimits } from "../base/limits.js";
import type { SocketRequest } from "../base/request.js";
import { checkConnect, CONNECT_OPTIONS, type ConnectOptions } from "../connect/options.js";
import type { Conversation, OpenConversation } from "../connect/proxy/conversation.js";
import type { CloseReason } from "../connection/close-reason.js";
import { AFTER_READING, AFTER_WRITING, dispose } from "../connection/closing.js";
import { Connection } from "../connection/connection.js";
import type { AcceptInfo, SocketDelegate } from "../connection/delegate.js";
import type { Destination } from "../connection/destination.js";
import { enlist } from "../connection/live-sockets.js";
import { NEW } from "../connection/origin.js";
import type { SocketFace } from "../connection/owner.js";
import { stateIn } from "../connection/phase.js";
import type { Reading } from "../connection/reading.js";
import { Upgrade, UpgradeGate } from "../connection/upgrade.js";
import type { Framing, MessageFraming } from "../framing/framing.js";
import { prefixedBy } from "../framing/length-prefixed.js";
import { type ListenerTLS, sendingOf } from "../listen/dispatcher.js";
import { type Adopted, Listener } from "../listen/listener.js";
import {
  type ListenOptions,
  type ShutdownOptions,
  type ShutdownResult,
  checkListen,
  checkShutdown,
  LISTEN_OPTIONS,
} from "../listen/options.js";
import { NO_TIMEOUT, checkTimeout } from "../pump/entry.js";
import type { ReadEntry } from "../pump/read-entry.js";
import type { LengthHeader, Writable } from "../pump/batch-memory.js";
import { WriteEntry, type WriteKind } from "../pump/write-queue.js";
import type { StartTLSOptions, TLSInfo, TLSOptions } from "../tls/options.js";
import { clientSettings, isAskedFor, serverSettings } from "../tls/settings.js";
import { checkTransport } from "../transport/choose.js";
import { DuplexTransport, duplexFactory } from "../transport/duplex.js";
import { credentialsOf, type PeerCredentials, type TcpInfo, tcpInfoOf } from "../transport/kernel-facts.js";
import { type KeepAliveOptions, keepAliveSettings, type SocketSettings } from "../transport/options.js";
import type { AcceptedTransport, TransportFactory } from "../transport/transport.js";
import { converse } from "./conversation.js";
import { describe, type SocketState, type SocketSummary } from "./inspect.js";
import { ReadIterator } from "./iterators.js";
import {
  MOVE_OPTIONS,
  SOCKET_OPTIONS,
  type MoveOptions,
  type SocketOptions,
  type WebStreams,
  checkDelegate,
  callConstructor,
  callUserDataFor,
  checkUserDataFor,
} from "./options.js";
import * as reads from "./read-options.js";
import type {
  DataOptions,
  DelimitedOptions,
  FrameOptions,
  LineOptions,
  MessageOptions,
  OperationOptions,
  AnyOptions,
  PeekOptions,
  Repeating,
  ReadOptions,
  ReadingOptions,
  WithEncoding,
  WithoutEncoding,
} from "./read-options.js";
import { SocketDuplex } from "./socket-duplex.js";
import { webStreams } from "./streams.js";
import * as writes from "./write-options.js";
import type { FrameWriteOptions, LineWriteOptions } from "./write-options.js";
import {
  forbidGiven,
  mayBecomeStream,
  mayBegin,
  mayHaveDelegate,
  mayListen,
  mayRead,
  mayStartTLS,
  mayWrite,
} from "../connection/permissions.js";

/**
 * The methods that a socket calls when something happens. Every method is optional.
 * @typeParam Tag - the type of the `tag` options of reads and writes
 * @typeParam UserData - the type of `userData`
 */
export type AsyncSocketDelegate<Tag = unknown, UserData = unknown> = SocketDelegate<AsyncSocket<Tag, UserData>, Tag>;

/** The options of the constructor. */
export type AsyncSocketOptions<Tag = unknown, UserData = unknown> = SocketOptions<
  AsyncSocketDelegate<Tag, UserData>,
  UserData
>;

/** A socket that was accepted by a listener with `userDataFor`, and so has user data. */
export type AcceptedSocket<Tag = unknown, UserData = unknown> = AsyncSocket<Tag, UserData> & { userData: UserData };

/** The options of a listener with `userDataFor`: what its delegate is told of accepted sockets is typed accordingly. */
export type AcceptingOptions<Tag, UserData> = Omit<AsyncSocketOptions<Tag, UserData>, "delegate" | "userDataFor"> & {
  userDataFor: (info: AcceptInfo) => UserData;
  delegate?: SocketDelegate<AcceptedSocket<Tag, UserData>, Tag, AsyncSocket<Tag, UserData>> | null | undefined;
};

/** A listener with `userDataFor`, as `AsyncSocket.listen` gives it: the sockets that it accepts have user data. */
export type AcceptingSocket<Tag, UserData> = {
  connections(): AsyncValues<AcceptedSocket<Tag, UserData>>;
  readonly sockets: Iterable<AcceptedSocket<Tag, UserData>>;
  shutdown(options?: ShutdownOptions<AcceptedSocket<Tag, UserData>>): SocketRequest<ShutdownResult>;
} & AsyncSocket<Tag, UserData>;

/** A class of your own that extends `AsyncSocket`, and adds something to it. */
export type SocketClass<Own extends AsyncSocket> = (new (options?: never) => Own) &
  (AsyncSocket extends Own ? never : unknown);

/** The options of the constructor of a class of your own: its delegate is told of sockets of that class. */
export type OwnOptions<Own extends AsyncSocket> =
  Own extends AsyncSocket<infer Tag, infer UserData> ? SocketOptions<SocketDelegate<Own, Tag>, UserData> : never;

let lastId = 0;

/**
 * A TCP, TLS or Unix-domain socket whose reads and writes are queued. You say what to read or write; the socket reports
 * the result to its delegate, to the request that the call returned, or to both. There is one queue for reads and one
 * for writes, each served first in, first out. Operations may be queued before the socket is connected. No call blocks,
 * and no callback runs before the call that caused it has returned.
 *
 * An argument of the wrong kind throws `TypeError` or `RangeError`. A call that can never be right in the present state
 * throws `ERR_ASYNCSOCKET_BAD_STATE`. On a socket that is closing or closed, an operation returns a request that fails
 * with `ERR_ASYNCSOCKET_CLOSED`.
 *
 * Every error code begins with `ERR_ASYNCSOCKET_`; these comments leave that out. Any read may fail with
 * `READ_TIMEOUT`, `END_OF_STREAM`, `CANCELED`, `CLOSED` or `CONNECTION_LOST`; any write with `WRITE_TIMEOUT`,
 * `CANCELED`, `CLOSED` or `CONNECTION_LOST`. A read that fails consumes no bytes (except a `skip` longer than
 * `limits.readAhead`): the bytes that had arrived for it are copied to `error.partial`, and stay for the next read. A
 * read that times out closes the connection, unless it was given `onFailure: "continue"`. A write that times out closes
 * the connection if any of its bytes was handed to the operating system.
 *
 * @typeParam Tag - the type of the `tag` options of reads and writes
 * @typeParam UserData - the type of `userData`
 */
export class AsyncSocket<Tag = unknown, UserData = unknown> implements AsyncDisposable {
  /** A number that no other socket of this thread has. */
  readonly id: number = ++lastId;
  /** @internal The listener, if this socket listens or has listened since it was last used otherwise. */
  _listener: Listener | null = null;
  /** @internal Whether the socket was turned into a stream, which alone may read and write from then on. */
  _isStream = false;
  /** @internal Whether that was done by `relay`. */
  _isRelayed = false;
  /** @internal The stores of the code that called `connect`, `listen` or `from`. */
  _stores: Stores | null = null;
  /**
   * Any value that the application wants to keep with the socket. The library never reads it, except that `moveTo`
   * clones it.
   */
  userData: UserData | undefined;
  /**
   * Whether this side may still write after the peer has ended its side. If false, the socket closes then.
   * @default false
   */
  readonly allowHalfOpen: boolean;
  readonly #limits: FullLimits;
  readonly #factory: TransportFactory;
  readonly #userDataFor: ((info: AcceptInfo) => UserData) | undefined;
  #delegate: AsyncSocketDelegate<Tag, UserData> | null;
  /** @internal */ _connection: Connection;
  #isOneWay = false;
  #isReferenced = true;
  #closed: SocketRequest<CloseReason> | null = null;

  constructor(options: AcceptingOptions<Tag, UserData>);
  constructor(options?: AsyncSocketOptions<Tag, UserData>);
  constructor(options?: AsyncSocketOptions<Tag, UserData>) {
    const given = checkOptions(options) ?? {};
    checkNames("options of a socket", given, SOCKET_OPTIONS);
    this.#delegate = checkDelegate(given.delegate);
    this.userData = given.userData;
    this.#userDataFor = checkUserDataFor(given.userDataFor);
    this.allowHalfOpen = checkBoolean("allowHalfOpen", given.allowHalfOpen, false);
    this.#limits = checkLimits(given.limits);
    this.#factory = checkTransport(given.transport);
    this._connection = new Connection(this, this.#limits, this.#factory.clock);
  }

  /** Creates a socket and connects it. Takes the options of the constructor and those of `connect` in one object. */
  static connect<Own extends AsyncSocket>(
    this: SocketClass<Own>,
    options: ConnectOptions & OwnOptions<Own>,
  ): SocketRequest<Own>;
  static connect<Tag = unknown, UserData = unknown>(
    options: ConnectOptions & AsyncSocketOptions<Tag, UserData>,
  ): SocketRequest<AsyncSocket<Tag, UserData>>;
  static connect<Tag = unknown, UserData = unknown>(
    options: ConnectOptions & AsyncSocketOptions<Tag, UserData>,
  ): SocketRequest<AsyncSocket<Tag, UserData>> {
    checkNames("options of connect", needOptions(options), CONNECT_OPTIONS, SOCKET_OPTIONS);
    return new this<Tag, UserData>(named(options, SOCKET_OPTIONS)).connect(named(options, CONNECT_OPTIONS));
  }

  /** Creates a socket and lets it listen. Takes the options of the constructor and those of `listen` in one object. */
  static listen<Own extends AsyncSocket>(
    this: SocketClass<Own>,
    options: ListenOptions & OwnOptions<Own>,
  ): SocketRequest<Own>;
  static listen<Tag = unknown, UserData = unknown>(
    options: ListenOptions & AcceptingOptions<Tag, UserData>,
  ): SocketRequest<AcceptingSocket<Tag, UserData>>;
  static listen<Tag = unknown, UserData = unknown>(
    options: ListenOptions & AsyncSocketOptions<Tag, UserData>,
  ): SocketRequest<AsyncSocket<Tag, UserData>>;
  static listen<Tag = unknown, UserData = unknown>(
    options: ListenOptions & AsyncSocketOptions<Tag, UserData>,
  ): SocketRequest<AsyncSocket<Tag, UserData>> {
    checkNames("options of listen", needOptions(options), LISTEN_OPTIONS, SOCKET_OPTIONS);
    return new this<Tag, UserData>(named(options, SOCKET_OPTIONS)).listen(named(options, LISTEN_OPTIONS));
  }

  /**
   * Wraps any Node stream, or a connected `net.Socket`, in an `AsyncSocket`. The stream belongs to the new socket from
   * then on: nothing else may read from it or write to it. Such a socket cannot connect or listen again after it has
   * closed.
   * @throws BAD_STATE if the stream is not open
   */
  static from<Tag = unknown, UserData = unknown>(
    duplex: Duplex,
    options?: AsyncSocketOptions<Tag, UserData>,
  ): AsyncSocket<Tag, UserData> {
    const socket = new this<Tag, UserData>({ ...checkOptions(options), transport: duplexFactory });
    const transport = new DuplexTransport(duplex);
    socket.#isOneWay = true;
    socket._stores = storesOfHere();
    socket._connection.adopt(transport);
    transport.adopt(socket._connection);
    return socket;
  }

  /** The delegate, or null. Each event is reported to the delegate that is set at that moment. */
  get delegate(): AsyncSocketDelegate<Tag, UserData> | null {
    return this.#delegate;
  }

  set delegate(delegate: AsyncSocketDelegate<Tag, UserData> | null) {
    const checked = checkDelegate(delegate);
    if (checked !== null) mayHaveDelegate(this);
    this.#delegate = checked;
  }

  // ------------------------------------------------------------------ beginning

  /**
   * Connects to `{ host, port }`, `{ service, host }` or `{ path }`. The request gives the socket once it can be used;
   * with `tls` that is when the handshake is done and the peer is trusted. `timeout` runs, and `signal` counts, from
   * this call until then.
   *
   * Fails with `CONNECT` (the message names every address tried), `DNS`, `PROXY`, `TLS`, `CONNECT_TIMEOUT`,
   * `TLS_TIMEOUT`, `CANCELED`, or `CLOSED`. A connect that fails closes the socket, and every queued read and write
   * fails with `CLOSED`; the socket may then connect again.
   * @throws BAD_STATE unless the socket is idle or closed, and if a setting is asked for that takes the addon where
   * there is none
   */
  connect(options: ConnectOptions): SocketRequest<this> {
    const checked = checkConnect(options, this.#factory);
    mayBegin("connect", this, this.#isOneWay);
    const request = this._connect(checked);
    rememberCaller(request, AsyncSocket.prototype, "connect");
    return request as unknown as SocketRequest<this>;
  }

  /** @internal Connects with options that were checked; also for the stream of an idle socket. */
  _connect({ secure, ...checked }: ReturnType<typeof checkConnect>): SocketRequest<unknown> {
    this.#begin();
    const connection = this._connection;
    if (secure !== null) {
      if (connection.upgrade !== null) throw badState("connect", "startTLS is queued, and tls is asked for, too");
      connection.upgrade = new Upgrade(connection, secure);
    }
    connection.isReferenced = this.#isReferenced;
    this._stores = storesOfHere();
    enlist(this);
    const openConversation: OpenConversation = (...given) => this.#openConversation(...given);
    return connection.connect({ ...checked, factory: this.#factory, openConversation });
  }

  /**
   * Listens on `{ port, host? }` or `{ path }`. The request gives the socket once it listens; `local` then has the
   * port.
   *
   * Each connection becomes a new socket with this socket's class, delegate, limits and options. The new socket is
   * handed to `didAccept` of the delegate; if the delegate has no such method, `connections()` gives it. Either happens
   * before the TLS handshake. Fails with `LISTEN`, `DNS` (the lookup of `host`), `CANCELED` or `CLOSED`.
   * @throws BAD_STATE unless the socket is closed, or idle with nothing queued, and if a setting is asked for that
   * takes the addon where there is none
   */
  listen(options: ListenOptions): SocketRequest<this> {
    const { target, settings, filter } = checkListen(options, this.#factory);
    const expectsHeader = checkBoolean("proxyProtocol", options.proxyProtocol, false);
    const { tls } = options;
    const secured = isAskedFor(tls) ? securedBy(tls) : null;
    mayListen(this, this.#isOneWay);
    const listener = new Listener(this, this.#limits, this.#factory.clock, filter, secured);
    listener.expectsHeader = expectsHeader;
    this._stores = storesOfHere();
    if (options.loops !== undefined) listener.spread(options.loops);
    this.#begin();
    const shared = { settings, blockList: options.blockList, proxyProtocol: expectsHeader };
    listener.listen(this.#factory, target, shared);
    if (!this.#isReferenced) listener.transport?.unref();
    this._listener = listener;
    rememberCaller(listener.listenRequest, AsyncSocket.prototype, "listen");
    return listener.listenRequest as unknown as SocketRequest<this>;
  }

  /** A socket that is used again gets a new connection object, so that nothing of the old connection can affect it. */
  #begin(): void {
    if (this.state === "idle") return;
    this._connection = new Connection(this, this.#limits, this.#factory.clock);
    this._listener = null;
    this.#closed = null;
  }

  /**
   * A socket that nobody is told of, on the way to this one's own connection: for the talk with a proxy, and for a
   * PROXY header.
   */
  #openConversation(...given: Parameters<OpenConversation>): Conversation {
    const { handshakeMs } = this.#limits;
    const socket = new AsyncSocket({ allowHalfOpen: true, transport: this.#factory, limits: { handshakeMs } });
    socket._connection.isReferenced = this.#isReferenced;
    return converse(socket, socket._connection, ...given);
  }

  /** @internal Makes a new socket for a connection that this listener accepted. */
  _adopt(transport: AcceptedTransport, info: AcceptInfo): Adopted {
    const userData = callUserDataFor(this.#userDataFor, info);
    const { allowHalfOpen } = this;
    const limits = this.#limits;
    const options = { delegate: this.#delegate, userData, allowHalfOpen, limits, transport: this.#factory };
    const socket = callConstructor(this, () => new (this.constructor as typeof AsyncSocket)<Tag, UserData>(options));
    if (this._stores !== null) socket._stores = copyOf(this._stores);
    socket._connection.adopt(transport, { ...NEW, isAccepted: true, proxied: info.proxied ?? null });
    return { socket, connection: socket._connection };
  }

  /**
   * Moves an open connection to the run loop of another thread. Unread bytes, limits, settings and counters move along,
   * and so does a structured clone of `userData` (by default, this socket's). On the other thread, `onSocket` receives
   * the new socket. The request is done once the connection has arrived. This socket then closes with
   * `closeReason.movedTo` set to the run loop, and cannot be used again.
   *
   * Fails with `TRANSFER` if this connection cannot be moved (the socket then stays open), if the connection is lost
   * during the move, or if the thread ends before the connection has arrived; in the last two cases the socket is
   * closed. Any operation called during the move fails with `CLOSED`.
   * @throws BAD_STATE unless the socket is open, not encrypted, has nothing queued, and is not on that run loop already
   * @throws DataCloneError if the user data cannot be cloned
   */
  moveTo(runLoop: Destination, options?: MoveOptions): SocketRequest<void> {
    const given = checkOptions(options) ?? {};
    checkNames("options of moveTo", given, MOVE_OPTIONS);
    const sending = Array.isArray(runLoop) ? null : sendingOf(runLoop);
    if (sending === null) throw wrongType("runLoop", "a RunLoop or a pool of them", runLoop);
    forbidGiven("moveTo", this);
    const userData = given.userData === undefined ? this.userData : given.userData;
    const request = sending.move(this._connection, this.state, runLoop, userData);
    if (this._connection.reason !== null) this.#isOneWay = true;
    return request;
  }

  // ------------------------------------------------------------------ reading

  /** Reads the bytes that have arrived: at least one byte, at most `maxLength`. */
  read(options: Repeating<ReadOptions<Tag>>): SocketRequest<number>;
  read(options: ReadOptions<Tag> & WithEncoding): SocketRequest<string>;
  read(options?: ReadOptions<Tag> & WithoutEncoding): SocketRequest<Buffer>;
  read(options?: ReadOptions<Tag>): SocketRequest<Buffer | string>;
  read(options?: AnyOptions<ReadOptions<Tag>>): SocketRequest<Buffer | string | number> {
    return this.#queueRead("read", reads.readEntry(this._connection.reading, options), options);
  }

  /** Reads exactly `length` bytes. A length of 0 gives an empty buffer once the reads before it are done. */
  readExactly(length: number, options: Repeating<DataOptions<Tag>>): SocketRequest<number>;
  readExactly(length: number, options: DataOptions<Tag> & WithEncoding): SocketRequest<string>;
  readExactly(length: number, options?: DataOptions<Tag> & WithoutEncoding): SocketRequest<Buffer>;
  readExactly(length: number, options?: DataOptions<Tag>): SocketRequest<Buffer | string>;
  readExactly(length: number, options?: AnyOptions<DataOptions<Tag>>): SocketRequest<Buffer | string | number> {
    return this.#queueRead("readExactly", reads.readExactlyEntry(this._connection.reading, length, options), options);
  }

  /**
   * Reads up to a delimiter, and gives the bytes with the delimiter included. If a list of delimiters is given, the one
   * that ends first in the stream counts.
   *
   * Fails with `READ_LIMIT` as soon as `maxLength` bytes have arrived and no delimiter ends within them.
   */
  readUntil(delimiter: Bytes | readonly Bytes[], options: Repeating<DelimitedOptions<Tag>>): SocketRequest<number>;
  readUntil(delimiter: Bytes | readonly Bytes[], options: DelimitedOptions<Tag> & WithEncoding): SocketRequest<string>;
  readUntil(
    delimiter: Bytes | readonly Bytes[],
    options?: DelimitedOptions<Tag> & WithoutEncoding,
  ): SocketRequest<Buffer>;
  readUntil(delimiter: Bytes | readonly Bytes[], options?: DelimitedOptions<Tag>): SocketRequest<Buffer | string>;
  readUntil(
    delimiter: Bytes | readonly Bytes[],
    options?: AnyOptions<DelimitedOptions<Tag>>,
  ): SocketRequest<Buffer | string | number> {
    return this.#queueRead("readUntil", reads.readUntilEntry(this._connection.reading, delimiter, options), options);
  }

  /** Reads one line. The text that is given does not include the line ending, LF or CRLF. */
  readLine(options: Repeating<LineOptions<Tag>>): SocketRequest<number>;
  readLine(options?: LineOptions<Tag>): SocketRequest<string>;
  readLine(options?: AnyOptions<LineOptions<Tag>>): SocketRequest<string | number> {
    return this.#queueRead("readLine", reads.readLineEntry(this._connection.reading, options), options);
  }

  /**
   * Reads a frame: a length, then a body of that many bytes. Gives the body. Memory grows with the bytes that have
   * arrived, not with the length that was announced.
   *
   * Fails with `READ_LIMIT` as soon as a length above `maxLength` is announced, and with `BAD_FRAME` if the length is
   * impossible.
   */
  readFrame(options: Repeating<FrameOptions<Tag>>): SocketRequest<number>;
  readFrame(options: FrameOptions<Tag> & WithEncoding): SocketRequest<string>;
  readFrame(options: FrameOptions<Tag> & WithoutEncoding): SocketRequest<Buffer>;
  readFrame(options: FrameOptions<Tag>): SocketRequest<Buffer | string>;
  readFrame(options: AnyOptions<FrameOptions<Tag>>): SocketRequest<Buffer | string | number> {
    return this.#queueRead("readFrame", reads.readFrameEntry(this._connection.reading, options), options);
  }

  /**
   * Reads one message of a built-in framing, or of one that you wrote, and gives the value that the framing decodes.
   *
   * Fails with `READ_LIMIT` if the message, or the part of it that has arrived, is longer than `maxLength`. Fails with
   * `BAD_FRAME` if the framing throws or returns an impossible length; `error.cause` is the reason.
   */
  readMessage(framing: Framing<unknown>, options: Repeating<MessageOptions<Tag>>): SocketRequest<number>;
  readMessage<T>(framing: Framing<T>, options?: MessageOptions<Tag>): SocketRequest<T>;
  readMessage<T>(framing: Framing<T>, options?: AnyOptions<MessageOptions<Tag>>): SocketRequest<T | number> {
    const entry = reads.readMessageEntry(this._connection.reading, framing, options);
    return this.#queueRead("readMessage", entry, options);
  }

  /**
   * Takes one message at once, if all of it has arrived: nothing is queued, nobody is told, and no promise is made. It
   * is for messages within messages: take those that are here, and await `readMessage` for the others. Nothing is taken
   * while reads are queued, nor from bytes that are not a message; `readMessage` says what is wrong with them.
   * @returns the value that the framing decodes; undefined if no message was taken
   */
  takeMessage<T>(framing: Framing<T>, options?: Pick<MessageOptions, "maxLength">): T | undefined {
    mayRead("takeMessage", this);
    const entry = reads.readMessageEntry(this._connection.reading, framing, options);
    return this._connection.reading.take(entry) ? (entry._outcome as T) : undefined;
  }

  /** Gives a copy of the next `length` bytes. The bytes stay for the next read. */
  peek(options: PeekOptions<Tag> & WithEncoding): SocketRequest<string>;
  peek(options: PeekOptions<Tag> & WithoutEncoding): SocketRequest<Buffer>;
  peek(options: PeekOptions<Tag>): SocketRequest<Buffer | string>;
  peek(options: PeekOptions<Tag>): SocketRequest<Buffer | string> {
    return this.#queueRead("peek", reads.peekEntry(this._connection.reading, options), options);
  }

  /**
   * Drops the next `length` bytes without copying them. If `length` is larger than `limits.readAhead`, bytes are
   * dropped as they arrive, and a `skip` that fails does not bring them back.
   */
  skip(length: number, options?: ReadingOptions<Tag>): SocketRequest<undefined> {
    return this.#queueRead("skip", reads.skipEntry(this._connection.reading, length, options), options);
  }

  /**
   * Reads exactly these bytes, and drops them: a greeting, a separator, a magic number. A string stands for its UTF-8.
   *
   * Fails with `BAD_FRAME` as soon as a byte comes that is another one; no byte is taken then, so that with `onFailure:
   * "continue"` the next read may try something else.
   */
  expect(bytes: Bytes, options?: ReadingOptions<Tag>): SocketRequest<undefined> {
    return this.#queueRead("expect", reads.expectEntry(this._connection.reading, bytes, options), options);
  }

  /**
   * Cancels every queued read, the current one included: each fails with `CANCELED` and consumes no bytes. A queued
   * `startTLS` is not cancelled.
   * @returns the number of reads that were cancelled
   * @throws BAD_STATE on a socket that was turned into a stream or given to `relay`, whose reads are not yours
   */
  cancelReads(): number {
    forbidGiven("cancelReads", this);
    return this._connection.cancelReads();
  }

  /**
   * Iterates over lines until the end of the stream. The iterator ends normally if the stream ends after a complete
   * line, or if this side closes the socket. It throws `END_OF_STREAM` if the stream ends within a line, and the error
   * of the connection or of the read in any other case. The options apply to each read.
   */
  lines(options?: LineOptions<Tag>): AsyncValues<string> {
    return this.#iterate("readLine", options, (reading) => reads.readLineEntry(reading, options));
  }

  /**
   * Iterates over the bodies of frames until the end of the stream. The iterator ends in the same way as that of
   * `lines`.
   */
  frames(options: FrameOptions<Tag> & WithEncoding): AsyncValues<string>;
  frames(options: FrameOptions<Tag> & WithoutEncoding): AsyncValues<Buffer>;
  frames(options: FrameOptions<Tag>): AsyncValues<Buffer | string>;
  frames(options: FrameOptions<Tag>): AsyncValues<Buffer | string> {
    return this.#iterate("readFrame", options, (reading) => reads.readFrameEntry(reading, options));
  }

  /**
   * Iterates over the messages of a framing until the end of the stream. The iterator ends in the same way as that of
   * `lines`.
   */
  messages<T>(framing: Framing<T>, options?: MessageOptions<Tag>): AsyncValues<T> {
    return this.#iterate("readMessage", options, (reading) => reads.readMessageEntry(reading, framing, options));
  }

  /**
   * Iterates over chunks of bytes as they arrive, until the end of the stream. The iterator ends in the same way as
   * that of `lines`.
   */
  [Symbol.asyncIterator](): AsyncValues<Buffer> {
    return this.#iterate("read", undefined, (reading) => reads.readEntry(reading, undefined));
  }

  /**
   * Makes an iterator. The first call of `entry` only checks the options, so that wrong ones throw here and not at the
   * first read.
   */
  #iterate<T>(
    operation: string,
    options: ReadingOptions | undefined,
    entry: (reading: Reading) => ReadEntry<T>,
  ): ReadIterator<T> {
    const { reading } = this._connection;
    mayRead(operation, this);
    reads.refuseRepeat(options);
    entry(reading);
    return new ReadIterator(
      this,
      options?.signal !== undefined,
      () => entry(reading),
      (one) => this.#queueRead(operation, one, options),
    );
  }

  #queueRead<T>(operation: string, entry: ReadEntry<T>, options: OperationOptions | undefined): SocketRequest<T> {
    mayRead(operation, this);
    this._connection.reading.enqueue(entry, options?.signal);
    return entry;
  }

  // ------------------------------------------------------------------ writing

  /**
   * Sends a string (as UTF-8), bytes, or a list of these. The request is done when the operating system has taken all
   * of the bytes. Bytes are not copied: do not change them before then.
   *
   * If the write would exceed `limits.writeQueue`, it fails with `QUEUE_FULL` and the connection closes. A timeout or a
   * cancellation before any of its bytes was handed to the operating system only removes the write; later, it closes the
   * connection, and `error.bytesDone` tells how many bytes were sent.
   * @throws BAD_STATE after `end` or `disconnectAfterWriting`, and on a listener
   */
  write(data: Bytes | readonly Bytes[], options?: OperationOptions<Tag>): SocketRequest<void> {
    return this.#write("write", writes.bytesOf(data), options);
  }

  /**
   * Sends a frame: a length, then the body. The counterpart of `readFrame`. The body is a string (as UTF-8), bytes, or a
   * list of these; everything else is as for `write`. No buffer is made for the length.
   * @throws RangeError for a body that is too long for its length field; nothing is written then
   */
  writeFrame(body: Bytes | readonly Bytes[], options: FrameWriteOptions<Tag>): SocketRequest<void> {
    return this.#write("writeFrame", writes.bytesOf(body), options, prefixedBy(options));
  }

  /**
   * Sends a line of text and its ending: the counterpart of `readLine`. Everything else is as for `write`.
   * @throws RangeError for text that contains a CR or LF, which the peer would see as two lines; nothing is written then
   */
  writeLine(text: string, options?: LineWriteOptions<Tag>): SocketRequest<void> {
    return this.#write("writeLine", writes.lineOf(text, options), options);
  }

  /**
   * Encodes a value with a framing and sends it: the counterpart of `readMessage`. Everything else is as for `write`.
   * @throws whatever `encode` throws for a value that is no message; nothing is written in that case
   */
  writeMessage<Value>(
    framing: Pick<MessageFraming<unknown, Value>, "encode">,
    value: Value,
    options?: OperationOptions<Tag>,
  ): SocketRequest<void> {
    if (typeof needOptions(framing).encode !== "function")
      throw wrongType("framing.encode", "a function", framing.encode);
    return this.#write("writeMessage", writes.bytesOf(framing.encode(value)), options);
  }

  /**
   * Sends a FIN after the queued writes; reading continues. A second call returns the request of the first. The request
   * is done when the operating system has taken the FIN; it fails with `CANCELED`, `CLOSED` or `CONNECTION_LOST`.
   * @throws BAD_STATE on a listener
   */
  end(): SocketRequest<void> {
    const { writing } = this._connection;
    writing.endEntry ??= this.#write("end", [], undefined);
    return writing.endEntry;
  }

  #write(
    operation: WriteKind,
    data: Writable,
    options: OperationOptions<Tag> | undefined,
    header: LengthHeader | null = null,
  ): WriteEntry {
    const timeoutMs = options === undefined ? NO_TIMEOUT : checkTimeout(checkOptions(options)?.timeout);
    const signal = options === undefined ? undefined : checkSignal(options.signal);
    const { writing } = this._connection;
    const { queue, hasToWait } = writing;
    const entry = new WriteEntry(operation, options?.tag, writing, timeoutMs, data, header, queue.tail, hasToWait);
    mayWrite(operation, this);
    writing.enqueue(entry, signal);
    return entry;
  }

  /**
   * Switches the connection to TLS. Reads and writes queued before this call are carried out unencrypted; then comes
   * the handshake; operations queued after this call are carried out encrypted. Bytes that have already arrived when
   * the handshake begins belong to the handshake, and never reach a read. The request gives the facts about the TLS
   * session.
   *
   * A client checks the server's certificate against `servername`, or against the host it connected to.
   * `limits.handshakeMs` runs from the moment when both queues have reached the `startTLS`; `timeout` runs from the
   * moment when the first of them has. Both end when the peer is trusted.
   *
   * Fails with `TLS`, `TLS_TIMEOUT`, `END_OF_STREAM` (the peer ended the stream before the handshake), `CANCELED`,
   * `CLOSED` or `CONNECTION_LOST`. Every failure, a cancellation included, closes the connection, so that nothing
   * queued later is sent unencrypted.
   * @throws BAD_STATE if the connection is encrypted or about to be, after `end` or a graceful disconnect, and on a
   * listener
   * @throws TypeError for keys and certificates that cannot be used, and for a server without a certificate
   */
  startTLS(options?: StartTLSOptions<Tag>): SocketRequest<TLSInfo> {
    const given = checkOptions(options) ?? {};
    const isServer = checkBoolean("isServer", given.isServer, this._connection.origin.isAccepted);
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
   * Closes at once. Unsent writes are dropped, and every queued operation fails with `CLOSED`. Over TLS no close_notify
   * is sent, so the peer sees a truncated stream.
   *
   * Neither this request nor those of the other methods in this section ever fail. On a listener, each of these methods
   * stops accepting connections.
   */
  disconnect(): SocketRequest<CloseReason> {
    return this.#stopListening() ?? this._connection.disconnect(false);
  }

  /** Closes at once with a RST, so that the peer learns that bytes were dropped. */
  reset(): SocketRequest<CloseReason> {
    return this.#stopListening() ?? this._connection.disconnect(true);
  }

  /**
   * Closes gracefully, in the same way as `disconnectAfterWriting`, once no read is queued. A read called later throws
   * BAD_STATE.
   */
  disconnectAfterReading(): SocketRequest<CloseReason> {
    return this.#stopListening() ?? this._connection.disconnectAfter(AFTER_READING);
  }

  /**
   * Closes gracefully once no write is queued. When all bytes are sent, waiting reads fail with `CLOSED` and a FIN is
   * sent (over TLS a close_notify first). The socket then waits up to `limits.lingerMs` for the peer's FIN, and drops
   * bytes that still arrive. A write called later throws BAD_STATE.
   */
  disconnectAfterWriting(): SocketRequest<CloseReason> {
    return this.#stopListening() ?? this._connection.disconnectAfter(AFTER_WRITING);
  }

  /** Closes gracefully once no read and no write is queued. */
  disconnectAfterReadingAndWriting(): SocketRequest<CloseReason> {
    return this.#stopListening() ?? this._connection.disconnectAfter(AFTER_READING | AFTER_WRITING);
  }

  /** Closes gracefully; a listener stops accepting. `limits.lingerMs` bounds the whole close. */
  async [Symbol.asyncDispose](): Promise<void> {
    await (this.#stopListening() ?? dispose(this._connection));
  }

  #stopListening(): SocketRequest<CloseReason> | null {
    if (this._listener === null) return null;
    this._listener.close();
    return this._listener.whenClosed("disconnect");
  }

  /** A request that is done when the socket is closed, whichever side closed it. It never fails. */
  get closed(): SocketRequest<CloseReason> {
    this.#closed ??= (this._listener ?? this._connection).whenClosed("closed");
    return this.#closed;
  }

  // ------------------------------------------------------------------ listening

  /**
   * Iterates over accepted sockets if the delegate has no `didAccept`. The iterator ends when the listener is closed;
   * if an error closed the listener, the iterator throws it. Sockets accepted after a loop has been left wait for the
   * next iteration.
   * @throws BAD_STATE unless the socket listens, or has listened
   */
  connections(): AsyncValues<this> {
    return this.#asListener("connections").backlog.iterate() as unknown as AsyncValues<this>;
  }

  /**
   * The sockets on this thread that this listener has accepted and that have not ended, in the order in which they were
   * accepted; those that still wait for `connections()` included. Sockets may close, and be accepted, while you iterate.
   * Sockets on other threads are not among them. Nothing if the socket neither listens nor has listened.
   */
  get sockets(): Iterable<this> {
    return {
      [Symbol.iterator]: () => (this._listener?.sockets() ?? [].values()) as Iterator<unknown> as Iterator<this>,
    };
  }

  /**
   * The port on which the socket listens: `local.port`, without a look at the family. Undefined for a Unix path, and for
   * a socket that neither listens nor has listened.
   */
  get port(): number | undefined {
    const local = this._listener?.local;
    return local?.family === "unix" ? undefined : local?.port;
  }

  /**
   * Stops accepting, and gives the open connections time to finish. `goodbye` is first called for each open socket of
   * this thread. Connections that are still open after `graceMs` are closed.
   * @returns how many connections finished by themselves, and how many were closed
   * @throws BAD_STATE unless the socket listens, and when called a second time
   */
  shutdown(options?: ShutdownOptions<this>): SocketRequest<ShutdownResult> {
    const checked = checkShutdown(options as unknown as ShutdownOptions<SocketFace> | undefined);
    return this.#asListener("shutdown").shutdown(checked);
  }

  /**
   * Replaces the TLS options of a listener, for example to renew a certificate. Connections accepted from now on use
   * the new options; connections that are open keep theirs.
   * @throws BAD_STATE unless the socket listens with `tls`
   * @throws TypeError for keys and certificates that cannot be used; the old options then stay in use
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
   * Gives the connection as a Node stream that programs take for a `net.Socket` or `tls.TLSSocket`. From then on only
   * the stream may read and write; it first gives the bytes that are unread, and sends after the writes that are queued.
   * The socket loses its delegate (only `shouldTrustPeer` is still called, for a handshake under way). It keeps its
   * limits, and its properties and its methods for closing still work. It cannot be used again after it has closed.
   *
   * If an error closes the socket, the stream is destroyed with an error. Where the operating system gave the reason,
   * `code` is its code, such as `"ECONNRESET"`, and `cause` the socket's error; otherwise it is the socket's error.
   *
   * The stream of an idle socket can connect it, once: by `connect` of the stream, as a driver calls it.
   * @throws BAD_STATE unless the socket is idle, connecting or open, has no read queued, and `end` has not been called
   */
  toDuplex(): SocketDuplex {
    mayBecomeStream("toDuplex", this, true);
    this._giveAway("stream");
    return new SocketDuplex(this);
  }

  /**
   * Gives the connection as a pair of web streams, in the same way as `toDuplex`.
   * @throws BAD_STATE as for `toDuplex`, and if the socket is idle
   */
  toWeb(): WebStreams {
    mayBecomeStream("toWeb", this, false);
    this._giveAway("stream");
    return webStreams(this._connection, this.allowHalfOpen);
  }

  /** @internal Leaves reading and writing to a stream or a relay; the delegate is told nothing more. */
  _giveAway(to: "stream" | "relay"): void {
    const { _connection } = this;
    this._isStream = this.#isOneWay = true;
    this._isRelayed = to === "relay";
    _connection.upgrade?.keepJudge(this.#delegate);
    this.#delegate = null;
  }

  // ------------------------------------------------------------------ settings

  /**
   * Sets whether small segments are sent at once (TCP_NODELAY).
   * @throws BAD_STATE unless the socket is connecting or connected
   */
  setNoDelay(on = true): void {
    this.#change("setNoDelay", { noDelay: checkBoolean("on", on, true) });
  }

  /**
   * Sets TCP keepalive. A number is the time in ms without traffic before the first probe; true uses the time set
   * before, or the system's default; false turns keepalive off. An object says as well how many probes are sent, and
   * how often.
   * @throws BAD_STATE unless the socket is connecting or connected, or if `intervalMs` or `count` cannot be set
   */
  setKeepAlive(keepAlive: number | boolean | KeepAliveOptions): void {
    this.#change("setKeepAlive", keepAliveSettings("keepAlive", keepAlive));
  }

  /** Lets the socket keep the process alive while it is open. This is the default. */
  ref(): void {
    this.#isReferenced = true;
    this._listener?.transport?.ref();
    this._connection.setReferenced(true);
  }

  /** Lets the process exit even while the socket is open. */
  unref(): void {
    this.#isReferenced = false;
    this._listener?.transport?.unref();
    this._connection.setReferenced(false);
  }

  #change(operation: string, settings: Partial<SocketSettings>): void {
    const { transport, reason, phase } = this._connection;
    const isLive = reason === null && (transport !== null || phase.name === "connecting");
    if (!isLive) throw badState(operation, `the socket is ${this.state}`);
    this._connection.change(settings);
  }

  // ------------------------------------------------------------------ what can be seen

  /** The state of the socket. Once it is `"closed"`, the socket may connect or listen again. */
  get state(): SocketState {
    return this._listener?.phase ?? stateIn(this._connection.phase);
  }

  /**
   * What carries the bytes: `"native"`, `"node"`, `"stream"` (a socket made by `from`), or the name of the factory that
   * was given as `transport`. TLS is that of `node:tls` on each of them. `nativeStatus()` tells why it is not native.
   */
  get transport(): string {
    return this.#factory.name ?? "custom";
  }

  /** Whether the connection is encrypted and the peer is trusted. */
  get isSecure(): boolean {
    return this._connection.upgrade?.state === "secure";
  }

  /**
   * The facts about the TLS session, available as soon as the handshake is done, also if the peer was then refused.
   * Undefined before that, and without TLS.
   */
  get tls(): TLSInfo | undefined {
    return this._connection.upgrade?.info ?? undefined;
  }

  /**
   * What the kernel knows of the TCP connection now: round-trip time, retransmits, congestion window. Each call asks the
   * system. Undefined where that is not known: before the connection and after it, for anything but TCP, on systems
   * other than Linux, and without the addon.
   */
  tcpInfo(): TcpInfo | undefined {
    return tcpInfoOf(this._connection.transport);
  }

  /**
   * The process at the other end of a Unix-domain socket, as it was when it connected, or began to listen. Undefined
   * where that is not known: before the connection and after it, for anything else, on systems other than Linux, and
   * without the addon.
   */
  get peerCredentials(): PeerCredentials | undefined {
    return credentialsOf(this._connection.transport);
  }

  /** The local address of the connection, or the address that a listener listens on. Undefined before there is one. */
  get local(): Address | undefined {
    return (this._listener ?? this._connection).transport?.local;
  }

  /**
   * The remote address of the connection. For a connection through a proxy, in either direction, it is the address of
   * the proxy. Undefined before there is a connection.
   */
  get remote(): Address | undefined {
    return this._connection.transport?.remote;
  }

  /**
   * For a connection accepted with `proxyProtocol`: the address of the client and the address it connected to, as the
   * proxy reports them, and the extensions of its header. Undefined without a proxy, and for a connection that the
   * proxy made itself, such as a health check.
   */
  get proxied(): ProxiedAddresses | undefined {
    return this._connection.origin.proxied ?? undefined;
  }

  /** The number of bytes received, unread ones included. Over TLS only bytes of the application count. */
  get bytesRead(): number {
    this._connection.passing?.account();
    return this._connection.bytesRead;
  }

  /** The number of bytes that the operating system has taken. Over TLS only bytes of the application count. */
  get bytesWritten(): number {
    return this._connection.writing.bytesWritten;
  }

  /** The number of bytes that were received and not read yet. */
  get unreadBytes(): number {
    return this._connection.reading.queue.buffer.length;
  }

  /** A copy of the bytes that were received and not read yet. */
  get unread(): Buffer {
    const { buffer } = this._connection.reading.queue;
    return buffer.copyOut(buffer.length);
  }

  /**
   * The number of queued bytes that the operating system has not taken yet. After a close: the number of bytes that
   * were never sent.
   */
  get unsentBytes(): number {
    return this._connection.reason?.unsentBytes ?? this._connection.writing.unsentBytes;
  }

  /** Whether the peer's FIN has arrived, even if bytes before it are still unread. */
  get peerEnded(): boolean {
    return this._connection.reading.peerEnded;
  }

  /** The number of queued reads, the current one included. A queued `startTLS` counts as a read. */
  get pendingReads(): number {
    return this._connection.reading.queue.length;
  }

  /** The number of queued writes, the current one included. A queued `end` and a queued `startTLS` count as writes. */
  get pendingWrites(): number {
    return this._connection.writing.queue.length;
  }

  /**
   * The read, or the `startTLS`, that is being carried out and that all other reads wait for. Undefined if there is
   * none, or no connection yet, and on a socket that was turned into a stream or given to `relay`.
   */
  get currentRead(): SocketRequest<unknown> | undefined {
    return current(this, this._connection.reading.queue.head);
  }

  /**
   * The write, `end` or `startTLS` that is being carried out and that all other writes wait for. While a `startTLS`
   * still waits for earlier reads, it may already be `currentWrite` when another operation is `currentRead`. Undefined
   * on a socket that was turned into a stream or given to `relay`.
   */
  get currentWrite(): SocketRequest<unknown> | undefined {
    return current(this, this._connection.writing.queue.head);
  }

  /** The reason why the socket was closed, or is being closed. Undefined while it is not. */
  get closeReason(): CloseReason | undefined {
    return (this._listener ?? this._connection).reason ?? undefined;
  }

  /** Prints the socket as one line, without any data that was sent or received. */
  [inspect.custom](): string {
    return describe(this);
  }

  /** Gives the facts about the socket for JSON, without any data that was sent or received. */
  toJSON(): SocketSummary {
    const { id, state, isSecure, local, remote, bytesRead, bytesWritten, unreadBytes, unsentBytes } = this;
    return { id, state, isSecure, local, remote, bytesRead, bytesWritten, unreadBytes, unsentBytes };
  }
}

function current(socket: AsyncSocket, entry: SocketRequest<unknown> | null): SocketRequest<unknown> | undefined {
  if (entry?.state !== "current" || socket._isStream) return undefined;
  return entry instanceof UpgradeGate ? entry.entry : entry;
}

/** Copies the options, so that later changes to the caller's object have no effect. */
function securedBy(options: TLSOptions): ListenerTLS {
  return { options: { ...options }, settings: serverSettings(options) };
}
