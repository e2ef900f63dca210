/** From what callers pass to the constructor, `connect` and `listen`: checked, with the defaults in place. */

import { isIP } from "node:net";
import {
  checkBoolean,
  checkFunction,
  checkHostName,
  checkInteger,
  checkMs,
  checkOneOf,
  checkOptions,
  checkSignal,
  checkString,
  needOptions,
  wrongRange,
  wrongType,
} from "./arguments.js";
import type {
  AddressFilter,
  AsyncSocketOptions,
  ConnectOptions,
  ConnectTarget,
  FullLimits,
  Limits,
  ListenOptions,
  ListenTarget,
  SocketSettings,
  TcpOptions,
} from "./options.js";
import type { IpTarget } from "./connect/place.js";
import { checkProxy, checkTargetHost, type ProxyServer } from "./connect/proxy.js";
import { withoutBrackets } from "./connect/resolve.js";
import { badState } from "./failures.js";
import { clientSettings, isAskedFor, type SecureSettings } from "./tls/settings.js";
import { nativeProblem } from "./transport/addon.js";
import { nativeTransports } from "./transport/native.js";
import { nodeTransports } from "./transport/node.js";
import type { TransportFactory } from "./transport/transport.js";

const MIB = 1024 * 1024;

const DEFAULT_LIMITS: FullLimits = {
  readAhead: 65_536,
  readLength: 16 * MIB,
  writeQueue: 16 * MIB,
  handshakeMs: 10_000,
  lingerMs: 5_000,
  idleMs: Infinity,
  connections: 65_536,
  connectionsPerAddress: Infinity,
};

/** Limits that were checked before: accepted sockets share their listener's. */
const checked = new WeakSet<object>([DEFAULT_LIMITS]);

export function checkLimits(limits: Limits | undefined): FullLimits {
  if (checkOptions(limits, "limits") === undefined) return DEFAULT_LIMITS;
  if (checked.has(limits as object)) return limits as FullLimits;
  const full: Record<string, number> = { ...DEFAULT_LIMITS };
  for (const [name, value] of Object.entries(limits as object)) {
    if (!Object.hasOwn(DEFAULT_LIMITS, name)) throw wrongType("limits", "names of limits", name);
    if (value !== undefined) full[name] = checkLimit(`limits.${name}`, value);
  }
  checked.add(full);
  return full as FullLimits;
}

function checkLimit(name: string, value: unknown): number {
  if (name.endsWith("Ms")) return checkMs(name, value);
  if (value === Infinity) return Infinity;
  return checkInteger(name, value, name.endsWith("connections") ? 0 : 1, Number.MAX_SAFE_INTEGER);
}

export function socketSettings(options: TcpOptions): SocketSettings {
  return {
    noDelay: checkBoolean("noDelay", options.noDelay, true),
    keepAliveMs: options.keepAlive === undefined ? false : checkKeepAlive("keepAlive", options.keepAlive),
  };
}

/** What Linux takes (MAX_TCP_KEEPIDLE); elsewhere what goes into 32 bits of milliseconds, as runtimes hand it on. */
const KEEP_ALIVE_MAX_SECONDS = process.platform === "linux" ? 32_767 : 2_147_483;

/**
 * True is the system's own delay, which a delay of 0 stands for. Systems count in whole seconds, and leave everything as
 * it was where they are given too many: so it is rounded up here, and too many are refused.
 */
export function checkKeepAlive(name: string, value: unknown): number | false {
  if (value === true) return 0;
  if (value === false) return false;
  if (typeof value !== "number") throw wrongType(name, "a number of milliseconds, or a boolean", value);
  const seconds = Math.ceil(value / 1000);
  if (!(value >= 0) || seconds > KEEP_ALIVE_MAX_SECONDS) {
    const bound = `at most ${KEEP_ALIVE_MAX_SECONDS * 1000}, which are the ${KEEP_ALIVE_MAX_SECONDS} s that the system takes`;
    throw wrongRange(name, `a number of milliseconds from 0 on, ${bound}`, value);
  }
  return seconds * 1000;
}

/** The options of a `connect`, all of them checked. */
export interface ConnectCheck {
  readonly target: ConnectTarget;
  readonly settings: SocketSettings;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** Null: in the clear. */
  readonly secure: SecureSettings | null;
}

/** Whoever takes options of `connect` checks them by this, so that what is wrong is wrong at the call. */
export function checkConnect(options: ConnectOptions): ConnectCheck {
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

const SERVICE = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/i;

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

export function listenTarget(options: ListenOptions): ListenTarget {
  needOptions(options);
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

/** `sun_path` has 108 bytes on Linux, 104 elsewhere; some runtimes cut a longer path without a word. */
const PATH_MAX_BYTES = process.platform === "linux" ? 107 : 103;

function checkPath(path: unknown, options: { host?: unknown; port?: unknown }): string {
  const text = checkString("path", path);
  if (options.port !== undefined || options.host !== undefined) {
    throw new TypeError("Expected either path or host and port, got both");
  }
  const bytes = Buffer.byteLength(text);
  if (process.platform !== "win32" && bytes > PATH_MAX_BYTES) {
    throw wrongRange("path", `at most ${PATH_MAX_BYTES} bytes long`, bytes);
  }
  if (text.indexOf("\0", 1) !== -1) throw wrongRange("path", "without NUL characters", text);
  return text;
}

export function checkFilter(value: unknown): AddressFilter | undefined {
  if (value === undefined) return undefined;
  if (typeof (value as AddressFilter | null)?.check === "function") return value as AddressFilter;
  throw wrongType("blockList", "a net.BlockList, or something with its check method", value);
}

export function checkDelegate<D extends object>(delegate: D | null | undefined): D | null {
  if (delegate === undefined || delegate === null) return null;
  if (typeof delegate !== "object") throw wrongType("delegate", "an object or null", delegate);
  return delegate;
}

export function checkTransport(transport: AsyncSocketOptions["transport"]): TransportFactory {
  const given = transport as Partial<TransportFactory> | string | null | undefined;
  if (typeof given === "object" && given !== null) {
    const isFactory = typeof given.connect === "function" && typeof given.listen === "function" && given.clock;
    if (isFactory) return given as TransportFactory;
    throw wrongType("transport", '"auto", "node", "native", or something with connect, listen and clock', given);
  }
  const name = checkOneOf("transport", given, ["auto", "node", "native"], "auto");
  if (name === "node") return nodeTransports;
  const problem = nativeProblem();
  if (problem === null) return nativeTransports;
  if (name === "auto") return nodeTransports;
  throw badState('transport "native"', problem);
}
