import type { AsyncValues } from "../base/async-values.js";
import { isCode, socketError } from "../base/errors.js";
import type { SocketRequest } from "../base/request.js";
import type { Connection } from "../connection/connection.js";
import type { ReadEntry } from "../pump/read-entry.js";

/** The parts of a socket that an iterator uses. */
export interface IteratedSocket {
  readonly _connection: Connection;
  readonly _isStream: boolean;
}

/**
 * Queues one read for each value that is asked for, as long as the socket's present connection lasts. Leaving the loop
 * early does not close the socket and consumes no bytes; a read that is queued at that moment is cancelled.
 */
export class ReadIterator<T> implements AsyncValues<T> {
  readonly #socket: IteratedSocket;
  readonly #connection: Connection;
  readonly #hasSignal: boolean;
  readonly #entry: () => ReadEntry<T>;
  readonly #queue: (entry: ReadEntry<T>) => SocketRequest<T>;
  #pending: SocketRequest<T> | null = null;
  /** An entry that was made, and not queued. */
  #unused: ReadEntry<T> | null = null;
  #isOver = false;
  /** The last result asked for, if several were asked for at once: they are served one after the other. */
  #last: Promise<unknown> | null = null;
  #asked = 0;

  /** @param hasSignal whether the reads have an abort signal, which must be checked before each read */
  constructor(
    socket: IteratedSocket,
    hasSignal: boolean,
    entry: () => ReadEntry<T>,
    queue: (entry: ReadEntry<T>) => SocketRequest<T>,
  ) {
    this.#socket = socket;
    this.#connection = socket._connection;
    this.#hasSignal = hasSignal;
    this.#entry = entry;
    this.#queue = queue;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const entry = this.#unused ?? this.#entry();
    this.#unused = null;
    // A value whose bytes have already arrived is given without waiting for a turn of the event loop.
    if (this.#mayTakeNow && this.#connection.reading.takeNow(entry)) {
      const value = entry._outcome as T;
      if (entry._state === "queued") this.#reuse(entry);
      return Promise.resolve({ done: false, value });
    }
    const take = (): Promise<IteratorResult<T, undefined>> => this.#take(entry);
    const result = this.#last === null ? this.#take(entry) : this.#last.then(take, take);
    this.#asked++;
    this.#last = result;
    return result;
  }

  /** Nobody has seen the entry, so it serves for the next value, too. */
  #reuse(entry: ReadEntry<T>): void {
    entry._outcome = undefined;
    entry._bytesDone = 0;
    this.#unused = entry;
  }

  get #mayTakeNow(): boolean {
    return this.#last === null && !this.#isOver && !this.#hasSignal && this.#isCurrent && !this.#socket._isStream;
  }

  get #isCurrent(): boolean {
    return this.#socket._connection === this.#connection;
  }

  async #take(entry: ReadEntry<T>): Promise<IteratorResult<T, undefined>> {
    try {
      if (this.#isOver) return { done: true, value: undefined };
      if (!this.#isCurrent) throw socketError("CLOSED", "read", "the connection is over");
      this.#pending = this.#queue(entry);
      return { done: false, value: await this.#pending };
    } catch (error) {
      return this.#end(failureOf(this.#connection, error as Error));
    } finally {
      this.#pending = null;
      if (--this.#asked === 0) this.#last = null;
    }
  }

  /** Ends the iterator: after it was left or has thrown, it gives no more values. */
  #end(failure: Error | null): IteratorResult<T, undefined> {
    const wasLeft = this.#isOver;
    this.#isOver = true;
    if (failure !== null && !wasLeft) throw failure;
    return { done: true, value: undefined };
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#isOver = true;
    this.#pending?.cancel();
    return Promise.resolve({ done: true, value: undefined });
  }
}

/**
 * The error that an iterator throws. Null if the iterator ends normally: the stream ended after a whole message, or
 * this side closed it.
 */
function failureOf(connection: Connection, error: Error): Error | null {
  if (isCode(error, "END_OF_STREAM")) return connection.reading.queue.buffer.length === 0 ? null : error;
  if (isCode(error, "CONNECTION_LOST")) return connection.reason?.error ?? error;
  return isCode(error, "CLOSED") ? closeFailure(connection) : error;
}

function closeFailure({ reason, reading }: Connection): Error | null {
  if (reason !== null && reason.error !== null) return reason.error;
  const byPeer = reason === null ? reading.ended : reason.by === "remote";
  const { length } = reading.queue.buffer;
  if (!byPeer || length === 0) return null;
  const message = `The stream ended with ${length} bytes that form no whole message`;
  return socketError("END_OF_STREAM", "read", message);
}
