import type { ReadableStream, WritableStream } from "node:stream/web";
import { type Bytes, wrongType } from "../base/checks.js";
import type { Limits } from "../base/limits.js";
import type { AsyncSocketDelegate } from "../connection/delegate.js";
import type { TransportFactory } from "../transport/transport.js";

/** What the constructor takes. */
export interface AsyncSocketOptions<Tag = unknown, UserData = unknown> {
  /** Told what happens; may be set later. @default none */
  delegate?: AsyncSocketDelegate<Tag, UserData> | null | undefined;
  /** Yours. Never used, never copied to accepted sockets. */
  userData?: UserData | undefined;
  /** Whether writing goes on after the peer's FIN. @default false */
  allowHalfOpen?: boolean | undefined;
  limits?: Limits | undefined;
  /** What carries the bytes: the best there is, `node:net`, or a network of your own. @default "auto" */
  transport?: "auto" | "node" | "native" | TransportFactory | undefined;
}

export interface MoveOptions {
  /** Goes along as a structured clone. @default the socket's own `userData` */
  userData?: unknown;
}

/** A connection as web streams. */
export interface WebStreams {
  /** Ends with the peer's FIN. To cancel it closes the connection. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Its close is the FIN. To abort it closes the connection. */
  readonly writable: WritableStream<Bytes>;
}

export function checkDelegate<D extends object>(delegate: D | null | undefined): D | null {
  if (delegate === undefined || delegate === null) return null;
  if (typeof delegate !== "object") throw wrongType("delegate", "an object or null", delegate);
  return delegate;
}
