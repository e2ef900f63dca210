import type { Clock } from "../base/clock.js";
import { inWords } from "../base/errno.js";
import { type AsyncSocketError, socketError } from "../base/errors.js";
import type { SocketSettings } from "../transport/options.js";
import type { Tried } from "./messages.js";
import type { Conversation, OpenConversation } from "./proxy/conversation.js";
import { type ProxyHeader, proxyHeaderBytes } from "./proxy-header.js";
import type { Reached, Route, RouteOwner } from "./route.js";
import type { ConnectTrace } from "./trace.js";

/**
 * A route that begins the connection with a PROXY header. Another route connects; a socket of its own sends the header,
 * and keeps what a peer says that speaks first; then its transport is handed over, so that a TLS handshake and
 * everything that is queued comes behind the header.
 */
export class HeaderRoute implements Route, RouteOwner {
  readonly #owner: RouteOwner;
  readonly #header: ProxyHeader;
  /** The target in words. */
  readonly #where: string;
  readonly #open: OpenConversation;
  readonly #route: Route;
  #conversation: Conversation | null = null;
  #isOver = false;

  constructor(
    owner: RouteOwner,
    header: ProxyHeader,
    where: string,
    open: OpenConversation,
    routeFor: (owner: RouteOwner) => Route,
  ) {
    this.#owner = owner;
    this.#header = header;
    this.#where = where;
    this.#open = open;
    this.#route = routeFor(this);
  }

  start(): void {
    this.#route.start();
  }

  cancel(): void {
    this.#isOver = true;
    this.#route.cancel();
    this.#conversation?.disconnect();
  }

  setReferenced(on: boolean): void {
    this.#route.setReferenced(on);
    this.#conversation?.setReferenced(on);
  }

  change(settings: Partial<SocketSettings>): void {
    this.#route.change(settings);
    this.#conversation?.change(settings);
  }

  hasNews(): boolean {
    return this.#route.hasNews() || this.#conversation?.takeNews() === true;
  }

  get tried(): readonly Tried[] {
    return this.#route.tried;
  }

  get pending(): readonly string[] {
    return this.#conversation === null ? this.#route.pending : ["the PROXY header is not out yet"];
  }

  // ------------------------------------------------------------------ for the route below

  get clock(): Clock {
    return this.#owner.clock;
  }

  get isReferenced(): boolean {
    return this.#owner.isReferenced;
  }

  get trace(): ConnectTrace | null {
    return this.#owner.trace;
  }

  didConnect(reached: Reached): void {
    const { local, remote } = reached.transport;
    const conversation = this.#open(reached, () => this.#owner.didCloseDescriptor());
    this.#conversation = conversation;
    conversation.socket.write(proxyHeaderBytes(this.#header, local, remote)).then(
      () => this.#didSend(conversation),
      (error: unknown) => this.#fail(error),
    );
  }

  didFailToConnect(error: AsyncSocketError): void {
    this.#owner.didFailToConnect(error);
  }

  didOpenDescriptor(): void {
    this.#owner.didOpenDescriptor();
  }

  didCloseDescriptor(): void {
    this.#owner.didCloseDescriptor();
  }

  // ------------------------------------------------------------------ how it ends

  #didSend(conversation: Conversation): void {
    const reached = conversation.release();
    if (reached === null) this.#fail(conversation.socket.closeReason?.error);
    else this.#owner.didConnect(reached);
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#conversation?.disconnect();
    const message = `Cannot connect to ${this.#where}: the PROXY header could not be sent: ${inWords(error)}`;
    this.#owner.didFailToConnect(socketError("CONNECT", "connect", message, error));
  }
}
