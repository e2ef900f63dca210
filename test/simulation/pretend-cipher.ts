/**
 * TLS as the simulation has it: true TLS is no function of a seed. A hello each way, and then each byte is changed by its
 * place in the stream, so that one that is lost, doubled, sent in the clear or read in the clear shows at once.
 */

import { Surplus, type SurplusOwner } from "#dist/transport/surplus.js";
import type {
  AcceptedTransport,
  SecureSink,
  Transport,
  TransportFactory,
  TransportSink,
} from "#dist/transport/transport.js";
import type { MemoryNetwork } from "asyncsocket/testing";

const MAGIC = 0xc1;
const ROOM = 65_536;

/** Every connection of a network, with the pretence in place of TLS. */
export function pretending(network: MemoryNetwork): TransportFactory {
  return {
    clock: network.clock,
    connect: (endpoint, settings, sink) => new ClearTransport(network, network.connect(endpoint, settings, sink)),
    listen: (target, settings, sink) =>
      network.listen(target, settings, {
        didListen: () => sink.didListen(),
        didAccept: (transport) => sink.didAccept(new ClearTransport(network, transport)),
        didFailAccept: (error) => sink.didFailAccept(error),
        didFail: (error) => sink.didFail(error),
        didClose: () => sink.didClose(),
      }),
  };
}

/** What both have in common: all that is not about bytes goes to the transport below. */
abstract class Above implements AcceptedTransport {
  constructor(
    protected readonly network: MemoryNetwork,
    protected readonly below: AcceptedTransport,
  ) {}

  get local(): Transport["local"] {
    return this.below.local;
  }
  get remote(): Transport["remote"] {
    return this.below.remote;
  }
  get holdsProcess(): boolean {
    return this.below.holdsProcess;
  }
  adopt(sink: TransportSink): void {
    this.below.adopt(sink);
  }
  setRoom(bytes: number): void {
    this.below.setRoom(bytes);
  }
  write(parts: readonly Uint8Array[]): boolean {
    return this.below.write(parts);
  }
  end(): void {
    this.below.end();
  }
  destroy(reset: boolean): void {
    this.below.destroy(reset);
  }
  secure(_settings: unknown, ahead: Buffer, sink: SecureSink): Transport {
    return new CipherTransport(this.network, this.below, ahead, sink);
  }
  setNoDelay(on: boolean): void {
    this.below.setNoDelay(on);
  }
  setKeepAlive(idleMs: number | false): void {
    this.below.setKeepAlive(idleMs);
  }
  ref(): void {
    this.below.ref();
  }
  unref(): void {
    this.below.unref();
  }
}

class ClearTransport extends Above {}

export class CipherTransport extends Above implements TransportSink, SurplusOwner {
  room = ROOM;
  isDestroyed = false;
  readonly #sink: SecureSink;
  readonly #surplus = new Surplus();
  /** Of the peer's hello, until it is complete. */
  #hello: Buffer | null = Buffer.alloc(0);
  #helloIsOut: boolean;
  #hasShaken = false;
  #sent = 0;
  #received = 0;

  constructor(network: MemoryNetwork, below: AcceptedTransport, ahead: Buffer, sink: SecureSink) {
    super(network, below);
    this.#sink = sink;
    below.adopt(this);
    below.setRoom(ROOM);
    const filler = Math.floor(network.random() * 30);
    this.#helloIsOut = below.write([Buffer.of(MAGIC, filler, ...Buffer.alloc(filler, "h"))]);
    if (ahead.length > 0) network.clock.soon(() => this.didReceive(ahead, 0, ahead.length), undefined);
  }

  didReceive(chunk: Buffer, start: number, length: number): void {
    if (this.isDestroyed) return;
    const bytes = chunk.subarray(start, start + length);
    if (this.#hello === null) this.#decrypt(bytes);
    else {
      this.#hello = Buffer.concat([this.#hello, bytes]);
      this.#readHello(this.#hello);
    }
  }

  #readHello(hello: Buffer): void {
    const [magic, filler] = hello;
    if (magic !== undefined && magic !== MAGIC) return this.#sink.didFail(new Error("this is no hello"));
    if (filler === undefined || hello.length < 2 + filler) return;
    this.#hello = null;
    this.#shake();
    const rest = hello.subarray(2 + filler);
    if (rest.length > 0) this.#decrypt(rest);
  }

  #shake(): void {
    if (this.#hello !== null || !this.#helloIsOut || this.#hasShaken) return;
    this.#hasShaken = true;
    const info = { peerCertificate: null, authorizationError: null, truncated: false, authorized: false };
    this.#sink.didHandshake(info as unknown as Parameters<SecureSink["didHandshake"]>[0]);
  }

  #decrypt(bytes: Buffer): void {
    const clear = Buffer.from(bytes);
    for (let i = 0; i < clear.length; i++) clear[i] = (clear[i] as number) ^ keyAt(this.#received++);
    const fitting = this.#surplus.fit(clear, clear.length, this.room);
    if (fitting > 0) this.give(clear, fitting);
  }

  give(chunk: Buffer, length: number): void {
    this.#sink.didReceive(chunk, 0, length);
  }

  didGiveSurplus(hasEnd: boolean): void {
    if (hasEnd) this.#sink.didEnd();
    else this.below.setRoom(this.room);
  }

  override setRoom(bytes: number): void {
    const wasPaused = this.room === 0;
    this.room = bytes;
    if (this.#surplus.isEmpty) this.below.setRoom(this.#hello === null ? bytes : ROOM);
    else if (wasPaused) this.network.clock.soon(() => this.#surplus.giveTo(this), undefined);
  }

  override write(parts: readonly Uint8Array[]): boolean {
    const sealed = parts.map((part) => Buffer.from(part).map((byte) => byte ^ keyAt(this.#sent++)));
    return this.below.write(sealed);
  }

  override destroy(reset: boolean): void {
    this.isDestroyed = true;
    super.destroy(reset);
  }

  didEnd(): void {
    if (this.#surplus.isEmpty) this.#sink.didEnd();
    else this.#surplus.hasEnd = true;
  }

  didWrite(): void {
    if (this.#helloIsOut) return this.#sink.didWrite();
    this.#helloIsOut = true;
    this.#shake();
  }

  didFinish(): void {
    this.#sink.didFinish();
  }

  didFail(error: Error): void {
    this.#sink.didFail(error);
  }

  didClose(): void {
    this.#sink.didClose();
  }
}

function keyAt(place: number): number {
  return ((place * 31) ^ (place >> 3) ^ 0x5a) & 0xff;
}
