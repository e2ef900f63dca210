import type { SrvRecord } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { domainToUnicode } from "node:url";
import type { Address } from "../base/address.js";
import { type Clock, realClock, type Timer } from "../base/clock.js";
import { listenFailure } from "../connect/messages.js";
import type { Endpoint, ListenTarget, SocketSettings } from "../transport/options.js";
import type {
  AcceptedTransport,
  ConnectSink,
  ListenerSink,
  ResolveSrv,
  TransportFactory,
  TransportListener,
} from "../transport/transport.js";
import { type Link, linkFrom, type LinkOptions } from "./link.js";
import { MemoryConnection } from "./memory-connection.js";
import { MemoryListener } from "./memory-listener.js";
import { MemoryTransport, systemError } from "./memory-transport.js";
import { type Answer, answerName } from "./names.js";
import { seededRandom } from "./random.js";

/** The options of a network. The `LinkOptions` among them apply to every connection for which `links` has no others. */
export interface MemoryNetworkOptions extends LinkOptions {
  /** The seed of all random numbers: the same seed gives the same run. @default 1 */
  seed?: number | undefined;
  /** The clock of the sockets on this network. @default the real one */
  clock?: Clock | undefined;
  /** Other link options for single addresses: `{ "192.0.2.1": { latencyMs: 200 } }`. */
  links?: Readonly<Record<string, LinkOptions>> | undefined;
  /** The addresses of names. @default 127.0.0.1 for every name that is not in it */
  hosts?: Readonly<Record<string, Answer<string>>> | undefined;
  /** The SRV records of names such as `_xmpp-client._tcp.example.com`. @default none */
  services?: Readonly<Record<string, Answer<SrvRecord>>> | undefined;
  /** Addresses that never answer. @default none */
  silent?: readonly string[] | undefined;
  /** Called for each new connection, before any byte is sent on it. */
  onConnection?: ((connection: MemoryConnection) => void) | undefined;
}

/** A connect attempt that is under way. */
interface Knock {
  readonly endpoint: Endpoint;
  readonly near: MemoryTransport;
  readonly link: Link;
}

/**
 * A network inside one process, with names of its own and connections without descriptors. Give it to sockets as their
 * `transport`. A socket that listens without a host, or on a name, can be reached at every address; a socket that
 * listens on an address, only there.
 *
 * With a `VirtualClock` no real time passes, and the same seed gives the same run.
 */
export class MemoryNetwork implements TransportFactory {
  readonly clock: Clock;
  readonly name = "memory";
  /**
   * The network's random numbers, from 0 to 1, which depend on `seed`. Numbers that a test takes from it change the
   * run, but reproducibly.
   */
  readonly random: () => number;
  readonly #options: MemoryNetworkOptions;
  readonly #link: Link;
  readonly #links = new Map<string, Link>();
  readonly #listeners = new Map<string, MemoryListener>();
  readonly #connections = new Set<MemoryConnection>();
  readonly #connectionOf = new WeakMap<MemoryTransport, MemoryConnection>();
  readonly #cut = new Set<string>();
  readonly #refusing = new Map<string, string>();
  /** The connect attempts that are under way. */
  readonly #knocking = new Map<MemoryTransport, Timer>();
  /** The connect attempts that are not answered, because the path is cut. */
  readonly #unheard = new Set<Knock>();
  #lastPort = 49_151;

  constructor(options: MemoryNetworkOptions = {}) {
    this.#options = options;
    this.clock = options.clock ?? realClock;
    this.random = seededRandom(options.seed ?? 1);
    this.#link = linkFrom(options, this.random);
    for (const [address, own] of Object.entries(options.links ?? {})) {
      this.#links.set(address, linkFrom({ ...options, ...own }, this.random));
    }
  }

  // ------------------------------------------------------------------ faults

  /** The connections that are open at one end at least, the oldest first. */
  get connections(): readonly MemoryConnection[] {
    return [...this.#connections];
  }

  /** The connection that a socket is one end of. */
  connectionOf(socket: { local: Address | undefined; remote: Address | undefined }): MemoryConnection | undefined {
    const { local, remote } = socket;
    for (const connection of this.#connections) {
      const { from, to } = connection;
      if ((isSame(from, local) && isSame(to, remote)) || (isSame(from, remote) && isSame(to, local))) return connection;
    }
    return undefined;
  }

  /**
   * Cuts the paths from and to an address (or Unix path), as when a cable is pulled: no end is told, no bytes get
   * through, and connect attempts are not answered.
   */
  partition(address: string): void {
    this.#cut.add(address);
  }

  /** Lets connect attempts to an address (or Unix path) fail with this errno code from now on. */
  refuse(address: string, code = "ECONNREFUSED"): void {
    this.#refusing.set(address, code);
  }

  /** Ends `partition` and `refuse`; everything that was under way continues. */
  heal(address: string): void {
    this.#cut.delete(address);
    this.#refusing.delete(address);
    for (const { up, down } of this.#connections) {
      up.plan();
      down.plan();
    }
    for (const knock of this.#unheard) {
      this.#unheard.delete(knock);
      if (!knock.near.isOver) this.#knock(knock);
    }
  }

  // ------------------------------------------------------------------ names

  readonly lookup: LookupFunction = (name, { family, all }, done) => {
    answerName(
      this.clock,
      "getaddrinfo",
      this.#ofName(this.#options.hosts, name) ?? ["127.0.0.1"],
      (error, addresses) => {
        const found = addresses
          .map((address) => ({ address, family: isIP(address) }))
          .filter((one) => (family !== 4 && family !== 6 ? true : one.family === family));
        const [first] = found;
        if (first === undefined) done(error ?? systemError("ENOTFOUND", "getaddrinfo"), []);
        else if (all === true) done(null, found);
        else done(null, first.address, first.family);
      },
    );
  };

  readonly resolveSrv: ResolveSrv = (name, done) =>
    answerName(this.clock, "querySrv", this.#ofName(this.#options.services, name), done);

  /** Names are asked for in ASCII, and may have been given in their own script. */
  #ofName<T>(all: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
    return all?.[name] ?? all?.[domainToUnicode(name)];
  }

  // ------------------------------------------------------------------ connecting

  connect(endpoint: Endpoint, _settings: SocketSettings, sink: ConnectSink): AcceptedTransport {
    const [local, remote] = this.#ends(endpoint);
    const near = new MemoryTransport(this.clock, local, remote, sink, this.#didEnd);
    const link = this.#links.get(nameOf(remote)) ?? this.#link;
    this.#knock({ endpoint, near, link });
    return near;
  }

  /** On its way there and back: two latencies. */
  #knock(knock: Knock): void {
    const timer = this.#after(knock.link.latencyMs() + knock.link.latencyMs(), () => this.#answer(knock));
    if (timer !== null) this.#knocking.set(knock.near, timer);
  }

  #answer(knock: Knock): void {
    const { endpoint, near, link } = knock;
    this.#knocking.delete(near);
    const address = nameOf(near.remote);
    if (near.isOver || this.#options.silent?.includes(address) === true) return;
    if (this.#cut.has(address) || this.#cut.has(nameOf(near.local))) {
      this.#unheard.add(knock);
      return;
    }
    const listener = this.#listenerAt(endpoint);
    const refusal = this.#refusing.get(address) ?? (endpoint.path === null ? "ECONNREFUSED" : "ENOENT");
    if (listener === undefined || this.#refusing.has(address)) near.lose(refusal);
    else this.#open(near, listener, link);
  }

  #listenerAt(endpoint: Endpoint): MemoryListener | undefined {
    if (endpoint.path !== null) return this.#listeners.get(endpoint.path);
    const { address, port } = endpoint;
    return this.#listeners.get(keyOf(address, port)) ?? this.#listeners.get(keyOf("", port));
  }

  #open(near: MemoryTransport, listener: MemoryListener, link: Link): void {
    const far = new MemoryTransport(this.clock, near.remote, near.local, null, this.#didEnd);
    const connection = new MemoryConnection(this.clock, link, near, far, this.#isCut);
    this.#connections.add(connection);
    this.#connectionOf.set(near, connection);
    this.#connectionOf.set(far, connection);
    this.#options.onConnection?.(connection);
    near.didConnect();
    this.#after(link.latencyMs(), () => {
      if (listener.isClosed) far.destroy(true);
      else listener.sink.didAccept(far);
    });
  }

  readonly #isCut = ({ from, to }: MemoryConnection): boolean =>
    this.#cut.size > 0 && (this.#cut.has(nameOf(from)) || this.#cut.has(nameOf(to)));

  readonly #didEnd = (transport: MemoryTransport): void => {
    const connection = this.#connectionOf.get(transport);
    if (connection?.isOver === true) this.#connections.delete(connection);
    const timer = this.#knocking.get(transport);
    if (timer !== undefined) this.clock.clearTimer(timer);
    this.#knocking.delete(transport);
  };

  #ends(endpoint: Endpoint): [local: Address, remote: Address] {
    if (endpoint.path !== null) {
      return [
        { family: "unix", path: "" },
        { family: "unix", path: endpoint.path },
      ];
    }
    const { address, port, localAddress, localPort } = endpoint;
    const own = localAddress ?? (endpoint.family === 6 ? "::1" : "127.0.0.1");
    return [ipEnd(own, localPort ?? ++this.#lastPort), ipEnd(address, port)];
  }

  #after(delayMs: number, task: () => void): Timer | null {
    if (delayMs > 0) return this.clock.setTimer(task, delayMs, true);
    this.clock.later(task, undefined);
    return null;
  }

  // ------------------------------------------------------------------ listening

  listen(target: ListenTarget, _settings: SocketSettings, sink: ListenerSink): TransportListener {
    const host = target.path === null && target.host !== undefined && isIP(target.host) !== 0 ? target.host : "";
    const port = target.path === null ? target.port || ++this.#lastPort : 0;
    const key = target.path ?? keyOf(host, port);
    const local: Address =
      target.path === null ? ipEnd(host === "" ? "127.0.0.1" : host, port) : { family: "unix", path: target.path };
    const listener = new MemoryListener(sink, local, (closed) => {
      if (this.#listeners.get(key) === closed) this.#listeners.delete(key);
      this.clock.later(() => sink.didClose(), undefined);
    });
    this.clock.later(() => {
      if (listener.isClosed) return;
      if (this.#listeners.has(key)) {
        sink.didFail(listenFailure(target, systemError("EADDRINUSE", "listen")));
        listener.close();
      } else {
        this.#listeners.set(key, listener);
        sink.didListen();
      }
    }, undefined);
    return listener;
  }
}

function ipEnd(address: string, port: number): Address {
  return { family: isIP(address) === 6 ? "IPv6" : "IPv4", address, port };
}

function nameOf(address: Address): string {
  return address.family === "unix" ? address.path : address.address;
}

function isSame(one: Address, other: Address | undefined): boolean {
  if (one.family === "unix") return other?.family === "unix" && other.path === one.path;
  return other?.family === one.family && other.address === one.address && other.port === one.port;
}

/** An empty host is every address. */
function keyOf(host: string, port: number): string {
  return `${host === "0.0.0.0" || host === "::" ? "" : host} ${port}`;
}
