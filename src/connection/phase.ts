/**
 * The phases of a connection. Each event leads from the phase in the head of its column to the phase in its row. A dot
 * means that the event changes nothing, a dash that it cannot come, and BAD_STATE that the call throws.
 *
 * ```
 * |                           | idle       | connecting | open      | flushing  | ending    | closed    |
 * | ------------------------- | ---------- | ---------- | --------- | --------- | --------- | --------- |
 * | connect                   | connecting | BAD_STATE  | BAD_STATE | BAD_STATE | BAD_STATE | new       |
 * | a route has connected     | -          | open       | -         | -         | .         | .         |
 * | the connect has failed    | -          | ending     | -         | -         | .         | .         |
 * | bytes arrive              | -          | -          | .         | .         | .         | .         |
 * | the peer's FIN arrives    | -          | -          | flushing  | ending    | .         | .         |
 * | the transport fails       | -          | -          | ending    | ending    | .         | .         |
 * | disconnect, reset         | ending     | ending     | ending    | ending    | .         | .         |
 * | disconnectAfter...        | ending     | .          | flushing  | .         | .         | .         |
 * | dispose                   | ending     | ending     | flushing  | .         | .         | .         |
 * | lingerMs is over          | -          | -          | .         | ending    | .         | .         |
 * | all of the end is told    | -          | -          | -         | -         | closed    | .         |
 * ```
 *
 * That is the table for a connection without queued reads and writes, whose delegate asks for nothing: `disconnectAfter…`
 * waits for the entries before it, and a socket with `allowHalfOpen` stays open after the peer's FIN. A connection with
 * `connect` under way keeps the wish to disconnect until it is open. Only `Connection` and the functions of closing.ts
 * change the phase. "new" means that the socket makes a new connection, since a closed one stays closed.
 */

import type { Connecting } from "../connect/connecting.js";
import type { CloseReason } from "./close-reason.js";

/** Nothing has begun. Entries may be queued. */
interface Idle {
  readonly name: "idle";
  readonly reason: null;
}

/** A connect is under way. With TLS from the start, this lasts until the peer is trusted. */
interface Dialing {
  readonly name: "connecting";
  readonly reason: null;
  readonly attempt: Connecting;
}

/** The connection can be used, except while a `startTLS` is under way. */
interface Open {
  readonly name: "open";
  readonly reason: null;
}

/** A graceful close has begun: queued writes and a FIN are sent, then the peer's FIN is awaited. */
interface Flushing {
  readonly name: "flushing";
  readonly reason: null;
  /** The side that ended the connection. */
  readonly by: "local" | "remote";
}

/**
 * The connection is over, and the transport is destroyed. The end is told in these steps: `willDisconnect`, the request
 * of a connect that has not succeeded, the entries that are still queued; then, once the descriptors are closed and a
 * turn has passed, `didDisconnect`.
 */
export interface Ending {
  readonly name: "ending";
  readonly reason: CloseReason;
  step: "announce" | "connect" | "entries" | "descriptors" | "report";
  /** The connect that has not succeeded; null if the connection was open. */
  readonly attempt: Connecting | null;
  /** Whether an entry was reported while the report of the end was due. The end is then reported a turn later. */
  wasToldLate: boolean;
  /**
   * How many more times the report of the end may be delayed, since code that asks for something in every turn must not
   * delay it for ever.
   */
  delaysLeft: number;
}

/** The end was reported, or the connection was given away. */
interface Closed {
  readonly name: "closed";
  readonly reason: CloseReason;
}

export type Phase = Idle | Dialing | Open | Flushing | Ending | Closed;

export const IDLE: Phase = { name: "idle", reason: null };
/** There is no other object for this phase, so code that runs for each message compares with it. */
export const OPEN: Phase = { name: "open", reason: null };
export const FLUSHING: Readonly<Record<"local" | "remote", Phase>> = {
  local: { name: "flushing", reason: null, by: "local" },
  remote: { name: "flushing", reason: null, by: "remote" },
};

export function dialing(attempt: Connecting): Phase {
  return { name: "connecting", reason: null, attempt };
}

export function ending(reason: CloseReason, step: Ending["step"], attempt: Connecting | null): Ending {
  return { name: "ending", reason, step, attempt, wasToldLate: false, delaysLeft: 10 };
}

export function closed(reason: CloseReason): Phase {
  return { name: "closed", reason };
}

/** The state of a socket in this phase, as users see it. */
export function stateIn({ name }: Phase): "idle" | "connecting" | "open" | "closing" | "closed" {
  return name === "flushing" || name === "ending" ? "closing" : name;
}
