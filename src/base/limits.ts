import { checkInteger, checkMs, checkOptions } from "./checks.js";
import { checkNames } from "./option-names.js";

/** Bounds of memory and time, on by default. `Infinity` lifts a bound. Sizes are in bytes, times in milliseconds. */
export interface Limits {
  /**
   * How many bytes are received beyond what the current read asks for. When that many wait, the socket stops receiving,
   * and TCP slows the peer down. @default 65 536
   */
  readAhead?: number | undefined;
  /**
   * The `maxLength` of delimiter, line, frame and message reads that give none. A read that exceeds it fails with
   * `READ_LIMIT`. @default 16 MiB
   */
  readLength?: number | undefined;
  /**
   * How many bytes may wait to be sent; each write counts as at least 128. A write that would exceed the bound fails
   * with `QUEUE_FULL` and closes the connection. @default 16 MiB
   */
  writeQueue?: number | undefined;
  /**
   * How long a TLS handshake may take, from the moment it can begin until the peer is trusted; after that the
   * connection closes with `TLS_TIMEOUT`. Also how long an accepted connection may take to send its PROXY header.
   * @default 10 000
   */
  handshakeMs?: number | undefined;
  /**
   * How long a graceful close waits for the peer's FIN after its own FIN was sent; and how long queued writes may go
   * without progress during such a close, before the connection is reset with `LINGER_TIMEOUT`. @default 5 000
   */
  lingerMs?: number | undefined;
  /**
   * The connection closes with `IDLE_TIMEOUT` when no byte of the application was sent or received for this long.
   * @default Infinity
   */
  idleMs?: number | undefined;
  /**
   * The least rate of a read, from when its first byte has come, and of writes that wait for the peer. It is an
   * average, and the first 5 000 ms are free: in s seconds, (s - 5) times as many bytes must have come for the read, or
   * the peer must have taken them. Otherwise the read fails with `READ_TIMEOUT`, or the write with `WRITE_TIMEOUT`. The
   * delegate is not asked. A read for which nothing has come waits as long as its `timeout` says. Over TLS bytes come
   * when their record is whole, up to 16 KiB at once. @default Infinity: no rate is asked for
   */
  bytesPerSecond?: number | undefined;
  /**
   * How many connections of a listener may be open at once. A further connection is reset, and reported to
   * `didFailAccept` with `ACCEPT`. @default 65 536
   */
  connections?: number | undefined;
  /** The same bound for the connections that come from one address. @default Infinity */
  connectionsPerAddress?: number | undefined;
  /**
   * How many of the first bits of an IPv6 address `connectionsPerAddress` looks at. One customer often has all the
   * addresses of a /64: with 64 they count as one. A whole number from 1 to 128. @default 128: each counts by itself
   */
  ipv6PrefixLength?: number | undefined;
  /**
   * How many connections a listener accepts in a second. After a quiet time that many are accepted at once; then they
   * grow back evenly. A further connection is reset, and reported to `didFailAccept` with `ACCEPT`. @default Infinity
   */
  acceptsPerSecond?: number | undefined;
}

/** All limits, with the defaults filled in. */
export type FullLimits = { readonly [K in keyof Limits]-?: number };

const MIB = 1024 * 1024;

const DEFAULT_LIMITS: FullLimits = {
  readAhead: 65_536,
  readLength: 16 * MIB,
  writeQueue: 16 * MIB,
  handshakeMs: 10_000,
  lingerMs: 5_000,
  idleMs: Infinity,
  bytesPerSecond: Infinity,
  connections: 65_536,
  connectionsPerAddress: Infinity,
  ipv6PrefixLength: 128,
  acceptsPerSecond: Infinity,
};

const LIMITS = Object.fromEntries(Object.keys(DEFAULT_LIMITS).map((name) => [name, true as const]));

/** Limits that were checked before, because accepted sockets share the limits of their listener. */
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
  if (name.endsWith("PrefixLength")) return checkInteger(name, value, 1, 128);
  return checkInteger(name, value, name.endsWith("connections") ? 0 : 1, Number.MAX_SAFE_INTEGER);
}
