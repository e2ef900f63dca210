/** What the operating system knows of a connection. The addon asks for it by descriptor. */

import { reasonOf, systemError, wordsFor } from "../base/errno.js";
import { socketError } from "../base/errors.js";
import { addon, nativeProblem } from "./native/addon.js";
import type { Transport } from "./transport.js";

/** The state of a TCP connection in the kernel. Segments are packets of at most `segmentBytes`. */
export interface TcpInfo {
  /** The smoothed round-trip time in ms. */
  readonly rttMs: number;
  /** The mean deviation of the round-trip time in ms. */
  readonly rttVarMs: number;
  /** How many segments were sent again since the connection began. */
  readonly retransmits: number;
  /** How many segments are thought to be lost now. */
  readonly lost: number;
  /** How many sent segments the peer's system has not acknowledged. */
  readonly unacked: number;
  /** How many segments may be under way at once. */
  readonly congestionWindow: number;
  readonly segmentBytes: number;
}

/** The process at the other end of a Unix-domain socket. */
export interface PeerCredentials {
  /** 0 where the process is in a namespace that this one cannot see into. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** @returns undefined where the system does not tell, or there is no addon that asks */
export function tcpInfoOf(transport: Transport | null): TcpInfo | undefined {
  const descriptor = askable(transport);
  const facts = descriptor < 0 ? undefined : addon.tcpInfoOf?.(descriptor);
  if (facts === undefined) return undefined;
  const [rtt = 0, rttVar = 0, retransmits = 0, lost = 0, unacked = 0, congestionWindow = 0, segmentBytes = 0] = facts;
  return { rttMs: rtt / 1000, rttVarMs: rttVar / 1000, retransmits, lost, unacked, congestionWindow, segmentBytes };
}

/** @returns undefined where the system does not tell, or there is no addon that asks */
export function credentialsOf(transport: Transport | null): PeerCredentials | undefined {
  const descriptor = askable(transport);
  const facts = descriptor < 0 ? undefined : addon.credentialsOf?.(descriptor);
  if (facts === undefined) return undefined;
  const [pid = 0, uid = 0, gid = 0] = facts;
  return { pid, uid, gid };
}

const NO_LISTENER: Readonly<Record<string, string>> = {
  EBADF: "it is not open",
  ENOTSOCK: "it is not a socket",
  EPROTOTYPE: "it is not a stream socket",
  EAFNOSUPPORT: "it is neither a TCP nor a Unix-domain socket",
  EINVAL: "it does not listen",
};

/**
 * Checks that a descriptor listens.
 * @returns the path of a Unix-domain socket; undefined for an IP socket, and where there is no addon that knows
 * @throws LISTEN if it does not
 */
export function listenerPath(descriptor: number): string | undefined {
  const found = nativeProblem() === null ? addon.listenerOf?.(descriptor) : undefined;
  if (typeof found !== "number") return found;
  const cause = systemError(found, "listen");
  const code = reasonOf(cause);
  const words = `Cannot listen on descriptor ${descriptor}: ${wordsFor(code, NO_LISTENER) ?? "it is no listener"} (${code})`;
  throw socketError("LISTEN", "listen", words, cause);
}

/** The descriptor that the addon can ask about; -1 if there is none. */
function askable(transport: Transport | null): number {
  return nativeProblem() === null ? (transport?.descriptor ?? -1) : -1;
}
