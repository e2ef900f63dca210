/**
 * Reports events to the application: first to the delegate's method, then to the request. Each report is the last act
 * of a step, since a callback may call anything. An exception thrown by a delegate becomes an uncaught exception, as
 * with an EventEmitter.
 */

import { Buffer } from "node:buffer";
import { types } from "node:util";
import { copyOf, withStores } from "../base/apart.js";
import { READ, WRITE } from "../base/channels.js";
import { nameCaller, REMEMBERS_ALL } from "../base/callers.js";
import type { AsyncSocketError } from "../base/errors.js";
import { surface } from "../base/uncaught.js";
import type { Entry } from "../pump/entry.js";
import { ReadEntry } from "../pump/read-entry.js";
import type { WriteEntry } from "../pump/write-queue.js";
import type { SocketDelegate } from "./delegate.js";
import { publishEnded, publishRead, publishWritten } from "./diagnostics.js";
import type { SocketFace } from "./owner.js";

const NOTHING = Buffer.alloc(0);

type Delegate = SocketDelegate<SocketFace>;
type MethodName = keyof Delegate;
type Rest<M extends MethodName> =
  NonNullable<Delegate[M]> extends (socket: SocketFace, ...rest: infer R) => unknown ? R : never;

/** Handles an exception of a delegate. Nothing more is reported about this socket before the exception has surfaced. */
function surfaceOf(socket: SocketFace, error: unknown): void {
  surface(error);
  socket._connection.pause();
}

/** What a listener is told of one connection. What is entered there is not there for the next connection. */
const OF_LISTENERS = new Set<MethodName>(["wantsRunLoopForNewSocket", "didAccept", "didFailAccept"]);

function call<M extends MethodName>(socket: SocketFace, method: M, rest: Rest<M>): unknown {
  const { delegate } = socket;
  return (delegate as Record<M, (socket: SocketFace, ...rest: unknown[]) => unknown>)[method](socket, ...rest);
}

/** Calls a method of the delegate, if it has that method. */
export function notify<M extends MethodName>(socket: SocketFace, method: M, ...rest: Rest<M>): unknown {
  try {
    const { delegate } = socket;
    if ((delegate?.[method] ?? null) === null) return undefined;
    if (socket._stores === null) return call(socket, method, rest);
    const stores = OF_LISTENERS.has(method) ? copyOf(socket._stores) : socket._stores;
    return withStores(stores, call<M>, socket, method, rest);
  } catch (error) {
    surfaceOf(socket, error);
    return undefined;
  }
}

/** Whether the delegate has a method. If its getter throws, it counts as there: the exception surfaces at the call. */
export function hears(socket: SocketFace, method: MethodName): boolean {
  try {
    return (socket.delegate?.[method] ?? null) !== null;
  } catch {
    return true;
  }
}

/** The same for `didReadText`, which is asked for each text: a name that the code says is looked up faster. */
export function hearsText(socket: SocketFace): boolean {
  try {
    return (socket.delegate?.didReadText ?? null) !== null;
  } catch {
    return true;
  }
}

/** A mistake in the program that cost a connection its accept surfaces, unless `didFailAccept` tells of it. */
export function surfaceUnlessHeard(listener: SocketFace, error: unknown): void {
  if (!hears(listener, "didFailAccept")) surface(error);
}

/** Whether the delegate has a method for bytes but none for text: then it is given the bytes of a text. */
export function wantsBytes(socket: SocketFace): boolean {
  return !hearsText(socket) && hears(socket, "didRead");
}

/**
 * Reports a read that is done, or one message of a standing read.
 * @param told what the delegate is given: the value, or the bytes that were decoded to it
 */
export function tellRead(socket: SocketFace, entry: ReadEntry, value: unknown, told: unknown): void {
  const isDone = entry.standing === null;
  if (isDone) markDone(entry, value);
  if (READ.hasSubscribers) publishRead(socket, entry);
  try {
    if (socket._stores === null) callOfRead(socket, entry, told);
    else withStores(socket._stores, callOfRead, socket, entry, told);
  } catch (error) {
    surfaceOf(socket, error);
  }
  if (isDone) entry._tell();
}

function callOfRead(socket: SocketFace, entry: ReadEntry, told: unknown): void {
  const { delegate } = socket;
  if (delegate === null) return; // Only the request is told.
  if (typeof told === "string") delegate.didReadText?.(socket, told, entry.tag);
  else if (Buffer.isBuffer(told)) delegate.didRead?.(socket, told, entry.tag);
  else if (entry.kind === "readMessage") delegate.didReadMessage?.(socket, told, entry.tag);
  else delegate.didRead?.(socket, NOTHING, entry.tag);
}

/** Marks an entry as done; it is reported later. */
export function markDone(entry: Entry, value: unknown): void {
  entry._state = "done";
  entry._outcome = value;
  entry.stopListening?.();
}

export function tellWritten(socket: SocketFace, entry: WriteEntry): void {
  markDone(entry, undefined);
  if (WRITE.hasSubscribers) publishWritten(socket, entry);
  try {
    if (entry.isEnd) {
      // Nobody is told of a FIN.
    } else if (socket._stores === null) socket.delegate?.didWrite?.(socket, entry.tag);
    else withStores(socket._stores, callOfWrite, socket, entry, undefined);
  } catch (error) {
    surfaceOf(socket, error);
  }
  entry._tell();
}

function callOfWrite(socket: SocketFace, entry: WriteEntry): void {
  socket.delegate?.didWrite?.(socket, entry.tag);
}

/** Marks an entry as failed; `tellEnded` reports it later. */
export function markFailed(entry: Entry, error: AsyncSocketError): void {
  entry._state = error.code === "ERR_ASYNCSOCKET_CANCELED" ? "canceled" : "failed";
  entry._outcome = error;
  if (REMEMBERS_ALL) nameCaller(entry, error);
  entry._bytesDone = error.bytesDone;
  entry.stopListening?.();
}

/** Reports an entry that has failed, or a standing read that the peer's FIN has ended. */
export function tellEnded(socket: SocketFace, entry: Entry): void {
  const error = entry._outcome as AsyncSocketError;
  publishEnded(socket, entry);
  if (entry.kind === "startTLS" || entry._state === "done") {
    // A failed startTLS closes the connection, and the close reason reports the error. Of a FIN, didEndReading tells.
  } else if (entry instanceof ReadEntry) notify(socket, "didFailRead", error, entry.tag);
  else if (entry.kind !== "end") notify(socket, "didFailWrite", error, entry.tag);
  entry._tell();
}

/** Asks the delegate to extend a timeout. An answer that is no positive number means no. */
export function askForTime(
  socket: SocketFace,
  method: "shouldExtendReadTimeout" | "shouldExtendWriteTimeout",
  entry: Entry,
  elapsedMs: number,
): number {
  const more = notify(socket, method, entry.tag, elapsedMs, entry.bytesDone);
  if (typeof more === "number") return more > 0 ? more : 0;
  // The answer is needed now, so no promise can count; a delegate that returns one has to learn that.
  if (typeof more === "object" && more !== null) {
    const got = types.isPromise(more) ? "a promise" : "an object";
    surface(new TypeError(`Expected ${method} to return a number of milliseconds at once, got ${got}`));
  }
  return 0;
}
