import type { MessagePort } from "node:worker_threads";
import type { Address } from "../base/address.js";
import type { AsyncSocketError, ShortCode } from "../base/errors.js";
import type { FullLimits } from "../base/limits.js";
import type { AcceptInfo } from "../connection/delegate.js";
import type { ShutdownResult } from "../listen/options.js";
import type { SocketSnapshot } from "../socket/snapshot.js";
import type { SocketSettings } from "../transport/options.js";
import type { PackedTLS } from "./portable-tls.js";
import type { Transfer } from "./transfer.js";

/** The messages between two threads. Either thread may send any of them, except for the last three. */
export type Message =
  | { readonly kind: "sockets"; readonly transfers: readonly Transfer[] }
  /** News about sockets; `open` is the number of connections that the sending thread has. */
  | {
      readonly kind: "news";
      readonly arrived: readonly number[];
      readonly refused: readonly (readonly [id: number, why: string])[];
      readonly ended: readonly number[];
      readonly accepted: readonly AcceptedThere[];
      readonly open: number;
    }
  /** Asks the other thread to listen by itself. */
  | { readonly kind: "listen"; readonly id: number; readonly options: SharedOptions }
  | { readonly kind: "unlisten"; readonly id: number }
  /** Asks the other thread to use other TLS options for the connections that it accepts from now on. */
  | { readonly kind: "resecure"; readonly id: number; readonly tlsId: number }
  | {
      readonly kind: "listening";
      readonly id: number;
      readonly local: Address | undefined;
      readonly why: string | null;
    }
  | {
      readonly kind: "failedAccept";
      readonly id: number;
      readonly code: ShortCode;
      readonly message: string;
      readonly info: AcceptInfo;
    }
  | { readonly kind: "tls"; readonly id: number; readonly options: PackedTLS }
  | { readonly kind: "forget"; readonly id: number }
  /** Asks the other thread to close these sockets at once. */
  | { readonly kind: "end"; readonly ids: readonly number[] }
  /** Asks for a snapshot of the other thread's sockets. */
  | { readonly kind: "look"; readonly id: number }
  | { readonly kind: "seen"; readonly id: number; readonly sockets: readonly SocketSnapshot[] }
  | { readonly kind: "ready" }
  | { readonly kind: "close"; readonly graceMs: number }
  | { readonly kind: "closed"; readonly result: ShutdownResult };

/** The options with which a run loop listens on a shared port. All of them can be cloned. */
export interface SharedOptions {
  readonly host: string | undefined;
  readonly port: number;
  readonly backlog: number;
  readonly ipv6Only: boolean;
  readonly settings: SocketSettings;
  readonly allowHalfOpen: boolean;
  readonly limits: FullLimits;
  readonly proxyProtocol: boolean;
  readonly blockList: unknown;
  readonly tlsId: number | null;
}

/** A socket that the other thread has accepted by itself. */
export interface AcceptedThere {
  readonly id: number;
  readonly port: number;
  readonly info: AcceptInfo;
}

/** The `workerData` of a run loop's thread, until `run-loop-thread.ts` replaces it by the module's own. */
export interface Start {
  readonly name: string;
  readonly port: MessagePort;
  readonly module: string;
  readonly workerData: unknown;
}

/** Receives what the other thread reports about its listener. */
export interface SharedPortOwner {
  didAcceptThere(accepted: AcceptedThere): void;
  didFailAcceptThere(error: AsyncSocketError, info: AcceptInfo): void;
}
