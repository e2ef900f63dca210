import { createServer, type ListenOptions, type Server } from "node:net";
import { ipAddress, type Address } from "../address.js";
import { realClock } from "../clock.js";
import { addressesOf } from "../connect/resolve.js";
import { listenFailure } from "../connect/failure.js";
import { reasonOf } from "../errors.js";
import { socketError } from "../failures.js";
import { clearStaleSocket } from "../listen/unix-path.js";
import type { ListenTarget, SocketSettings } from "../options.js";
import { NodeTransport } from "./node.js";
import type { ListenerSink, TransportListener } from "./transport.js";

type IpTarget = Extract<ListenTarget, { path: null }>;

/** A family that the machine lacks does not keep a name with several addresses from being listened on. */
const ABSENT = ["EADDRNOTAVAIL", "EAFNOSUPPORT"];
const EVERY_ADDRESS = ["::", "0.0.0.0"];
/** A free port of one address may be taken on the next. */
const PORT_TRIES = 10;

/** One or several of the runtime's servers, on one port. */
export class NodeListener implements TransportListener {
  local: Address | undefined;
  readonly #target: ListenTarget;
  readonly #settings: SocketSettings;
  readonly #sink: ListenerSink;
  #servers: Server[] = [];
  #isReferenced = true;
  #isClosed = false;

  constructor(target: ListenTarget, settings: SocketSettings, sink: ListenerSink) {
    this.#target = target;
    this.#settings = settings;
    this.#sink = sink;
    this.#start().then(
      () => {
        if (!this.#isClosed) sink.didListen();
      },
      (error: unknown) => {
        if (!this.#isClosed) sink.didFail(listenFailure(target, error as Error));
      },
    );
  }

  async #start(): Promise<void> {
    const target = this.#target;
    if (target.path !== null) {
      await this.#listenOnPath(target.path);
      this.local = { family: "unix", path: target.path };
      return;
    }
    if (target.host === undefined) await this.#listen(this.#ipOptions(target, target.port, undefined));
    else await this.#listenOnAll(target, await addressesOf(target.host));
    if (target.reusePort) await this.#checkReusePort(target);
    this.#findAddress();
  }

  #ipOptions(target: IpTarget, port: number, host: string | undefined): ListenOptions {
    const { ipv6Only, reusePort, backlog } = target;
    // Without a host Node takes both families; asked for IPv6 alone it must not fall back to IPv4.
    const address = host ?? (ipv6Only ? "::" : undefined);
    const options: ListenOptions & { reusePort?: boolean } = {
      port,
      backlog,
      ipv6Only: ipv6Only || host !== undefined,
    };
    if (address !== undefined) options.host = address;
    else options.ipv6Only = false;
    if (reusePort) options.reusePort = true;
    return options;
  }

  async #listenOnAll(target: IpTarget, addresses: readonly string[]): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.#tryAll(target, addresses);
        return;
      } catch (error) {
        this.#closeServers();
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
        const server = await this.#listen(this.#ipOptions(target, port, address));
        port = portOf(server) ?? port;
      } catch (error) {
        if (!ABSENT.includes(reasonOf(error))) throw error;
        absent = error;
      }
    }
    if (this.#servers.length === 0) throw absent;
  }

  async #listenOnPath(path: string): Promise<void> {
    const options = { path, backlog: this.#target.backlog };
    try {
      await this.#listen(options);
    } catch (error) {
      if (reasonOf(error) !== "EADDRINUSE" || path.startsWith("\0")) throw error;
      await clearStaleSocket(path);
      await this.#listen(options);
    }
  }

  #listen(options: ListenOptions): Promise<Server> {
    const { noDelay, keepAliveMs } = this.#settings;
    const server = createServer({
      allowHalfOpen: true,
      noDelay,
      keepAlive: keepAliveMs !== false,
      keepAliveInitialDelay: keepAliveMs === false ? 0 : keepAliveMs,
    });
    const path = this.#target.path;
    let bound: Address | undefined;
    return new Promise((settled, failed) => {
      server.once("error", failed);
      server.listen(options, () => {
        bound = soleAddress(server);
        server.removeListener("error", failed);
        server.on("error", (error) => this.#sink.didFailAccept(error));
        if (this.#isClosed) server.close();
        else this.#servers.push(server);
        if (!this.#isReferenced) server.unref();
        settled(server);
      });
      server.on("connection", (socket) => this.#sink.didAccept(NodeTransport.accepted(socket, path, bound)));
    });
  }

  /** Some runtimes take the option and do nothing: then a second listener on the port fails. */
  async #checkReusePort(target: IpTarget): Promise<void> {
    const [first] = this.#servers;
    const port = first === undefined ? undefined : portOf(first);
    if (port === undefined) return;
    const probe = createServer();
    const options = this.#ipOptions(target, port, target.host === undefined ? undefined : hostOf(first));
    const error = await new Promise<Error | null>((done) => {
      probe.once("error", done);
      probe.listen(options, () => done(null));
    });
    probe.close();
    if (error === null) return;
    this.#closeServers();
    throw socketError("LISTEN", "listen", "Cannot listen with reusePort: this runtime cannot share a port", error);
  }

  #findAddress(): void {
    const address = this.#servers[0]?.address();
    if (typeof address === "object" && address !== null) this.local = ipAddress(address.address, address.port);
  }

  #closeServers(): void {
    for (const server of this.#servers.splice(0)) server.close();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closeServers();
    // The runtime's own 'close' event waits for the connections; the descriptor is closed by the next turn.
    realClock.later(tellClosed, this.#sink);
  }

  ref(): void {
    this.#isReferenced = true;
    for (const server of this.#servers) server.ref();
  }

  unref(): void {
    this.#isReferenced = false;
    for (const server of this.#servers) server.unref();
  }
}

function tellClosed(sink: ListenerSink): void {
  sink.didClose();
}

function portOf(server: Server): number | undefined {
  const address = server.address();
  return typeof address === "object" ? address?.port : undefined;
}

function hostOf(server: Server | undefined): string | undefined {
  const address = server?.address();
  return typeof address === "object" ? address?.address : undefined;
}

/** Undefined where connections may come to any of the machine's addresses. */
function soleAddress(server: Server): Address | undefined {
  const address = server.address();
  if (typeof address !== "object" || address === null || EVERY_ADDRESS.includes(address.address)) return undefined;
  return ipAddress(address.address, address.port);
}
