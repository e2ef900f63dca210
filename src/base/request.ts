import { inspect } from "node:util";
import { nameCaller, rememberCaller, REMEMBERS_ALL } from "./callers.js";

/** The name of the method that made a request. */
export type RequestKind =
  | "read"
  | "readExactly"
  | "readUntil"
  | "readLine"
  | "readFrame"
  | "readMessage"
  | "peek"
  | "skip"
  | "expect"
  | "write"
  | "writeFrame"
  | "writeLine"
  | "writeMessage"
  | "end"
  | "startTLS"
  | "connect"
  | "listen"
  | "shutdown"
  | "disconnect"
  | "closed"
  | "moveTo"
  | "close";

/**
 * The state of a request: waiting in its queue, at the head of its queue, or settled in one of three ways, which are
 * final.
 */
export type RequestState = "queued" | "current" | "done" | "failed" | "canceled";

/** What carries a request out, and can be asked about it. */
export interface RequestOwner {
  cancelRequest(request: SocketRequest<unknown>): boolean;
  extendRequest(request: SocketRequest<unknown>, ms: number): boolean;
  bytesDoneOf(request: SocketRequest<unknown>): number;
}

/** @internal The promise of a request. Not generic, because a queue holds requests for all kinds of values. */
export interface Settlers {
  promise: Promise<unknown>;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}

/**
 * One operation of a socket, such as a read. A request can be awaited or ignored. It creates a promise only when
 * `then`, `catch` or `finally` is called, and keeps its outcome, so that `await` works at any later time. A failed
 * request that nobody awaits causes no unhandled rejection; the delegate and the socket's close reason report the
 * failure as well.
 */
export class SocketRequest<T> implements Promise<T> {
  /** The name of the method that made this request. */
  readonly kind: RequestKind;
  /** The `tag` option of the call, as it was given. */
  readonly tag: unknown;
  /** @internal */ _state: RequestState = "queued";
  /** @internal The value when done, the error when failed. */ _outcome: unknown = undefined;
  /** @internal Bytes sent; of a read, the bytes taken, set when the read settles. */ _bytesDone = 0;
  /** @internal Null once the outcome was announced to the delegate and the promise. */ _owner: RequestOwner | null;
  /** @internal */ _settlers: Settlers | null = null;

  /** @internal */
  constructor(kind: RequestKind, tag: unknown, owner: RequestOwner) {
    this.kind = kind;
    this.tag = tag;
    this._owner = owner;
    if (REMEMBERS_ALL) rememberCaller(this, SocketRequest.prototype, "constructor");
  }

  get [Symbol.toStringTag](): string {
    return "SocketRequest";
  }

  get state(): RequestState {
    return this._state;
  }

  /** How many bytes this request has received, or handed to the operating system, so far. */
  get bytesDone(): number {
    return this._owner === null ? this._bytesDone : this._owner.bytesDoneOf(this);
  }

  /** How many bytes this request is for in all; undefined where that is not known. */
  get bytesTotal(): number | undefined {
    return undefined;
  }

  /**
   * Cancels this request, which then fails with `ERR_ASYNCSOCKET_CANCELED`. A cancelled read takes no bytes; they stay
   * for the next read. Cancelling a write that has begun to be sent, or a `startTLS` that has begun its handshake,
   * closes the connection, because the peer could make no sense of what follows.
   * @returns whether the call took effect: false when the request is settled or cannot be cancelled
   */
  cancel(): boolean {
    return this._owner?.cancelRequest(this) ?? false;
  }

  /**
   * Adds time to the timeout of this request, whether that timeout is already running or not.
   * @param ms milliseconds to add
   * @returns whether the call took effect: false when the request is settled or has no timeout
   * @throws TypeError for a value that is not a number, RangeError for a negative number
   */
  extend(ms: number): boolean {
    if (typeof ms !== "number") throw new TypeError(`Expected ms to be a number, got ${typeof ms}`);
    if (!(ms >= 0)) throw new RangeError(`Expected ms to be a non-negative number of milliseconds, got ${ms}`);
    return this._owner?.extendRequest(this, ms) ?? false;
  }

  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return promiseOf(this).then(onFulfilled, onRejected);
  }

  catch<B = never>(onRejected?: ((error: unknown) => B | PromiseLike<B>) | null): Promise<T | B> {
    return promiseOf(this).catch(onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<T> {
    return promiseOf(this).finally(onFinally);
  }

  /** Prints one line, without the data that was read or is to be written. */
  [inspect.custom](): string {
    const { bytesDone, bytesTotal } = this;
    const count = bytesTotal === undefined ? `${bytesDone}` : `${bytesDone} of ${bytesTotal}`;
    return `SocketRequest ${this.kind} ${this._state}, ${count} bytes`;
  }

  /** What `JSON.stringify` shows: the same as the printed line, without any data. */
  toJSON(): { kind: RequestKind; state: RequestState; bytesDone: number; bytesTotal: number | undefined } {
    const { kind, state, bytesDone, bytesTotal } = this;
    return { kind, state, bytesDone, bytesTotal };
  }

  /** @internal Settles the promise, if there is one, with the outcome that was set before. */
  _tell(): void {
    this._owner = null;
    const settlers = this._settlers;
    if (settlers === null) return;
    if (this._state === "done") settlers.resolve(this._outcome);
    else settlers.reject(this._outcome);
  }
}

/** This is not a private method, because a class with one, and each derived class, is constructed much more slowly. */
function promiseOf<T>(request: SocketRequest<T>): Promise<T> {
  if (request._settlers === null) {
    if (request._owner === null) return settledPromise(request);
    const settlers = {} as Settlers;
    settlers.promise = new Promise<unknown>((resolve, reject) => {
      settlers.resolve = resolve;
      settlers.reject = reject;
    });
    request._settlers = settlers;
  }
  return request._settlers.promise as Promise<T>;
}

function settledPromise<T>({ _state, _outcome }: SocketRequest<T>): Promise<T> {
  if (_state === "done") return Promise.resolve(_outcome as T);
  const error = _outcome as Error;
  return Promise.reject(error);
}

/** @internal Settles a request that stands in no queue, such as a connect or a close. */
export function settle<T>(request: SocketRequest<T>, state: "done" | "failed" | "canceled", outcome: unknown): void {
  request._state = state;
  request._outcome = outcome;
  if (state !== "done") nameCaller(request, outcome);
  request._tell();
}

/** @internal The owner of requests that can be neither cancelled nor extended. */
export const nobody: RequestOwner = {
  cancelRequest: () => false,
  extendRequest: () => false,
  bytesDoneOf: () => 0,
};

/** The callbacks to call when a signal is aborted. They share one listener on the signal. */
interface Watch {
  readonly told: Set<(reason: unknown) => void>;
  readonly listener: () => void;
}

const watches = new WeakMap<AbortSignal, Watch>();

function watch(signal: AbortSignal): Watch {
  const told = new Set<(reason: unknown) => void>();
  const listener = (): void => {
    watches.delete(signal);
    for (const abort of told) abort(signal.reason);
  };
  signal.addEventListener("abort", listener, { once: true });
  return { told, listener };
}

/**
 * @internal Calls `abort` when the signal is aborted, or at once if the signal is already aborted. Requests with the
 * same signal share one listener, because runtimes warn of a leak when a signal has more than ten.
 * @param abort a function that is passed to no other call
 * @returns a function that stops listening; null if `abort` was called at once
 */
export function onAbort(signal: AbortSignal, abort: (reason: unknown) => void): (() => void) | null {
  if (signal.aborted) {
    abort(signal.reason);
    return null;
  }
  let present = watches.get(signal);
  if (present === undefined) watches.set(signal, (present = watch(signal)));
  const { told, listener } = present;
  told.add(abort);
  return () => {
    if (!told.delete(abort) || told.size > 0 || signal.aborted) return;
    watches.delete(signal);
    signal.removeEventListener("abort", listener);
  };
}
