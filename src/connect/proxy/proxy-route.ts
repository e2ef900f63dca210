import type { Clock } from "../../base/clock.js";
import { inWords } from "../../base/errno.js";
import { type AsyncSocketError, isOurs, socketError } from "../../base/errors.js";
import type { SocketSettings } from "../../transport/options.js";
import type { Conversation, OpenConversation } from "./conversation.js";
import type { TransportFactory } from "../../transport/transport.js";
import { DirectRoute, whereOf } from "../direct-route.js";
import type { Candidate } from "../happy-eyeballs.js";
import { causeOf, lookupInWords, type Tried } from "../messages.js";
import { askWithin } from "../resolve.js";
import type { Reached, Route, RouteOwner } from "../route.js";
import type { ConnectTrace } from "../trace.js";
import type { IpTarget } from "../options.js";
import { bracketed } from "./dialog.js";
import { httpConnectHandshake } from "./http-connect.js";
import type { ProxyServer, ProxyTarget } from "./proxy-url.js";
import { socks5Handshake, whyNotReached } from "./socks5.js";

/** An address that the proxy did not reach. */
interface Missed {
  readonly where: string;
  readonly error: Error;
  readonly why: string;
}

/**
 * A route through a proxy. A `DirectRoute` connects to the proxy; then a conversation, which has a socket of its own,
 * asks the proxy to connect to the target; then the transport of that socket is handed over. If this side has looked up
 * the addresses of the target, and the proxy does not reach one of them, all of it begins anew for the next one.
 */
export class ProxyRoute implements Route, RouteOwner {
  readonly #owner: RouteOwner;
  readonly #factory: TransportFactory;
  readonly #target: IpTarget;
  readonly #proxy: ProxyServer;
  readonly #open: OpenConversation;
  #settings: SocketSettings;
  #toProxy: DirectRoute;
  /** The hosts that the proxy is asked for, one after the other: a name, or its addresses. */
  #hosts: readonly string[];
  /** Those that it has not reached. */
  readonly #missed: Missed[] = [];
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
    this.#settings = settings;
    this.#hosts = [target.host];
    this.#toProxy = this.#wayToProxy();
  }

  #wayToProxy(): DirectRoute {
    const { host, port } = this.#proxy;
    return new DirectRoute(this, this.#factory, { ...this.#target, host, port }, this.#settings, this.#name);
  }

  get #name(): string {
    return `the proxy ${bracketed(this.#proxy.host)}:${this.#proxy.port}`;
  }

  start(): void {
    const { host, lookup, resolver, resolverTimeoutMs } = this.#target;
    if (this.#proxy.resolvesNames) {
      this.#toProxy.start();
      return;
    }
    this.#isLookingUp = true;
    const query = { host, families: [6, 4] as const, lookup, resolver, networkLookup: this.#factory.lookup };
    const answer = (error: Error | null, found: readonly Candidate[]): void => {
      if (this.#isOver || !this.#isLookingUp) return;
      this.#isLookingUp = false;
      // For localhost, 127.0.0.1 is the first, on which more programs listen.
      const first = found.filter(({ address }) => address === "127.0.0.1");
      this.#hosts = [...new Set([...first, ...found].map(({ address }) => address))];
      if (found.length === 0) this.#fail(error);
      else this.#toProxy.start();
    };
    const told = this.trace?.lookup(host, 0, answer) ?? answer;
    this.#stopLookingUp = askWithin(this, resolverTimeoutMs, query, 0, told);
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
    this.#settings = { ...this.#settings, ...settings };
    this.#toProxy.change(settings);
    this.#conversation?.change(settings);
  }

  hasNews(): boolean {
    return this.#toProxy.hasNews() || this.#conversation?.takeNews() === true;
  }

  get tried(): readonly Tried[] {
    return [...this.#missed.map(({ error }) => ({ where: "", error })), ...this.#toProxy.tried];
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

  get trace(): ConnectTrace | null {
    return this.#owner.trace;
  }

  didConnect(reached: Reached): void {
    const conversation = this.#open(reached, () => this.#owner.didCloseDescriptor(), this.#proxy.secure);
    this.#conversation = conversation;
    const shakeHands = this.#proxy.kind === "http" ? httpConnectHandshake : socks5Handshake;
    shakeHands(conversation.socket, this.#proxy, this.#wanted).then(
      () => this.#didShakeHands(conversation),
      (error: unknown) => this.#didNotShakeHands(error),
    );
  }

  get #wanted(): ProxyTarget {
    return { host: this.#hosts[this.#missed.length] as string, port: this.#target.port };
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

  /** Asks for the next address, if the proxy says that this one is to blame. */
  #didNotShakeHands(error: unknown): void {
    const why = whyNotReached(error);
    if (this.#isOver || why === undefined || this.#missed.length + 1 >= this.#hosts.length) {
      this.#fail(error);
      return;
    }
    this.#missed.push({ where: this.#wanted.host, error: error as Error, why });
    this.#conversation?.disconnect();
    this.#conversation = null;
    this.#toProxy = this.#wayToProxy();
    this.#toProxy.start();
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#conversation?.disconnect();
    this.#owner.didFailToConnect(this.#missed.length > 0 ? this.#failureOfAll(error) : this.#failure(error));
  }

  #failure(error: unknown): AsyncSocketError {
    if (isOurs(error)) return error;
    return socketError("PROXY", "connect", `Cannot connect through ${this.#name}: ${inWords(error)}`, error);
  }

  /** The error where several addresses have failed. @param error the last one */
  #failureOfAll(error: unknown): AsyncSocketError {
    const last = this.#failure(error);
    const all = [...this.#missed, { where: this.#wanted.host, error: last, why: whyNotReached(last) ?? last.message }];
    const reasons = all.map(({ where, why }) => `${where}: ${why}`).join("; ");
    const message = `Cannot connect to ${whereOf(this.#target)} through ${this.#name}: ${reasons}`;
    return socketError("PROXY", "connect", message, causeOf(all));
  }
}
