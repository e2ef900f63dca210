import { badState } from "../base/errors.js";
import { AFTER_READING, AFTER_WRITING } from "./closing.js";
import type { Connection } from "./connection.js";

/**
 * Says what each state allows: this is the table "Every state and call" of docs/semantics.md. A call that can never be
 * right throws BAD_STATE. A call that comes too late, because the socket is closing or closed, gives a request that
 * fails with CLOSED.
 */

/** The properties of a socket that the rules use. */
export interface Standing {
  readonly state: string;
  readonly pendingReads: number;
  readonly pendingWrites: number;
  /** Whether the socket was turned into a stream, or given to a relay. */
  readonly _isStream: boolean;
  /** Whether the socket was given to a relay. */
  readonly _isRelayed: boolean;
  readonly _connection: Connection;
}

function forbid(operation: string, socket: Standing): void {
  if (socket.state === "listening") throw badState(operation, "the socket listens");
  forbidGiven(operation, socket);
}

/** What would take bytes, or a read that waits for them, from the stream or the relay that has the socket. */
export function forbidGiven(operation: string, socket: Standing): void {
  if (socket._isStream) throw badState(operation, givenAway(socket));
}

/** Whether no rule forbids a read or write. Nearly every call is one of these, so they are told apart first. */
function isPlainlyOpen({ _connection, _isStream }: Standing): boolean {
  return _connection.isOpen && _connection.closeWhen === 0 && !_isStream;
}

function givenAway({ _isRelayed }: Standing): string {
  return _isRelayed ? "the socket was given to relay()" : "the socket was turned into a stream";
}

/** The bytes of a relay lie in memory that it uses again, so that no delegate may see them. */
export function mayHaveDelegate(socket: Standing): void {
  if (socket._isRelayed) throw badState("delegate", givenAway(socket));
}

export function mayRead(operation: string, socket: Standing): void {
  if (isPlainlyOpen(socket)) return;
  forbid(operation, socket);
  const { closeWhen, isEnding } = socket._connection;
  if ((closeWhen & AFTER_READING) !== 0 && !isEnding) {
    throw badState(operation, "the socket disconnects after the reads that were queued before");
  }
}

export function mayWrite(operation: string, socket: Standing): void {
  if (isPlainlyOpen(socket) && socket._connection.writing.endEntry === null) return;
  forbid(operation, socket);
  const connection = socket._connection;
  const end = connection.isEnding ? null : endOfWrites(connection, operation);
  if (end !== null) throw badState(operation, end);
}

/** Which earlier call rules out another write on an open connection; null if none does. */
export function endOfWrites({ closeWhen, writing }: Connection, operation: string): string | null {
  if (writing.endEntry !== null) return "the stream was ended by end()";
  if ((closeWhen & AFTER_WRITING) === 0 || operation === "end") return null;
  return "the socket disconnects after the writes that were queued before";
}

export function mayStartTLS(socket: Standing): void {
  forbid("startTLS", socket);
  const { closeWhen, isEnding, upgrade, writing } = socket._connection;
  if (isEnding) return;
  if (upgrade !== null) throw badState("startTLS", "the connection is to be encrypted already, or is");
  if (writing.endEntry !== null) throw badState("startTLS", "the stream was ended by end()");
  if (closeWhen !== 0) throw badState("startTLS", "the socket disconnects after what was queued before");
}

/** `connect` and `listen`: only where there is no present life. */
export function mayBegin(operation: string, { state }: Standing, isOneWay: boolean): void {
  if (isOneWay) {
    throw badState(
      operation,
      "it was made from a stream, turned into one, given to relay(), or moved: it cannot be used again",
    );
  }
  if (state !== "idle" && state !== "closed") throw badState(operation, `the socket is ${state}`);
}

export function mayListen(socket: Standing, isOneWay: boolean): void {
  if (socket.pendingReads + socket.pendingWrites > 0) throw badState("listen", "reads or writes are queued");
  mayBegin("listen", socket, isOneWay);
}

/** @param mayBeIdle whether the stream can connect the socket */
export function mayBecomeStream(operation: string, socket: Standing, mayBeIdle: boolean): void {
  const why = whyNotGiven(socket, mayBeIdle);
  if (why !== null) throw badState(operation, why);
}

/** Why reading and writing cannot be left to a stream or a relay; null if they can. */
export function whyNotGiven(socket: Standing, mayBeIdle = false): string | null {
  const { state, pendingReads, _isStream, _connection } = socket;
  if (_isStream) return `${givenAway(socket)} already`;
  if (state !== "open" && state !== "connecting" && !(state === "idle" && mayBeIdle)) return `the socket is ${state}`;
  if (pendingReads > 0) return "reads are queued";
  const isToEnd = _connection.writing.endEntry !== null || _connection.closeWhen !== 0;
  return isToEnd ? "the socket is to be ended by what was called before" : null;
}

/** Why a socket cannot leave as it is. */
export function obstacle(connection: Connection, state: string): string | null {
  const { isOpen, reading, writing, closeWhen, upgrade } = connection;
  if (!isOpen) return `the socket is ${state}`;
  if (upgrade !== null) return "the connection is encrypted, or is going to be: move it before that";
  if (reading.queue.length > 0) return `${reading.queue.length} reads are queued: await them, or cancelReads()`;
  if (writing.queue.length > 0) return `${writing.queue.length} writes are queued: await them`;
  return closeWhen === 0 ? null : "the socket is about to be closed";
}
