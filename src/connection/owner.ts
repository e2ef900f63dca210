/** What the parts of a connection see of it, and of each other: no more than they need. */

import type { Clock } from "../base/clock.js";
import type { AsyncSocketError } from "../base/errors.js";
import type { FullLimits } from "../base/limits.js";
import type { SocketRequest } from "../base/request.js";
import type { Entry, Wait } from "../pump/entry.js";
import type { ReadQueue } from "../pump/read-queue.js";
import type { WriteQueue } from "../pump/write-queue.js";
import type { SecureSettings } from "../tls/settings.js";
import type { Transport } from "../transport/transport.js";
import type { CloseReason } from "./close-reason.js";
import type { SocketDelegate } from "./delegate.js";
import type { RemoteConnection } from "./destination.js";

/** Where a connection stands. */
export type Phase = "idle" | "connecting" | "open" | "closing" | "closed";

/** What a connection knows of the socket whose life it is: whom to tell, and how. */
export interface SocketFace {
  /** The delegate of the moment. */
  readonly delegate: SocketDelegate<SocketFace> | null;
  readonly allowHalfOpen: boolean;
  /** Whether it was turned into a stream, which decides by itself when its writing side ends. */
  readonly _isStream: boolean;
  /** One line of facts, for prints. */
  toJSON(): object;
  /** The present life, which tells nothing more of itself until an exception of the delegate has surfaced. */
  readonly _connection: { pause(): void };
}

/** What every part sees. */
interface Owner {
  readonly socket: SocketFace;
  readonly clock: Clock;
  readonly limits: FullLimits;
  readonly phase: Phase;
  /** Why it ends; null: it does not. */
  readonly reason: CloseReason | null;
  /** Sees to it that the loop runs soon. */
  schedule(): void;
  /** Runs the loop, unless it is running. */
  drain(): void;
  close(by: "error", error: AsyncSocketError): void;
  /** The end because a deadline has passed: with a RST where bytes are unsent, as the system would keep them. */
  closeLate(error: AsyncSocketError): void;
}

/** What the two halves see besides. */
interface HalfOwner extends Owner {
  readonly isEnding: boolean;
  /** Whether nobody is told of anything for now. */
  readonly isPaused: boolean;
  /** How many more entries may be told of before others have their turn. */
  entriesLeft: number;
  /** Marks an entry, which is in no queue any more, as failed; the loop tells of it. */
  failEntry(entry: Entry, error: AsyncSocketError): void;
}

/** What the receiving half sees. */
export interface ReadingOwner extends HalfOwner {
  /** Whether reads can be served outside of the loop. */
  readonly isServing: boolean;
  readonly isHeld: boolean;
  readonly hasUntold: boolean;
  readonly writing: { flushIfMuch(): void };
  readonly upgrade: { readsReached(): boolean; didEnd(): void } | null;
}

/** What the sending half sees. */
export interface WritingOwner extends HalfOwner {
  /** Whether writes go out. */
  readonly isCarrying: boolean;
  readonly transport: Transport | null;
  readonly timer: { markSent(): void };
  readonly reading: { readonly servedAwaited: boolean; readonly queue: ReadQueue };
  readonly upgrade: { writesReached(): boolean; forgetGate(): void } | null;
}

/** What the deadlines see of a half. */
interface TimedHalf {
  /** The entry whose time is running. */
  readonly waiting: Entry | null;
  readonly wait: Wait;
  expire(now: number): void;
}

/** What the deadlines see. */
export interface TimerOwner extends FlushingOwner {
  readonly transport: Transport | null;
  readonly isReferenced: boolean;
  readonly isPaused: boolean;
  readonly reading: EndingReads & TimedHalf;
  readonly writing: EndingWrites & TimedHalf & { account(): void };
  readonly upgrade: { readonly dueAt: number; expire(now: number): void } | null;
  expireConnect(): void;
}

/** What an upgrade sees. */
export interface UpgradeOwner extends Owner {
  readonly host: string | undefined;
  readonly isEnding: boolean;
  /** The connect under way. */
  readonly attempt: unknown;
  readonly timer: { arm(): void };
  readonly reading: { readonly queue: ReadQueue; enqueue(entry: Entry, signal: undefined): void };
  readonly writing: { readonly queue: WriteQueue; enqueue(entry: Entry, signal: undefined): void };
  failEntry(entry: Entry, error: AsyncSocketError): void;
  /** What was received already belongs to the handshake. */
  becomeSecure(settings: SecureSettings): void;
  didSecure(): void;
}

/** The halves, as their end sees them. */
interface EndingReads {
  readonly queue: ReadQueue;
  readonly peerEnded: boolean;
  readonly ended: boolean;
  failAll(code: "CLOSED" | "CONNECTION_LOST", cause?: unknown): void;
}

interface EndingWrites {
  readonly queue: WriteQueue;
  readonly endEntry: unknown;
  readonly finSent: boolean;
  readonly finDone: boolean;
  readonly bytesWritten: number;
  readonly unsentBytes: number;
  sendFin(): void;
  failAll(code: "CLOSED" | "CONNECTION_LOST", cause?: unknown): void;
}

/** What decides whether a close waits for writes. */
export interface FlushingOwner extends Owner {
  readonly closeWhen: number;
  readonly graceful: "local" | "remote" | null;
  readonly reading: EndingReads;
  readonly writing: EndingWrites;
  readonly timer: { readonly connectDueAt: number };
  close(by: "local" | "remote", error: null): void;
  close(by: "error", error: AsyncSocketError): void;
}

/** What the end of a connection sees, and what it keeps there. */
export interface ClosingOwner extends FlushingOwner {
  phase: Phase;
  graceful: "local" | "remote" | null;
  willDisconnectDue: boolean;
  endsSoon: boolean;
  toldLate: boolean;
  endDelaysLeft: number;
  attempt: { readonly request: SocketRequest<unknown>; fail(error: AsyncSocketError | undefined): void } | null;
  failedConnect: SocketRequest<unknown> | null;
  readonly descriptors: number;
  readonly hasUntold: boolean;
  readonly isHeld: boolean;
  readonly bytesRead: number;
  readonly moved: RemoteConnection | null;
  readonly closeRequests: SocketRequest<CloseReason>[];
  readonly timer: { readonly connectDueAt: number; arm(): void; disarm(): void; lingerFromNow(): void };
  disconnect(reset: boolean): SocketRequest<CloseReason>;
  disconnectAfter(conditions: number): SocketRequest<CloseReason>;
  /** Nothing of it is left: its count and whoever waits for that are told, before the delegate is. */
  leave(): void;
}
