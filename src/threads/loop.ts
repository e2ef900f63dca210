import type { Address } from "../base/address.js";
import type { AsyncSocketError } from "../base/errors.js";
import type { SocketRequest } from "../base/request.js";
import type { Destination } from "../connection/destination.js";
import type { GraceOptions, ShutdownResult } from "../listen/options.js";
import type { Sent, Sender } from "./link.js";
import type { SharedOptions, SharedPortOwner } from "./messages.js";
import type { PortableTLS } from "./portable-tls.js";
import type { TransferHandle, TransferState } from "./transfer.js";

/** The state of a run loop. */
export type RunLoopState = "running" | "closing" | "closed";

/** The parts of a run loop that other files of this folder use to send sockets to it. */
export abstract class Loop implements Destination {
  abstract readonly name: string;
  abstract readonly state: RunLoopState;
  /**
   * How many connections the loop has, those on their way to it included. For another thread it is the number that it
   * last reported.
   */
  abstract readonly sockets: number;
  /** Whether this is the loop of the current thread. */
  abstract readonly isCurrent: boolean;
  abstract close(options?: GraceOptions): SocketRequest<ShutdownResult>;
  /** @internal */
  abstract readonly _sending: object;
  /** @internal The reason why the loop takes no sockets; null if it does. */
  abstract readonly _refusal: string | null;
  /** @internal The error with which the loop ended by itself; null if it has not, or was closed. */
  abstract readonly _wasLost: AsyncSocketError | null;
  /** @internal */
  abstract _send(handle: TransferHandle, state: TransferState, sender: Sender): Sent;
  /** @internal Lets the loop listen by itself, on a shared port. */
  abstract _listen(options: SharedOptions, owner: SharedPortOwner): Promise<{ id: number; local: Address | undefined }>;
  /** @internal */
  abstract _unlisten(id: number): void;
  /** @internal Replaces the TLS options of a shared port. */
  abstract _resecure(id: number, tls: PortableTLS): void;
  /** @internal Makes the sender's record of a socket that the loop has accepted by itself. */
  abstract _sentBy(id: number, sender: Sender): Sent;
  /** @internal Sends TLS options. @returns the number by which the other thread knows them */
  abstract _sendTLS(tls: PortableTLS): number;
  /** @internal */
  abstract _forgetTLS(tls: PortableTLS): void;
  /** @internal Calls `told` when the loop has ended. @returns a function that takes this back */
  abstract _whenEnded(told: () => void): () => void;
}
