import { inspect, types } from "node:util";

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

/**
 * The errno name of a system error ("ECONNREFUSED"), or its message where it has none. Whatever was thrown, it
 * is a string: codes can be numbers (those of databases, of gRPC, of a DOMException), and getters can throw.
 */
export function reasonOf(thrown: unknown): string {
  const code = propertyOf(thrown, "code");
  if (isText(code)) return code;
  const message = propertyOf(thrown, "message");
  if (isText(message)) return message;
  const name = propertyOf(thrown, "name");
  if (isText(name) && isText(propertyOf(thrown, "stack"))) return name;
  return isText(thrown) ? thrown : printed(thrown);
}

/** @throws what its getters do */
function canBeRead({ code, message }: NodeJS.ErrnoException): boolean {
  return typeof message === "string" && typeof code !== "symbol";
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function propertyOf(value: unknown, name: string): unknown {
  if ((typeof value !== "object" || value === null) && typeof value !== "function") return undefined;
  try {
    return (value as Record<string, unknown>)[name];
  } catch {
    return undefined;
  }
}

/** What has no words of its own, as the runtime prints it. */
function printed(value: unknown): string {
  try {
    return inspect(value, { depth: 0, breakLength: Infinity });
  } catch {
    return "something that cannot be printed";
  }
}

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "the peer reset the connection",
  EPIPE: "the peer no longer takes data",
  ETIMEDOUT: "no answer",
  EHOSTUNREACH: "no route to that host",
  ENETUNREACH: "no route to that network",
  ENETDOWN: "the network is down",
  EADDRINUSE: "the address is in use",
  EADDRNOTAVAIL: "no such address on this machine, or no free port there",
  EAFNOSUPPORT: "that address family is not supported here",
  EACCES: "permission denied",
  EPERM: "not permitted",
  ENOENT: "no such file",
  ENOTCONN: "the peer was gone already",
  ENOTSOCK: "not a socket",
  ENOTDIR: "not a directory",
  EMFILE: "the process has no free file descriptors",
  ENFILE: "the system has no free file descriptors",
  EAGAIN: "there is no room for it now, as where too many connections wait",
  EINVAL: "the system does not take an argument of that kind",
  ENOBUFS: "the system is out of buffers",
  ENOMEM: "the system is out of memory",
  ENOTFOUND: "no such host name",
  ERR_TLS_SESSION_ATTACK: "the peer renegotiates too often",
  EAI_AGAIN: "the name server could not be reached or had no answer for now; check the network and the resolver",
  EAI_FAIL: "the name server failed",
  EAI_NODATA: "the name exists but has no address",
  ENODATA: "the name exists but has no address",
};

/** The errno in words a person can read: `nothing listens there (ECONNREFUSED)`. */
export function inWords(thrown: unknown): string {
  const reason = reasonOf(thrown);
  const words = wordsFor(reason, WORDS) ?? wordsOfOpenSSL(thrown, reason) ?? ownWords(thrown, reason);
  return words === undefined ? reason : `${words} (${reason})`;
}

/** What the runtime's own errors say, and these here: their codes tell a person little. */
function ownWords(thrown: unknown, code: string): string | undefined {
  if (!code.startsWith("ERR_")) return undefined;
  const message = propertyOf(thrown, "message");
  return isText(message) && message !== code ? message : undefined;
}

/** The words that a table has for a reason. A reason may be any text, `"constructor"` too. */
export function wordsFor(reason: string, table: Readonly<Record<string, string>>): string | undefined {
  return Object.hasOwn(table, reason) ? table[reason] : undefined;
}

/** What OpenSSL itself says: `peer did not return a certificate`. */
function wordsOfOpenSSL(thrown: unknown, code: string): string | undefined {
  if (!code.startsWith("ERR_SSL_")) return undefined;
  const reason = propertyOf(thrown, "reason");
  return isText(reason) ? reason : undefined;
}
