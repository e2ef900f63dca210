import type { AsyncSocket } from "../async-socket.js";
import type { Connection } from "../connection.js";
import { isCode, type AsyncSocketError } from "../errors.js";
import { socketError } from "../failures.js";
import { isPending } from "../pump/entry.js";
import { onAbort, settle, SocketRequest, type RequestOwner } from "../request.js";

/** A `connect` under way: its request, its timeout, its signal. */
export class ConnectAttempt implements RequestOwner {
  readonly request: SocketRequest<AsyncSocket>;
  readonly #connection: Connection;
  #stopListening: (() => void) | null = null;

  /** @param where host and port, or path: for people */
  constructor(connection: Connection, where: string, timeoutMs: number, signal: AbortSignal | undefined) {
    this.#connection = connection;
    this.request = new SocketRequest<AsyncSocket>("connect", undefined, this);
    this.request._state = "current";
    connection.timer.connectDueAt = connection.clock.now() + timeoutMs;
    connection.timer.connectWords = `Cannot connect to ${where}: it took more than ${timeoutMs} ms`;
    if (signal !== undefined) this.#stopListening = onAbort(signal, (reason) => this.#cancel(reason));
  }

  cancelRequest(request: SocketRequest<unknown>): boolean {
    if (!isPending(request)) return false;
    this.#cancel(undefined);
    return true;
  }

  extendRequest(request: SocketRequest<unknown>, ms: number): boolean {
    if (!isPending(request)) return false;
    const { timer } = this.#connection;
    timer.connectDueAt += ms;
    return timer.connectDueAt !== Infinity;
  }

  bytesDoneOf(): number {
    return 0;
  }

  #cancel(cause: unknown): void {
    this.#connection.close("error", socketError("CANCELED", "connect", "connect was canceled", cause));
    this.#connection.schedule();
  }

  /** Neither timeout nor signal count any more. */
  stop(): void {
    this.#connection.timer.connectDueAt = Infinity;
    this.#stopListening?.();
  }

  succeed(): void {
    settle(this.request, "done", this.#connection.socket);
  }

  fail(error: AsyncSocketError | undefined): void {
    const failure = error ?? socketError("CLOSED", "connect", "connect failed: the socket was closed meanwhile");
    settle(this.request, isCode(failure, "CANCELED") ? "canceled" : "failed", failure);
  }
}
