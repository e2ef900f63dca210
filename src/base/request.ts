import { inspect } from "node:util";
import { nameCaller, rememberCaller, REMEMBERS_ALL } from "./callers.js";

/** What a request was made by: the name of the method. */
export type RequestKind =
  | "read"
  | "readExactly"
  | "readUntil"
  | "readLine"
  | "readFrame"
  | "readMessage"
  | "peek"
  | "skip"
  | "write"
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

/** Where a request stands. The last three are final. */
export type RequestState = "queued" | "current" | "done" | "failed" | "canceled";

/** Whoever carries a request out, and can be asked about it. */
export interface RequestOwner {
  cancelRequest(request: SocketRequest<unknown>): boolean;
  extendRequest(request: SocketRequest<unknown>, ms: number): boolean;
  bytesDoneOf(request: SocketRequest<unknown>): number;
}

/** @internal Not generic: a queue holds requests for all kinds of values. */
export interface Settlers {
  promise: Promise<unknown>;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}

/**
 * One thing asked of a socket. Await it, or forget it: it makes a promise only when `then`, `catch` or `finally` is
 * called, keeps its outcome for whoever asks later, and a failure that nobody asks for is no unhandled rejection (the
 * delegate and the close reason tell of it).
 */
export class SocketRequest<T> implements Promise<T> {
  /** The method that made it. */
  readonly kind: RequestKind;
  /** The tag given with it, untouched. */
  readonly tag: unknown;
  /** @internal */ _state: RequestState = "queued";
  /** @internal The value when done, the error when failed. */ _outcome: unknown = undefined;
  /** @internal Bytes sent; for a read known only once it has settled. */ _bytesDone = 0;
  /** @internal Null once the outcome is out: the delegate knows, and so may a promise. */ _owner: RequestOwner | null;
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

  /** Bytes received or handed to the operating system for it so far. */
  get bytesDone(): number {
    return this._owner === null ? this._bytesDone : this._owner.bytesDoneOf(this);
  }

  /** How many bytes it will take, where that is known. */
  get bytesTotal(): number | undefined {
    return undefined;
  }

  /**
   * Takes it back; it then fails with `ERR_ASYNCSOCKET_CANCELED`. A cancelled read takes no byte. A write of which a
   * byte has been handed on can only be stopped by closing the connection, and is; so is a `startTLS`.
   * @returns whether that took effect: false when it is settled, or cannot be cancelled
   */
  cancel(): boolean {
    return this._owner?.cancelRequest(this) ?? false;
  }

  /**
   * More time, in milliseconds, for this request and no other: added to its timeout, whether that is running or not
   * yet.
   * @returns whether that took effect: false when it is settled, or has no timeout
   * @throws RangeError for a negative number
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

  /** One line, without what was read or is to be written. */
  [inspect.custom](): string {
    const { bytesDone, bytesTotal } = this;
    const count = bytesTotal === undefined ? `${bytesDone}` : `${bytesDone} of ${bytesTotal}`;
    return `SocketRequest ${this.kind} ${this._state}, ${count} bytes`;
  }

  /** The same for JSON. */
  toJSON(): { kind: RequestKind; state: RequestState; bytesDone: number; bytesTotal: number | undefined } {
    const { kind, state, bytesDone, bytesTotal } = this;
    return { kind, state, bytesDone, bytesTotal };
  }

  /** @internal Settles the promise, if there is one, by the outcome that was set before. */
  _tell(): void {
    this._owner = null;
    const settlers = this._settlers;
    if (settlers === null) return;
    if (this._state === "done") settlers.resolve(this._outcome);
    else settlers.reject(this._outcome);
  }
}

/** No private method: a class that has one, or is derived from one that has, is constructed a good deal slower. */
function promiseOf<T>(request: SocketRequest<T>): Promise<T> {
  if (request._settlers === null) {
    const settlers = {} as Settlers;
    settlers.promise = new Promise<unknown>((resolve, reject) => {
      settlers.resolve = resolve;
      settlers.reject = reject;
    });
    request._settlers = settlers;
    if (request._owner === null) request._tell();
  }
  return request._settlers.promise as Promise<T>;
}

/** @internal Settles a request that is in no queue (a connect, a close): nothing more can happen to it. */
export function settle<T>(request: SocketRequest<T>, state: "done" | "failed" | "canceled", outcome: unknown): void {
  request._state = state;
  request._outcome = outcome;
  if (state !== "done") nameCaller(request, outcome);
  request._tell();
}

/** @internal Of requests that only tell: nothing can be done about them. */
export const nobody: RequestOwner = {
  cancelRequest: () => false,
  extendRequest: () => false,
  bytesDoneOf: () => 0,
};

/** Whom to tell of an aborted signal: however many there are, the signal has one listener of ours. */
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
 * @internal Calls `abort` when the signal is aborted, at once if it is already. Requests that share a signal share its
 * listener, which goes with the last of them: runtimes warn of a leak where a signal has more than ten.
 * @param abort a function of this call's own
 * @returns what stops that
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
