import type { Address, ProxiedAddresses } from "../address.js";
import type { AcceptInfo } from "../delegate.js";
import type { ShortCode } from "../errors.js";
import type { FullLimits, ShutdownResult } from "../options.js";
import type { Freight } from "../transport/freight.js";
import type { PackedSecrets } from "./secrets.js";
import type { AcceptedThere, SharedOptions } from "./shared-port.js";

/** What of a connection travels besides its descriptor. All of it can be cloned. */
export interface Luggage {
  /** Received and not read. */
  readonly ahead: Uint8Array;
  /** Without those. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly allowHalfOpen: boolean;
  readonly limits: FullLimits;
  readonly isAccepted: boolean;
  readonly isReferenced: boolean;
  readonly host: string | undefined;
  readonly proxied: ProxiedAddresses | null;
  /** Whether our FIN is out. */
  readonly hasFinished: boolean;
  readonly userData: unknown;
  /** By which secrets it is encrypted from its start; null: it is not. */
  readonly secrets: number | null;
}

export interface Parcel {
  /** The sender's number for it. */
  readonly id: number;
  readonly freight: Freight;
  readonly luggage: Luggage;
}

/** What two threads say to each other; either may say any of it but for the last three. */
export type Message =
  | { readonly kind: "sockets"; readonly parcels: readonly Parcel[] }
  /** `open`: how many connections the thread has. */
  | {
      readonly kind: "news";
      readonly arrived: readonly number[];
      readonly refused: readonly (readonly [id: number, why: string])[];
      readonly ended: readonly number[];
      readonly accepted: readonly AcceptedThere[];
      readonly open: number;
    }
  /** Listen by yourself. */
  | { readonly kind: "listen"; readonly id: number; readonly options: SharedOptions }
  | { readonly kind: "unlisten"; readonly id: number }
  /** Secure what you accept there by these secrets from now on. */
  | { readonly kind: "resecure"; readonly id: number; readonly secrets: number }
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
  | { readonly kind: "secrets"; readonly id: number; readonly secrets: PackedSecrets }
  | { readonly kind: "forget"; readonly id: number }
  /** Close these at once. */
  | { readonly kind: "end"; readonly ids: readonly number[] }
  | { readonly kind: "ready" }
  | { readonly kind: "close"; readonly graceMs: number }
  | { readonly kind: "closed"; readonly result: ShutdownResult };
