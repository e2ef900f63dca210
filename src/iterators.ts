import type { AsyncSocket } from "./async-socket.js";
import type { CloseReason } from "./close-reason.js";
import { isCode } from "./errors.js";
import { socketError } from "./failures.js";
import type { SocketRequest } from "./request.js";

/**
 * One read at a time, each queued when it is asked for. Leaving early leaves socket and bytes as they are; a read that
 * is under way then is taken back.
 */
export class ReadIterator<T> implements AsyncIterableIterator<T, undefined> {
  readonly #socket: AsyncSocket;
  readonly #read: () => SocketRequest<T>;
  #pending: SocketRequest<T> | null = null;
  #isOver = false;

  constructor(socket: AsyncSocket, read: () => SocketRequest<T>) {
    this.#socket = socket;
    this.#read = read;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    if (this.#isOver) return { done: true, value: undefined };
    const request = this.#read();
    this.#pending = request;
    try {
      return { done: false, value: await request };
    } catch (error) {
      const wasLeft = this.#hasLeft();
      this.#isOver = true;
      const failure = wasLeft ? null : failureOf(this.#socket, error);
      if (failure !== null) throw failure;
      return { done: true, value: undefined };
    } finally {
      if (this.#pending === request) this.#pending = null;
    }
  }

  #hasLeft(): boolean {
    return this.#isOver;
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#isOver = true;
    this.#pending?.cancel();
    return Promise.resolve({ done: true, value: undefined });
  }
}

/** What an iterator throws; null where the stream ended properly, on a boundary, or this side closed it. */
function failureOf(socket: AsyncSocket, error: unknown): Error | null {
  const reason = socket.closeReason;
  if (isCode(error, "END_OF_STREAM")) return socket.unreadBytes === 0 ? null : error;
  if (isCode(error, "CONNECTION_LOST")) return reason?.error ?? error;
  if (!isCode(error, "CLOSED")) return error as Error;
  return reason?.error ?? remainderError(socket, reason);
}

function remainderError(socket: AsyncSocket, reason: CloseReason | undefined): Error | null {
  const byPeer = reason === undefined ? socket.peerEnded : reason.by === "remote";
  if (!byPeer || socket.unreadBytes === 0) return null;
  const message = `The stream ended with ${socket.unreadBytes} bytes that form no whole message`;
  return socketError("END_OF_STREAM", "read", message);
}
