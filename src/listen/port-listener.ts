import cluster from "node:cluster";
import type { Address } from "../base/address.js";
import { realClock } from "../base/clock.js";
import { reasonOf } from "../base/errno.js";
import { socketError } from "../base/errors.js";
import { listenFailure } from "../connect/messages.js";
import { addressesOf } from "../connect/resolve.js";
import type { ListenTarget, SocketSettings } from "../transport/options.js";
import type { AcceptSink } from "../transport/place-listener.js";
import type { AcceptedTransport, ListenerSink, TransportFactory, TransportListener } from "../transport/transport.js";
import { SocketFile } from "./unix-path.js";

type IpTarget = Extract<ListenTarget, { path: null }>;

/**
 * Errors for an address of a family that the machine lacks. They do not keep a name with several addresses from being
 * listened on.
 */
const ABSENT = ["EADDRNOTAVAIL", "EAFNOSUPPORT"];
/** How often a free port is chosen anew: a port that is free on one address may be in use on the next. */
const PORT_TRIES = 10;

/** Listens on a target: on one place, or on all addresses of a name with one port. */
export class PortListener implements TransportListener, AcceptSink {
  local: Address | undefined;
  readonly #target: ListenTarget;
  readonly #settings: SocketSettings;
  readonly #sink: ListenerSink;
  readonly #factory: TransportFactory;
  #bounds: TransportListener[] = [];
  #file: SocketFile | null = null;
  #isReferenced = true;
  #isClosed = false;
  #stopLookingUp: (() => void) | null = null;

  constructor(factory: TransportFactory, target: ListenTarget, settings: SocketSettings, sink: ListenerSink) {
    this.#target = target;
    this.#settings = settings;
    this.#sink = sink;
    this.#factory = factory;
    this.#start(target).then(
      () => {
        if (!this.#isClosed) sink.didListen();
      },
      (error: unknown) => {
        if (!this.#isClosed) sink.didFail(listenFailure(target, error as Error));
      },
    );
  }

  async #start(target: ListenTarget): Promise<void> {
    if (target.path !== null) await this.#listenOnPath(target.path, target.mode);
    else if (target.fd !== undefined) await this.#listenOnDescriptor(target);
    else if (target.host === undefined) await this.#listen(this.#ipPlace(target, target.port, undefined));
    else await this.#listenOnAll(target, await addressesOf(target.host, (stop) => (this.#stopLookingUp = stop)));
    this.local = this.#bounds[0]?.local;
  }

  async #listenOnDescriptor(target: ListenTarget): Promise<void> {
    if (cluster.isWorker)
      throw notHere("Cannot listen on a descriptor: in a worker of node:cluster the primary listens");
    await this.#listen(target);
  }

  #ipPlace(target: IpTarget, port: number, address: string | undefined): ListenTarget {
    return { ...target, port, host: address, ipv6Only: target.ipv6Only || address !== undefined };
  }

  async #listenOnAll(target: IpTarget, addresses: readonly string[]): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.#tryAll(target, addresses);
        return;
      } catch (error) {
        this.#closeAll();
        const mayRetry = target.port === 0 && reasonOf(error) === "EADDRINUSE" && tries < PORT_TRIES;
        if (!mayRetry) throw error;
      }
    }
  }

  async #tryAll(target: IpTarget, addresses: readonly string[]): Promise<void> {
    let { port } = target;
    let absent: unknown;
    for (const address of addresses) {
      try {
        const bound = await this.#listen(this.#ipPlace(target, port, address));
        if (bound.local !== undefined && bound.local.family !== "unix") port = bound.local.port;
      } catch (error) {
        if (!ABSENT.includes(reasonOf(error))) throw error;
        absent = error;
      }
    }
    if (this.#bounds.length === 0) throw absent;
  }

  async #listenOnPath(path: string, mode: number | undefined): Promise<void> {
    if (path.startsWith("\0") || process.platform === "win32") await this.#listen(this.#pathPlace(path, path));
    else if (cluster.isWorker && mode === undefined) await this.#listenByPrimary(path);
    else if (cluster.isWorker)
      throw notHere(`Cannot listen on ${path}: mode is not possible in a worker of node:cluster`);
    else {
      const file = (this.#file = new SocketFile(path, mode));
      try {
        file.prepare();
        await this.#listen(this.#pathPlace(path, file.boundPath));
      } catch (error) {
        file.discard();
        throw file.explained(error);
      }
      await file.take();
    }
  }

  #pathPlace(path: string, boundPath: string): ListenTarget {
    return { path, boundPath, backlog: this.#target.backlog };
  }

  /**
   * In a cluster, the primary process listens once for all workers that ask for the same path, and owns the socket
   * file.
   */
  async #listenByPrimary(path: string): Promise<void> {
    try {
      await this.#listen(this.#pathPlace(path, path));
    } catch (error) {
      if (reasonOf(error) !== "EADDRINUSE") throw error;
      await new SocketFile(path).clear();
      await this.#listen(this.#pathPlace(path, path));
    }
  }

  async #listen(place: ListenTarget): Promise<TransportListener> {
    const bound = await new Promise<TransportListener>((resolve, reject) => {
      const listener = this.#factory.listen(place, this.#settings, {
        didListen: () => resolve(listener),
        didFail: reject,
        didAccept: (transport) => this.didAccept(transport),
        didFailAccept: (error) => this.didFailAccept(error),
        didClose: () => undefined,
      });
    });
    if (this.#isClosed) bound.close();
    else this.#bounds.push(bound);
    if (!this.#isReferenced) bound.unref();
    return bound;
  }

  didAccept(transport: AcceptedTransport): void {
    if (transport.remote !== undefined) this.#sink.didAccept(transport);
    else {
      // A connection that was reset already has no address, so no rule could be applied to it.
      transport.destroy(true);
      this.#sink.didFailAccept(lostPeer());
    }
  }

  didFailAccept(error: Error): void {
    this.#sink.didFailAccept(error);
  }

  #closeAll(): void {
    this.#file?.release();
    for (const bound of this.#bounds.splice(0)) bound.close();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#stopLookingUp?.();
    this.#closeAll();
    // The runtime's own 'close' event waits for the connections to close, but the descriptor is closed by the next
    // turn.
    realClock.later(tellClosed, this.#sink);
  }

  ref(): void {
    this.#isReferenced = true;
    for (const bound of this.#bounds) bound.ref();
  }

  unref(): void {
    this.#isReferenced = false;
    for (const bound of this.#bounds) bound.unref();
  }
}

function notHere(words: string): Error {
  return socketError("LISTEN", "listen", words);
}

function lostPeer(): Error {
  return Object.assign(new Error("getpeername ENOTCONN"), { code: "ENOTCONN", syscall: "getpeername" });
}

function tellClosed(sink: ListenerSink): void {
  sink.didClose();
}
