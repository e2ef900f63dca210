import type { Address } from "../base/address.js";
import type { AsyncSocketError } from "../base/errors.js";
import type { SocketRequest } from "../base/request.js";
import type { Destination } from "../connection/destination.js";
import type { ShutdownOptions, ShutdownResult } from "../listen/options.js";
import type { Sent, Sender } from "./link.js";
import type { SharedOptions, SharedPortOwner } from "./messages.js";
import type { PortableTLS } from "./portable-tls.js";
import type { TransferHandle, TransferState } from "./transfer.js";

/** Where a run loop stands. */
export type RunLoopState = "running" | "closing" | "closed";

/** A run loop, as the files of this folder see it that send sockets to one. */
export abstract class Loop implements Destination {
  abstract readonly name: string;
  abstract readonly state: RunLoopState;
  /** How many connections it has, those on their way to it included. Of another thread: as it told last. */
  abstract readonly sockets: number;
  /** Whether it is the loop of this thread. */
  abstract readonly isCurrent: boolean;
  abstract close(options?: ShutdownOptions): SocketRequest<ShutdownResult>;
  /** @internal */
  abstract readonly _sending: object;
  /** @internal Why it takes no sockets; null: it does. */
  abstract readonly _refusal: string | null;
  /** @internal Why it ended, where nobody had asked for it. */
  abstract readonly _wasLost: AsyncSocketError | null;
  /** @internal */
  abstract _send(handle: TransferHandle, state: TransferState, sender: Sender): Sent;
  /** @internal Has it listen by itself, on a port that is shared. */
  abstract _listen(options: SharedOptions, owner: SharedPortOwner): Promise<{ id: number; local: Address | undefined }>;
  /** @internal */
  abstract _unlisten(id: number): void;
  /** @internal Changes what it secures the connections of such a port by. */
  abstract _resecure(id: number, tls: PortableTLS): void;
  /** @internal Of a socket that it has accepted by itself. */
  abstract _sentBy(id: number, sender: Sender): Sent;
  /** @internal By which number the TLS options are known there. */
  abstract _sendTLS(tls: PortableTLS): number;
  /** @internal */
  abstract _forgetTLS(tls: PortableTLS): void;
  /** @internal Called when it has ended. @returns what stops that */
  abstract _whenEnded(told: () => void): () => void;
}
