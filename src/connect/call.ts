import type { SocketSettings } from "../options.js";
import type { AcceptedTransport, ConnectSink, Transport } from "../transport/transport.js";

/** One attempt to connect. It is its transport's sink, until whoever wanted the connection takes the transport over. */
export class Call implements ConnectSink {
  readonly #done: (error: Error | null) => void;
  readonly #whenClosed: (call: Call) => void;
  #transport: AcceptedTransport | null = null;

  constructor(done: (error: Error | null) => void, whenClosed: (call: Call) => void) {
    this.#done = done;
    this.#whenClosed = whenClosed;
  }

  get transport(): AcceptedTransport | null {
    return this.#transport;
  }

  begin(transport: AcceptedTransport, isReferenced: boolean): void {
    this.#transport = transport;
    if (!isReferenced) transport.unref();
  }

  hangUp(): void {
    this.#transport?.destroy(false);
  }

  setReferenced(on: boolean): void {
    if (on) this.#transport?.ref();
    else this.#transport?.unref();
  }

  didOpen(): void {
    this.#done(null);
  }

  didFail(error: Error): void {
    this.hangUp();
    this.#done(error);
  }

  didClose(): void {
    this.#whenClosed(this);
  }
}

export function applySettings(transport: Transport, { noDelay, keepAliveMs }: Partial<SocketSettings>): void {
  if (noDelay !== undefined) transport.setNoDelay(noDelay);
  if (keepAliveMs !== undefined) transport.setKeepAlive(keepAliveMs);
}
