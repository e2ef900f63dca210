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

/** To the proxy, and through it: the talk with it has a socket of its own, whose transport is then handed over. */
export class ProxyRoute implements Route, RouteOwner {
  readonly #owner: RouteOwner;
  readonly #factory: TransportFactory;
  readonly #target: IpTarget;
  readonly #proxy: ProxyServer;
  readonly #open: OpenConversation;
  readonly #dialer: DirectRoute;
  /** Whom the proxy is asked for. */
  #wanted: ProxyTarget;
  #isLookingUp = false;
  #stopLookingUp: (() => void) | null = null;
  #talk: Conversation | null = null;
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
    this.#dialer = new DirectRoute(this, factory, { ...target, host, port }, settings, this.#name);
  }

  get #name(): string {
    return `the proxy ${bracketed(this.#proxy.host)}:${this.#proxy.port}`;
  }

  start(): void {
    const { host, lookup } = this.#target;
    if (this.#proxy.resolvesNames) {
      this.#dialer.start();
      return;
    }
    this.#isLookingUp = true;
    const query = { host, families: [6, 4] as const, lookup, networkLookup: this.#factory.lookup };
    this.#stopLookingUp = ask(query, 0, (error, found) => {
      if (this.#isOver || !this.#isLookingUp) return;
      this.#isLookingUp = false;
      // It can be asked for one address alone: of localhost for the one that more programs listen on.
      const first = found.find(({ address }) => address === "127.0.0.1") ?? found[0];
      if (first === undefined) this.#fail(error);
      else {
        this.#wanted = { host: first.address, port: this.#target.port };
        this.#dialer.start();
      }
    });
  }

  cancel(): void {
    this.#isOver = true;
    this.#stopLookingUp?.();
    this.#dialer.cancel();
    this.#talk?.disconnect();
  }

  setReferenced(on: boolean): void {
    this.#dialer.setReferenced(on);
    this.#talk?.setReferenced(on);
  }

  change(settings: Partial<SocketSettings>): void {
    this.#dialer.change(settings);
    this.#talk?.change(settings);
  }

  get tried(): readonly Tried[] {
    return this.#dialer.tried;
  }

  get pending(): readonly string[] {
    if (this.#isLookingUp) return [lookupInWords(this.#target.host)];
    return this.#talk === null ? this.#dialer.pending : [`${this.#name} has not answered yet`];
  }

  // ------------------------------------------------------------------ for the dialer

  get clock(): Clock {
    return this.#owner.clock;
  }

  get isReferenced(): boolean {
    return this.#owner.isReferenced;
  }

  didConnect({ transport }: Reached): void {
    const talk = this.#open(transport, () => this.#owner.didCloseDescriptor());
    this.#talk = talk;
    const shakeHands = this.#proxy.kind === "http" ? httpConnectHandshake : socks5Handshake;
    shakeHands(talk.socket, this.#proxy, this.#wanted).then(
      () => this.#didShakeHands(talk),
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

  #didShakeHands(talk: Conversation): void {
    const reached = talk.release();
    if (reached === null) this.#fail(talk.socket.closeReason?.error);
    else this.#owner.didConnect(reached);
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#talk?.disconnect();
    const message = `Cannot connect through ${this.#name}: ${inWords(error)}`;
    this.#owner.didFailToConnect(isOurs(error) ? error : socketError("PROXY", "connect", message, error));
  }
}
