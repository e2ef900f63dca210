import type { Address } from "../base/address.js";
import type { Clock } from "../base/clock.js";
import type { SecureSettings } from "../tls/settings.js";
import { secureStream } from "../transport/node/node-transport.js";
import { TransportStream } from "../transport/transport-stream.js";
import type { AcceptedTransport, ConnectSink, SecureSink, Transport, TransportSink } from "../transport/transport.js";
import type { MemoryFlow } from "./flow.js";

/** A system error as the kernel gives it. */
export function systemError(code: string, operation: string): Error {
  return Object.assign(new Error(`${operation} ${code}`), { code, syscall: operation });
}

/** One end of a connection in memory: between its sink and the two directions. */
export class MemoryTransport implements AcceptedTransport {
  readonly holdsProcess = false;
  readonly local: Address;
  readonly remote: Address;
  sink: TransportSink | null = null;
  /** How many more bytes the sink takes. */
  room = Infinity;
  /** What it sends and what it receives; null until there is a connection. */
  outgoing: MemoryFlow | null = null;
  incoming: MemoryFlow | null = null;
  /** Nothing more is heard of it, but `didClose`. */
  isOver = false;
  readonly #clock: Clock;
  /** Of the end that connects: told until there is a sink. */
  readonly #connectSink: ConnectSink | null;
  readonly #whenOver: () => void;
  #lostBy: string | null = null;
  #hasEnded = false;

  constructor(
    clock: Clock,
    local: Address,
    remote: Address,
    connectSink: ConnectSink | null,
    whenOver: (transport: MemoryTransport) => void,
  ) {
    this.#clock = clock;
    this.local = local;
    this.remote = remote;
    this.#connectSink = connectSink;
    this.#whenOver = () => whenOver(this);
  }

  // ------------------------------------------------------------------ asked for by the sink

  adopt(sink: TransportSink): void {
    this.sink = sink;
    const code = this.#lostBy;
    if (code !== null) this.#clock.later(() => this.lose(code), undefined);
    this.incoming?.plan();
  }

  secure(settings: SecureSettings, ahead: Buffer, sink: SecureSink): Transport {
    const stream = new TransportStream(this);
    this.room = 0;
    this.adopt(stream);
    return secureStream(stream, settings, ahead, sink, this);
  }

  setRoom(bytes: number): void {
    this.room = bytes;
    this.incoming?.plan();
  }

  write(parts: readonly Uint8Array[]): boolean {
    return this.isOver || this.outgoing === null ? false : this.outgoing.write(parts);
  }

  get inHandBytes(): number {
    return this.outgoing?.bytesInHand ?? 0;
  }

  get countsInHand(): boolean {
    return true;
  }

  get underWayBytes(): number {
    return this.outgoing?.bytesUnderWay ?? 0;
  }

  hasNews(): boolean {
    return false;
  }

  end(): void {
    if (this.isOver || this.#hasEnded) return;
    this.#hasEnded = true;
    this.outgoing?.end();
    this.#clock.later(() => {
      if (!this.isOver) this.sink?.didFinish();
    }, undefined);
  }

  destroy(reset: boolean): void {
    if (this.isOver) return;
    this.isOver = true;
    const { outgoing, incoming } = this;
    outgoing?.dropBatch();
    if (this.#lostBy === null) {
      // As kernels do: bytes thrown away unread are told to their sender by a RST.
      if (reset || incoming?.hasUnread === true) outgoing?.reset();
      else if (!this.#hasEnded) outgoing?.end();
    }
    outgoing?.plan();
    incoming?.plan();
    this.#clock.later(() => (this.sink ?? this.#connectSink)?.didClose(), undefined);
    this.#whenOver();
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

  // ------------------------------------------------------------------ told by the network, from the event loop only

  didConnect(): void {
    this.#connectSink?.didOpen();
  }

  didReceive(chunk: Buffer): void {
    if (!this.isOver) this.sink?.didReceive(chunk, 0, chunk.length);
  }

  didEnd(): void {
    if (!this.isOver) this.sink?.didEnd();
  }

  didWrite(): void {
    if (!this.isOver) this.sink?.didWrite();
  }

  /** The connection is broken, or never came about. One that nobody has taken yet is so when somebody does. */
  lose(code: string): void {
    if (this.isOver) return;
    this.#lostBy = code;
    if (this.sink !== null) this.sink.didFail(systemError(code, "read"));
    else if (this.outgoing === null) this.#connectSink?.didFail(systemError(code, "connect"));
    else return;
    this.destroy(false);
  }
}
