/** What the main process asks of a server and of the load process. */
import type { Identity } from "../../test/support/certificates.js";
import type { Protocol } from "../workloads.js";

export interface Usage {
  /** Microseconds of CPU time since the process began. */
  readonly user: number;
  readonly system: number;
}

export interface Memory {
  /** Bytes after a full collection: `heapUsed` plus `external` (which counts array buffers too). */
  readonly used: number;
  readonly rss: number;
}

export interface ServerRequests {
  /** With an identity: over TLS. */
  listen: { ask: { protocol: Protocol; identity: Identity | null }; answer: number };
  usage: { ask: null; answer: Usage };
  memory: { ask: null; answer: Memory };
}

export interface LoadRequests {
  /** Every reply is compared byte for byte. Answers how many bytes. */
  verify: { ask: { workload: string; port: number }; answer: number };
  open: { ask: { workload: string; port: number; connections: number }; answer: null };
  /** Sends so many messages over what is open, and waits for all replies. Answers the milliseconds it took. */
  run: { ask: { messages: number }; answer: number };
  close: { ask: null; answer: null };
}
