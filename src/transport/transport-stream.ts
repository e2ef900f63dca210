import { ReceiveBuffer } from "../pump/receive-buffer.js";
import { GatheredDuplex, type Done } from "./gathered-duplex.js";
import type { Transport, TransportSink } from "./transport.js";

/** How much is held back while nobody reads the stream. */
const ROOM = 65_536;

/** A transport as a stream of the runtime's, for what is made to run over one. */
export class TransportStream extends GatheredDuplex implements TransportSink {
  readonly #transport: Transport;
  /** Received, and not given to the stream's reader yet: joined, so that it takes memory by its bytes, not by its pieces. */
  readonly #kept = new ReceiveBuffer();
  /** Whether the reader has asked for more than it was given. */
  #isWanted = false;
  #hasEnded = false;
  #resets = false;
  #whenWritten: Done | null = null;
  #whenFinished: Done | null = null;
  #whenClosed: Done | null = null;

  constructor(transport: Transport) {
    // The stream is to ask for one piece after the other, and to keep none itself.
    super({ allowHalfOpen: true, readableHighWaterMark: 1 });
    this.#transport = transport;
  }

  override _read(): void {
    this.#isWanted = true;
    this.#give();
    this.#transport.setRoom(ROOM - this.#kept.length);
  }

  /** All that is kept, in one piece, and the end behind it. */
  #give(): void {
    const { length } = this.#kept;
    if (!this.#isWanted) return;
    if (length > 0) {
      this.#isWanted = false;
      const data = this.#kept.give(0, length);
      this.#kept.drop(length);
      this.push(data);
    } else if (this.#hasEnded) this.push(null);
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
    this.#kept.borrow(chunk, length, start);
    this.#kept.keep();
    this.#give();
    this.#transport.setRoom(Math.max(0, ROOM - this.#kept.length));
  }

  didEnd(): void {
    this.#hasEnded = true;
    this.#give();
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
