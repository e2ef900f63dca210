/** What is accepted goes on as any Node stream would, by `from`: for the accepted side of every conformance test. */

import { createServer } from "node:net";
import type { Address, ListenerSink, ListenTarget, TransportFactory, TransportListener } from "asyncsocket";
import { listenFailure } from "#dist/connect/messages.js";
import { DuplexTransport } from "#dist/transport/duplex.js";
import { nodeTransports } from "#dist/transport/node/factory.js";
import { offerAlone } from "#dist/transport/place-listener.js";

class DuplexListener implements TransportListener {
  readonly #server = createServer({ allowHalfOpen: true });
  readonly #sink: ListenerSink;

  constructor(target: ListenTarget, sink: ListenerSink) {
    this.#sink = sink;
    this.#server.on("error", (error) => sink.didFail(listenFailure(target, error)));
    this.#server.on("connection", (socket) => offerAlone(sink, new DuplexTransport(socket)));
    this.#server.listen(target.path === null ? target.port : 0, "127.0.0.1", () => sink.didListen());
  }

  get local(): Address | undefined {
    const address = this.#server.address();
    const isBound = typeof address === "object" && address !== null;
    return isBound ? { family: "IPv4", address: address.address, port: address.port } : undefined;
  }

  close(): void {
    this.#server.close();
    setImmediate(() => this.#sink.didClose());
  }

  ref(): void {
    this.#server.ref();
  }

  unref(): void {
    this.#server.unref();
  }
}

export const duplexTransports: TransportFactory = {
  ...nodeTransports,
  listen: (target, _settings, sink) => new DuplexListener(target, sink),
};
