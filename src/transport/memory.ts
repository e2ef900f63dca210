import type { Address } from "../address.js";
import { realClock, type Clock } from "../clock.js";
import { connectFailure, listenFailure } from "../connect/failure.js";
import type { ConnectTarget, ListenTarget, SocketSettings } from "../options.js";
import type { SecureSettings } from "../tls/settings.js";
import { secureStream } from "./node.js";
import { TransportStream } from "./transport-stream.js";
import type {
  AcceptedTransport,
  ListenerSink,
  SecureSink,
  Transport,
  TransportFactory,
  TransportListener,
  TransportSink,
} from "./transport.js";

export interface MemoryNetworkOptions {
  /** The time that sockets on this network live by. @default the real one */
  clock?: Clock | undefined;
  /** How many bytes come at once, at most; asked before each delivery. @default all there are */
  chunkBytes?: (() => number) | undefined;
  /** What a direction holds before its sender has to wait: a socket's buffers. @default 64 KiB */
  capacityBytes?: number | undefined;
}

/** A system error as the kernel gives it. */
export function systemError(code: string, operation: string): Error {
  return Object.assign(new Error(`${operation} ${code}`), { code, syscall: operation });
}

/** A network inside one process: listeners by port or path, connections without a descriptor. */
export class MemoryNetwork implements TransportFactory {
  readonly clock: Clock;
  readonly chunkBytes: () => number;
  readonly capacityBytes: number;
  readonly #listeners = new Map<string, MemoryListener>();
  #lastPort = 49_151;

  constructor(options: MemoryNetworkOptions = {}) {
    this.clock = options.clock ?? realClock;
    this.chunkBytes = options.chunkBytes ?? (() => Infinity);
    this.capacityBytes = options.capacityBytes ?? 65_536;
  }

  connect(target: ConnectTarget, _settings: SocketSettings, sink: TransportSink): MemoryTransport {
    const key = target.path ?? String(target.port);
    const local: Address = target.path === null ? this.#address(++this.#lastPort) : { family: "unix", path: "" };
    const remote: Address = target.path === null ? this.#address(target.port) : { family: "unix", path: target.path };
    const near = new MemoryTransport(this, local, remote);
    near.sink = sink;
    this.clock.later(() => {
      if (near.isDestroyed) return;
      const listener = this.#listeners.get(key);
      if (listener === undefined) {
        const cause = systemError(target.path === null ? "ECONNREFUSED" : "ENOENT", "connect");
        sink.didFail(connectFailure(target, Object.assign(cause, { address: target.path ?? "127.0.0.1" })));
        return;
      }
      const far = new MemoryTransport(this, remote, local);
      near.peer = far;
      far.peer = near;
      sink.didOpen();
      this.clock.later(() => listener.sink.didAccept(far), undefined);
    }, undefined);
    return near;
  }

  listen(target: ListenTarget, _settings: SocketSettings, sink: ListenerSink): MemoryListener {
    const port = target.path === null && target.port === 0 ? ++this.#lastPort : null;
    const key = target.path ?? String(port ?? target.port);
    const local: Address = target.path === null ? this.#address(Number(key)) : { family: "unix", path: target.path };
    const listener = new MemoryListener(sink, local, () => {
      this.#listeners.delete(key);
      this.clock.later(() => sink.didClose(), undefined);
    });
    this.clock.later(() => {
      if (listener.isClosed) return;
      if (this.#listeners.has(key)) sink.didFail(listenFailure(target, systemError("EADDRINUSE", "listen")));
      else {
        this.#listeners.set(key, listener);
        sink.didListen();
      }
    }, undefined);
    return listener;
  }

  #address(port: number): Address {
    return { family: "IPv4", address: "127.0.0.1", port };
  }
}

class MemoryListener implements TransportListener {
  isClosed = false;
  readonly sink: ListenerSink;
  readonly local: Address;
  readonly #whenClosed: () => void;

  constructor(sink: ListenerSink, local: Address, whenClosed: () => void) {
    this.sink = sink;
    this.local = local;
    this.#whenClosed = whenClosed;
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#whenClosed();
  }

  ref(): void {
    // Nothing of it holds the process.
  }

  unref(): void {
    // Nothing of it holds the process.
  }
}

/** One end. What it has sent and the peer has not taken yet lies in `#wire`; what did not fit there in `#waiting`. */
class MemoryTransport implements AcceptedTransport {
  readonly holdsProcess = false;
  readonly local: Address;
  readonly remote: Address;
  sink: TransportSink | null = null;
  peer: MemoryTransport | null = null;
  isDestroyed = false;
  readonly #network: MemoryNetwork;
  #wire: Buffer = Buffer.alloc(0);
  #waiting: Buffer = Buffer.alloc(0);
  #isWriting = false;
  #ends = false;
  #finTold = false;
  #room = Infinity;
  #isScheduled = false;

  constructor(network: MemoryNetwork, local: Address, remote: Address) {
    this.#network = network;
    this.local = local;
    this.remote = remote;
  }

  adopt(sink: TransportSink): void {
    this.sink = sink;
    this.peer?.wake();
  }

  secure(settings: SecureSettings, ahead: Buffer, sink: SecureSink): Transport {
    const stream = new TransportStream(this);
    this.#room = 0;
    this.adopt(stream);
    return secureStream(stream, settings, ahead, sink, this);
  }

  setRoom(bytes: number): void {
    this.#room = bytes;
    this.peer?.wake();
  }

  write(parts: readonly Uint8Array[]): boolean {
    this.#waiting = Buffer.concat([this.#waiting, ...parts]);
    this.#fill();
    this.#isWriting = this.#waiting.length > 0;
    this.wake();
    return !this.#isWriting;
  }

  #fill(): void {
    const room = Math.max(0, this.#network.capacityBytes - this.#wire.length);
    this.#wire = Buffer.concat([this.#wire, this.#waiting.subarray(0, room)]);
    this.#waiting = this.#waiting.subarray(room);
  }

  end(): void {
    this.#ends = true;
    this.#network.clock.later(() => {
      if (!this.isDestroyed) this.sink?.didFinish();
    }, undefined);
    this.wake();
  }

  destroy(reset: boolean): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    const { peer } = this;
    const hasUnread = peer !== null && peer.#wire.length > 0;
    this.#ends = true;
    this.#waiting = Buffer.alloc(0);
    if (peer !== null) {
      if (reset || hasUnread) this.#network.clock.later(() => peer.#lose("ECONNRESET"), undefined);
      else this.wake();
    }
    this.#network.clock.later(() => this.sink?.didClose(), undefined);
  }

  #lose(code: string): void {
    if (this.isDestroyed) return;
    this.sink?.didFail(systemError(code, "read"));
  }

  /** Sees to it that what can be delivered is, in a later turn. */
  wake(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#network.clock.later(deliver, this);
  }

  deliver(): void {
    this.#isScheduled = false;
    const { peer } = this;
    if (peer === null || peer.sink === null) return;
    if (peer.isDestroyed) {
      if (this.#wire.length > 0) this.#lose("EPIPE");
      return;
    }
    const count = Math.min(this.#wire.length, peer.#room, Math.max(1, this.#network.chunkBytes()));
    if (count > 0) {
      const chunk = this.#wire.subarray(0, count);
      this.#wire = this.#wire.subarray(count);
      this.#fill();
      peer.sink.didReceive(Buffer.from(chunk), count);
      if (this.#isWriting && this.#waiting.length === 0) {
        this.#isWriting = false;
        if (!this.isGone()) this.sink?.didWrite();
      }
    }
    if (this.#wire.length > 0 && peer.#room > 0) this.wake();
    else if (this.#wire.length === 0 && this.#ends && !this.#finTold) {
      this.#finTold = true;
      if (!peer.isGone()) peer.sink.didEnd();
    }
  }

  /** Asked anew: a sink's method may have destroyed it. */
  isGone(): boolean {
    return this.isDestroyed;
  }

  setNoDelay(): void {
    // Nothing here delays.
  }

  setKeepAlive(): void {
    // Nothing here goes away unseen.
  }

  ref(): void {
    // Nothing of it holds the process.
  }

  unref(): void {
    // Nothing of it holds the process.
  }
}

function deliver(transport: MemoryTransport): void {
  transport.deliver();
}
