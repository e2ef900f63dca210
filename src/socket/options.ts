import type { ReadableStream, WritableStream } from "node:stream/web";
import { type Bytes, wrongType } from "../base/checks.js";
import type { Limits } from "../base/limits.js";
import type { TransportChoice } from "../transport/choose.js";

/** What the constructor of a socket takes. */
export interface SocketOptions<Delegate, UserData> {
  /** Told what happens; may be set later. @default none */
  delegate?: Delegate | null | undefined;
  /** Yours. Never used, never copied to accepted sockets. */
  userData?: UserData | undefined;
  /** Whether writing goes on after the peer's FIN. @default false */
  allowHalfOpen?: boolean | undefined;
  limits?: Limits | undefined;
  /** What carries the bytes: the best there is, `node:net`, or a network of your own. @default "auto" */
  transport?: TransportChoice | undefined;
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
