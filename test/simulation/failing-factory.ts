/** A network whose n-th operation fails: a listen, a connect, an accept, a write, a FIN, or what would have come. */

import type {
  AcceptedTransport,
  Clock,
  ConnectSink,
  Endpoint,
  ListenerSink,
  ListenTarget,
  SocketSettings,
  Transport,
  TransportFactory,
  TransportListener,
  TransportSink,
} from "asyncsocket";

export class FailingFactory implements TransportFactory {
  readonly clock: Clock;
  /** What failed; null: there were not so many operations. */
  failed: string | null = null;
  readonly error: Error;
  readonly #inner: TransportFactory;
  #left: number;

  constructor(inner: TransportFactory, count: number, code: string) {
    this.#inner = inner;
    this.clock = inner.clock;
    this.#left = count;
    this.error = Object.assign(new Error(code), { code });
  }

  /** @returns whether this is the one that fails */
  fails(operation: string): boolean {
    if (--this.#left !== 0) return false;
    this.failed = operation;
    return true;
  }

  connect(endpoint: Endpoint, settings: SocketSettings, sink: ConnectSink): AcceptedTransport {
    const fails = this.fails("connect");
    const didOpen = (): void => (fails ? sink.didFail(this.error) : sink.didOpen());
    const inner = this.#inner.connect(endpoint, settings, {
      didOpen,
      didFail: (error) => sink.didFail(error),
      didClose: () => sink.didClose(),
    });
    return new FailingTransport(this, inner);
  }

  listen(target: ListenTarget, settings: SocketSettings, sink: ListenerSink): TransportListener {
    const fails = this.fails("listen");
    return this.#inner.listen(target, settings, {
      didListen: () => (fails ? sink.didFail(this.error) : sink.didListen()),
      didAccept: (transport) => {
        if (this.fails("accept")) {
          transport.destroy(true);
          sink.didFailAccept(this.error);
        } else sink.didAccept(new FailingTransport(this, transport));
      },
      didFailAccept: (error) => sink.didFailAccept(error),
      didFail: (error) => sink.didFail(error),
      didClose: () => sink.didClose(),
    });
  }
}

class FailingTransport implements AcceptedTransport {
  readonly #factory: FailingFactory;
  readonly #inner: AcceptedTransport;
  #sink: TransportSink | null = null;
  #isOver = false;

  constructor(factory: FailingFactory, inner: AcceptedTransport) {
    this.#factory = factory;
    this.#inner = inner;
  }

  get local(): Transport["local"] {
    return this.#inner.local;
  }

  get remote(): Transport["remote"] {
    return this.#inner.remote;
  }

  get holdsProcess(): boolean {
    return this.#inner.holdsProcess;
  }

  get inHandBytes(): number {
    return this.#inner.inHandBytes;
  }

  get underWayBytes(): number {
    return this.#inner.underWayBytes;
  }

  hasNews(): boolean {
    return this.#inner.hasNews();
  }

  adopt(sink: TransportSink): void {
    this.#sink = sink;
    this.#inner.adopt({
      didReceive: (chunk, start, length) => this.#unlessFails("receive", () => sink.didReceive(chunk, start, length)),
      didEnd: () => this.#unlessFails("the FIN received", () => sink.didEnd()),
      didWrite: () => this.#unlessFails("a write under way", () => sink.didWrite()),
      didFinish: () => this.#unlessFails("a FIN under way", () => sink.didFinish()),
      didFail: (error) => (this.#isOver ? undefined : sink.didFail(error)),
      didClose: () => sink.didClose(),
    });
  }

  #unlessFails(operation: string, proceed: () => void): void {
    if (this.#isOver) return;
    if (this.#factory.fails(operation)) this.#fail();
    else proceed();
  }

  #fail(): void {
    this.#isOver = true;
    this.#factory.clock.later(() => this.#sink?.didFail(this.#factory.error), undefined);
    this.#inner.destroy(true);
  }

  write(parts: readonly Uint8Array[]): boolean {
    if (!this.#factory.fails("write")) return this.#inner.write(parts);
    this.#fail();
    return false;
  }

  end(): void {
    this.#unlessFails("end", () => this.#inner.end());
  }

  setRoom(bytes: number): void {
    this.#inner.setRoom(bytes);
  }

  destroy(reset: boolean): void {
    this.#isOver = true;
    this.#inner.destroy(reset);
  }

  secure(...args: Parameters<Transport["secure"]>): Transport {
    return this.#inner.secure(...args);
  }

  setNoDelay(on: boolean): void {
    this.#inner.setNoDelay(on);
  }

  setKeepAlive(idleMs: number | false): void {
    this.#inner.setKeepAlive(idleMs);
  }

  ref(): void {
    this.#inner.ref();
  }

  unref(): void {
    this.#inner.unref();
  }
}
