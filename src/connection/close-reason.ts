import { inspect } from "node:util";
import type { AsyncSocketError } from "../base/errors.js";
import type { Destination } from "./destination.js";

/** The reason why a connection has ended, and its byte counts at the end. */
export type CloseReason = {
  /** The number of bytes received, unread ones included. */
  readonly bytesRead: number;
  /** The number of bytes that the operating system has taken. */
  readonly bytesWritten: number;
  /**
   * The bytes that were received and never read. The property is not enumerable, so that logs do not show what the peer
   * sent.
   */
  readonly unread: Buffer;
  /** The number of queued bytes that the operating system has never taken. */
  readonly unsentBytes: number;
} & (
  | {
      /** `"local"`: this side closed. `"remote"`: the peer ended the stream. */
      readonly by: "local" | "remote";
      readonly error: null;
      /** The run loop to which `moveTo` has moved the connection. */
      readonly movedTo?: Destination;
    }
  | {
      /** The connection has ended because of `error`. */
      readonly by: "error";
      readonly error: AsyncSocketError;
    }
);

/** Hides `unread`, and prints a reason without it even if hidden properties are to be shown. */
const HIDDEN: PropertyDescriptorMap = {
  unread: { enumerable: false },
  [inspect.custom]: {
    value(this: CloseReason): object {
      return { ...this };
    },
  },
};

/** @internal Hides `unread` from everything that prints or serializes the reason. */
export function withoutPayload<R extends CloseReason>(reason: R): R {
  return Object.defineProperties(reason, HIDDEN);
}
