import type { AsyncValues } from "../base/async-values.js";
import type { AsyncSocketError } from "../base/errors.js";

type Result<Socket> = IteratorResult<Socket, undefined>;

interface Waiter<Socket> {
  resolve: (result: Result<Socket>) => void;
  reject: (error: unknown) => void;
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** Accepted sockets on their way to `connections()`. Their number is bounded by `limits.connections`. */
export class Backlog<Socket extends { disconnect(): unknown }> {
  #sockets: Socket[] = [];
  #waiters: Waiter<Socket>[] = [];
  #isOver = false;
  #error: AsyncSocketError | null = null;

  push(socket: Socket): void {
    const waiter = this.#waiters.shift();
    if (waiter === undefined) this.#sockets.push(socket);
    else waiter.resolve({ done: false, value: socket });
  }

  next(): Promise<Result<Socket>> {
    const socket = this.#sockets.shift();
    if (socket !== undefined) return Promise.resolve({ done: false, value: socket });
    if (this.#error !== null) return Promise.reject(this.#error);
    if (this.#isOver) return Promise.resolve(DONE);
    return new Promise<Result<Socket>>((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /** Closes the sockets that wait, because the listener closes and will not hand them out any more. */
  disconnectAll(): void {
    for (const socket of this.#sockets.splice(0)) void socket.disconnect();
  }

  end(error: AsyncSocketError | null): void {
    this.#isOver = true;
    this.#error = error;
    for (const waiter of this.#waiters.splice(0)) {
      if (error === null) waiter.resolve(DONE);
      else waiter.reject(error);
    }
  }

  iterate(): AsyncValues<Socket> {
    let isLeft = false;
    const iterator: AsyncValues<Socket> = {
      next: () => (isLeft ? Promise.resolve(DONE) : this.next()),
      return: () => {
        isLeft = true;
        return Promise.resolve(DONE);
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }
}
