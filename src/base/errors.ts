import { types } from "node:util";
import { reasonOf } from "./errno.js";

/** Every way in which a socket can fail, each with a code of its own. All start with `ERR_ASYNCSOCKET_`. */
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

/** The part of a code that differs. */
export type ShortCode = AsyncSocketErrorCode extends `ERR_ASYNCSOCKET_${infer Short}` ? Short : never;

/** @internal What an error may carry besides its code and words. */
export interface ErrorDetails {
  operation: string;
  tag?: unknown;
  bytesDone?: number;
  partial?: Buffer | undefined;
  cause?: unknown;
}

/**
 * What went wrong, once, named.
 *
 * `cause` holds the runtime's own error where there is one, so an errno stays readable as `error.cause.code`.
 */
export class AsyncSocketError extends Error {
  override readonly name = "AsyncSocketError";
  /** Stable; compare with this, never with the message. */
  readonly code: AsyncSocketErrorCode;
  /** The method whose work failed: `"readUntil"`, `"write"`, `"connect"`, … */
  readonly operation: string;
  /** The tag of the failed entry, if it had one. */
  declare readonly tag?: unknown;
  /** How many bytes the failed operation had received or sent. */
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
   * For a read: a copy of the bytes that had come for it. They stay in the socket for the next read. Neither a print nor
   * JSON shows them: errors end up in logs.
   */
  get partial(): Buffer | undefined {
    return this.#partial;
  }
}

/** Whether it is one of these errors, with this code. */
export function isCode(error: unknown, code: ShortCode): error is AsyncSocketError {
  return isOurs(error) && error.code === `ERR_ASYNCSOCKET_${code}`;
}

/** Whether it is one of these errors. It may be asked of anything: of a proxy, `instanceof` itself can throw. */
export function isOurs(thrown: unknown): thrown is AsyncSocketError {
  try {
    return thrown instanceof AsyncSocketError;
  } catch {
    return false;
  }
}

/**
 * What was thrown, as an error: itself where it is one whose code and message can be read. Else, since anything
 * can be thrown, an error in words that has it as its cause.
 */
export function asError(thrown: unknown): Error {
  try {
    if ((thrown instanceof Error || types.isNativeError(thrown)) && canBeRead(thrown)) return thrown;
  } catch {
    // One of its getters has thrown, or it is a proxy whose handler has.
  }
  return new Error(reasonOf(thrown), { cause: thrown });
}

/** @throws what its getters do */
function canBeRead({ code, message }: NodeJS.ErrnoException): boolean {
  return typeof message === "string" && typeof code !== "symbol";
}

/** An error of the connection, or of the socket, rather than of an entry. */
export function socketError(code: ShortCode, operation: string, message: string, cause?: unknown): AsyncSocketError {
  return new AsyncSocketError(code, message, { operation, cause });
}

export function badState(operation: string, why: string): AsyncSocketError {
  return socketError("BAD_STATE", operation, `${operation} is not possible: ${why}`);
}
