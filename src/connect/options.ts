import { isIP, type LookupFunction } from "node:net";
import {
  checkFunction,
  checkHostName,
  checkInteger,
  checkMs,
  checkOneOf,
  checkSignal,
  checkString,
  needOptions,
  wrongRange,
  wrongType,
} from "../base/checks.js";
import { checkNames, type OptionNames } from "../base/option-names.js";
import type { TLSOptions } from "../tls/options.js";
import { clientSettings, isAskedFor, type SecureSettings } from "../tls/settings.js";
import { KERNEL_OPTIONS, needKernel, type Network, THE_SYSTEM } from "../transport/kernel-settings.js";
import { checkPath, socketSettings, type SocketSettings, type TcpOptions } from "../transport/options.js";
import { environmentProxy } from "./proxy/environment.js";
import { checkProxy, type ProxyOptions } from "./proxy/options.js";
import { checkTargetHost, type ProxyServer } from "./proxy/proxy-url.js";
import { checkProxyHeader, type ProxyHeader, type ProxyHeaderOptions } from "./proxy-header.js";
import { withoutBrackets } from "./resolve.js";
import { checkResolver, type Resolver, type Resolving } from "./resolver.js";

export interface ConnectOptions extends TcpOptions {
  /**
   * The host to connect to: a name or an address. With `service`, it is the domain of the service and must be given.
   * @default "localhost"
   */
  host?: string | undefined;
  /**
   * The port, from 1 to 65 535. With `service`, it is the port to use if the domain has no SRV records, and may be
   * omitted.
   */
  port?: number | undefined;
  /**
   * The name of a service. The SRV records `_SERVICE._tcp.HOST` are looked up, and their targets are tried by priority
   * and weight (RFC 2782).
   * @default none: connects to `host` and `port`
   */
  service?: string | undefined;
  /**
   * The path of a Unix-domain socket, instead of host and port. If the listener's backlog is full, the connect is tried
   * again until `timeout`, or for 10 seconds if there is no timeout.
   * @default none
   */
  path?: string | undefined;
  /**
   * The time in ms from the call until the socket can be used; lookups, proxy and TLS handshake count. When it is over,
   * the connect fails with `CONNECT_TIMEOUT`.
   * @default none
   */
  timeout?: number | undefined;
  /**
   * Aborting this signal before the socket is connected fails the connect with `CANCELED`; aborting it later has no
   * effect.
   * @default none
   */
  signal?: AbortSignal | undefined;
  /** The local address to connect from. Only addresses of the same family are tried. @default the system's choice */
  localAddress?: string | undefined;
  /** The local port to connect from. @default any free one */
  localPort?: number | undefined;
  /**
   * The name of the network interface to connect from, such as `"eth0"`. Each attempt uses an address of this
   * interface, of the family of the remote address. Cannot be combined with `localAddress`.
   * @default the system's choice
   */
  interface?: string | undefined;
  /** The only family whose addresses are tried. @default both */
  family?: 4 | 6 | undefined;
  /** The family that is tried first. @default the family of the first address found, which is the system's choice */
  preferFamily?: 4 | 6 | undefined;
  /**
   * The time in ms after which the next address is tried as well, unless an attempt fails earlier (RFC 8305, section
   * 5); at least 10.
   * @default 250
   */
  attemptDelay?: number | undefined;
  /**
   * A function to use in place of `dns.lookup`, with the same signature. It is called once, with `all: true` and the
   * host name in ASCII; only the addresses that it finds are tried.
   * @default the system's lookup
   */
  lookup?: LookupFunction | undefined;
  /**
   * Who is asked for the addresses of names. `"system"`: the system, by threads, as its configuration says: hosts file,
   * name servers, mDNS; it orders the addresses by what can be reached from here (RFC 6724). `"c-ares"`: the name
   * servers themselves, for each family, without threads; a question that is not wanted any more is given up. A
   * function: see `ResolverFunction`. Cannot be combined with `lookup`.
   * @default the system, or the network of the transport factory where that has names of its own
   */
  resolver?: Resolver | undefined;
  /**
   * The time in ms that a lookup of addresses may take, whoever is asked. When it is over, it counts as a lookup that
   * has failed, with `DNS`; `timeout` covers it all the same. @default none
   */
  resolverTimeout?: number | undefined;
  /**
   * The URL of a proxy to connect through: `"socks5://user:password@host:port"` (this machine looks up the addresses of
   * `host`), `socks5h` (the proxy looks them up), or `http` or `https` (CONNECT; the proxy looks them up). User name and
   * password are percent-encoded and may be omitted. The port may be omitted, too: it is 1080, or 80 for `http`, or 443
   * for `https`. An object has the URL as its `url`, adds `headers` to the request that an `http` or `https` proxy gets,
   * and says with `tls` how an `https` proxy is spoken to. `"env"` takes the proxy that the
   * environment names, if it names one for this host: by `HTTPS_PROXY`, else `ALL_PROXY`, except for `NO_PROXY`.
   *
   * With a proxy, `family`, `localAddress`, `interface` and the like apply to the connection to the proxy, which is
   * encrypted only for `https`; the TLS handshake of `tls` takes place with `host`. Cannot be combined with `path` or `service`. If the
   * proxy refuses, the connect fails with `PROXY`.
   * @default none
   */
  proxy?: string | ProxyOptions | undefined;
  /**
   * Begins the connection with a PROXY header, which tells a server behind this side whose connection it is. It is sent
   * before the TLS handshake of `tls` and before every queued write, through a proxy too, and does not count in
   * `bytesWritten`. If it cannot be sent, the connect fails with `CONNECT`.
   * @default none
   */
  proxyProtocol?: ProxyHeaderOptions | undefined;
  /**
   * Encrypts the connection from the start. `true` uses the defaults: the server's certificate must be valid for
   * `host`, and issued by an authority that the runtime trusts. `limits.handshakeMs` and `timeout` both bound the
   * handshake. If it fails, the connect fails with `TLS` or `TLS_TIMEOUT`.
   * @default false
   */
  tls?: TLSOptions | boolean | undefined;
}

/** The target of a `connect`, checked, with the defaults filled in. */
export type ConnectTarget =
  | {
      readonly path: string;
      /** How many ms a listener with a full backlog is tried again. `Infinity`: as long as the connect may take. */
      readonly patienceMs: number;
    }
  | {
      readonly path: null;
      readonly host: string;
      /** The port; 0 if none was given, which is possible only with a service. */
      readonly port: number;
      readonly service: string | undefined;
      /** The family that was asked for, or the family of `localAddress`. */
      readonly family: 4 | 6 | undefined;
      readonly preferFamily: 4 | 6 | undefined;
      readonly attemptDelayMs: number;
      readonly localAddress: string | undefined;
      readonly localPort: number | undefined;
      readonly interface: string | undefined;
      readonly lookup: LookupFunction | undefined;
      readonly resolver: Resolving | undefined;
      readonly resolverTimeoutMs: number;
      readonly proxy: ProxyServer | undefined;
    };

/** A host and a port, or a service of a host. */
export type IpTarget = Extract<ConnectTarget, { path: null }>;

export function connectTarget(options: ConnectOptions): ConnectTarget {
  needOptions(options);
  const { path, lookup, attemptDelay } = options;
  checkFunction("lookup", lookup);
  const resolver = checkResolver(options.resolver);
  if (lookup !== undefined && resolver !== undefined)
    throw new TypeError("Expected either lookup or resolver, got both");
  const from = localEnd(options);
  const route = {
    ...from,
    service: options.service === undefined ? undefined : checkService(options),
    preferFamily: checkOneOf("preferFamily", options.preferFamily, [4, 6] as const, undefined),
    attemptDelayMs: Math.max(10, attemptDelay === undefined ? 250 : checkMs("attemptDelay", attemptDelay)),
    lookup,
    resolver,
    resolverTimeoutMs: checkMs("resolverTimeout", options.resolverTimeout),
  };
  const proxy = checkProxyOption(options);
  if (path !== undefined) {
    const hasTimeout = options.timeout !== undefined && options.timeout !== Infinity;
    return { path: checkPath(path, options), patienceMs: hasTimeout ? Infinity : BACKLOG_PATIENCE_MS };
  }
  const host = options.host === undefined ? "localhost" : withoutBrackets(checkHostName("host", options.host));
  const needsNoPort = route.service !== undefined && options.port === undefined;
  const port = needsNoPort ? 0 : checkInteger("port", options.port, 1, 65_535);
  const server = proxy === "env" ? environmentProxy(host, port) : proxy;
  if (server !== undefined) checkTargetHost(host);
  return { path: null, host, port, ...route, proxy: server };
}

function checkProxyOption({ proxy, path, service }: ConnectOptions): ProxyServer | "env" | undefined {
  const server = proxy === "env" ? proxy : checkProxy(proxy);
  if (server === undefined) return undefined;
  if (path !== undefined) throw new TypeError("Expected either proxy or path, got both");
  if (service !== undefined) throw new TypeError("Expected either proxy or service, got both");
  return server;
}

/** Checks where to connect from, and the family, which the local address may determine. */
function localEnd(options: ConnectOptions): Pick<IpTarget, "family" | "localAddress" | "localPort" | "interface"> {
  const { localAddress, localPort, interface: name } = options;
  const end = {
    family: checkOneOf("family", options.family, [4, 6] as const, undefined),
    localAddress: localAddress === undefined ? undefined : checkString("localAddress", localAddress),
    localPort: localPort === undefined ? undefined : checkInteger("localPort", localPort, 0, 65_535),
    interface: name === undefined ? undefined : checkString("interface", name),
  };
  if (end.localAddress === undefined) return end;
  if (end.interface !== undefined) throw new TypeError("Expected either localAddress or interface, got both");
  const family = isIP(end.localAddress);
  if (family === 0) throw wrongRange("localAddress", "an IP address", localAddress);
  if (end.family !== undefined && end.family !== family) {
    throw wrongRange("localAddress", `an IPv${end.family} address, as family says`, localAddress);
  }
  return { ...end, family: family as 4 | 6 };
}

/** Checks a service. It belongs to a domain, and its name is given without the underscore that DNS puts before it. */
function checkService(options: ConnectOptions): string {
  const service = checkString("service", options.service);
  if (!SERVICE.test(service)) throw wrongRange("service", 'a name such as "xmpp-client"', service);
  if (options.path !== undefined) throw new TypeError("Expected either path or service, got both");
  if (options.host === undefined) throw wrongType("host", "the domain of the service", options.host);
  const host = checkString("host", options.host);
  if (isIP(withoutBrackets(host)) !== 0) throw wrongRange("host", "the domain of the service", host);
  return service;
}

const SERVICE = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/i;

/** The options of a `connect`, all of them checked. */
export interface ConnectCheck {
  readonly target: ConnectTarget;
  readonly settings: SocketSettings;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** The PROXY header that the connection begins with. */
  readonly header: ProxyHeader | undefined;
  /** The TLS settings; null without TLS. */
  readonly secure: SecureSettings | null;
}

export const CONNECT_OPTIONS: OptionNames<ConnectOptions> = {
  host: true,
  port: true,
  service: true,
  path: true,
  timeout: true,
  signal: true,
  localAddress: true,
  localPort: true,
  interface: true,
  family: true,
  preferFamily: true,
  attemptDelay: true,
  lookup: true,
  resolver: true,
  resolverTimeout: true,
  proxy: true,
  proxyProtocol: true,
  tls: true,
  noDelay: true,
  keepAlive: true,
  ...KERNEL_OPTIONS,
};

/**
 * Checks the options of `connect`. Everything that takes them calls this function at once, so that wrong options throw
 * at the call.
 * @throws BAD_STATE for settings that cannot be made in this network
 */
export function checkConnect(options: ConnectOptions, network: Network = THE_SYSTEM): ConnectCheck {
  checkNames("options of connect", needOptions(options), CONNECT_OPTIONS);
  const target = connectTarget(options);
  const settings = socketSettings(options);
  needKernel("connect", settings, network);
  return {
    target,
    settings,
    timeoutMs: checkMs("timeout", options.timeout),
    signal: checkSignal(options.signal),
    header: checkProxyHeader(options.proxyProtocol, target.path === null && target.proxy === undefined),
    secure: isAskedFor(options.tls) ? clientSettings(options.tls) : null,
  };
}

/** How long a listener with a full backlog is tried again if the connect has no timeout. */
const BACKLOG_PATIENCE_MS = 10_000;
