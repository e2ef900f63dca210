import { inspect } from "node:util";
import type { AsyncSocketError } from "../base/errors.js";
import type { Destination } from "./destination.js";

/** Why, and in which condition, a connection came to its end. */
export type CloseReason = {
  /** Received, unread ones included. */
  readonly bytesRead: number;
  /** Taken by the operating system. */
  readonly bytesWritten: number;
  /** Received, and never read. Not enumerable, so that no log shows what the peer sent. */
  readonly unread: Buffer;
  /** How many were queued, and never taken by the operating system. */
  readonly unsentBytes: number;
} & (
  | {
      /** `"local"`: this side closed. `"remote"`: the peer ended the stream. */
      readonly by: "local" | "remote";
      readonly error: null;
      /** The run loop that has the connection now, of a socket that was moved. */
      readonly movedTo?: Destination;
    }
  | {
      /** Something went wrong; `error` says what. */
      readonly by: "error";
      readonly error: AsyncSocketError;
    }
);

/** What marks `unread` as hidden, and prints a reason without it even where hidden properties are to be shown. */
const HIDDEN: PropertyDescriptorMap = {
  unread: { enumerable: false },
  [inspect.custom]: {
    value(this: CloseReason): object {
      return { ...this };
    },
  },
};

/** @internal Makes `unread` a property that nothing shows which prints or serializes the reason. */
export function withoutPayload<R extends CloseReason>(reason: R): R {
  return Object.defineProperties(reason, HIDDEN);
}
