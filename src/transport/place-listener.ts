import { AsyncResource } from "node:async_hooks";
import type { Address } from "../base/address.js";
import { realClock } from "../base/clock.js";
import { surface } from "../base/uncaught.js";
import type { ListenTarget, SocketSettings } from "./options.js";
import type { AcceptedTransport, ListenerSink, TransportListener } from "./transport.js";

/** Receives accepted connections and failed accepts. */
export type AcceptSink = Pick<ListenerSink, "didAccept" | "didFailAccept">;

/** One address or path to listen on. */
export interface Place {
  /** Undefined stands for every address of the machine, of both families unless `ipv6Only`. */
  readonly address: string | undefined;
  readonly port: number;
  /** The path of a unix-domain socket; null where the place is an address and a port. */
  readonly path: string | null;
  /** The path that the socket is bound to; `path` becomes a link to that file. */
  readonly boundPath: string | null;
  readonly backlog: number;
  readonly ipv6Only: boolean;
  readonly reusePort: boolean;
  /** The descriptor that listens already; null where the members above say where to listen. */
  readonly fd: number | null;
}

/** One listening descriptor. */
export interface Bound {
  readonly address: Address | undefined;
  close(): void;
  ref(): void;
  unref(): void;
}

/** Starts to listen on one place. From then on the sink is told of the connections accepted there. */
export type Bind = (place: Place, settings: SocketSettings, sink: AcceptSink) => Promise<Bound>;

/** The local address of all connections accepted here; undefined where that may be any address of the machine. */
export function soleAddress(bound: Address | undefined): Address | undefined {
  return bound?.family !== "unix" && ["::", "0.0.0.0"].includes(bound?.address ?? "::") ? undefined : bound;
}

/** A listener on one place, which `bind` opens in the way of its transport. */
export class PlaceListener implements TransportListener {
  local: Address | undefined;
  readonly #sink: ListenerSink;
  #bound: Bound | null = null;
  #isReferenced = true;
  #isClosed = false;

  constructor(target: ListenTarget, settings: SocketSettings, sink: ListenerSink, bind: Bind) {
    this.#sink = sink;
    bind(placeOf(target), settings, sink).then(
      (bound) => this.#didBind(bound),
      (error: unknown) => {
        if (!this.#isClosed) sink.didFail(error as Error);
      },
    );
  }

  #didBind(bound: Bound): void {
    this.#bound = bound;
    this.local = bound.address;
    if (!this.#isReferenced) bound.unref();
    if (this.#isClosed) bound.close();
    else this.#sink.didListen();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#bound?.close();
    // The runtime's 'close' event would wait for all connections to end, but the descriptor is closed by the next turn.
    realClock.later(tellClosed, this.#sink);
  }

  ref(): void {
    this.#isReferenced = true;
    this.#bound?.ref();
  }

  unref(): void {
    this.#isReferenced = false;
    this.#bound?.unref();
  }
}

function placeOf(target: ListenTarget): Place {
  const { backlog } = target;
  if (target.path !== null) {
    const { path, boundPath = path } = target;
    return { address: undefined, port: 0, path, boundPath, backlog, ipv6Only: false, reusePort: false, fd: null };
  }
  const { host, port, ipv6Only, reusePort, fd = null } = target;
  return { address: host, port, path: null, boundPath: null, backlog, ipv6Only, reusePort, fd };
}

/** Offers a connection to the sink. If the sink throws, nobody owns the connection, so it must not stay open. */
export function offer(sink: AcceptSink, transport: AcceptedTransport): void {
  try {
    sink.didAccept(transport);
  } catch (error) {
    transport.destroy(true);
    surface(error);
  }
}

/** Makes the settings of an accepted connection. @returns false if they cannot be made; the connection is reset then */
export function isSet(transport: AcceptedTransport, settings: SocketSettings, sink: AcceptSink): boolean {
  try {
    transport.setKernel?.("listen", settings);
    return true;
  } catch (error) {
    transport.destroy(true);
    sink.didFailAccept(error as Error);
    return false;
  }
}

/**
 * Offers a connection in an async context of its own. Before Node 24 a store entered there would stay in the server's.
 */
export function offerAlone(sink: AcceptSink, transport: AcceptedTransport): void {
  const resource = new AsyncResource("asyncsocket");
  resource.runInAsyncScope(offer, undefined, sink, transport);
}

function tellClosed(sink: ListenerSink): void {
  sink.didClose();
}
