import { isCode, socketError } from "../base/errors.js";
import type { SocketRequest } from "../base/request.js";
import type { Connection } from "../connection/connection.js";
import type { ReadEntry } from "../pump/read-entry.js";

/** What an iterator needs of the socket that it reads. */
export interface IteratedSocket {
  readonly _connection: Connection;
  readonly _isStream: boolean;
}

/**
 * One read at a time, each queued when it is asked for, for as long as the socket's present connection lives. Leaving
 * early leaves socket and bytes as they are; a read that is under way then is taken back.
 */
export class ReadIterator<T> implements AsyncIterableIterator<T, undefined> {
  readonly #socket: IteratedSocket;
  readonly #connection: Connection;
  readonly #hasSignal: boolean;
  readonly #entry: () => ReadEntry<T>;
  readonly #queue: (entry: ReadEntry<T>) => SocketRequest<T>;
  #pending: SocketRequest<T> | null = null;
  #isOver = false;
  /** The last of several that were asked for at once: they are served one by one. */
  #last: Promise<unknown> | null = null;
  #asked = 0;

  /** @param hasSignal whether the reads may be aborted before they begin */
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
    const entry = this.#entry();
    // What is here already takes no turn of the event loop.
    if (this.#mayTakeNow && this.#connection.reading.takeNow(entry)) {
      return Promise.resolve({ done: false, value: entry._outcome as T });
    }
    const take = (): Promise<IteratorResult<T, undefined>> => this.#take(entry);
    const result = this.#last === null ? this.#take(entry) : this.#last.then(take, take);
    this.#asked++;
    this.#last = result;
    return result;
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

  /** What was left, or has thrown, gives nothing more. */
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

/** What an iterator throws; null where the stream ended properly, on a boundary, or this side closed it. */
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
