import { AsyncResource } from "node:async_hooks";
import type { Address } from "../base/address.js";
import { realClock } from "../base/clock.js";
import { surface } from "../base/uncaught.js";
import type { ListenTarget, SocketSettings } from "./options.js";
import type { AcceptedTransport, ListenerSink, TransportListener } from "./transport.js";

/** Who is told of what is accepted. */
export type AcceptSink = Pick<ListenerSink, "didAccept" | "didFailAccept">;

/** One address to listen on. */
export interface Place {
  /** Undefined: every address of the machine, of both families unless `ipv6Only`. */
  readonly address: string | undefined;
  readonly port: number;
  /** Null: an address and a port. */
  readonly path: string | null;
  /** Where that is bound: at a name beside it, which is linked to it. */
  readonly boundPath: string | null;
  readonly backlog: number;
  readonly ipv6Only: boolean;
  readonly reusePort: boolean;
}

/** One listening descriptor. */
export interface Bound {
  readonly address: Address | undefined;
  close(): void;
  ref(): void;
  unref(): void;
}

/** Listens on one place; from then on the sink is told of what is accepted there. */
export type Bind = (place: Place, settings: SocketSettings, sink: AcceptSink) => Promise<Bound>;

/** The one address that connections come to; undefined where that may be any of the machine's. */
export function soleAddress(bound: Address | undefined): Address | undefined {
  return bound?.family !== "unix" && ["::", "0.0.0.0"].includes(bound?.address ?? "::") ? undefined : bound;
}

/** Listens on one place, by whatever way the transport has. */
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
    // The runtime's own 'close' event waits for the connections; the descriptor is closed by the next turn.
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
    return { address: undefined, port: 0, path, boundPath, backlog, ipv6Only: false, reusePort: false };
  }
  const { host, port, ipv6Only, reusePort } = target;
  return { address: host, port, path: null, boundPath: null, backlog, ipv6Only, reusePort };
}

/** Tells of a connection. One that nobody is told of, as an exception was in the way, must not stay open. */
export function offer(sink: AcceptSink, transport: AcceptedTransport): void {
  try {
    sink.didAccept(transport);
  } catch (error) {
    transport.destroy(true);
    surface(error);
  }
}

/** In the context of the runtime's server, but so that what is entered there does not stay: before Node 24 it would. */
export function offerAlone(sink: AcceptSink, transport: AcceptedTransport): void {
  const resource = new AsyncResource("asyncsocket");
  resource.runInAsyncScope(offer, undefined, sink, transport);
}

function tellClosed(sink: ListenerSink): void {
  sink.didClose();
}
