import type { SrvRecord } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import type { Address } from "../address.js";
import { realClock, type Clock } from "../clock.js";
import { listenFailure } from "../connect/failure.js";
import type { ResolveSrv } from "../connect/srv.js";
import type { Endpoint, ListenTarget, SocketSettings } from "../options.js";
import type { SecureSettings } from "../tls/settings.js";
import { secureStream } from "./node.js";
import { TransportStream } from "./transport-stream.js";
import type {
  AcceptedTransport,
  ConnectSink,
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
  /** The addresses of names. @default 127.0.0.1 for every name that is not in it */
  hosts?: Readonly<Record<string, readonly string[]>> | undefined;
  /** The SRV records of names such as `_xmpp-client._tcp.example.com`. @default none */
  services?: Readonly<Record<string, readonly SrvRecord[]>> | undefined;
  /** Addresses that never answer. @default none */
  silent?: readonly string[] | undefined;
}

/** A system error as the kernel gives it. */
export function systemError(code: string, operation: string): Error {
  return Object.assign(new Error(`${operation} ${code}`), { code, syscall: operation });
}

/**
 * A network inside one process, with names of its own, and connections without a descriptor. Who listens without a host,
 * or on a name, is found at every address; who listens on an address, only there.
 */
export class MemoryNetwork implements TransportFactory {
  readonly clock: Clock;
  readonly chunkBytes: () => number;
  readonly capacityBytes: number;
  readonly #options: MemoryNetworkOptions;
  readonly #listeners = new Map<string, MemoryListener>();
  #lastPort = 49_151;

  constructor(options: MemoryNetworkOptions = {}) {
    this.#options = options;
    this.clock = options.clock ?? realClock;
    this.chunkBytes = options.chunkBytes ?? (() => Infinity);
    this.capacityBytes = options.capacityBytes ?? 65_536;
  }

  readonly lookup: LookupFunction = (name, { family, all }, done) => {
    const found = (this.#options.hosts?.[name] ?? ["127.0.0.1"])
      .map((address) => ({ address, family: isIP(address) }))
      .filter((one) => (family !== 4 && family !== 6 ? true : one.family === family));
    const [first] = found;
    if (first === undefined) done(systemError("ENOTFOUND", "getaddrinfo"), []);
    else if (all === true) done(null, found);
    else done(null, first.address, first.family);
  };

  readonly resolveSrv: ResolveSrv = (name, done) => {
    const records = this.#options.services?.[name];
    if (records === undefined) done(systemError("ENOTFOUND", "querySrv"), []);
    else done(null, records);
    return () => undefined;
  };

  connect(endpoint: Endpoint, _settings: SocketSettings, sink: ConnectSink): AcceptedTransport {
    const [local, remote] = this.#ends(endpoint);
    const near = new MemoryTransport(this, local, remote);
    near.connectSink = sink;
    if (endpoint.path !== null || this.#options.silent?.includes(endpoint.address) !== true) {
      this.clock.later(() => this.#answer(endpoint, near, sink), undefined);
    }
    return near;
  }

  #answer(endpoint: Endpoint, near: MemoryTransport, sink: ConnectSink): void {
    if (near.isDestroyed) return;
    const listener =
      endpoint.path === null
        ? (this.#listeners.get(keyOf(endpoint.address, endpoint.port)) ?? this.#listeners.get(keyOf("", endpoint.port)))
        : this.#listeners.get(endpoint.path);
    if (listener === undefined) {
      sink.didFail(systemError(endpoint.path === null ? "ECONNREFUSED" : "ENOENT", "connect"));
      return;
    }
    const far = new MemoryTransport(this, near.remote, near.local);
    near.peer = far;
    far.peer = near;
    sink.didOpen();
    this.clock.later(() => listener.sink.didAccept(far), undefined);
  }

  #ends(endpoint: Endpoint): [local: Address, remote: Address] {
    if (endpoint.path !== null) {
      return [
        { family: "unix", path: "" },
        { family: "unix", path: endpoint.path },
      ];
    }
    const { address, port, localAddress, localPort } = endpoint;
    const own = localAddress ?? (endpoint.family === 6 ? "::1" : "127.0.0.1");
    return [ipEnd(own, localPort ?? ++this.#lastPort), ipEnd(address, port)];
  }

  listen(target: ListenTarget, _settings: SocketSettings, sink: ListenerSink): TransportListener {
    const host = target.path === null && target.host !== undefined && isIP(target.host) !== 0 ? target.host : "";
    const port = target.path === null ? target.port || ++this.#lastPort : 0;
    const key = target.path ?? keyOf(host, port);
    const local: Address =
      target.path === null ? ipEnd(host === "" ? "127.0.0.1" : host, port) : { family: "unix", path: target.path };
    const listener = new MemoryListener(sink, local, () => {
      if (this.#listeners.get(key) === listener) this.#listeners.delete(key);
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
}

function ipEnd(address: string, port: number): Address {
  return { family: isIP(address) === 6 ? "IPv6" : "IPv4", address, port };
}

/** An empty host is every address. */
function keyOf(host: string, port: number): string {
  return `${host === "0.0.0.0" || host === "::" ? "" : host} ${port}`;
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
  /** Of the end that connects: told until there is a sink. */
  connectSink: ConnectSink | null = null;
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
    this.#network.clock.later(() => (this.sink ?? this.connectSink)?.didClose(), undefined);
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
