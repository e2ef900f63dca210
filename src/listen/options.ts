import {
  checkBoolean,
  checkHostName,
  checkInteger,
  checkMs,
  checkOptions,
  needOptions,
  wrongType,
} from "../base/checks.js";
import { checkNames, type OptionNames } from "../base/option-names.js";
import type { Destination } from "../connection/destination.js";
import type { TLSOptions } from "../tls/options.js";
import { checkPath, type ListenTarget, type TcpOptions } from "../transport/options.js";

export interface ListenOptions extends TcpOptions {
  /** 0: any free port. */
  port?: number | undefined;
  /** A name or an address; one with several addresses is listened on at all of them. @default both families */
  host?: string | undefined;
  /** A Unix-domain socket instead. A stale socket file is replaced, anything else there is not. */
  path?: string | undefined;
  /** Connections that the kernel queues. @default 511 */
  backlog?: number | undefined;
  /** IPv6 alone, where both would be taken. @default false */
  ipv6Only?: boolean | undefined;
  /** Share the port with other listeners that ask for it too. Fails where the runtime cannot. @default false */
  reusePort?: boolean | undefined;
  /** Connections from these addresses are reset, and told to `didFailAccept` with `ACCEPT`. @default none */
  blockList?: AddressFilter | undefined;
  /**
   * Every connection comes by way of a proxy that tells whose it is by a PROXY header, of version 1 or 2 (HAProxy's
   * proxy-protocol.txt): `socket.proxied`. Without a header, or with a wrong one, a connection is reset, and told to
   * `didFailAccept` with `PROXY_PROTOCOL`; the header has `limits.handshakeMs` to come. The block list and
   * `limits.connectionsPerAddress` heed the address it tells, too. Only for listeners that nobody else can reach:
   * whoever can, may claim any address. @default false
   */
  proxyProtocol?: boolean | undefined;
  /**
   * Encrypt every connection from its start. `limits.handshakeMs` bounds the handshake; one that fails closes its own
   * connection alone, with `TLS`, and is told to its delegate. @default false
   */
  tls?: TLSOptions | false | undefined;
  /**
   * The threads that connections go to: a pool, which picks by its policy, or run loops, in turns. `onSocket` is told
   * of them there, in place of `didAccept` here. A `wantsRunLoopForNewSocket` of the delegate's has precedence. Keys
   * and certificates of `tls` must then be such as can go to another thread: no functions and contexts. @default none
   */
  loops?: Destination | readonly Destination[] | undefined;
}

/** Whether connections from an address are refused; `net.BlockList` is one. */
export interface AddressFilter {
  check(address: string, family: "ipv4" | "ipv6"): boolean;
}

export interface ShutdownOptions {
  /** Ms that connections may take to finish before they are closed. @default Infinity */
  graceMs?: number | undefined;
}

/**
 * How a listener's shutdown went: connections that finished by themselves, and those closed at the end of the grace.
 */
export interface ShutdownResult {
  finished: number;
  forced: number;
}

export const LISTEN_OPTIONS: OptionNames<ListenOptions> = {
  port: true,
  host: true,
  path: true,
  backlog: true,
  ipv6Only: true,
  reusePort: true,
  blockList: true,
  proxyProtocol: true,
  tls: true,
  loops: true,
  noDelay: true,
  keepAlive: true,
};

const SHUTDOWN_OPTIONS: OptionNames<ShutdownOptions> = { graceMs: true };

/** Ms; `Infinity` where there is no end to the grace. */
export function checkGrace(options: ShutdownOptions | undefined): number {
  const given = checkOptions(options) ?? {};
  checkNames("options of shutdown", given, SHUTDOWN_OPTIONS);
  return checkMs("graceMs", given.graceMs);
}

export function listenTarget(options: ListenOptions): ListenTarget {
  checkNames("options of listen", needOptions(options), LISTEN_OPTIONS);
  const backlog = options.backlog === undefined ? 511 : checkInteger("backlog", options.backlog, 1, 2 ** 31 - 1);
  if (options.path !== undefined) return { path: checkPath(options.path, options), backlog };
  return {
    path: null,
    host: options.host === undefined ? undefined : checkHostName("host", options.host),
    port: checkInteger("port", options.port, 0, 65_535),
    backlog,
    ipv6Only: checkBoolean("ipv6Only", options.ipv6Only, false),
    reusePort: checkBoolean("reusePort", options.reusePort, false),
  };
}

export function checkFilter(value: unknown): AddressFilter | undefined {
  if (value === undefined) return undefined;
  if (typeof (value as AddressFilter | null)?.check === "function") return value as AddressFilter;
  throw wrongType("blockList", "a net.BlockList, or something with its check method", value);
}
