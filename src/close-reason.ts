import type { AsyncSocketError } from "./errors.js";
import type { RunLoop } from "./run-loop.js";

/** Why, and in which condition, a connection came to its end. */
export type CloseReason = {
  /** Received, unread ones included. */
  readonly bytesRead: number;
  /** Taken by the operating system. */
  readonly bytesWritten: number;
  /** Received, and never read. */
  readonly unread: Buffer;
  /** How many were queued, and never taken by the operating system. */
  readonly unsentBytes: number;
} & (
  | {
      /** `"local"`: this side closed. `"remote"`: the peer ended the stream. */
      readonly by: "local" | "remote";
      readonly error: null;
      /** The run loop that has the connection now, of a socket that was moved. */
      readonly movedTo?: RunLoop;
    }
  | {
      /** Something went wrong; `error` says what. */
      readonly by: "error";
      readonly error: AsyncSocketError;
    }
);
