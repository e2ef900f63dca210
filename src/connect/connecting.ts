import { type AsyncSocketError, isCode, socketError } from "../base/errors.js";
import { onAbort, type RequestOwner, settle, SocketRequest } from "../base/request.js";
import type { Connection } from "../connection/connection.js";
import type { AsyncSocket } from "../socket/async-socket.js";
import type { SocketSettings } from "../transport/options.js";
import type { TransportFactory } from "../transport/transport.js";
import { Dialer, whereOf } from "./direct-route.js";
import { connectTimeout } from "./messages.js";
import type { ConnectTarget } from "./options.js";
import { type OpenSocket, ProxyRoute } from "./proxy/proxy-route.js";
import type { Route, RouteOwner } from "./route.js";

/** All that a `connect` was given. */
export interface ConnectPlan {
  readonly factory: TransportFactory;
  readonly target: ConnectTarget;
  readonly settings: SocketSettings;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  readonly openSocket: OpenSocket;
}

function routeOf(owner: RouteOwner, { factory, target, settings, openSocket }: ConnectPlan): Route {
  if (target.path !== null || target.proxy === undefined) return new Dialer(owner, factory, target, settings);
  return new ProxyRoute(owner, factory, target, target.proxy, settings, openSocket);
}

/** A `connect` under way: its request, its timeout, its signal, and the route that it takes. */
export class ConnectAttempt implements RequestOwner {
  readonly request: SocketRequest<AsyncSocket>;
  readonly #connection: Connection;
  readonly #plan: ConnectPlan;
  readonly #route: Route;
  #stopListening: (() => void) | null = null;

  constructor(connection: Connection, plan: ConnectPlan) {
    this.#connection = connection;
    this.#plan = plan;
    this.#route = routeOf(connection, plan);
    this.request = new SocketRequest<AsyncSocket>("connect", undefined, this);
    this.request._state = "current";
  }

  /** The timeout runs from here. A signal that is aborted already ends it before anything is tried. */
  start(): void {
    const { timeoutMs, signal } = this.#plan;
    this.#connection.timer.connectDueAt = this.#connection.clock.now() + timeoutMs;
    if (signal !== undefined) this.#stopListening = onAbort(signal, (reason) => this.#cancel(reason));
    if (this.#connection.reason === null) this.#route.start();
  }

  setReferenced(on: boolean): void {
    this.#route.setReferenced(on);
  }

  change(settings: Partial<SocketSettings>): void {
    this.#route.change(settings);
  }

  /** Too late once the delegate is told that it is through, as for a signal, or that the socket is closing. */
  cancelRequest(): boolean {
    if (this.#connection.attempt !== this || this.#connection.reason !== null) return false;
    this.#cancel(undefined);
    return true;
  }

  extendRequest(_request: SocketRequest<unknown>, ms: number): boolean {
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
    const { tried, pending } = this.#route;
    const waiting = this.#connection.isHeld ? ["the TLS handshake is not through yet"] : pending;
    return connectTimeout(whereOf(this.#plan.target), this.#plan.timeoutMs, tried, waiting);
  }

  /** Neither timeout nor signal count any more. */
  stop(): void {
    this.#connection.timer.connectDueAt = Infinity;
    this.#stopListening?.();
  }

  /** Nobody wants the connection any more. */
  giveUp(): void {
    this.stop();
    this.#route.cancel();
  }

  succeed(): void {
    settle(this.request, "done", this.#connection.socket);
  }

  fail(error: AsyncSocketError | undefined): void {
    const failure = error ?? socketError("CLOSED", "connect", "connect failed: the socket was closed meanwhile");
    settle(this.request, isCode(failure, "CANCELED") ? "canceled" : "failed", failure);
  }
}
