import type { Clock } from "../../base/clock.js";
import { inWords } from "../../base/errno.js";
import { type AsyncSocketError, isOurs, socketError } from "../../base/errors.js";
import type { SocketSettings } from "../../transport/options.js";
import type { Conversation, OpenConversation } from "./conversation.js";
import type { TransportFactory } from "../../transport/transport.js";
import { DirectRoute } from "../direct-route.js";
import { lookupInWords, type Tried } from "../messages.js";
import { ask } from "../resolve.js";
import type { Reached, Route, RouteOwner } from "../route.js";
import type { IpTarget } from "../options.js";
import { bracketed } from "./dialog.js";
import { httpConnectHandshake } from "./http-connect.js";
import type { ProxyServer, ProxyTarget } from "./proxy-url.js";
import { socks5Handshake } from "./socks5.js";

/**
 * A route through a proxy. A `DirectRoute` connects to the proxy; then a conversation, which has a socket of its own,
 * asks the proxy to connect to the target; then the transport of that socket is handed over.
 */
export class ProxyRoute implements Route, RouteOwner {
  readonly #owner: RouteOwner;
  readonly #factory: TransportFactory;
  readonly #target: IpTarget;
  readonly #proxy: ProxyServer;
  readonly #open: OpenConversation;
  readonly #toProxy: DirectRoute;
  /** The host and port that the proxy is asked to connect to. */
  #wanted: ProxyTarget;
  #isLookingUp = false;
  #stopLookingUp: (() => void) | null = null;
  #conversation: Conversation | null = null;
  #isOver = false;

  constructor(
    owner: RouteOwner,
    factory: TransportFactory,
    target: IpTarget,
    proxy: ProxyServer,
    settings: SocketSettings,
    open: OpenConversation,
  ) {
    this.#owner = owner;
    this.#factory = factory;
    this.#target = target;
    this.#proxy = proxy;
    this.#open = open;
    this.#wanted = { host: target.host, port: target.port };
    const { host, port } = proxy;
    this.#toProxy = new DirectRoute(this, factory, { ...target, host, port }, settings, this.#name);
  }

  get #name(): string {
    return `the proxy ${bracketed(this.#proxy.host)}:${this.#proxy.port}`;
  }

  start(): void {
    const { host, lookup } = this.#target;
    if (this.#proxy.resolvesNames) {
      this.#toProxy.start();
      return;
    }
    this.#isLookingUp = true;
    const query = { host, families: [6, 4] as const, lookup, networkLookup: this.#factory.lookup };
    this.#stopLookingUp = ask(query, 0, (error, found) => {
      if (this.#isOver || !this.#isLookingUp) return;
      this.#isLookingUp = false;
      // The proxy can be asked for only one address. For localhost, it is 127.0.0.1, on which more programs listen.
      const first = found.find(({ address }) => address === "127.0.0.1") ?? found[0];
      if (first === undefined) this.#fail(error);
      else {
        this.#wanted = { host: first.address, port: this.#target.port };
        this.#toProxy.start();
      }
    });
  }

  cancel(): void {
    this.#isOver = true;
    this.#stopLookingUp?.();
    this.#toProxy.cancel();
    this.#conversation?.disconnect();
  }

  setReferenced(on: boolean): void {
    this.#toProxy.setReferenced(on);
    this.#conversation?.setReferenced(on);
  }

  change(settings: Partial<SocketSettings>): void {
    this.#toProxy.change(settings);
    this.#conversation?.change(settings);
  }

  get tried(): readonly Tried[] {
    return this.#toProxy.tried;
  }

  get pending(): readonly string[] {
    if (this.#isLookingUp) return [lookupInWords(this.#target.host)];
    return this.#conversation === null ? this.#toProxy.pending : [`${this.#name} has not answered yet`];
  }

  // ------------------------------------------------------------------ for the route to the proxy

  get clock(): Clock {
    return this.#owner.clock;
  }

  get isReferenced(): boolean {
    return this.#owner.isReferenced;
  }

  didConnect(reached: Reached): void {
    const conversation = this.#open(reached, () => this.#owner.didCloseDescriptor());
    this.#conversation = conversation;
    const shakeHands = this.#proxy.kind === "http" ? httpConnectHandshake : socks5Handshake;
    shakeHands(conversation.socket, this.#proxy, this.#wanted).then(
      () => this.#didShakeHands(conversation),
      (error: unknown) => this.#fail(error),
    );
  }

  didFailToConnect(error: AsyncSocketError): void {
    this.#fail(error);
  }

  didOpenDescriptor(): void {
    this.#owner.didOpenDescriptor();
  }

  didCloseDescriptor(): void {
    this.#owner.didCloseDescriptor();
  }

  // ------------------------------------------------------------------ how it ends

  #didShakeHands(conversation: Conversation): void {
    const reached = conversation.release();
    if (reached === null) this.#fail(conversation.socket.closeReason?.error);
    else this.#owner.didConnect(reached);
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#conversation?.disconnect();
    const message = `Cannot connect through ${this.#name}: ${inWords(error)}`;
    this.#owner.didFailToConnect(isOurs(error) ? error : socketError("PROXY", "connect", message, error));
  }
}
