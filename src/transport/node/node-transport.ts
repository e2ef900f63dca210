import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Address, ipAddress } from "../../base/address.js";
import { byteCount } from "../../base/byte-count.js";
import { realClock } from "../../base/clock.js";
import { inWords, reasonOf } from "../../base/errno.js";
import { socketError } from "../../base/errors.js";
import {
  decryptRest,
  descriptorOf,
  filledBy,
  noteEnd,
  readRest,
  receiveInto,
  receiveNowhere,
  ReceiveWindow,
  refill,
  rescueBeforeFailure,
  type Rescuer,
  resetNow,
  writeQueueSize,
} from "../../base/undocumented.js";
import { startHandshake } from "../../tls/handshake.js";
import type { SecureInfo } from "../../tls/info.js";
import type { SecureSettings } from "../../tls/settings.js";
import { holdProcess, releaseProcess } from "../hold.js";
import { Inlet, type InletOwner } from "../inlet.js";
import { sendQueueOf } from "../native/addon.js";
import { TransportStream } from "../transport-stream.js";
import type { AcceptedTransport, ConnectSink, SecureSink, Transport, TransportSink } from "../transport.js";

const transportOf = Symbol("asyncsocket transport");

/** A runtime's socket that knows its transport, so that its listeners are shared functions and not closures. */
interface OwnedSocket extends Socket {
  [transportOf]: NodeTransport;
}

const NOTHING = Buffer.alloc(0);

/** A connection on `node:net`. */
export class NodeTransport implements AcceptedTransport, InletOwner, Rescuer {
  holdsProcess = true;
  local: Address | undefined;
  remote: Address | undefined;
  /** Of a connecting one: told until there is a sink. */
  #connectSink: ConnectSink | null = null;
  /** What came of the handshake; null on a connection in the clear. */
  info: SecureInfo | null = null;
  /** Whether it was ended by a FIN without close_notify. */
  isCutShort = false;
  readonly #socket: Socket;
  /** What is below TLS. */
  readonly #below: Duplex | null;
  readonly #inlet = new Inlet(this, realClock, Infinity);
  readonly #window = new ReceiveWindow();
  /** Whether it receives into the thread's one buffer. */
  #usesMemory = false;
  /** Whether the runtime was told to deliver nothing for now. */
  #isPaused = false;
  /** A write or a read has failed. */
  #isFailing = false;
  #isReferenced = true;
  /** Whether it keeps the process alive beside what its handle does. */
  #isHolding = false;
  /** The length of the batch in hand. */
  #inHand = 0;
  #onWritten: ((error?: Error | null) => void) | null = null;

  constructor(socket: Socket, below: Duplex | null = null) {
    this.#socket = socket;
    this.#below = below;
    (socket as OwnedSocket)[transportOf] = this;
    socket.on("end", onEnd);
    socket.on("finish", onFinish);
    socket.on("error", onError);
    socket.on("close", onClose);
  }

  /**
   * An accepted connection. Reading starts with `adopt`.
   * @param bound the one address that connections come to, where the listener has but one: it need not be asked for
   */
  static accepted(socket: Socket, path: string | null, bound: Address | undefined): NodeTransport {
    const transport = new NodeTransport(socket);
    transport.local = bound;
    transport.findAddresses(path, null);
    return transport;
  }

  secure(settings: SecureSettings, ahead: Buffer, sink: SecureSink): Transport {
    const all = Buffer.concat([ahead, this.takeKept()]);
    const socket = this.leave();
    if (this.#usesMemory) receiveNowhere(socket);
    return secureStream(socket, settings, all, sink, this);
  }

  /** What was received beyond the room that there was, for somebody else. */
  takeKept(): Buffer {
    return this.#inlet.takeAll();
  }

  /** Gives the runtime's socket away. Nothing more is told of it. */
  leave(): Socket {
    const socket = this.#socket;
    socket.removeListener("end", onEnd);
    socket.removeListener("finish", onFinish);
    socket.removeListener("error", onError);
    socket.removeListener("close", onClose);
    socket.removeListener("data", onData);
    rescueBeforeFailure(socket, null);
    this.#stop();
    return socket;
  }

  get socket(): Socket {
    return this.#socket;
  }

  get isSecure(): boolean {
    return this.#below !== null;
  }

  /** Whether nothing was read or written yet. */
  get isFresh(): boolean {
    return this.#socket.bytesRead === 0 && this.#socket.bytesWritten === 0;
  }

  adopt(sink: TransportSink): void {
    const isFirst = this.#inlet.sink === null;
    this.#inlet.sink = sink;
    if (isFirst) {
      this.#usesMemory ||= receiveInto(this.#socket, onReceive);
      if (!this.#usesMemory) this.#socket.on("data", onData);
      rescueBeforeFailure(this.#socket, this);
    }
    this.#hold();
    this.#narrow(this.#inlet.room);
    this.#socket.resume();
  }

  /** They have to be asked for while the descriptor is open. */
  findAddresses(localPath: string | null, remotePath: string | null): void {
    const socket = this.#socket;
    if (localPath !== null || remotePath !== null) {
      this.local = { family: "unix", path: localPath ?? "" };
      this.remote = { family: "unix", path: remotePath ?? "" };
      return;
    }
    this.local ??= ipAddress(socket.localAddress, socket.localPort);
    this.remote = ipAddress(socket.remoteAddress, socket.remotePort);
  }

  /** A connecting socket, which has the shared memory by the public option. Reading starts with `adopt`. */
  static connecting(socket: Socket, sink: ConnectSink, path: string | null): NodeTransport {
    const transport = new NodeTransport(socket);
    transport.#connectSink = sink;
    transport.#usesMemory = true;
    socket.once("connect", () => {
      transport.findAddresses(null, path);
      if (!transport.isDestroyed) sink.didOpen();
    });
    return transport;
  }

  fail(error: Error): void {
    if (this.isDestroyed) return;
    const isOfTLS = this.info !== null && /^ERR_(SSL|TLS)_/.test(reasonOf(error));
    const words = `The TLS connection failed: ${inWords(error)}`;
    const told = isOfTLS ? socketError("TLS", "connection", words, error) : error;
    if (this.#inlet.sink === null) this.#connectSink?.didFail(told);
    else this.#inlet.fail(told);
  }

  /** A write has failed, or a read: what has come before is received first. What there is no room for waits for `fail`. */
  rescue(): boolean {
    if (this.isDestroyed) return false;
    this.#isFailing = true;
    if (this.#below === null) readRest(this.#socket, (chunk, length) => this.#inlet.receive(chunk, 0, length));
    else if (this.#below instanceof Socket) decryptRest(this.#socket, this.#below);
    return this.isSecure;
  }

  didClose(): void {
    if (this.#inlet.sink === null) this.#connectSink?.didClose();
    else this.#inlet.close();
  }

  get sink(): TransportSink | null {
    return this.#inlet.sink;
  }

  get isDestroyed(): boolean {
    return this.#inlet.isStopped;
  }

  /** Hands a chunk on. @returns whether more may come */
  receive(chunk: Buffer, length: number): boolean {
    if (this.isDestroyed) return true;
    const filled = filledBy(chunk);
    if (length > filled.length) {
      this.#socket.destroy(new Error(`the runtime told of ${length} bytes received, and gave ${filled.length}`));
      return false;
    }
    this.#inlet.receive(filled, 0, length);
    const room = this.#inlet.openRoom;
    // Only who is asked next where the next chunk is to go may answer: else another socket would be answered.
    if (this.#usesMemory && !this.#inlet.isStopped) this.#window.adjust(this.isSecure ? Infinity : room);
    this.#isPaused = room === 0;
    return room > 0;
  }

  didEnd(): void {
    // A write that has failed takes the reset with it, and leaves what looks like an end.
    if (this.#isFailing) return;
    if (this.info !== null) this.info.truncated = this.isCutShort;
    this.#inlet.end();
  }

  setRoom(bytes: number): void {
    this.#inlet.setRoom(bytes);
  }

  didChangeOpenRoom(bytes: number): void {
    this.#narrow(bytes);
    if (bytes === 0) {
      if (!this.#isPaused) this.#socket.pause();
    } else if (this.#isPaused) this.#socket.resume();
    this.#isPaused = bytes === 0;
  }

  /** Over TLS it would cut each record into pieces of that size, and a call for each. */
  #narrow(room: number): void {
    const buffer = this.#usesMemory && !this.isSecure ? this.#window.narrow(room) : null;
    if (buffer !== null) refill(this.#socket, buffer);
  }

  pauseStream(): void {
    this.#socket.pause();
  }

  write(parts: readonly Uint8Array[]): boolean {
    if (this.#below !== null) return this.#writeSecurely(parts);
    const socket = this.#socket;
    const [first] = parts;
    if (parts.length === 1 && first !== undefined) socket.write(first);
    else {
      socket.cork();
      for (const part of parts) socket.write(part);
      socket.uncork();
    }
    const isRefused = hasFailed(socket);
    if (socket.writableLength === 0 && !isRefused) return true;
    this.#inHand = byteCount(parts);
    if (isRefused) return false;
    // A callback on the write itself would cost each write that is out at once, as nearly all are.
    socket.write(NOTHING, this.#whenWritten);
    return false;
  }

  /** TLS is never done at once, and an empty write would be one more for it to do. */
  #writeSecurely(parts: readonly Uint8Array[]): boolean {
    const socket = this.#socket;
    this.#inHand = byteCount(parts);
    const last = parts.length - 1;
    if (last > 0) socket.cork();
    parts.forEach((part, i) => socket.write(part, i === last ? this.#whenWritten : undefined));
    if (last > 0) socket.uncork();
    return false;
  }

  get #whenWritten(): (error?: Error | null) => void {
    this.#onWritten ??= (error) => {
      // Node 20 reports success for bytes that a destroyed socket has thrown away.
      const isOut = (error === undefined || error === null) && !this.isDestroyed && !hasFailed(this.#socket);
      if (!isOut) return;
      this.#inHand = 0;
      this.sink?.didWrite();
    };
    return this.#onWritten;
  }

  /** What TLS has in hand it has encrypted: how far that is out, it does not tell. */
  get inHandBytes(): number {
    if (this.#inHand === 0 || this.#below !== null || hasFailed(this.#socket)) return this.#inHand;
    return Math.min(this.#inHand, writeQueueSize(this.#socket) ?? this.#inHand);
  }

  get underWayBytes(): number {
    const stream = this.#below ?? this.#socket;
    return stream instanceof Socket ? sendQueueOf(descriptorOf(stream)) : 0;
  }

  /** A turn of the runtime's event loop asks for the news of all. */
  hasNews(): boolean {
    return false;
  }

  end(): void {
    this.#socket.end();
  }

  destroy(reset: boolean): void {
    if (this.isDestroyed) return;
    this.#stop();
    if (reset) this.#reset(this.#below ?? this.#socket);
    else this.#socket.destroy();
  }

  /** Unix-domain sockets have no RST; other streams neither. */
  #reset(stream: Duplex): void {
    if (stream instanceof TransportStream) stream.reset();
    if (stream instanceof Socket && !stream.connecting && !stream.destroyed && this.remote?.family !== "unix") {
      resetNow(stream, this.#socket);
    } else this.#socket.destroy();
  }

  /** Nothing more is told but the close. */
  #stop(): void {
    this.#inlet.stop();
    this.#hold();
  }

  /**
   * An open socket keeps the process alive unless it was told not to. The runtime's handle does so only while it reads: not
   * while it is paused, nor once the peer's FIN has come.
   */
  #hold(): void {
    const isOfKernel = this.holdsProcess || this.#below instanceof Socket;
    const holds = isOfKernel && this.#isReferenced && this.sink !== null && !this.isDestroyed;
    if (holds === this.#isHolding) return;
    this.#isHolding = holds;
    if (holds) holdProcess();
    else releaseProcess();
  }

  setNoDelay(on: boolean): void {
    this.#socket.setNoDelay(on);
  }

  setKeepAlive(idleMs: number | false): void {
    this.#socket.setKeepAlive(idleMs !== false, idleMs === false ? 0 : idleMs);
  }

  get isReferenced(): boolean {
    return this.#isReferenced;
  }

  ref(): void {
    this.#isReferenced = true;
    this.#socket.ref();
    this.#hold();
  }

  unref(): void {
    this.#isReferenced = false;
    this.#socket.unref();
    this.#hold();
  }
}

/** A write that was refused at once is told a tick later, when `writableLength` no longer counts it. */
function hasFailed(socket: Socket): boolean {
  return socket.destroyed || (socket.errored ?? null) !== null;
}

/** Goes on encrypted over a stream of the runtime's. What `whose` is to the process and the network, it stays. */
export function secureStream(
  stream: Duplex,
  settings: SecureSettings,
  ahead: Buffer,
  sink: SecureSink,
  whose: Pick<Transport, "local" | "remote" | "holdsProcess"> & { readonly isReferenced?: boolean },
): Transport {
  const socket = startHandshake(stream, settings, ahead, {
    didHandshake(info) {
      made.info = info;
      if (!made.isDestroyed) sink.didHandshake(info);
    },
    didFailHandshake(error) {
      made.fail(error);
    },
  });
  const made = new NodeTransport(socket, stream);
  made.local = whose.local;
  made.remote = whose.remote;
  made.holdsProcess = whose.holdsProcess;
  if (whose.isReferenced === false) made.unref();
  noteEnd(socket, stream, (isCutShort) => (made.isCutShort = isCutShort));
  made.adopt(sink);
  return made;
}

function transport(socket: Socket): NodeTransport {
  return (socket as OwnedSocket)[transportOf];
}

function onReceive(this: Socket, length: number, chunk: Buffer): boolean {
  return transport(this).receive(chunk, length);
}

function onData(this: Socket, chunk: Buffer): void {
  const owner = transport(this);
  if (!owner.receive(chunk, chunk.length)) owner.pauseStream();
}

function onEnd(this: Socket): void {
  const owner = transport(this);
  if (!owner.isDestroyed) owner.didEnd();
}

function onFinish(this: Socket): void {
  const owner = transport(this);
  if (!owner.isDestroyed) owner.sink?.didFinish();
}

function onError(this: Socket, error: Error): void {
  transport(this).fail(error);
}

function onClose(this: Socket): void {
  transport(this).didClose();
}
