import { type AsyncSocketError, isCode, socketError } from "../base/errors.js";
import { onAbort, type RequestOwner, settle, SocketRequest } from "../base/request.js";
import type { SocketSettings } from "../transport/options.js";
import type { TransportFactory } from "../transport/transport.js";
import { DirectRoute, whereOf } from "./direct-route.js";
import { connectTimeout } from "./messages.js";
import type { ConnectTarget } from "./options.js";
import type { OpenConversation } from "./proxy/conversation.js";
import { ProxyRoute } from "./proxy/proxy-route.js";
import type { Route, RouteOwner } from "./route.js";

/** The connection that is to be. */
export interface ConnectOwner extends RouteOwner {
  /** What the request gives once it is connected. */
  readonly socket: unknown;
  readonly timer: { connectDueAt: number };
  /** Why it has ended; null: it has not. */
  readonly reason: unknown;
  /** The connect under way. */
  readonly attempt: unknown;
  /** Whether the TLS handshake is under way. */
  readonly isHeld: boolean;
  close(by: "error", error: AsyncSocketError): void;
  schedule(): void;
}

/** All that a `connect` was given. */
export interface ConnectPlan {
  readonly factory: TransportFactory;
  readonly target: ConnectTarget;
  readonly settings: SocketSettings;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** For the talk with a proxy. */
  readonly openConversation: OpenConversation;
}

function routeOf(owner: RouteOwner, { factory, target, settings, openConversation }: ConnectPlan): Route {
  if (target.path !== null || target.proxy === undefined) return new DirectRoute(owner, factory, target, settings);
  return new ProxyRoute(owner, factory, target, target.proxy, settings, openConversation);
}

/** A `connect` under way: its request, its timeout, its signal, and the route that it takes. */
export class Connecting implements RequestOwner {
  readonly request: SocketRequest<unknown>;
  readonly #owner: ConnectOwner;
  readonly #plan: ConnectPlan;
  readonly #route: Route;
  #stopListening: (() => void) | null = null;

  constructor(owner: ConnectOwner, plan: ConnectPlan) {
    this.#owner = owner;
    this.#plan = plan;
    this.#route = routeOf(owner, plan);
    this.request = new SocketRequest<unknown>("connect", undefined, this);
    this.request._state = "current";
  }

  /** The timeout runs from here. A signal that is aborted already ends it before anything is tried. */
  start(): void {
    const { timeoutMs, signal } = this.#plan;
    this.#owner.timer.connectDueAt = this.#owner.clock.now() + timeoutMs;
    if (signal !== undefined) this.#stopListening = onAbort(signal, (reason) => this.#cancel(reason));
    if (this.#owner.reason === null) this.#route.start();
  }

  setReferenced(on: boolean): void {
    this.#route.setReferenced(on);
  }

  change(settings: Partial<SocketSettings>): void {
    this.#route.change(settings);
  }

  /** Too late once the delegate is told that it is through, as for a signal, or that the socket is closing. */
  cancelRequest(): boolean {
    if (this.#owner.attempt !== this || this.#owner.reason !== null) return false;
    this.#cancel(undefined);
    return true;
  }

  extendRequest(_request: SocketRequest<unknown>, ms: number): boolean {
    const { timer } = this.#owner;
    timer.connectDueAt += ms;
    return timer.connectDueAt !== Infinity;
  }

  bytesDoneOf(): number {
    return 0;
  }

  #cancel(cause: unknown): void {
    this.#owner.close("error", socketError("CANCELED", "connect", "connect was canceled", cause));
    this.#owner.schedule();
  }

  /** What to say when the timeout strikes now. */
  timeoutError(): AsyncSocketError {
    const { tried, pending } = this.#route;
    const waiting = this.#owner.isHeld ? ["the TLS handshake is not through yet"] : pending;
    return connectTimeout(whereOf(this.#plan.target), this.#plan.timeoutMs, tried, waiting);
  }

  /** Neither timeout nor signal count any more. */
  stop(): void {
    this.#owner.timer.connectDueAt = Infinity;
    this.#stopListening?.();
  }

  /** Nobody wants the connection any more. */
  giveUp(): void {
    this.stop();
    this.#route.cancel();
  }

  succeed(): void {
    settle(this.request, "done", this.#owner.socket);
  }

  fail(error: AsyncSocketError | undefined): void {
    const failure = error ?? socketError("CLOSED", "connect", "connect failed: the socket was closed meanwhile");
    settle(this.request, isCode(failure, "CANCELED") ? "canceled" : "failed", failure);
  }
}
