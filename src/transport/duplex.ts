import { Socket } from "node:net";
import { Duplex } from "node:stream";
import { type Address, ipAddress } from "../base/address.js";
import { byteCount } from "../base/byte-count.js";
import { wrongType } from "../base/checks.js";
import { realClock } from "../base/clock.js";
import { badState } from "../base/errors.js";
import { descriptorOf, readRest, rescueBeforeFailure, type Rescuer, resetNow } from "../base/undocumented.js";
import type { SecureSettings } from "../tls/settings.js";
import { holdProcess, releaseProcess } from "./hold.js";
import { FIRST_ROOM, Inlet, type InletOwner } from "./inlet.js";
import { type KernelSettings, setKernel } from "./kernel-settings.js";
import { sendQueueOf } from "./native/addon.js";
import { secureStream } from "./node/node-transport.js";
import type { AcceptedTransport, SecureSink, Transport, TransportFactory, TransportSink } from "./transport.js";

/** A transport over any Node stream. */
export class DuplexTransport implements AcceptedTransport, InletOwner, Rescuer {
  /** A stream may have no descriptor, so only a timer can keep the process alive while a timeout runs. */
  readonly holdsProcess = false;
  readonly local: Address | undefined;
  readonly remote: Address | undefined;
  readonly #duplex: Duplex;
  readonly #inlet = new Inlet(this, realClock, FIRST_ROOM);
  #isPaused = false;
  #isReferenced = true;
  /** Whether this transport keeps the process alive, in addition to what the stream does. */
  #isHolding = false;
  /** How many parts of the present batch the stream has not confirmed. */
  #waiting = 0;
  /** A stream does not tell how much of a batch is out, so all of the batch counts until its end. */
  inHandBytes = 0;

  constructor(duplex: Duplex) {
    if (!(duplex instanceof Duplex)) throw wrongType("duplex", "a Duplex stream", duplex);
    if (duplex.readableObjectMode || duplex.writableObjectMode) throw wrongType("duplex", "a stream of bytes", duplex);
    if (duplex.readableEncoding !== null) throw wrongType("duplex", "a stream of bytes, not of text", duplex);
    if (duplex.destroyed || (duplex instanceof Socket && (duplex.pending || duplex.readyState !== "open"))) {
      throw badState("from", "the stream is not open");
    }
    if (duplex instanceof Socket) {
      this.local = ipAddress(duplex.localAddress, duplex.localPort);
      this.remote = ipAddress(duplex.remoteAddress, duplex.remotePort);
    }
    this.#duplex = duplex;
    duplex.allowHalfOpen = true; // the socket decides what to do about a FIN, not the stream
  }

  adopt(sink: TransportSink): void {
    const isFirst = this.#inlet.sink === null;
    this.#inlet.sink = sink;
    this.#hold();
    if (isFirst) this.#listen();
  }

  #listen(): void {
    this.#duplex.on("data", this.#onData);
    this.#duplex.on("end", this.#onEnd);
    this.#duplex.on("finish", this.#onFinish);
    this.#duplex.on("error", this.#onError);
    this.#duplex.on("close", this.#onClose);
    if (this.#duplex instanceof Socket) rescueBeforeFailure(this.#duplex, this);
    // The user may have paused the stream before.
    this.#duplex.resume();
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#inlet.receive(chunk, 0, chunk.length);
    if (!this.isDestroyed) this.didChangeOpenRoom(this.#inlet.openRoom);
  };
  readonly #onEnd = (): void => this.#inlet.end();
  readonly #onFinish = (): void => {
    if (!this.isDestroyed) this.#inlet.sink?.didFinish();
  };
  readonly #onError = (error: Error): void => {
    if (this.isDestroyed) return;
    this.#takeRest();
    this.#inlet.fail(error);
  };
  readonly #onClose = (): void => {
    if (!this.isDestroyed) this.#takeRest();
    this.#inlet.close();
  };

  /** Takes what a paused stream has buffered and would drop when it is destroyed. */
  #takeRest(): void {
    const duplex = this.#duplex;
    duplex.removeListener("data", this.#onData);
    for (let chunk = duplex.read() as Buffer | null; chunk !== null; chunk = duplex.read() as Buffer | null) {
      this.#inlet.receive(chunk, 0, chunk.length);
    }
  }

  rescue(): boolean {
    if (this.isDestroyed) return false;
    this.#takeRest();
    if (this.#duplex instanceof Socket)
      readRest(this.#duplex, (chunk, length) => this.#inlet.receive(chunk, 0, length));
    return false;
  }

  get isDestroyed(): boolean {
    return this.#inlet.isStopped;
  }

  didChangeOpenRoom(bytes: number): void {
    if (bytes === 0) {
      if (!this.#isPaused) this.#duplex.pause();
    } else if (this.#isPaused) this.#duplex.resume();
    this.#isPaused = bytes === 0;
  }

  secure(settings: SecureSettings, ahead: Buffer, sink: SecureSink): Transport {
    const duplex = this.#duplex;
    const all = Buffer.concat([ahead, this.#inlet.takeAll()]);
    this.#stop();
    duplex.removeListener("data", this.#onData);
    duplex.removeListener("end", this.#onEnd);
    duplex.removeListener("finish", this.#onFinish);
    duplex.removeListener("error", this.#onError);
    duplex.removeListener("close", this.#onClose);
    if (duplex instanceof Socket) rescueBeforeFailure(duplex, null);
    return secureStream(duplex, settings, all, sink, this);
  }

  setRoom(bytes: number): void {
    this.#inlet.setRoom(bytes);
  }

  write(parts: readonly Uint8Array[]): boolean {
    this.#waiting = parts.length;
    this.inHandBytes = byteCount(parts);
    this.#duplex.cork();
    for (const part of parts) this.#duplex.write(part, this.#onWritten);
    this.#duplex.uncork();
    return false;
  }

  readonly #onWritten = (error?: Error | null): void => {
    this.#waiting--;
    if (error !== null && error !== undefined) return;
    if (this.#waiting > 0 || this.isDestroyed || this.#duplex.destroyed) return;
    this.inHandBytes = 0;
    realClock.soon(tellWritten, this);
  };

  get underWayBytes(): number {
    return sendQueueOf(this.descriptor);
  }

  hasNews(): boolean {
    return false;
  }

  end(): void {
    this.#duplex.end();
  }

  destroy(reset: boolean): void {
    if (this.isDestroyed) return;
    this.#stop();
    const duplex = this.#duplex;
    // The 'close' event may have come before this transport listened for it.
    if (duplex.closed) realClock.soon(tellClosed, this.#inlet);
    else if (reset && duplex instanceof Socket && !duplex.destroyed && this.remote !== undefined)
      resetNow(duplex, duplex);
    else duplex.destroy();
  }

  #stop(): void {
    this.#inlet.stop();
    this.#hold();
  }

  /** A `net.Socket` that is open but does not read does not keep the process alive by itself; see `NodeTransport`. */
  #hold(): void {
    const holds = this.#duplex instanceof Socket && this.#isReferenced && !this.isDestroyed;
    if (holds === this.#isHolding) return;
    this.#isHolding = holds;
    if (holds) holdProcess();
    else releaseProcess();
  }

  /** Tells the sink that the batch is out. */
  tellWritten(): void {
    if (!this.isDestroyed) this.#inlet.sink?.didWrite();
  }

  setNoDelay(on: boolean): void {
    if (this.#duplex instanceof Socket) this.#duplex.setNoDelay(on);
  }

  setKeepAlive(idleMs: number | false): void {
    if (this.#duplex instanceof Socket) this.#duplex.setKeepAlive(idleMs !== false, idleMs === false ? 0 : idleMs);
  }

  setKernel(operation: string, settings: KernelSettings): void {
    if (!this.isDestroyed) setKernel(operation, this.descriptor, settings);
  }

  /** The descriptor; -1 where the stream has none. */
  get descriptor(): number {
    return this.#duplex instanceof Socket ? descriptorOf(this.#duplex) : -1;
  }

  get isReferenced(): boolean {
    return this.#isReferenced;
  }

  ref(): void {
    this.#isReferenced = true;
    if (this.#duplex instanceof Socket) this.#duplex.ref();
    this.#hold();
  }

  unref(): void {
    this.#isReferenced = false;
    if (this.#duplex instanceof Socket) this.#duplex.unref();
    this.#hold();
  }
}

function tellWritten(transport: DuplexTransport): void {
  transport.tellWritten();
}

function tellClosed(inlet: Inlet): void {
  inlet.close();
}

function cannot(operation: string): never {
  throw badState(operation, "the socket was made from a stream");
}

/** The factory of a socket that was made from a stream: it has a clock, and refuses to connect and to listen. */
export const duplexFactory: TransportFactory = {
  clock: realClock,
  name: "stream",
  connect: () => cannot("connect"),
  listen: () => cannot("listen"),
};
