import type { AsyncSocket } from "../async-socket.js";
import type { Connection } from "../connection.js";
import { isCode, type AsyncSocketError } from "../errors.js";
import { socketError } from "../failures.js";
import type { ConnectTarget, SocketSettings } from "../options.js";
import { isPending } from "../pump/entry.js";
import { onAbort, settle, SocketRequest, type RequestOwner } from "../request.js";
import type { TransportFactory } from "../transport/transport.js";
import { Dialer, whereOf } from "./dialer.js";
import { connectTimeout } from "./failure.js";

/** All that a `connect` was given. */
export interface ConnectPlan {
  readonly factory: TransportFactory;
  readonly target: ConnectTarget;
  readonly settings: SocketSettings;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** A `connect` under way: its request, its timeout, its signal, and the dialer that does it. */
export class ConnectAttempt implements RequestOwner {
  readonly request: SocketRequest<AsyncSocket>;
  readonly #connection: Connection;
  readonly #plan: ConnectPlan;
  readonly #dialer: Dialer;
  #stopListening: (() => void) | null = null;

  constructor(connection: Connection, plan: ConnectPlan) {
    this.#connection = connection;
    this.#plan = plan;
    this.#dialer = new Dialer(connection, plan.factory, plan.target, plan.settings);
    this.request = new SocketRequest<AsyncSocket>("connect", undefined, this);
    this.request._state = "current";
  }

  /** The timeout runs from here. A signal that is aborted already ends it before anything is tried. */
  start(): void {
    const { timeoutMs, signal } = this.#plan;
    this.#connection.timer.connectDueAt = this.#connection.clock.now() + timeoutMs;
    if (signal !== undefined) this.#stopListening = onAbort(signal, (reason) => this.#cancel(reason));
    if (this.#connection.reason === null) this.#dialer.start();
  }

  setReferenced(on: boolean): void {
    this.#dialer.setReferenced(on);
  }

  change(settings: Partial<SocketSettings>): void {
    this.#dialer.change(settings);
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

  /** What to say when the timeout strikes now. */
  timeoutError(): AsyncSocketError {
    const { tried, lookingUp } = this.#dialer;
    return connectTimeout(whereOf(this.#plan.target), this.#plan.timeoutMs, tried, lookingUp);
  }

  /** Neither timeout nor signal count any more. */
  stop(): void {
    this.#connection.timer.connectDueAt = Infinity;
    this.#stopListening?.();
  }

  /** Nobody wants the connection any more. */
  giveUp(): void {
    this.stop();
    this.#dialer.cancel();
  }

  succeed(): void {
    settle(this.request, "done", this.#connection.socket);
  }

  fail(error: AsyncSocketError | undefined): void {
    const failure = error ?? socketError("CLOSED", "connect", "connect failed: the socket was closed meanwhile");
    settle(this.request, isCode(failure, "CANCELED") ? "canceled" : "failed", failure);
  }
}
