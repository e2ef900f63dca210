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
import { FIRST_ROOM, Inlet, type InletOwner } from "../inlet.js";
import { type KernelSettings, setKernel } from "../kernel-settings.js";
import { sendQueueOf } from "../native/addon.js";
import { TransportStream } from "../transport-stream.js";
import type { AcceptedTransport, ConnectSink, SecureSink, Transport, TransportSink } from "../transport.js";

const transportOf = Symbol("asyncsocket transport");

/** A `net.Socket` that holds its transport, so that its event listeners can be shared functions instead of closures. */
interface OwnedSocket extends Socket {
  [transportOf]: NodeTransport;
}

const NOTHING = Buffer.alloc(0);

/** A connection on `node:net`. */
export class NodeTransport implements AcceptedTransport, InletOwner, Rescuer {
  holdsProcess = true;
  local: Address | undefined;
  remote: Address | undefined;
  /** Receives the events of a connecting socket until `adopt` is called. */
  #connectSink: ConnectSink | null = null;
  /** The result of the TLS handshake; null before it is done, and on a connection without TLS. */
  info: SecureInfo | null = null;
  /** Whether a FIN without close_notify ended the TLS stream. */
  isCutShort = false;
  readonly #socket: Socket;
  /** The stream below TLS; null on a connection without TLS. */
  readonly #below: Duplex | null;
  readonly #inlet = new Inlet(this, realClock, FIRST_ROOM);
  readonly #window = new ReceiveWindow();
  /** Whether the socket receives into the buffer that the sockets of the thread share. */
  #usesMemory = false;
  /** Whether the runtime was told to deliver nothing for now. */
  #isPaused = false;
  /** Whether a write or a read has failed. */
  #isFailing = false;
  #isReferenced = true;
  /** Whether this transport keeps the process alive, in addition to what its handle does. */
  #isHolding = false;
  /** How many bytes the present batch has; 0 when it is out. */
  #inHand = 0;
  #onWritten: ((error?: Error | null) => void) | null = null;
  /** The settings to be made once the socket is connected; null from then on. */
  #pending: KernelSettings | null = null;

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
   * Makes the transport of an accepted connection. Reading starts with `adopt`.
   * @param bound the local address, where the listener is bound to a single one, so that the socket need not be asked
   */
  static accepted(socket: Socket, path: string | null, bound: Address | undefined): NodeTransport {
    const transport = new NodeTransport(socket);
    transport.local = bound;
    transport.findAddresses(path, null);
    return transport;
  }

  secure(settings: SecureSettings, ahead: Buffer, sink: SecureSink): Transport {
    if (this.isSecure) return this.#secureAgain(settings, ahead, sink);
    const all = Buffer.concat([ahead, this.takeKept()]);
    const socket = this.leave();
    if (this.#usesMemory) receiveNowhere(socket);
    return secureStream(socket, settings, all, sink, this);
  }

  /**
   * TLS within TLS, behind a proxy that is spoken to over TLS. A stream over this transport stands between the two, so
   * that the inner one takes nothing of the outer one for a connection of the system.
   */
  #secureAgain(settings: SecureSettings, ahead: Buffer, sink: SecureSink): Transport {
    const stream = new TransportStream(this);
    this.setRoom(0);
    this.adopt(stream);
    return secureStream(stream, settings, ahead, sink, this);
  }

  /** The transport that this one is encrypted over; null where that is a stream of the runtime. */
  get #carrier(): Transport | null {
    return this.#below instanceof TransportStream ? this.#below.transport : null;
  }

  /** Removes and returns the bytes that the sink had no room for, for whoever takes the connection over. */
  takeKept(): Buffer {
    return this.#inlet.takeAll();
  }

  /** Gives the `net.Socket` away. The sink is told nothing more. */
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

  /** Whether nothing was received or sent yet. */
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

  /** Remembers both addresses, because the socket reveals them only while its descriptor is open. */
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

  /** Makes the transport of a connecting socket, which has the option `onread`. Reading starts with `adopt`. */
  static connecting(
    socket: Socket,
    sink: ConnectSink,
    path: string | null,
    settings: KernelSettings = {},
  ): NodeTransport {
    const transport = new NodeTransport(socket);
    transport.#connectSink = sink;
    transport.#usesMemory = true;
    transport.#pending = settings;
    socket.once("connect", () => {
      transport.findAddresses(null, path);
      if (!transport.isDestroyed) transport.#didConnect(sink);
    });
    return transport;
  }

  /** The runtime makes the descriptor late, so the settings are made only now. */
  #didConnect(sink: ConnectSink): void {
    try {
      setKernel("connect", this.descriptor, this.#pending ?? {});
    } catch (error) {
      sink.didFail(error as Error);
      return;
    } finally {
      this.#pending = null;
    }
    sink.didOpen();
  }

  fail(error: Error): void {
    if (this.isDestroyed) return;
    const isOfTLS = this.info !== null && /^ERR_(SSL|TLS)_/.test(reasonOf(error));
    const words = `The TLS connection failed: ${inWords(error)}`;
    const told = isOfTLS ? socketError("TLS", "connection", words, error) : error;
    if (this.#inlet.sink === null) this.#connectSink?.didFail(told);
    else this.#inlet.fail(told);
  }

  /**
   * A write or a read has failed. What had come before is received first; what exceeds the room follows with `fail`.
   */
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

  /** Passes a chunk on. @returns whether the runtime may deliver more */
  receive(chunk: Buffer, length: number): boolean {
    if (this.isDestroyed) return true;
    const filled = filledBy(chunk);
    if (length > filled.length) {
      this.#socket.destroy(new Error(`the runtime reported ${length} received bytes in a buffer of ${filled.length}`));
      return false;
    }
    this.#inlet.receive(filled, 0, length);
    const room = this.#inlet.openRoom;
    // The runtime asks for the next buffer right after this call; at any other time another socket would get it.
    if (this.#usesMemory && !this.#inlet.isStopped) this.#window.adjust(this.isSecure ? Infinity : room);
    this.#isPaused = room === 0;
    return room > 0;
  }

  didEnd(): void {
    // A failed write consumes the error of the reset in the kernel, so that the reset now looks like a FIN.
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

  /**
   * Over TLS a small window would cut each record into pieces of that size, with a call for each, so it is not used.
   */
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
    // Nearly all writes are out at once. A callback on the write itself would make all of them slower.
    socket.write(NOTHING, this.#whenWritten);
    return false;
  }

  /** Writes over TLS are never out at once, so the last part has the callback instead of an additional empty write. */
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

  /** TLS does not tell how much of a batch is out, so all of it counts there until the end of the batch. */
  get inHandBytes(): number {
    if (this.#inHand === 0 || this.#below !== null || hasFailed(this.#socket)) return this.#inHand;
    return Math.min(this.#inHand, writeQueueSize(this.#socket) ?? this.#inHand);
  }

  get countsInHand(): boolean {
    return this.#below === null && writeQueueSize(this.#socket) !== undefined;
  }

  get underWayBytes(): number {
    return this.#carrier?.underWayBytes ?? sendQueueOf(this.descriptor);
  }

  /** The runtime delivers the events of all sockets in each turn, so none is outstanding. */
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

  /** Only TCP has a RST; unix-domain sockets and other streams are destroyed without one. */
  #reset(stream: Duplex): void {
    if (stream instanceof TransportStream) stream.reset();
    if (stream instanceof Socket && !stream.connecting && !stream.destroyed && this.remote?.family !== "unix") {
      resetNow(stream, this.#socket);
    } else this.#socket.destroy();
  }

  /** From now on the sink is told nothing except `didClose`. */
  #stop(): void {
    this.#inlet.stop();
    this.#hold();
  }

  /**
   * An open socket keeps the process alive unless `unref` was called. The runtime's handle does so only while it reads,
   * so not while it is paused, and not after the peer's FIN has come.
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
    this.#carrier?.setNoDelay(on);
    this.#socket.setNoDelay(on);
  }

  setKeepAlive(idleMs: number | false): void {
    this.#carrier?.setKeepAlive(idleMs);
    this.#socket.setKeepAlive(idleMs !== false, idleMs === false ? 0 : idleMs);
  }

  setKernel(operation: string, settings: KernelSettings): void {
    if (this.#pending !== null) this.#pending = { ...this.#pending, ...settings };
    else if (this.#carrier !== null) this.#carrier.setKernel?.(operation, settings);
    else if (!this.isDestroyed) setKernel(operation, this.descriptor, settings);
  }

  /** The descriptor of the connection, also below TLS; -1 where the kernel has none. */
  get descriptor(): number {
    const stream = this.#below ?? this.#socket;
    return stream instanceof Socket ? descriptorOf(stream) : (this.#carrier?.descriptor ?? -1);
  }

  get isReferenced(): boolean {
    return this.#isReferenced;
  }

  ref(): void {
    this.#isReferenced = true;
    this.#carrier?.ref();
    this.#socket.ref();
    this.#hold();
  }

  unref(): void {
    this.#isReferenced = false;
    this.#carrier?.unref();
    this.#socket.unref();
    this.#hold();
  }
}

/**
 * Whether the socket has failed. A write that fails at once leaves `writableLength` 0, and its error comes a tick
 * later.
 */
function hasFailed(socket: Socket): boolean {
  return socket.destroyed || (socket.errored ?? null) !== null;
}

/** Starts TLS over a stream. The addresses and the hold on the process are taken over from `whose`. */
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
