/** What the program tells scripts: its exit codes, and the errors that only the command line knows. */

import { AsyncSocketError } from "../index.js";

export const EXIT = {
  /** Everything went well. */
  ok: 0,
  /** The connection was lost or broken after it was made, or something else failed. */
  failed: 1,
  /** The arguments were wrong. */
  usage: 2,
  /** No connection could be made, or nothing could be listened on. */
  connect: 3,
  /** The name has no address. */
  dns: 4,
  /** It took too long. */
  timeout: 5,
  /** The TLS handshake failed, or the peer is not trusted. */
  tls: 6,
  /** The server did not offer STARTTLS, or answered it with no. */
  startTLS: 7,
  /** Ctrl-C. */
  interrupted: 130,
} as const;

/** Wrong arguments of the program. */
export class UsageError extends Error {}

/** The server refused STARTTLS, or said what the protocol does not allow. */
export class StartTLSError extends Error {}

const BY_CODE: Readonly<Record<string, number>> = {
  CONNECT: EXIT.connect,
  LISTEN: EXIT.connect,
  PROXY: EXIT.connect,
  DNS: EXIT.dns,
  CONNECT_TIMEOUT: EXIT.timeout,
  READ_TIMEOUT: EXIT.timeout,
  WRITE_TIMEOUT: EXIT.timeout,
  IDLE_TIMEOUT: EXIT.timeout,
  LINGER_TIMEOUT: EXIT.timeout,
  TLS_TIMEOUT: EXIT.timeout,
  TLS: EXIT.tls,
  CANCELED: EXIT.interrupted,
};

export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage;
  if (error instanceof StartTLSError) return EXIT.startTLS;
  if (error instanceof TimeoutError) return EXIT.timeout;
  if (!(error instanceof AsyncSocketError)) return EXIT.failed;
  // A read that met a closed socket tells by its cause why it was closed.
  return BY_CODE[error.code.replace("ERR_ASYNCSOCKET_", "")] ?? exitCodeOf(error.cause);
}

/** What a timer of the program's own has ended. */
export class TimeoutError extends Error {}

/** Runs what checks arguments, whose mistakes are those of the user of the program. */
export function asUsage<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
}
