import { types } from "node:util";
import { reasonOf } from "./errno.js";

/** One code for each way in which a socket can fail. */
export type AsyncSocketErrorCode =
  | "ERR_ASYNCSOCKET_READ_TIMEOUT"
  | "ERR_ASYNCSOCKET_WRITE_TIMEOUT"
  | "ERR_ASYNCSOCKET_CONNECT_TIMEOUT"
  | "ERR_ASYNCSOCKET_TLS_TIMEOUT"
  | "ERR_ASYNCSOCKET_IDLE_TIMEOUT"
  | "ERR_ASYNCSOCKET_LINGER_TIMEOUT"
  | "ERR_ASYNCSOCKET_READ_LIMIT"
  | "ERR_ASYNCSOCKET_BAD_FRAME"
  | "ERR_ASYNCSOCKET_END_OF_STREAM"
  | "ERR_ASYNCSOCKET_CLOSED"
  | "ERR_ASYNCSOCKET_CONNECTION_LOST"
  | "ERR_ASYNCSOCKET_CANCELED"
  | "ERR_ASYNCSOCKET_QUEUE_FULL"
  | "ERR_ASYNCSOCKET_BAD_STATE"
  | "ERR_ASYNCSOCKET_DNS"
  | "ERR_ASYNCSOCKET_CONNECT"
  | "ERR_ASYNCSOCKET_LISTEN"
  | "ERR_ASYNCSOCKET_ACCEPT"
  | "ERR_ASYNCSOCKET_TLS"
  | "ERR_ASYNCSOCKET_PROXY"
  | "ERR_ASYNCSOCKET_PROXY_PROTOCOL"
  | "ERR_ASYNCSOCKET_TRANSFER";

/** A code without `ERR_ASYNCSOCKET_`, which all codes begin with. */
export type ShortCode = AsyncSocketErrorCode extends `ERR_ASYNCSOCKET_${infer Short}` ? Short : never;

/** @internal What an error may carry besides its code and its message. */
export interface ErrorDetails {
  operation: string;
  tag?: unknown;
  bytesDone?: number;
  partial?: Buffer | undefined;
  cause?: unknown;
}

/**
 * The error of every failed operation and of every close that has a reason.
 *
 * `cause` holds the runtime's own error where there is one, so the errno can be read as `error.cause.code`.
 */
export class AsyncSocketError extends Error {
  override readonly name = "AsyncSocketError";
  /** What went wrong. Codes are stable between versions; messages are not, so compare codes. */
  readonly code: AsyncSocketErrorCode;
  /** The method whose work failed: `"readUntil"`, `"write"`, `"connect"`, … */
  readonly operation: string;
  /** The tag of the failed entry, if it had one. */
  declare readonly tag?: unknown;
  /** How many bytes the failed operation had received, or had handed to the operating system. */
  readonly bytesDone: number;
  readonly #partial: Buffer | undefined;

  /** @internal */
  constructor(code: ShortCode, message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = `ERR_ASYNCSOCKET_${code}`;
    this.operation = details.operation;
    this.bytesDone = details.bytesDone ?? 0;
    if (details.tag !== undefined) this.tag = details.tag;
    this.#partial = details.partial;
  }

  /**
   * A copy of the bytes that had come for a failed read. The bytes themselves stay in the socket for the next read.
   * Neither `console.log` nor JSON shows them, because errors end up in logs.
   */
  get partial(): Buffer | undefined {
    return this.#partial;
  }
}

/** Whether an error is an `AsyncSocketError` with this code. */
export function isCode(error: unknown, code: ShortCode): error is AsyncSocketError {
  return isOurs(error) && error.code === `ERR_ASYNCSOCKET_${code}`;
}

/** Whether a thrown value is an `AsyncSocketError`. Where the value is a Proxy, `instanceof` itself can throw. */
export function isOurs(thrown: unknown): thrown is AsyncSocketError {
  try {
    return thrown instanceof AsyncSocketError;
  } catch {
    return false;
  }
}

/**
 * A thrown value as an error: the value itself if it is an error whose code and message can be read. Anything else can
 * be thrown, too, and becomes the `cause` of a new error.
 */
export function asError(thrown: unknown): Error {
  try {
    if ((thrown instanceof Error || types.isNativeError(thrown)) && canBeRead(thrown)) return thrown;
  } catch {
    // A getter of the value has thrown, or a trap of a Proxy has.
  }
  return new Error(reasonOf(thrown), { cause: thrown });
}

/** @throws what the getters of the error throw */
function canBeRead({ code, message }: NodeJS.ErrnoException): boolean {
  return typeof message === "string" && typeof code !== "symbol";
}

/** An error of the whole connection or socket, rather than of one queued read or write. */
export function socketError(code: ShortCode, operation: string, message: string, cause?: unknown): AsyncSocketError {
  return new AsyncSocketError(code, message, { operation, cause });
}

export function badState(operation: string, why: string): AsyncSocketError {
  return socketError("BAD_STATE", operation, `${operation} is not possible: ${why}`);
}
