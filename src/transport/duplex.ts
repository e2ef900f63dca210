import { Duplex } from "node:stream";
import { Socket } from "node:net";
import { ipAddress, type Address } from "../address.js";
import { wrongType } from "../arguments.js";
import { realClock } from "../clock.js";
import { badState } from "../failures.js";
import type { SecureSettings } from "../tls/settings.js";
import { secureStream } from "./node.js";
import { Surplus, type SurplusOwner } from "./surplus.js";
import type { AcceptedTransport, SecureSink, Transport, TransportFactory, TransportSink } from "./transport.js";

/** Any Node stream as a transport. */
export class DuplexTransport implements AcceptedTransport, SurplusOwner {
  /** A stream is no descriptor: nothing but a timer may hold the process while a timeout runs. */
  readonly holdsProcess = false;
  readonly local: Address | undefined;
  readonly remote: Address | undefined;
  readonly #duplex: Duplex;
  #sink: TransportSink | null = null;
  readonly #surplus = new Surplus();
  room = Infinity;
  isDestroyed = false;
  #waiting = 0;

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
    duplex.allowHalfOpen = true; // what a FIN means is decided by the socket
  }

  adopt(sink: TransportSink): void {
    this.#sink = sink;
    this.#duplex.on("data", this.#onData);
    this.#duplex.on("end", this.#onEnd);
    this.#duplex.on("finish", this.#onFinish);
    this.#duplex.on("error", this.#onError);
    this.#duplex.on("close", this.#onClose);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.isDestroyed) return;
    const fitting = this.#surplus.fit(chunk, chunk.length, this.room);
    if (fitting > 0) this.give(chunk, fitting);
  };
  readonly #onEnd = (): void => {
    if (this.isDestroyed) return;
    if (this.#surplus.isEmpty) this.#sink?.didEnd();
    else this.#surplus.hasEnd = true;
  };
  readonly #onFinish = (): void => {
    if (!this.isDestroyed) this.#sink?.didFinish();
  };
  readonly #onError = (error: Error): void => {
    if (!this.isDestroyed) this.#sink?.didFail(error);
  };
  readonly #onClose = (): void => this.#sink?.didClose();

  give(chunk: Buffer, length: number): void {
    this.#sink?.didReceive(chunk, 0, length);
  }

  giveSurplus(): void {
    this.#surplus.giveTo(this);
  }

  didGiveSurplus(hasEnd: boolean): void {
    if (hasEnd) this.#sink?.didEnd();
    else if (this.room > 0) this.#duplex.resume();
  }

  secure(settings: SecureSettings, ahead: Buffer, sink: SecureSink): Transport {
    const duplex = this.#duplex;
    this.isDestroyed = true;
    duplex.removeListener("data", this.#onData);
    duplex.removeListener("end", this.#onEnd);
    duplex.removeListener("finish", this.#onFinish);
    duplex.removeListener("error", this.#onError);
    duplex.removeListener("close", this.#onClose);
    return secureStream(duplex, settings, Buffer.concat([ahead, ...this.#surplus.takeAll()]), sink, this);
  }

  setRoom(bytes: number): void {
    const wasPaused = this.room === 0;
    this.room = bytes;
    if (bytes === 0) this.#duplex.pause();
    else if (wasPaused && this.#surplus.isEmpty) this.#duplex.resume();
    else if (wasPaused) realClock.soon(giveSurplus, this);
  }

  write(parts: readonly Uint8Array[]): boolean {
    this.#waiting = parts.length;
    this.#duplex.cork();
    for (const part of parts) this.#duplex.write(part, this.#onWritten);
    this.#duplex.uncork();
    return false;
  }

  readonly #onWritten = (error?: Error | null): void => {
    this.#waiting--;
    if (error !== null && error !== undefined) return;
    if (this.#waiting === 0 && !this.isDestroyed && !this.#duplex.destroyed) realClock.soon(tellWritten, this.#sink);
  };

  end(): void {
    this.#duplex.end();
  }

  destroy(reset: boolean): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    const duplex = this.#duplex;
    if (duplex.closed) realClock.soon(tellClosed, this.#sink);
    else if (reset && duplex instanceof Socket && this.remote !== undefined) duplex.resetAndDestroy();
    else duplex.destroy();
  }

  setNoDelay(on: boolean): void {
    if (this.#duplex instanceof Socket) this.#duplex.setNoDelay(on);
  }

  setKeepAlive(idleMs: number | false): void {
    if (this.#duplex instanceof Socket) this.#duplex.setKeepAlive(idleMs !== false, idleMs === false ? 0 : idleMs);
  }

  ref(): void {
    if (this.#duplex instanceof Socket) this.#duplex.ref();
  }

  unref(): void {
    if (this.#duplex instanceof Socket) this.#duplex.unref();
  }
}

function giveSurplus(owner: DuplexTransport): void {
  owner.giveSurplus();
}

function tellWritten(sink: TransportSink | null): void {
  sink?.didWrite();
}

function tellClosed(sink: TransportSink | null): void {
  sink?.didClose();
}

function cannot(operation: string): never {
  throw badState(operation, "the socket was made from a stream");
}

/** A socket made from a stream neither connects nor listens; it only needs the clock. */
export const duplexFactory: TransportFactory = {
  clock: realClock,
  connect: () => cannot("connect"),
  listen: () => cannot("listen"),
};
