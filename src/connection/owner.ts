/**
 * The interfaces through which the parts of a connection see the connection and each other. Each has only what its part
 * needs.
 */

import type { Stores } from "../base/apart.js";
import type { Clock } from "../base/clock.js";
import type { AsyncSocketError } from "../base/errors.js";
import type { FullLimits } from "../base/limits.js";
import type { SocketRequest } from "../base/request.js";
import type { Entry, Wait } from "../pump/entry.js";
import type { ReadEntry } from "../pump/read-entry.js";
import type { ReadQueue } from "../pump/read-queue.js";
import type { WriteQueue } from "../pump/write-queue.js";
import type { SecureSettings } from "../tls/settings.js";
import type { Passing, Transport } from "../transport/transport.js";
import type { CloseReason } from "./close-reason.js";
import type { SocketDelegate } from "./delegate.js";
import type { RemoteConnection } from "./destination.js";
import type { Origin } from "./origin.js";
import type { Phase } from "./phase.js";
import type { RateFloorOwner } from "./rate-floor.js";

/** The parts of a socket that its connection uses: the delegate to tell, and some properties. */
export interface SocketFace {
  /** A number that no other socket of this thread has. */
  readonly id: number;
  /** The present delegate. */
  readonly delegate: SocketDelegate<SocketFace> | null;
  readonly allowHalfOpen: boolean;
  /** Whether the socket was turned into a stream, which decides by itself when its writing side ends. */
  readonly _isStream: boolean;
  /** The stores with which the delegate is called; null where there are none. */
  readonly _stores: Stores | null;
  /** The facts about the socket, for JSON and printing. */
  toJSON(): object;
  /** The present connection. After `pause`, it reports nothing more until an exception of the delegate has surfaced. */
  readonly _connection: { pause(): void };
}

/** What every part of a connection sees. */
interface Owner {
  readonly socket: SocketFace;
  readonly clock: Clock;
  readonly limits: FullLimits;
  readonly isOpen: boolean;
  /** The reason why the connection ends or has ended; null before that. */
  readonly reason: CloseReason | null;
  /** Lets the connection's loop (`drain`) run soon. */
  schedule(): void;
  /** Runs the connection's loop, unless it is running already. */
  drain(): void;
  close(by: "error", error: AsyncSocketError): void;
  /**
   * Closes because a deadline has passed. If bytes are unsent, a RST is sent, since the system would otherwise keep
   * them.
   */
  closeLate(error: AsyncSocketError): void;
}

/** What the reading and the writing half see in addition. */
interface HalfOwner extends Owner {
  /** Whether a close has begun, so that entries fail with CLOSED. */
  readonly isEnding: boolean;
  /** Whether reporting is paused. */
  readonly isPaused: boolean;
  /** How many more entries may be reported before other sockets have their turn. */
  entriesLeft: number;
  /** Marks an entry as failed that was removed from its queue; the loop reports it. */
  failEntry(entry: Entry, error: AsyncSocketError): void;
}

/** What the reading half sees. */
export interface ReadingOwner extends HalfOwner {
  /** Whether reads can be served outside of the loop. */
  readonly isServing: boolean;
  readonly isHeld: boolean;
  readonly hasUntold: boolean;
  readonly writing: { readonly hasMuch: boolean; flushIfMuch(): void };
  readonly upgrade: { readsReached(): boolean; didEnd(): void } | null;
  /** Marks a standing read as done that was removed from its queue; the loop reports it. */
  endStanding(entry: ReadEntry): void;
}

/** What the writing half sees. */
export interface WritingOwner extends HalfOwner {
  /** Whether writes can be sent now. */
  readonly isCarrying: boolean;
  readonly passing: Passing | null;
  readonly transport: Transport | null;
  readonly timer: { wasHeard: boolean; markSent(agoMs: number): void };
  readonly reading: { readonly servedAwaited: boolean; readonly queue: ReadQueue };
  readonly upgrade: { readonly state: string; writesReached(): boolean; forgetGate(): void } | null;
}

/** What the timer sees of each half. */
interface TimedHalf {
  /** The entry whose timeout is running. */
  readonly waiting: Entry | null;
  readonly wait: Wait;
  expire(now: number): void;
}

/** What the timer sees. */
export interface TimerOwner extends FlushingOwner, RateFloorOwner {
  readonly transport: Transport | null;
  readonly isReferenced: boolean;
  readonly isPaused: boolean;
  /** Whether the system has an event that was not delivered yet. */
  hasNews(): boolean;
  readonly passing: Passing | null;
  readonly reading: EndingReads & TimedHalf & RateFloorOwner["reading"];
  readonly writing: EndingWrites & TimedHalf & RateFloorOwner["writing"] & { account(): void };
  readonly upgrade: { readonly dueAt: number; expire(now: number): void } | null;
  expireConnect(): void;
}

/** What an upgrade sees. */
export interface UpgradeOwner extends Owner {
  readonly origin: Origin;
  readonly isEnding: boolean;
  /** The connect under way; null if there is none. */
  readonly attempt: unknown;
  readonly timer: { arm(): void };
  readonly reading: { readonly queue: ReadQueue; enqueue(entry: Entry, signal: undefined): void };
  readonly writing: { readonly queue: WriteQueue; enqueue(entry: Entry, signal: undefined): void };
  failEntry(entry: Entry, error: AsyncSocketError): void;
  /** Starts TLS. Bytes that were received already belong to the handshake. */
  becomeSecure(settings: SecureSettings): void;
  didSecure(): void;
}

/** What closing sees of the reading half. */
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

/** What is needed to decide whether a close waits for writes. */
export interface FlushingOwner extends Owner {
  readonly phase: Phase;
  /** The conditions of a graceful close that were asked for so far. */
  readonly closeWhen: number;
  readonly reading: EndingReads;
  readonly writing: EndingWrites;
  readonly timer: { readonly connectDueAt: number };
  close(by: "local" | "remote", error: null): void;
  close(by: "error", error: AsyncSocketError): void;
}

/** What closing sees of the connection, whose phase it changes. */
export interface ClosingOwner extends FlushingOwner {
  phase: Phase;
  readonly descriptors: number;
  readonly hasUntold: boolean;
  readonly isHeld: boolean;
  readonly bytesRead: number;
  readonly moved: RemoteConnection | null;
  readonly closeRequests: SocketRequest<CloseReason>[];
  readonly timer: {
    readonly connectDueAt: number;
    /** How long the connection has been open; undefined if it never was. */
    readonly openMs: number | undefined;
    arm(): void;
    disarm(): void;
    lingerFromNow(): void;
    strikeSoon(onStrike: () => void): void;
  };
  disconnect(reset: boolean): SocketRequest<CloseReason>;
  disconnectAfter(conditions: number): SocketRequest<CloseReason>;
  /** Removes the connection from the count of open ones and calls `onClosed`, before the delegate is told. */
  leave(): void;
}
