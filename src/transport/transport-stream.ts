import { GatheredDuplex, type Done } from "./gathered-duplex.js";
import type { Transport, TransportSink } from "./transport.js";

/** Room that is as good as endless: what the stream holds back is bounded by its own high-water mark. */
const ROOM = 65_536;

/** A transport as a stream of the runtime's, for what is made to run over one. */
export class TransportStream extends GatheredDuplex implements TransportSink {
  readonly #transport: Transport;
  #resets = false;
  #whenWritten: Done | null = null;
  #whenFinished: Done | null = null;
  #whenClosed: Done | null = null;

  constructor(transport: Transport) {
    super({ allowHalfOpen: true });
    this.#transport = transport;
  }

  override _read(): void {
    this.#transport.setRoom(ROOM);
  }

  protected override send(parts: readonly Buffer[], done: Done): void {
    if (this.#transport.write(parts)) done();
    else this.#whenWritten = done;
  }

  override _final(done: Done): void {
    this.#whenFinished = done;
    this.#transport.end();
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#whenClosed = () => done(error);
    this.#transport.destroy(this.#resets);
  }

  /** `destroy`, with a RST. */
  reset(): void {
    this.#resets = true;
    this.destroy();
  }

  didReceive(chunk: Buffer, start: number, length: number): void {
    if (!this.push(Buffer.from(chunk.subarray(start, start + length)))) this.#transport.setRoom(0);
  }

  didEnd(): void {
    this.push(null);
  }

  didWrite(): void {
    const done = this.#whenWritten;
    this.#whenWritten = null;
    done?.();
  }

  didFinish(): void {
    this.#whenFinished?.();
  }

  didFail(error: Error): void {
    this.destroy(error);
  }

  didClose(): void {
    if (this.#whenClosed === null) this.destroy();
    this.#whenClosed?.();
  }
}
