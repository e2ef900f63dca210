/**
 * Telling the user: the delegate's method first, then the promise. Each of these is the last thing a step does, since
 * anything may be called from inside. What a delegate throws surfaces as an uncaught exception, as from an EventEmitter.
 */

import { nameCaller, REMEMBERS_ALL } from "../base/callers.js";
import type { AsyncSocketError } from "../base/errors.js";
import { surface } from "../base/uncaught.js";
import type { Entry } from "../pump/entry.js";
import { ReadEntry } from "../pump/read-entry.js";
import type { WriteEntry } from "../pump/write-queue.js";
import type { SocketDelegate } from "./delegate.js";
import type { SocketFace } from "./owner.js";

const NOTHING = Buffer.alloc(0);

type Delegate = SocketDelegate<SocketFace>;
type MethodName = keyof Delegate;
type Rest<M extends MethodName> =
  NonNullable<Delegate[M]> extends (socket: SocketFace, ...rest: infer R) => unknown ? R : never;

/** What a delegate has thrown. It is told nothing more of this socket before that has surfaced. */
function surfaceOf(socket: SocketFace, error: unknown): void {
  surface(error);
  socket._connection.pause();
}

/** Calls one of the delegate's methods, if it has it. */
export function notify<M extends MethodName>(socket: SocketFace, method: M, ...rest: Rest<M>): unknown {
  const { delegate } = socket;
  if (delegate === null) return undefined;
  try {
    if (delegate[method] === undefined) return undefined;
    return (delegate[method] as (socket: SocketFace, ...rest: unknown[]) => unknown)(socket, ...rest);
  } catch (error) {
    surfaceOf(socket, error);
    return undefined;
  }
}

/** Whether the delegate has a method: it may have it by a getter, and that may throw. */
export function hears(socket: SocketFace, method: MethodName): boolean {
  try {
    return socket.delegate?.[method] !== undefined;
  } catch (error) {
    surface(error);
    return false;
  }
}

/** Whether the delegate has no method for text, but one for bytes: it is told of text by that, rather than not at all. */
export function wantsBytes(socket: SocketFace): boolean {
  return hears(socket, "didRead") && !hears(socket, "didReadText");
}

/** @param told what the delegate is given: the value, or the bytes that became a text */
export function tellRead(socket: SocketFace, entry: ReadEntry, value: unknown, told: unknown): void {
  entry._state = "done";
  entry._outcome = value;
  entry.stopListening?.();
  const { delegate } = socket;
  if (delegate !== null) {
    try {
      if (typeof told === "string") delegate.didReadText?.(socket, told, entry.tag);
      else if (Buffer.isBuffer(told)) delegate.didRead?.(socket, told, entry.tag);
      else if (entry.kind === "readMessage") delegate.didReadMessage?.(socket, told, entry.tag);
      else delegate.didRead?.(socket, NOTHING, entry.tag);
    } catch (error) {
      surfaceOf(socket, error);
    }
  }
  entry._tell();
}

export function tellWritten(socket: SocketFace, entry: WriteEntry): void {
  entry._state = "done";
  entry.stopListening?.();
  const { delegate } = socket;
  if (delegate !== null && !entry.isEnd) {
    try {
      delegate.didWrite?.(socket, entry.tag);
    } catch (error) {
      surfaceOf(socket, error);
    }
  }
  entry._tell();
}

/** Marks an entry as failed; `tellFailed` says so. */
export function markFailed(entry: Entry, error: AsyncSocketError): void {
  entry._state = error.code === "ERR_ASYNCSOCKET_CANCELED" ? "canceled" : "failed";
  entry._outcome = error;
  if (REMEMBERS_ALL) nameCaller(entry, error);
  entry._bytesDone = error.bytesDone;
  entry.stopListening?.();
}

export function tellFailed(socket: SocketFace, entry: Entry): void {
  const error = entry._outcome as AsyncSocketError;
  if (entry.kind === "startTLS") {
    // It closes the connection: the reason tells.
  } else if (entry instanceof ReadEntry) notify(socket, "didFailRead", error, entry.tag);
  else if (entry.kind !== "end") notify(socket, "didFailWrite", error, entry.tag);
  entry._tell();
}

/** Asks the delegate for more time. What is no positive number is no. */
export function askForTime(
  socket: SocketFace,
  method: "shouldExtendReadTimeout" | "shouldExtendWriteTimeout",
  entry: Entry,
  elapsedMs: number,
): number {
  const more = notify(socket, method, entry.tag, elapsedMs, entry.bytesDone);
  // The deadline is now: an answer that comes later is none, and whoever gives one has to learn of it.
  if (typeof (more as PromiseLike<unknown> | undefined | null)?.then === "function") {
    surface(new TypeError(`Expected ${method} to return a number of milliseconds at once, got a promise`));
  }
  return typeof more === "number" && more > 0 ? more : 0;
}
