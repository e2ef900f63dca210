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
import { checkPath, socketSettings, type SocketSettings, type TcpOptions } from "../transport/options.js";
import { checkProxy, checkTargetHost, type ProxyServer } from "./proxy/proxy-url.js";
import { withoutBrackets } from "./resolve.js";

export interface ConnectOptions extends TcpOptions {
  /** A name or an address; with `service` the domain, which is then needed. @default "localhost" */
  host?: string | undefined;
  /** 1 to 65 535. With `service`: the port to fall back on where the domain has no SRV records. */
  port?: number | undefined;
  /**
   * Looks up the SRV records `_SERVICE._tcp.HOST`, and tries their targets by priority and weight (RFC 2782).
   * @default none: `host` and `port` are where to connect to
   */
  service?: string | undefined;
  /**
   * A Unix-domain socket instead of host and port. Where its backlog is full it is tried again within `timeout`, without
   * one for 10 seconds.
   */
  path?: string | undefined;
  /**
   * Ms from the call, lookups, proxy and TLS included, until the socket is usable; then `CONNECT_TIMEOUT`.
   * @default none
   */
  timeout?: number | undefined;
  /** Aborting it before the connection is there fails the connect with `CANCELED`; later it has no effect. */
  signal?: AbortSignal | undefined;
  /** The address to connect from. Only addresses of its family are tried. @default the system's choice */
  localAddress?: string | undefined;
  /** The port to connect from. @default any free one */
  localPort?: number | undefined;
  /**
   * The name of the network interface to connect from, by an address that it has, of the family of each attempt:
   * `"eth0"`. Not together with `localAddress`. @default the system's choice
   */
  interface?: string | undefined;
  /** Only addresses of this family. @default both */
  family?: 4 | 6 | undefined;
  /** The family to try first. @default that of the first address found, which is the system's choice */
  preferFamily?: 4 | 6 | undefined;
  /**
   * Ms after which the next address is tried as well, where none has failed before (RFC 8305, section 5); at least 10.
   * @default 250
   */
  attemptDelay?: number | undefined;
  /**
   * In place of `dns.lookup`, of the same form. Called once, with `all` set, and the name in ASCII; what it finds is all
   * that is tried.
   */
  lookup?: LookupFunction | undefined;
  /**
   * Connect through a proxy: `"socks5://user:password@host:port"` (the addresses of `host` are looked up here),
   * `socks5h` (the proxy looks them up), or `http` (CONNECT; looked up there, too). User name and password are
   * percent-encoded, and may be left out, and so may the port: 1080, or 80 for `http`. `family`, `localAddress`,
   * `interface` and the like then are those of the connection to the proxy, which is in the clear; `tls` is spoken with
   * `host`. Not together with `path` or `service`. Fails with `PROXY` where the proxy refuses. @default none
   */
  proxy?: string | undefined;
  /**
   * Encrypt from the start; `true` for the defaults: the server's certificate must be for `host`, by an authority that
   * the runtime trusts. `limits.handshakeMs` and `timeout` both bound the handshake. Fails with `TLS` or `TLS_TIMEOUT`,
   * and the connection with it. @default false
   */
  tls?: TLSOptions | boolean | undefined;
}

/** Checked, with the defaults in place. Where a `connect` goes to. */
export type ConnectTarget =
  | {
      readonly path: string;
      /** How long a listener with a full backlog is tried again; `Infinity`: as long as the connect may take. */
      readonly patienceMs: number;
    }
  | {
      readonly path: null;
      readonly host: string;
      /** 0: none, which needs a service. */
      readonly port: number;
      readonly service: string | undefined;
      /** That of `localAddress`, too. */
      readonly family: 4 | 6 | undefined;
      readonly preferFamily: 4 | 6 | undefined;
      readonly attemptDelayMs: number;
      readonly localAddress: string | undefined;
      readonly localPort: number | undefined;
      readonly interface: string | undefined;
      readonly lookup: LookupFunction | undefined;
      readonly proxy: ProxyServer | undefined;
    };

/** A host and a port, or a service of a host. */
export type IpTarget = Extract<ConnectTarget, { path: null }>;

export function connectTarget(options: ConnectOptions): ConnectTarget {
  needOptions(options);
  const { path, lookup, attemptDelay } = options;
  checkFunction("lookup", lookup);
  const from = localEnd(options);
  const route = {
    ...from,
    service: options.service === undefined ? undefined : checkService(options),
    preferFamily: checkOneOf("preferFamily", options.preferFamily, [4, 6] as const, undefined),
    attemptDelayMs: Math.max(10, attemptDelay === undefined ? 250 : checkMs("attemptDelay", attemptDelay)),
    lookup,
    proxy: checkProxyOption(options),
  };
  if (path !== undefined) {
    const hasTimeout = options.timeout !== undefined && options.timeout !== Infinity;
    return { path: checkPath(path, options), patienceMs: hasTimeout ? Infinity : BACKLOG_PATIENCE_MS };
  }
  const host = options.host === undefined ? "localhost" : withoutBrackets(checkHostName("host", options.host));
  const needsNoPort = route.service !== undefined && options.port === undefined;
  if (route.proxy !== undefined) checkTargetHost(host);
  return { path: null, host, port: needsNoPort ? 0 : checkInteger("port", options.port, 1, 65_535), ...route };
}

function checkProxyOption({ proxy, path, service }: ConnectOptions): ProxyServer | undefined {
  const server = checkProxy(proxy);
  if (server === undefined) return undefined;
  if (path !== undefined) throw new TypeError("Expected either proxy or path, got both");
  if (service !== undefined) throw new TypeError("Expected either proxy or service, got both");
  return server;
}

/** Where to connect from, and the family, which that may decide. */
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

/** Services are of domains, and have names without the underscore that DNS puts before them. */
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
  /** Null: in the clear. */
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
  proxy: true,
  tls: true,
  noDelay: true,
  keepAlive: true,
};

/** Whoever takes options of `connect` checks them by this, so that what is wrong is wrong at the call. */
export function checkConnect(options: ConnectOptions): ConnectCheck {
  checkNames("options of connect", needOptions(options), CONNECT_OPTIONS);
  return {
    target: connectTarget(options),
    settings: socketSettings(options),
    timeoutMs: checkMs("timeout", options.timeout),
    signal: checkSignal(options.signal),
    secure: isAskedFor(options.tls) ? clientSettings(options.tls) : null,
  };
}

/** How long a full backlog is waited for where the connect has no timeout of its own. */
const BACKLOG_PATIENCE_MS = 10_000;
