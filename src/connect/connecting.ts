import { type AsyncSocketError, isCode, socketError } from "../base/errors.js";
import { onAbort, type RequestOwner, settle, SocketRequest } from "../base/request.js";
import { needKernel } from "../transport/kernel-settings.js";
import type { SocketSettings } from "../transport/options.js";
import type { TransportFactory } from "../transport/transport.js";
import { DirectRoute, whereOf } from "./direct-route.js";
import { HeaderRoute } from "./header-route.js";
import { connectTimeout } from "./messages.js";
import type { ConnectTarget } from "./options.js";
import type { OpenConversation } from "./proxy/conversation.js";
import { ProxyRoute } from "./proxy/proxy-route.js";
import type { ProxyHeader } from "./proxy-header.js";
import type { Route, RouteOwner } from "./route.js";
import { ConnectTrace, isTraced } from "./trace.js";

/** The owner of a connect: the connection that is being made. */
export interface ConnectOwner extends RouteOwner {
  /** The value that the request gives once it is connected. */
  readonly socket: object;
  trace: ConnectTrace | null;
  readonly timer: { connectDueAt: number };
  /** The reason why the connection has ended; null if it has not. */
  readonly reason: unknown;
  /** The connect under way; null if there is none. */
  readonly attempt: unknown;
  /** Whether the TLS handshake is under way. */
  readonly isHeld: boolean;
  close(by: "error", error: AsyncSocketError): void;
  schedule(): void;
}

/** All that a `connect` was given, checked. */
export interface ConnectPlan {
  readonly factory: TransportFactory;
  readonly target: ConnectTarget;
  readonly settings: SocketSettings;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** The PROXY header that the connection begins with. */
  readonly header: ProxyHeader | undefined;
  /** Opens the conversation with a proxy, or that in which a PROXY header is sent. */
  readonly openConversation: OpenConversation;
}

function routeOf(owner: RouteOwner, plan: ConnectPlan): Route {
  const { header, target, openConversation } = plan;
  if (header === undefined) return plainRoute(owner, plan);
  return new HeaderRoute(owner, header, whereOf(target), openConversation, (inner) => plainRoute(inner, plan));
}

function plainRoute(owner: RouteOwner, { factory, target, settings, openConversation }: ConnectPlan): Route {
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
    owner.trace = isTraced() ? new ConnectTrace(owner.socket, this.request, plan.target, owner.clock) : null;
  }

  /** Starts the timeout and the first attempt. If the signal is aborted already, nothing is tried. */
  start(): void {
    const { timeoutMs, signal } = this.#plan;
    this.#owner.timer.connectDueAt = this.#owner.clock.now() + timeoutMs;
    if (signal !== undefined) this.#stopListening = onAbort(signal, (reason) => this.#cancel(reason));
    const { trace } = this.#owner;
    if (trace !== null) trace.start(() => this.#begin());
    else this.#begin();
  }

  #begin(): void {
    if (this.#owner.reason === null) this.#route.start();
  }

  hasNews(): boolean {
    return this.#route.hasNews();
  }

  setReferenced(on: boolean): void {
    this.#route.setReferenced(on);
  }

  change(settings: Partial<SocketSettings>): void {
    needKernel("setKeepAlive", settings, this.#plan.factory);
    this.#route.change(settings);
  }

  /** Cancels the connect, unless the delegate has been told that the socket is connected, or the socket is closing. */
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

  /** The error for a timeout that strikes now. */
  timeoutError(): AsyncSocketError {
    const { tried, pending } = this.#route;
    const waiting = this.#owner.isHeld ? ["the TLS handshake is not through yet"] : pending;
    return connectTimeout(whereOf(this.#plan.target), this.#plan.timeoutMs, tried, waiting);
  }

  /** Stops the timeout, and stops listening to the signal. */
  stop(): void {
    this.#owner.timer.connectDueAt = Infinity;
    this.#stopListening?.();
  }

  /** Cancels everything that is under way, because the connection is not wanted any more. */
  giveUp(): void {
    this.stop();
    this.#route.cancel();
  }

  /** @param tlsMs how long the TLS handshake took; undefined without one */
  succeed(tlsMs: number | undefined): void {
    this.#owner.trace?.succeed(tlsMs);
    settle(this.request, "done", this.#owner.socket);
  }

  fail(error: AsyncSocketError | undefined): void {
    const failure = error ?? socketError("CLOSED", "connect", "connect failed: the socket was closed meanwhile");
    this.#owner.trace?.fail(failure);
    settle(this.request, isCode(failure, "CANCELED") ? "canceled" : "failed", failure);
  }
}
