import { type Clock, type Timer, whenAsked } from "../base/clock.js";
import { inWords } from "../base/errno.js";
import { type AsyncSocketError, socketError } from "../base/errors.js";
import type { AcceptedTransport, TransportSink } from "../transport/transport.js";
import { parseProxyHeader, type ProxyHeader, V2_MAX_BYTES } from "./proxy-protocol.js";

/** The owner of header readers: the listener. */
export interface HeaderOwner {
  /**
   * The header is complete. `rest` are the bytes that came after it; `hasEnded` tells whether the FIN has come, too.
   */
  didReadHeader(reader: ProxyHeaderReader, header: ProxyHeader, rest: Buffer, hasEnded: boolean): void;
  /** The header was invalid or late; the connection is being closed. */
  didFailHeader(reader: ProxyHeaderReader, error: AsyncSocketError): void;
}

/** For how many turns of the event loop a late header is still awaited while the system has news of the connection. */
const TURNS_MAX = 100;

/** Reads the PROXY header of an accepted connection, which is no socket yet. */
export class ProxyHeaderReader implements TransportSink {
  readonly transport: AcceptedTransport;
  readonly #owner: HeaderOwner;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #timer: Timer | null;
  #received: Buffer = Buffer.alloc(0);
  #header: ProxyHeader | null = null;
  #hasEnded = false;
  #isOver = false;
  #turnsLeft = TURNS_MAX;

  constructor(transport: AcceptedTransport, owner: HeaderOwner, clock: Clock, timeoutMs: number) {
    this.transport = transport;
    this.#owner = owner;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    const expire = (): void => whenAsked(clock, strike, this);
    this.#timer = timeoutMs === Infinity ? null : clock.setTimer(expire, timeoutMs, !transport.holdsProcess);
    transport.setRoom(V2_MAX_BYTES);
    transport.adopt(this);
  }

  /**
   * Fails the header, unless more bytes may come. Its time was over a turn ago; bytes that arrived while the thread was
   * busy have been reported since, or will be.
   */
  strike(): void {
    if (this.#isOver || this.#header !== null) return;
    const mayCome = this.transport.hasNews() && --this.#turnsLeft > 0;
    if (mayCome) whenAsked(this.#clock, strike, this);
    else this.#fail(`it took more than limits.handshakeMs, ${this.#timeoutMs} ms`);
  }

  /** Closes the connection without any report. */
  cancel(): void {
    if (this.#end()) this.transport.destroy(true);
  }

  didReceive(chunk: Buffer, start: number, length: number): void {
    if (this.#isOver) return;
    const fresh = chunk.subarray(start, start + length);
    const bytes = this.#received.length === 0 ? fresh : Buffer.concat([this.#received, fresh]);
    if (this.#header !== null) this.#received = Buffer.from(bytes);
    else this.#parse(bytes);
  }

  #parse(bytes: Buffer): void {
    const result = parseProxyHeader(bytes);
    if (result.state === "error") this.#fail(result.message);
    else if (result.state === "more") this.#received = Buffer.from(bytes);
    else {
      this.#header = result.header;
      this.#received = Buffer.from(bytes.subarray(result.length));
      // What follows waits for the connection, which is not there yet.
      this.transport.setRoom(0);
      // This must not happen inside the transport's call that has just delivered bytes, since a handshake may follow.
      this.#clock.soon(handOver, this);
    }
  }

  handOver(): void {
    if (this.#header === null || !this.#end()) return;
    this.transport.setRoom(Infinity);
    this.#owner.didReadHeader(this, this.#header, this.#received, this.#hasEnded);
  }

  didEnd(): void {
    if (this.#header === null) this.#fail("the stream ended before it was complete");
    else this.#hasEnded = true;
  }

  didFail(error: Error): void {
    this.#fail(`the connection was lost: ${inWords(error)}`, error);
  }

  didClose(): void {
    this.#fail("the connection was closed underneath");
  }

  didWrite(): void {
    // Nothing is written.
  }

  didFinish(): void {
    // Nothing is ended.
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    if (this.#timer !== null) this.#clock.clearTimer(this.#timer);
    return true;
  }

  #fail(why: string, cause?: Error): void {
    if (!this.#end()) return;
    this.transport.destroy(true);
    const message = `A connection was refused for its PROXY header: ${why}`;
    this.#owner.didFailHeader(this, socketError("PROXY_PROTOCOL", "listen", message, cause));
  }
}

function strike(reader: ProxyHeaderReader): void {
  reader.strike();
}

function handOver(reader: ProxyHeaderReader): void {
  reader.handOver();
}
