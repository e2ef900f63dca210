import { ReceiveBuffer } from "../pump/receive-buffer.js";
import { GatheredDuplex, type Done } from "./gathered-duplex.js";
import type { Transport, TransportSink } from "./transport.js";

/** How many bytes are received while nobody reads the stream. */
const ROOM = 65_536;

/** A Node stream over a transport, for TLS and whatever else runs over a stream. */
export class TransportStream extends GatheredDuplex implements TransportSink {
  readonly transport: Transport;
  /** Bytes that the stream's reader was not given yet. They are joined, so that small chunks cost no extra memory. */
  readonly #kept = new ReceiveBuffer();
  /** Whether the reader has asked for bytes that it was not given yet. */
  #isWanted = false;
  #hasEnded = false;
  #resets = false;
  #whenWritten: Done | null = null;
  #whenFinished: Done | null = null;
  #whenClosed: Done | null = null;

  constructor(transport: Transport) {
    // With this mark the stream asks for one piece after the other, and buffers none itself.
    super({ allowHalfOpen: true, readableHighWaterMark: 1 });
    this.transport = transport;
  }

  override _read(): void {
    this.#isWanted = true;
    this.#give();
    this.transport.setRoom(ROOM - this.#kept.length);
  }

  /** Gives the reader all kept bytes in one piece, or the end when there are none. */
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
    if (this.transport.write(parts)) done();
    else this.#whenWritten = done;
  }

  override _final(done: Done): void {
    this.#whenFinished = done;
    this.transport.end();
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#whenClosed = () => done(error);
    this.transport.destroy(this.#resets);
  }

  /** Destroys the stream, and closes the connection with a RST. */
  reset(): void {
    this.#resets = true;
    this.destroy();
  }

  didReceive(chunk: Buffer, start: number, length: number): void {
    this.#kept.borrow(chunk, length, start);
    this.#kept.keep();
    this.#give();
    this.transport.setRoom(Math.max(0, ROOM - this.#kept.length));
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
