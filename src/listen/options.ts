import {
  checkBoolean,
  checkHostName,
  checkInteger,
  checkMs,
  checkOptions,
  needOptions,
  checkFunction,
  wrongType,
} from "../base/checks.js";
import { badState } from "../base/errors.js";
import { checkNames, type OptionNames } from "../base/option-names.js";
import type { Destination } from "../connection/destination.js";
import type { TLSOptions } from "../tls/options.js";
import { KERNEL_OPTIONS, needKernel, type Network } from "../transport/kernel-settings.js";
import {
  checkPath,
  type ListenTarget,
  type SocketSettings,
  socketSettings,
  type TcpOptions,
} from "../transport/options.js";

export interface ListenOptions extends TcpOptions {
  /** The port; 0 chooses any free port. */
  port?: number | undefined;
  /**
   * The host to listen on: a name or an address. For a name with several addresses, the socket listens on all of them.
   * @default all addresses of both families
   */
  host?: string | undefined;
  /**
   * The path of a Unix-domain socket, instead of host and port. A stale socket file is replaced; if anything else
   * exists at the path, the listen fails.
   * @default none
   */
  path?: string | undefined;
  /**
   * The permissions of the file of `path`, such as `0o660`: on Linux who may write to it may connect. The file has them
   * from its first moment on. Not on Windows, nor for abstract names, nor in a worker of `node:cluster`.
   * @default what the umask of the process leaves
   */
  mode?: number | undefined;
  /**
   * A descriptor that listens already, instead of host and port or path: one that was inherited, as by systemd's socket
   * activation, whose descriptors begin with 3. It must be a listening TCP or Unix-domain socket, or the listen fails.
   * It belongs to the listener from then on, which sets its backlog anew, and closes it; if the listen fails, it stays
   * open. Not in a worker of `node:cluster`.
   * @default none
   */
  fd?: number | undefined;
  /** How many connections the kernel queues before they are accepted. @default 511 */
  backlog?: number | undefined;
  /** Whether to accept IPv6 only, where IPv4 would be accepted as well. @default false */
  ipv6Only?: boolean | undefined;
  /**
   * Whether to share the port with other listeners that set this option. The listen fails if the runtime does not
   * support it.
   * @default false
   */
  reusePort?: boolean | undefined;
  /** Addresses whose connections are reset; each one is reported to `didFailAccept` with `ACCEPT`. @default none */
  blockList?: AddressFilter | undefined;
  /**
   * Whether every connection comes from a proxy that sends a PROXY header, of version 1 or 2 (HAProxy's
   * proxy-protocol.txt), with the address of the client: see `socket.proxied`. A connection without a valid header is
   * reset, and reported to `didFailAccept` with `PROXY_PROTOCOL`. The header must arrive within `limits.handshakeMs` of
   * the accept. The block list and `limits.connectionsPerAddress` apply to the address in the header, too. Use this
   * only if no one else can reach the listener: any peer could claim any address.
   * @default false
   */
  proxyProtocol?: boolean | undefined;
  /**
   * Encrypts every connection from its start. `limits.handshakeMs` bounds the handshake. A handshake that fails closes
   * only its own connection, with `TLS`, which the delegate of that connection is told.
   * @default false
   */
  tls?: TLSOptions | false | undefined;
  /**
   * The threads to which connections go: a pool, which chooses by its policy, or run loops, which are used in turn.
   * There, `onSocket` receives each socket in place of `didAccept` on this thread. The delegate's
   * `wantsRunLoopForNewSocket` takes precedence. The options in `tls` must then be ones that can be sent to another
   * thread, without functions or SecureContexts.
   * @default none
   */
  loops?: Destination | readonly Destination[] | undefined;
}

/** Decides whether connections from an address are refused; `net.BlockList` is one. */
export interface AddressFilter {
  check(address: string, family: "ipv4" | "ipv6"): boolean;
}

/** What a shutdown does with an open socket first. */
export type Goodbye<Socket> = (socket: Socket) => void;

export interface GraceOptions {
  /** The time in ms that connections have to finish before they are closed. @default Infinity */
  graceMs?: number | undefined;
}

/** The options of `shutdown` of a listener. */
export interface ShutdownOptions<Socket = AsyncDisposable> extends GraceOptions {
  /**
   * Called once for each accepted socket of this thread that is open when the shutdown begins and can still be written
   * to, for example to write a last line and call `disconnectAfterWriting`. It is called after `shutdown` has returned,
   * before the grace period is over. What it throws surfaces as an uncaught exception; the other sockets are told
   * nevertheless. It is not called for sockets on other threads, nor for those that were turned into streams.
   * @default none
   */
  goodbye?: Goodbye<Socket> | undefined;
}

/** The options of `shutdown`, checked. */
export interface CheckedShutdown<Socket> {
  /** Milliseconds, or `Infinity`. */
  readonly graceMs: number;
  readonly goodbye: Goodbye<Socket> | null;
}

/**
 * The result of a shutdown: how many connections finished by themselves, and how many were closed when the grace period
 * was over.
 */
export interface ShutdownResult {
  finished: number;
  forced: number;
}

export const LISTEN_OPTIONS: OptionNames<ListenOptions> = {
  port: true,
  host: true,
  path: true,
  mode: true,
  fd: true,
  backlog: true,
  ipv6Only: true,
  reusePort: true,
  blockList: true,
  proxyProtocol: true,
  tls: true,
  loops: true,
  noDelay: true,
  keepAlive: true,
  ...KERNEL_OPTIONS,
};

const GRACE_OPTIONS: OptionNames<GraceOptions> = { graceMs: true };
const SHUTDOWN_OPTIONS: OptionNames<ShutdownOptions> = { ...GRACE_OPTIONS, goodbye: true };

/** Checks the grace period. @returns ms, or `Infinity` */
export function checkGrace(options: GraceOptions | undefined, names = GRACE_OPTIONS): number {
  const given = checkOptions(options) ?? {};
  checkNames("options of shutdown", given, names);
  return checkMs("graceMs", given.graceMs);
}

export function checkShutdown<Socket>(options: ShutdownOptions<Socket> | undefined): CheckedShutdown<Socket> {
  const graceMs = checkGrace(options, SHUTDOWN_OPTIONS);
  const goodbye = options?.goodbye;
  checkFunction("goodbye", goodbye);
  return { graceMs, goodbye: goodbye ?? null };
}

export function listenTarget(options: ListenOptions): ListenTarget {
  checkNames("options of listen", needOptions(options), LISTEN_OPTIONS);
  const backlog = options.backlog === undefined ? 511 : checkInteger("backlog", options.backlog, 1, 2 ** 31 - 1);
  if (options.fd !== undefined) return descriptorTarget(options, backlog);
  const mode = options.mode === undefined ? {} : { mode: checkMode(options) };
  if (options.path !== undefined) return { path: checkPath(options.path, options), backlog, ...mode };
  return {
    path: null,
    host: options.host === undefined ? undefined : checkHostName("host", options.host),
    port: checkInteger("port", options.port, 0, 65_535),
    backlog,
    ipv6Only: checkBoolean("ipv6Only", options.ipv6Only, false),
    reusePort: checkBoolean("reusePort", options.reusePort, false),
  };
}

/** What a descriptor that listens already has settled. */
const SETTLED = ["host", "port", "path", "mode", "ipv6Only", "reusePort"] as const;

function descriptorTarget(options: ListenOptions, backlog: number): ListenTarget {
  const fd = checkInteger("fd", options.fd, 0, 2 ** 31 - 1);
  const other = SETTLED.find((name) => options[name] !== undefined);
  if (other !== undefined) throw new TypeError(`Expected either fd or ${other}, got both`);
  return { path: null, host: undefined, port: 0, ipv6Only: false, reusePort: false, fd, backlog };
}

function checkMode({ mode, path }: ListenOptions): number {
  const checked = checkInteger("mode", mode, 0, 0o777);
  const isFile = typeof path === "string" && !path.startsWith("\0") && process.platform !== "win32";
  if (!isFile) throw wrongType("path", "the path of a file, as mode needs one", path);
  return checked;
}

/** What `listen` was told of the place and of the connections, checked. */
export interface ListenCheck {
  readonly target: ListenTarget;
  readonly settings: SocketSettings;
  readonly filter: AddressFilter | undefined;
}

/** @throws BAD_STATE for settings that cannot be made in this network */
export function checkListen(options: ListenOptions, network: Network): ListenCheck {
  const target = listenTarget(options);
  const settings = socketSettings(options);
  needKernel("listen", settings, network);
  if (options.fd !== undefined && network.isOfTheSystem !== true)
    throw badState("listen", "its network has no descriptors");
  return { target, settings, filter: checkFilter(options.blockList) };
}

export function checkFilter(value: unknown): AddressFilter | undefined {
  if (value === undefined) return undefined;
  if (typeof (value as AddressFilter | null)?.check === "function") return value as AddressFilter;
  throw wrongType("blockList", "a net.BlockList, or something with its check method", value);
}
