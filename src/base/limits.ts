import { checkInteger, checkMs, checkOptions } from "./checks.js";
import { checkNames } from "./option-names.js";

/** Bounds, on by default. `Infinity` lifts one. Sizes are bytes, times milliseconds. */
export interface Limits {
  /** Taken from the kernel ahead of the reads; then TCP pushes back. @default 65 536 */
  readAhead?: number | undefined;
  /**
   * The `maxLength` of delimiter, line and frame reads that name none; more fails with `READ_LIMIT`. @default 16 MiB
   */
  readLength?: number | undefined;
  /**
   * Unsent bytes (each write counts as 128 at least); a write beyond fails with `QUEUE_FULL`, and closes.
   * @default 16 MiB
   */
  writeQueue?: number | undefined;
  /**
   * For a TLS handshake, from when it can begin until the peer is trusted; then it closes with `TLS_TIMEOUT`. For a
   * PROXY header as well, from the accept on. @default 10 000
   */
  handshakeMs?: number | undefined;
  /**
   * How long a graceful close waits for the peer's FIN after sending its own; and how long what is queued may take to get
   * out without a single byte, else it closes with `LINGER_TIMEOUT` and a RST.
   * @default 5 000
   */
  lingerMs?: number | undefined;
  /**
   * No byte of the application either way for this long closes the connection with `IDLE_TIMEOUT`. @default Infinity
   */
  idleMs?: number | undefined;
  /**
   * Of a listener: open connections at once; more are reset, and told to `didFailAccept` with `ACCEPT`. @default 65 536
   */
  connections?: number | undefined;
  /** Of a listener: the same for those from one address. @default Infinity */
  connectionsPerAddress?: number | undefined;
}

/** All limits, filled in. */
export type FullLimits = { readonly [K in keyof Limits]-?: number };

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

const LIMITS = Object.fromEntries(Object.keys(DEFAULT_LIMITS).map((name) => [name, true as const]));

/** Limits that were checked before: accepted sockets share their listener's. */
const checked = new WeakSet<object>([DEFAULT_LIMITS]);

export function checkLimits(limits: Limits | undefined): FullLimits {
  if (checkOptions(limits, "limits") === undefined) return DEFAULT_LIMITS;
  if (checked.has(limits as object)) return limits as FullLimits;
  const full: Record<string, number> = { ...DEFAULT_LIMITS };
  checkNames("limits", limits as object, LIMITS);
  for (const [name, value] of Object.entries(limits as object)) {
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
