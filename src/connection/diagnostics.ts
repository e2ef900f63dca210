/** Tells the diagnostics channels of one connection. Callers on hot paths ask first whether anybody has subscribed. */

import {
  BYTES,
  type BytesMessage,
  CLOSE,
  type CloseMessage,
  type EntryMessage,
  MOVE,
  type MoveMessage,
  READ,
  SECURE,
  type SecureMessage,
  TIMEOUT,
  type TimeoutMessage,
  WRITE,
} from "../base/channels.js";
import { REMEMBERS_ALL } from "../base/callers.js";
import { noteCurrent, timesOf } from "../base/entry-times.js";
import type { AsyncSocketError } from "../base/errors.js";
import type { SocketRequest } from "../base/request.js";
import type { Entry } from "../pump/entry.js";
import { ReadEntry } from "../pump/read-entry.js";
import type { SecureInfo } from "../tls/info.js";
import type { CloseReason } from "./close-reason.js";
import { startDebugLog } from "./debug-log.js";
import type { Destination } from "./destination.js";

/** The parts of a connection that a message of a move tells of. */
interface MovedConnection {
  readonly socket: object;
  readonly bytesRead: number;
  readonly writing: { readonly bytesWritten: number };
}

if (REMEMBERS_ALL) startDebugLog();

const NOTHING = new Uint8Array(0);

function publishEntry(socket: object, request: Entry, bytes: number, error: AsyncSocketError | undefined): void {
  const known = timesOf(request);
  const { kind, tag } = request;
  const { queuedMs, currentMs } = known ?? {};
  const message: EntryMessage = { socket, request, kind, tag, bytes, queuedMs, currentMs, error };
  (request instanceof ReadEntry ? READ : WRITE).publish(message);
}

/** A read was served, or a standing read was served a message. */
export function publishRead(socket: object, entry: ReadEntry): void {
  publishEntry(socket, entry, entry.standing?.lastBytes ?? entry._bytesDone, undefined);
  if (entry.standing !== null) noteCurrent(entry);
}

export function publishWritten(socket: object, entry: Entry): void {
  if (entry.kind !== "startTLS") publishEntry(socket, entry, entry._bytesDone, undefined);
}

/** An entry has failed, or the peer's FIN has ended a standing read, of whose messages was told already. */
export function publishEnded(socket: object, entry: Entry): void {
  if (entry._state === "done" || entry.kind === "startTLS") return;
  const error = entry._outcome as AsyncSocketError;
  const channel = entry instanceof ReadEntry ? READ : WRITE;
  if (channel.hasSubscribers) publishEntry(socket, entry, entry._bytesDone, error);
  if (TIMEOUT.hasSubscribers && isTimeout(error)) publishTimeout(socket, error);
}

function isTimeout({ code }: AsyncSocketError): boolean {
  return code.endsWith("_TIMEOUT");
}

function publishTimeout(socket: object, error: AsyncSocketError): void {
  TIMEOUT.publish({ socket, operation: error.operation, error } satisfies TimeoutMessage);
}

/** A connection ends. Of the timeouts of reads and writes was told when these failed. */
export function publishTimeoutOfClose(socket: object, { error }: CloseReason): void {
  if (!TIMEOUT.hasSubscribers || error === null || !isTimeout(error)) return;
  const { code } = error;
  if (code === "ERR_ASYNCSOCKET_READ_TIMEOUT" || code === "ERR_ASYNCSOCKET_WRITE_TIMEOUT") return;
  publishTimeout(socket, error);
}

/** @param requests those that are to be done when the socket is closed */
export function publishClose(
  socket: object,
  reason: CloseReason,
  openMs: number | undefined,
  requests: readonly SocketRequest<unknown>[],
): void {
  if (!CLOSE.hasSubscribers) return;
  const { by, error, bytesRead, bytesWritten, unread, unsentBytes } = reason;
  const counts = { bytesRead, bytesWritten, unreadBytes: unread.length, unsentBytes };
  const movedTo = nameOf("movedTo" in reason ? reason.movedTo : undefined);
  const request = requests.find(({ kind }) => kind === "disconnect");
  const message: CloseMessage = { socket, by, error: error ?? undefined, ...counts, openMs, movedTo, request };
  CLOSE.publish(message);
}

/** Of a destination, only a run loop has a name. */
function nameOf(destination: (Destination & { readonly name?: string }) | undefined): string | undefined {
  return destination?.name;
}

/**
 * A handshake is over.
 * @param ms how long it took
 */
export function publishSecure(
  socket: object,
  info: SecureInfo | null,
  ms: number,
  error: AsyncSocketError | undefined,
): void {
  if (!SECURE.hasSubscribers) return;
  const message: SecureMessage = {
    socket,
    ms,
    version: info?.version ?? undefined,
    cipher: info?.cipher ?? undefined,
    alpn: info?.alpn ?? undefined,
    servername: info?.servername ?? undefined,
    resumed: info?.resumed ?? false,
    authorized: info?.authorized ?? false,
    error,
  };
  SECURE.publish(message);
}

/** A connection leaves this thread for a run loop, or has come from another thread. */
export function publishMove(
  { socket, bytesRead, writing }: MovedConnection,
  direction: MoveMessage["direction"],
  runLoop: string | undefined,
): void {
  if (!MOVE.hasSubscribers) return;
  const { bytesWritten } = writing;
  MOVE.publish({ socket, direction, runLoop, bytesRead, bytesWritten } satisfies MoveMessage);
}

/** The parts of a connection that a message of its bytes tells of. */
interface Carrier {
  readonly socket: object;
  readonly upgrade: { readonly state: string } | null;
}

function publishBytes(
  { socket, upgrade }: Carrier,
  direction: BytesMessage["direction"],
  bytes: Uint8Array,
  isEnd: boolean,
): void {
  const isSecure = upgrade?.state === "secure";
  BYTES.publish({ socket, direction, bytes, isSecure, isEnd } satisfies BytesMessage);
}

/** `length` bytes of a chunk have come, from `start` on. */
export function publishReceived(connection: Carrier, chunk: Uint8Array, start: number, length: number): void {
  if (BYTES.hasSubscribers) publishBytes(connection, "received", chunk.subarray(start, start + length), false);
}

/** A batch is handed to the transport. */
export function publishSent(connection: Carrier, parts: readonly Uint8Array[]): void {
  for (const bytes of parts) publishBytes(connection, "sent", bytes, false);
}

/** The stream of one direction has ended. */
export function publishEnd(connection: Carrier, direction: BytesMessage["direction"]): void {
  if (BYTES.hasSubscribers) publishBytes(connection, direction, NOTHING, true);
}
