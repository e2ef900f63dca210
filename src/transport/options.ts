import { checkBoolean, checkString, wrongRange, wrongType } from "../base/checks.js";
import {
  checkForPath,
  checkProbes,
  type KeepAliveOptions,
  type KernelOptions,
  kernelSettings,
  type KernelSettings,
} from "./kernel-settings.js";

export type { KeepAliveOptions };

/** Settings of a connection in the operating system. */
export interface TcpOptions extends KernelOptions {
  /** Whether small segments are sent at once (TCP_NODELAY). @default true */
  noDelay?: boolean | undefined;
  /**
   * How many milliseconds a connection must be idle before the first keepalive probe is sent. They are rounded up to
   * whole seconds, of which Linux takes at most 32 767. True uses the system's own delay, false sends no probes. An
   * object says as well how many probes are sent, and how often; that takes the addon.
   * @default false
   */
  keepAlive?: number | boolean | KeepAliveOptions | undefined;
}

/** `TcpOptions` after the checks, with the defaults filled in. */
export interface SocketSettings extends KernelSettings {
  readonly noDelay: boolean;
  readonly keepAliveMs: number | false;
}

/** The target of one attempt to connect: a path, or an address that needs no lookup. */
export type Endpoint =
  | { readonly path: string }
  | {
      readonly path: null;
      readonly address: string;
      readonly family: 4 | 6;
      readonly port: number;
      /** The local address to connect from; undefined leaves the choice to the system. */
      readonly localAddress: string | undefined;
      /** The local port to connect from; undefined leaves the choice to the system. */
      readonly localPort: number | undefined;
    };

/** Where a transport listens, after the checks, with the defaults filled in. */
export type ListenTarget = { readonly backlog: number } & (
  | {
      readonly path: string;
      /** The path to bind the socket to. The listener makes `path` a link to that file. @default the path itself */
      readonly boundPath?: string;
      /** The permissions of the file. @default what the umask leaves */
      readonly mode?: number;
    }
  | {
      readonly path: null;
      readonly host: string | undefined;
      readonly port: number;
      readonly ipv6Only: boolean;
      readonly reusePort: boolean;
      /** The descriptor that listens already. The members above mean nothing then. */
      readonly fd?: number;
    }
);

export function socketSettings(options: TcpOptions & { path?: unknown }): SocketSettings {
  const settings = {
    noDelay: checkBoolean("noDelay", options.noDelay, true),
    ...(options.keepAlive === undefined
      ? { keepAliveMs: false as const }
      : keepAliveSettings("keepAlive", options.keepAlive)),
    ...kernelSettings(options),
  };
  if (options.path !== undefined) checkForPath(settings);
  return settings;
}

/** Takes the place of what was asked for before, while a socket connects. */
const NO_PROBES: KernelSettings = { keepAliveIntervalMs: undefined, keepAliveCount: undefined };

/** Checks what `keepAlive` and `setKeepAlive` take. */
export function keepAliveSettings(name: string, value: unknown): Omit<SocketSettings, "noDelay"> {
  const isObject = typeof value === "object" && value !== null;
  if (!isObject) return { keepAliveMs: checkKeepAlive(name, value), ...NO_PROBES };
  const probes = { ...NO_PROBES, ...checkProbes(name, value) };
  const { idleMs } = value as KeepAliveOptions;
  return { keepAliveMs: idleMs === undefined ? 0 : checkIdleMs(`${name}.idleMs`, idleMs), ...probes };
}

/**
 * Checks a keepalive delay. True means the system's own delay, which is expressed as 0. Systems count in whole seconds,
 * so the delay is rounded up; they silently ignore a delay that is too long, so such a delay is refused here.
 */
export function checkKeepAlive(name: string, value: unknown): number | false {
  if (value === true) return 0;
  if (value === false) return false;
  if (typeof value !== "number") throw wrongType(name, "a number of milliseconds, a boolean, or an object", value);
  return checkIdleMs(name, value);
}

function checkIdleMs(name: string, value: unknown): number {
  if (typeof value !== "number") throw wrongType(name, "a number of milliseconds", value);
  const seconds = Math.ceil(value / 1000);
  if (!(value >= 0) || seconds > KEEP_ALIVE_MAX_SECONDS) {
    const bound = `at most ${KEEP_ALIVE_MAX_SECONDS * 1000}, which are the ${KEEP_ALIVE_MAX_SECONDS} s that the system takes`;
    throw wrongRange(name, `a number of milliseconds from 0 on, ${bound}`, value);
  }
  return seconds * 1000;
}

export function checkPath(path: unknown, options: { host?: unknown; port?: unknown }): string {
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

/** `sun_path` has 108 bytes on Linux and 104 elsewhere. Some runtimes silently cut a longer path. */
const PATH_MAX_BYTES = process.platform === "linux" ? 107 : 103;

/**
 * On Linux MAX_TCP_KEEPIDLE; elsewhere what fits into 31 bits of milliseconds, which is how runtimes pass the delay on.
 */
const KEEP_ALIVE_MAX_SECONDS = process.platform === "linux" ? 32_767 : 2_147_483;
