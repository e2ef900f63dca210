/** How a connection ends: when a graceful close begins and is done, and in which order the end is reported. */

import { type AsyncSocketError, isCode, socketError } from "../base/errors.js";
import { settle, type SocketRequest } from "../base/request.js";
import type { ClosingOwner, FlushingOwner, SocketFace } from "./owner.js";
import { type CloseReason, withoutPayload } from "./close-reason.js";
import { publishClose, publishTimeoutOfClose } from "./diagnostics.js";
import { closeCode } from "./failures.js";
import { hears, notify } from "./notify.js";
import { closed, type Ending, FLUSHING } from "./phase.js";

/** The conditions of a graceful close, as bits that can be combined. */
export const AFTER_READING = 1;
export const AFTER_WRITING = 2;

/** Closes gracefully, with a deadline that runs from now. */
export function dispose(connection: ClosingOwner): SocketRequest<CloseReason> {
  const { phase, reason, timer, writing } = connection;
  if (phase.name === "idle" || (phase.name === "connecting" && writing.queue.head === null))
    return connection.disconnect(false);
  if (reason === null) {
    timer.lingerFromNow();
    timer.arm();
  }
  return connection.disconnectAfter(AFTER_WRITING);
}

/**
 * Closes a connection because a deadline from outside is over, such as the grace of a shutdown: at once if it is on its
 * way to another thread, else unless the system reports anything that lets it end by itself. `onStrike` is called just
 * before it is closed.
 */
export function endLate(connection: ClosingOwner, onStrike: () => void): void {
  const { reason, timer } = connection;
  const strike = (): void => {
    onStrike();
    endAtOnce(connection);
  };
  if (reason === null) timer.strikeSoon(strike);
  else if ("movedTo" in reason) strike();
}

/** Closes a connection, even if it is on its way to another thread, where it may never be taken. */
function endAtOnce(connection: ClosingOwner): void {
  const { moved } = connection;
  if (moved === null) void connection.disconnect(false);
  else if (moved.state === "waiting") moved.end();
}

/** Takes the next step towards the end, if there is one to take. */
export function closeStep(connection: ClosingOwner): boolean {
  const { phase } = connection;
  switch (phase.name) {
    case "idle":
      return closeUnused(connection);
    case "open":
      return beginGracefulClose(connection);
    case "flushing":
      return closeGracefully(connection, phase.by);
    case "ending":
      return tellEnd(connection, phase);
    default:
      return false;
  }
}

/** Closes a socket that never connected and has nothing left to do. */
function closeUnused(connection: ClosingOwner): boolean {
  const { closeWhen } = connection;
  if (closeWhen === 0 || !areMet(connection, closeWhen)) return false;
  connection.close("local", null);
  return true;
}

function areMet({ reading, writing }: FlushingOwner, conditions: number): boolean {
  if ((conditions & AFTER_READING) !== 0 && reading.queue.head !== null) return false;
  return (conditions & AFTER_WRITING) === 0 || writing.queue.head === null;
}

function beginGracefulClose(connection: ClosingOwner): boolean {
  if (connection.isHeld) return false;
  const { socket, reading, writing, closeWhen, timer } = connection;
  // A stream decides by itself when its writing side ends.
  const hasEnded = reading.ended && (writing.finDone || !(socket.allowHalfOpen || socket._isStream));
  // Reads that were queued before may still be satisfied by unread bytes.
  const isOver = hasEnded && reading.queue.head === null;
  const isAskedFor = closeWhen !== 0 && areMet(connection, closeWhen);
  if (!isOver && !isAskedFor) return false;
  connection.phase = FLUSHING[isOver ? "remote" : "local"];
  reading.failAll("CLOSED");
  // Where the FIN went out earlier, only the peer's is waited for from here on.
  if (writing.finSent) timer.lingerFromNow();
  return true;
}

/**
 * Sends what is queued, then a FIN, and then waits for the peer's FIN (SwiftNIO and asyncio lost data before they used
 * this order).
 */
function closeGracefully(connection: ClosingOwner, by: "local" | "remote"): boolean {
  const { reading, writing, timer } = connection;
  if (writing.queue.head !== null) return false;
  if (!writing.finSent) {
    writing.sendFin();
    timer.lingerFromNow();
  }
  if (!writing.finDone || !reading.peerEnded) return false;
  connection.close(by, null);
  return true;
}

/**
 * Whether a graceful close waits only for writes to be sent, or for the socket to be connected. This may last at most
 * `limits.lingerMs` without progress.
 */
export function isFlushing(connection: FlushingOwner): boolean {
  const { phase, isOpen, closeWhen, reading, writing, timer } = connection;
  if (!isOpen) {
    if (phase.name === "connecting") return closeWhen !== 0 && timer.connectDueAt === Infinity;
    return phase.name === "flushing" && !writing.finDone;
  }
  if (writing.queue.head === null) return false;
  const waitsForWrites = (closeWhen & AFTER_WRITING) !== 0 && areMet(connection, closeWhen & AFTER_READING);
  return waitsForWrites || (reading.ended && writing.endEntry !== null);
}

/**
 * The time of a graceful close is over. If all bytes are sent and only the peer's FIN is missing, that is no failure.
 */
export function endLingering(connection: FlushingOwner): void {
  const { writing, limits } = connection;
  if (writing.finDone && writing.unsentBytes === 0) {
    connection.close("local", null);
    return;
  }
  const message = `What was written was not out within limits.lingerMs, ${limits.lingerMs} ms`;
  connection.closeLate(socketError("LINGER_TIMEOUT", "disconnect", message));
}

/** Makes the close reason of a connection that ends now. */
export function closeReason(
  { reading, writing, bytesRead }: ClosingOwner,
  by: CloseReason["by"],
  error: AsyncSocketError | null,
): CloseReason {
  const { buffer } = reading.queue;
  const facts = {
    bytesRead,
    bytesWritten: writing.bytesWritten,
    unread: buffer.copyOut(buffer.length),
    unsentBytes: writing.queue.unsentBytes,
  };
  return withoutPayload(error === null ? { by: by as "local", error, ...facts } : { by: "error", error, ...facts });
}

/** Tells of the end, one step after the other, and waits until the descriptors are closed. */
function tellEnd(connection: ClosingOwner, ending: Ending): boolean {
  const { reason, attempt } = ending;
  switch (ending.step) {
    case "announce":
      ending.step = "connect";
      notify(connection.socket, "willDisconnect", reason);
      return true;
    case "connect":
      ending.step = "entries";
      publishTimeoutOfClose(connection.socket, reason);
      attempt?.fail(reason.error ?? undefined);
      return true;
    case "entries":
      ending.step = "descriptors";
      failEntries(connection, reason);
      return true;
    case "descriptors":
      if (connection.descriptors === 0) {
        ending.step = "report";
        ending.wasToldLate = false;
        connection.clock.later(reportClosed, connection);
      }
      return false;
    default:
      return false;
  }
}

function failEntries({ reading, writing }: ClosingOwner, { error }: CloseReason): void {
  const code = closeCode(error);
  reading.failAll(code, error ?? undefined);
  writing.failAll(code, error ?? undefined);
}

/** Reports that the socket is closed, a turn after the last entry was reported. */
function reportClosed(connection: ClosingOwner): void {
  const { phase } = connection;
  if (phase.name !== "ending") return;
  if ((phase.wasToldLate || connection.hasUntold) && phase.delaysLeft-- > 0) {
    phase.wasToldLate = false;
    connection.clock.later(reportClosed, connection);
    return;
  }
  const { reason, attempt } = phase;
  connection.phase = closed(reason);
  connection.timer.disarm();
  connection.leave();
  if (attempt !== null) warnIfUnheard(connection.socket, attempt.request, reason);
  publishClose(connection.socket, reason, connection.timer.openMs, connection.closeRequests);
  notify(connection.socket, "didDisconnect", reason);
  for (const request of connection.closeRequests.splice(0)) settle(request, "done", reason);
}

/**
 * Emits a warning if a `connect` or `listen` has failed and neither the request nor the delegate reports it, because
 * such a program would seem to hang. A close by the application is no failure, and a stream has an 'error' event of its
 * own.
 */
export function warnIfUnheard(socket: SocketFace, request: SocketRequest<unknown>, { error }: CloseReason): void {
  const isHeard = request._settlers !== null || hears(socket, "didDisconnect") || socket._isStream;
  if (error !== null && !isCode(error, "CANCELED") && !isHeard) process.emitWarning(error);
}
