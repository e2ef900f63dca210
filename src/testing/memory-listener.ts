import type { Address } from "../base/address.js";
import type { ListenerSink, TransportListener } from "../transport/transport.js";

export class MemoryListener implements TransportListener {
  isClosed = false;
  readonly sink: ListenerSink;
  readonly local: Address;
  readonly #whenClosed: (listener: MemoryListener) => void;

  constructor(sink: ListenerSink, local: Address, whenClosed: (listener: MemoryListener) => void) {
    this.sink = sink;
    this.local = local;
    this.#whenClosed = whenClosed;
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#whenClosed(this);
  }

  ref(): void {
    // Nothing of it holds the process.
  }

  unref(): void {
    // Nothing of it holds the process.
  }
}
