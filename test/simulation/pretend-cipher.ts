/**
 * TLS as the simulation has it: true TLS is no function of a seed. A hello each way, and then each byte is changed by its
 * place in the stream, so that one that is lost, doubled, sent in the clear or read in the clear shows at once.
 */

import { Inlet, type InletOwner } from "#dist/transport/inlet.js";
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
  get inHandBytes(): number {
    return this.below.inHandBytes;
  }
  get underWayBytes(): number {
    return this.below.underWayBytes;
  }
  hasNews(): boolean {
    return this.below.hasNews();
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

export class CipherTransport extends Above implements TransportSink, InletOwner {
  readonly #sink: SecureSink;
  readonly #inlet: Inlet;
  /** Of the peer's hello, until it is complete. */
  #hello: Buffer | null = Buffer.alloc(0);
  #helloIsOut: boolean;
  #hasShaken = false;
  #sent = 0;
  #received = 0;

  constructor(network: MemoryNetwork, below: AcceptedTransport, ahead: Buffer, sink: SecureSink) {
    super(network, below);
    this.#sink = sink;
    this.#inlet = new Inlet(this, network.clock, ROOM);
    this.#inlet.sink = sink;
    below.adopt(this);
    below.setRoom(ROOM);
    const filler = Math.floor(network.random() * 30);
    this.#helloIsOut = below.write([Buffer.of(MAGIC, filler, ...Buffer.alloc(filler, "h"))]);
    if (ahead.length > 0) network.clock.soon(() => this.didReceive(ahead, 0, ahead.length), undefined);
  }

  didReceive(chunk: Buffer, start: number, length: number): void {
    if (this.#inlet.isStopped) return;
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
    this.#inlet.receive(clear, 0, clear.length);
    this.didChangeOpenRoom(this.#inlet.openRoom);
  }

  didChangeOpenRoom(bytes: number): void {
    this.below.setRoom(this.#hello === null ? bytes : ROOM);
  }

  override setRoom(bytes: number): void {
    this.#inlet.setRoom(bytes);
  }

  override write(parts: readonly Uint8Array[]): boolean {
    const sealed = parts.map((part) => Buffer.from(part).map((byte) => byte ^ keyAt(this.#sent++)));
    return this.below.write(sealed);
  }

  override destroy(reset: boolean): void {
    this.#inlet.stop();
    super.destroy(reset);
  }

  didEnd(): void {
    this.#inlet.end();
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
    this.#inlet.fail(error);
  }

  didClose(): void {
    this.#inlet.close();
  }
}

function keyAt(place: number): number {
  return ((place * 31) ^ (place >> 3) ^ 0x5a) & 0xff;
}
