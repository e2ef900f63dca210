import { connect, Socket, type SocketConnectOpts, type SocketConstructorOpts } from "node:net";
import { ipAddress, type Address } from "../address.js";
import { realClock } from "../clock.js";
import type { Endpoint, SocketSettings } from "../options.js";
import { NodeListener } from "./node-listener.js";
import { memory, onreadOption, receiveInto, ReceiveWindow, refill } from "./onread.js";
import type { AcceptedTransport, ConnectSink, TransportFactory, TransportSink } from "./transport.js";

const transportOf = Symbol("asyncsocket transport");

/** A runtime's socket that knows its transport, so that its listeners are shared functions and not closures. */
interface OwnedSocket extends Socket {
  [transportOf]: NodeTransport;
}

const NOTHING = Buffer.alloc(0);

/** A connection on `node:net`. */
export class NodeTransport implements AcceptedTransport {
  readonly holdsProcess = true;
  local: Address | undefined;
  remote: Address | undefined;
  /** Not known before `adopt`. */
  sink: TransportSink | null = null;
  /** Of a connecting one: told until there is a sink. */
  #connectSink: ConnectSink | null = null;
  readonly #socket: Socket;
  readonly #window = new ReceiveWindow();
  #room = Infinity;
  #isReceiving = false;
  /** Whether it receives into the thread's one buffer. */
  #usesMemory = false;
  #isDestroyed = false;
  #onWritten: ((error?: Error | null) => void) | null = null;

  constructor(socket: Socket) {
    this.#socket = socket;
    (socket as OwnedSocket)[transportOf] = this;
    socket.on("end", onEnd);
    socket.on("finish", onFinish);
    socket.on("error", onError);
    socket.on("close", onClose);
  }

  /** An accepted connection. Reading starts with `adopt`. */
  static accepted(socket: Socket, path: string | null): NodeTransport {
    const transport = new NodeTransport(socket);
    transport.findAddresses(path, null);
    return transport;
  }

  adopt(sink: TransportSink): void {
    this.sink = sink;
    this.#usesMemory ||= receiveInto(this.#socket, onReceive);
    if (!this.#usesMemory) this.#socket.on("data", onData);
    this.#narrow();
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
    this.local = ipAddress(socket.localAddress, socket.localPort);
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
    if (!this.#isDestroyed) (this.sink ?? this.#connectSink)?.didFail(error);
  }

  didClose(): void {
    (this.sink ?? this.#connectSink)?.didClose();
  }

  get isDestroyed(): boolean {
    return this.#isDestroyed;
  }

  /** Hands a chunk on. @returns whether more may come */
  receive(chunk: Buffer, length: number): boolean {
    if (this.#isDestroyed) return true;
    this.#isReceiving = true;
    this.sink?.didReceive(chunk, length);
    this.#isReceiving = false;
    this.#window.adjust(this.#room);
    return this.#room > 0;
  }

  setRoom(bytes: number): void {
    const wasPaused = this.#room === 0;
    this.#room = bytes;
    if (this.#isReceiving || this.#isDestroyed) return;
    this.#narrow();
    if (bytes === 0) this.#socket.pause();
    else if (wasPaused) this.#socket.resume();
  }

  #narrow(): void {
    const buffer = this.#usesMemory ? this.#window.narrow(this.#room) : null;
    if (buffer !== null) refill(this.#socket, buffer);
  }

  pauseStream(): void {
    this.#socket.pause();
  }

  write(parts: readonly Uint8Array[]): boolean {
    const socket = this.#socket;
    const [first] = parts;
    if (parts.length === 1 && first !== undefined) socket.write(first);
    else {
      socket.cork();
      for (const part of parts) socket.write(part);
      socket.uncork();
    }
    if (socket.writableLength === 0 && !socket.destroyed) return true;
    // A callback on the write itself would cost each write that is out at once, as nearly all are.
    this.#onWritten ??= (error) => {
      // Node 20 reports success for bytes that a destroyed socket has thrown away.
      const isOut = (error === undefined || error === null) && !this.#isDestroyed && !socket.destroyed;
      if (isOut) this.sink?.didWrite();
    };
    socket.write(NOTHING, this.#onWritten);
    return false;
  }

  end(): void {
    this.#socket.end();
  }

  destroy(reset: boolean): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    const socket = this.#socket;
    if (reset && !socket.connecting && this.remote?.family !== "unix" && !socket.destroyed) socket.resetAndDestroy();
    else socket.destroy();
  }

  setNoDelay(on: boolean): void {
    this.#socket.setNoDelay(on);
  }

  setKeepAlive(idleMs: number | false): void {
    this.#socket.setKeepAlive(idleMs !== false, idleMs === false ? 0 : idleMs);
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }
}

function transport(socket: Socket): NodeTransport {
  return (socket as OwnedSocket)[transportOf];
}

function onReceive(this: Socket, length: number): boolean {
  return transport(this).receive(memory, length);
}

function onData(this: Socket, chunk: Buffer): void {
  const owner = transport(this);
  if (!owner.receive(chunk, chunk.length)) owner.pauseStream();
}

function onEnd(this: Socket): void {
  const owner = transport(this);
  if (!owner.isDestroyed) owner.sink?.didEnd();
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

function connectOptions(endpoint: Endpoint, settings: SocketSettings): SocketConnectOpts {
  if (endpoint.path !== null) return { path: endpoint.path };
  const { address, family, port, localAddress, localPort } = endpoint;
  return {
    host: address,
    port,
    family,
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(localPort === undefined ? {} : { localPort }),
    autoSelectFamily: false,
    noDelay: settings.noDelay,
    keepAlive: settings.keepAliveMs !== false,
    keepAliveInitialDelay: settings.keepAliveMs === false ? 0 : settings.keepAliveMs,
  };
}

function connectNode(endpoint: Endpoint, settings: SocketSettings, sink: ConnectSink): NodeTransport {
  const options = {
    ...connectOptions(endpoint, settings),
    allowHalfOpen: true,
    onread: onreadOption(onReceive),
  } satisfies SocketConnectOpts & SocketConstructorOpts;
  return NodeTransport.connecting(connect(options), sink, endpoint.path);
}

/** `node:net`: there everywhere. */
export const nodeTransports: TransportFactory = {
  clock: realClock,
  connect: connectNode,
  listen: (target, settings, sink) => new NodeListener(target, settings, sink),
};
