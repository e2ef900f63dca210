/** What the main process asks of the server and of the process of the hostile peers. */
import type { AsyncSocketOptions } from "asyncsocket";
import type { Identity } from "../test/support/certificates.js";

export type TransportKind = Extract<AsyncSocketOptions["transport"], string>;

/** How a server reads lines. */
export const LINE = { timeout: 5_000, maxLength: 8_192 };

export interface Ports {
  readonly plain: number;
  readonly tls: number;
  /** Whose connections live on run loops; null where there can be none. */
  readonly loops: number | null;
}

/** A line behind which the server reads slowly: what else a peer sends waits, as far as there is room for it. */
export const SLOWLY = "s";
export const SLOW_LINE_MS = 1_000;

/**
 * Planted in the server, to see that the checks find it: what it keeps of each connection that has ended, or `unread`, of
 * each that it reads slowly, so long as that one lasts.
 */
export const LEAKS = ["sockets", "timers", "descriptors", "unread"] as const;
export type Leak = (typeof LEAKS)[number];

/** What the server holds, after a full collection. */
export interface Holdings {
  readonly connections: number;
  readonly descriptors: number;
  readonly timers: number;
  /** Of objects and of their buffers. */
  readonly heapBytes: number;
}

export interface Tally {
  /** Connections that became sockets since the server began. */
  readonly accepted: number;
  /** Accepts that failed. */
  readonly refused: number;
  /** How connections ended, by what their reasons say. */
  readonly ends: Readonly<Record<string, number>>;
  /** Open at once, at most. */
  readonly mostOpen: number;
  /** Since the process began. */
  readonly peakRssBytes: number;
}

export interface ServerRequests {
  listen: { ask: { identity: Identity; leak: Leak | null; transport: TransportKind }; answer: Ports };
  holdings: { ask: null; answer: Holdings };
  /** Since it was asked last. */
  tally: { ask: null; answer: Tally };
  /** Whether a connection has ended in this way since. */
  hasEnded: { ask: string; answer: boolean };
}

export interface HostileRequests {
  /** Goes on for so long; then all of its connections are closed. Answers what it did, in numbers. */
  attack: {
    ask: { name: string; ports: Ports; ms: number; connections: number; seed: number };
    answer: Readonly<Record<string, number>>;
  };
}
