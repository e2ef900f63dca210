import { checkBoolean, checkString, wrongRange, wrongType } from "../base/checks.js";

/** Kernel settings of a connection. */
export interface TcpOptions {
  /** Send small segments at once (TCP_NODELAY). @default true */
  noDelay?: boolean | undefined;
  /**
   * Idle ms before the first keepalive probe, rounded up to whole seconds, on Linux at most 32 767 of them; true: the
   * system's own delay. @default false
   */
  keepAlive?: number | boolean | undefined;
}

/** Checked, with the defaults in place. */
export interface SocketSettings {
  readonly noDelay: boolean;
  readonly keepAliveMs: number | false;
}

/** Where one attempt to connect goes: a path, or an address, with no name to look up. */
export type Endpoint =
  | { readonly path: string }
  | {
      readonly path: null;
      readonly address: string;
      readonly family: 4 | 6;
      readonly port: number;
      /** The address to come from; undefined: the system's choice. */
      readonly localAddress: string | undefined;
      /** The port to come from; undefined: any. */
      readonly localPort: number | undefined;
    };

/** Checked, with the defaults in place. Where a transport listens. */
export type ListenTarget = { readonly backlog: number } & (
  | {
      readonly path: string;
      /** Where that is bound, at a name beside it, which is linked to it. @default the path itself */
      readonly boundPath?: string;
    }
  | {
      readonly path: null;
      readonly host: string | undefined;
      readonly port: number;
      readonly ipv6Only: boolean;
      readonly reusePort: boolean;
    }
);

export function socketSettings(options: TcpOptions): SocketSettings {
  return {
    noDelay: checkBoolean("noDelay", options.noDelay, true),
    keepAliveMs: options.keepAlive === undefined ? false : checkKeepAlive("keepAlive", options.keepAlive),
  };
}

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

/** `sun_path` has 108 bytes on Linux, 104 elsewhere; some runtimes cut a longer path without a word. */
const PATH_MAX_BYTES = process.platform === "linux" ? 107 : 103;

/** What Linux takes (MAX_TCP_KEEPIDLE); elsewhere what goes into 32 bits of milliseconds, as runtimes hand it on. */
const KEEP_ALIVE_MAX_SECONDS = process.platform === "linux" ? 32_767 : 2_147_483;
