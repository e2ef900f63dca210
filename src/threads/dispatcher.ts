import type { Address, ProxiedAddresses } from "../base/address.js";
import { wrongType } from "../base/checks.js";
import { inWords } from "../base/errno.js";
import { type AsyncSocketError, isOurs, socketError } from "../base/errors.js";
import type { Connection } from "../connection/connection.js";
import type { AcceptInfo } from "../connection/delegate.js";
import type { RemoteConnection } from "../connection/destination.js";
import { NEW } from "../connection/origin.js";
import type { Dispatcher, DispatcherOwner, ListenerTLS, SharedListening } from "../listen/dispatcher.js";
import type { ListenTarget } from "../transport/options.js";
import type { AcceptedTransport, TransportListener } from "../transport/transport.js";
import { Sent, type Sender } from "./link.js";
import { Loop } from "./loop.js";
import { chosenLoop, Pool } from "./pool.js";
import { PortableTLS } from "./portable-tls.js";
import { needsSharedPort, SharedPort, type SharedPortDispatcher } from "./shared-port.js";
import { drop, joined, type TransferState, pack, whyStuck } from "./transfer.js";

/** Makes a pool of the option `loops`. @throws TypeError if it is no pool, RunLoop or list of them */
function poolOf(given: unknown): Pool {
  if (given instanceof Pool) return given as Pool;
  const list = given instanceof Loop ? [given] : given;
  const isList = Array.isArray(list) && list.length > 0 && list.every((one) => one instanceof Loop);
  if (!isList) throw wrongType("loops", "a pool, a RunLoop, or a list of them", given);
  return new Pool<Loop>(list, "round-robin", null);
}

/** Sends a listener's connections to other threads, and counts those that are there. */
export class LoopDispatcher implements Dispatcher, SharedPortDispatcher {
  readonly #owner: DispatcherOwner;
  readonly #loops: Pool | null;
  readonly #remotes = new Set<Dispatched>();
  /** The loops that were sent anything, each with a function that stops watching for its end. */
  readonly #watched = new Map<Loop, () => void>();
  /** How many connections were lost with each loop that has just ended. */
  readonly #lost = new Map<Loop, number>();
  /** TLS options in the form in which they go to other threads, made once for each options object. */
  readonly #portable = new WeakMap<ListenerTLS, PortableTLS>();
  #sharedPort: SharedPort | null = null;
  #isStopped = false;

  /** @throws TypeError if `loops` is no list of loops, or the TLS options cannot go to another thread */
  constructor(owner: DispatcherOwner, loops: unknown) {
    this.#owner = owner;
    this.#loops = loops === undefined ? null : poolOf(loops);
    if (this.#loops === null) return;
    if (owner.tls !== null) this.portableOf(owner.tls).check();
    for (const loop of this.#loops.loops) this.#watch(loop);
  }

  portableOf(tls: ListenerTLS): PortableTLS {
    let portable = this.#portable.get(tls);
    if (portable === undefined) this.#portable.set(tls, (portable = new PortableTLS(tls.options)));
    return portable;
  }

  listen(target: ListenTarget, options: SharedListening): TransportListener | null {
    if (this.#loops === null || !needsSharedPort()) return null;
    const running = this.#loops.loops.filter((loop) => loop.state === "running");
    return (this.#sharedPort = new SharedPort(target, this.#owner, this, running, options));
  }

  /** The number of connections that are on other threads, or on their way there. */
  get size(): number {
    return this.#remotes.size;
  }

  send(
    transport: AcceptedTransport,
    proxied: ProxiedAddresses | null,
    ahead: Buffer,
    info: AcceptInfo,
    destination: unknown,
  ): boolean {
    try {
      const loop = destination === undefined ? (this.#loops?.pick(info) ?? null) : chosenLoop(destination, info);
      if (loop === null || loop.isCurrent) return false;
      const why = loop._refusal ?? whyStuck(transport);
      if (why !== null) throw new Error(why);
      this.#send(loop, transport, proxied, ahead, info);
    } catch (error) {
      transport.destroy(true);
      const cause = isOurs(error) ? (error.cause ?? error) : error;
      const words = `A connection could not be sent to a run loop: ${inWords(cause)}`;
      this.tell(socketError("TRANSFER", "listen", words, error), info);
    }
    return true;
  }

  #send(
    loop: Loop,
    transport: AcceptedTransport,
    proxied: ProxiedAddresses | null,
    ahead: Buffer,
    info: AcceptInfo,
  ): void {
    const { tls } = this.#owner;
    this.#watch(loop);
    const tlsId = tls === null ? null : loop._sendTLS(this.portableOf(tls));
    const { handle, surplus } = pack(transport);
    const remote = new Dispatched(this, loop, proxied?.remote ?? info.remote, info);
    try {
      remote.sent = loop._send(handle, this.#state(proxied, joined([ahead, ...surplus]), tlsId), remote);
    } catch (error) {
      drop(handle);
      throw error;
    }
    this.#add(remote);
  }

  #state(proxied: ProxiedAddresses | null, ahead: Uint8Array, tlsId: number | null): TransferState {
    return {
      ahead,
      origin: { ...NEW, isAccepted: true, proxied },
      allowHalfOpen: this.#owner.allowHalfOpen,
      limits: this.#owner.limits,
      isReferenced: true,
      userData: undefined,
      tlsId,
    };
  }

  /** Counts a connection that was accepted on this thread, and has moved to another one since. */
  follow({ reason, origin, transport }: Connection, moved: RemoteConnection, isForced: boolean): void {
    const loop = (reason as { movedTo?: Loop }).movedTo as Loop;
    if (!(moved instanceof Sent)) return;
    const sent = moved;
    const info = { local: transport?.local, remote: transport?.remote };
    const remote = new Dispatched(this, loop, origin.proxied?.remote ?? info.remote, info);
    remote.sent = sent;
    remote.isForced = isForced;
    sent.sender = remote;
    this.#watch(loop);
    this.#add(remote);
    if (isForced) sent.end();
  }

  /** Counts a connection that a loop has accepted on its own thread. */
  adopt(id: number, loop: Loop, info: AcceptInfo): void {
    const remote = new Dispatched(this, loop, info.remote, info);
    remote.sent = loop._sentBy(id, remote);
    this.#add(remote);
  }

  #add(remote: Dispatched): void {
    this.#remotes.add(remote);
    this.#owner.count(remote.remote, 1);
  }

  remove(remote: Dispatched, isLost: boolean): void {
    if (!this.#remotes.delete(remote)) return;
    this.#owner.count(remote.remote, -1);
    if (isLost) this.#lost.set(remote.loop, (this.#lost.get(remote.loop) ?? 0) + 1);
    this.#owner.didEndOne(remote.isForced && !isLost);
    if (this.#isStopped && this.#remotes.size === 0) this.#unwatch();
  }

  tell(error: AsyncSocketError, info: AcceptInfo): void {
    this.#owner.didFailAcceptWith(error, info);
  }

  // ------------------------------------------------------------------ loops that end

  #watch(loop: Loop): void {
    if (this.#watched.has(loop)) return;
    this.#watched.set(
      loop,
      loop._whenEnded(() => this.#didLose(loop)),
    );
  }

  #didLose(loop: Loop): void {
    const lost = this.#lost.get(loop) ?? 0;
    this.#lost.delete(loop);
    this.#watched.delete(loop);
    const error = loop._wasLost;
    if (error === null) return;
    const words = `${error.message}; ${lost} connections of this listener were lost with it`;
    this.tell(socketError("TRANSFER", "listen", words, error), {
      local: this.#owner.local,
      remote: undefined,
    });
  }

  #unwatch(): void {
    for (const stop of this.#watched.values()) stop();
    this.#watched.clear();
  }

  // ------------------------------------------------------------------ asked for by the listener

  replaceTLS(fresh: ListenerTLS): void {
    if (this.#loops !== null) this.portableOf(fresh).check();
    this.#sharedPort?.resecure(fresh);
    this.#forgetTLS();
  }

  /** Sends no more connections. */
  stop(): void {
    this.#isStopped = true;
    this.#forgetTLS();
    if (this.#remotes.size === 0) this.#unwatch();
  }

  #forgetTLS(): void {
    const { tls } = this.#owner;
    if (tls !== null) for (const loop of this.#watched.keys()) loop._forgetTLS(this.portableOf(tls));
  }

  endAll(): void {
    for (const remote of this.#remotes) {
      remote.isForced = true;
      remote.sent?.end();
    }
  }
}

/** A connection of this listener that is on another thread. */
class Dispatched implements Sender {
  sent: Sent | null = null;
  isForced = false;
  readonly loop: Loop;
  readonly remote: Address | undefined;
  readonly #dispatch: LoopDispatcher;
  readonly #info: AcceptInfo;

  constructor(dispatch: LoopDispatcher, loop: Loop, remote: Address | undefined, info: AcceptInfo) {
    this.#dispatch = dispatch;
    this.loop = loop;
    this.remote = remote;
    this.#info = info;
  }

  arrived(): void {
    // Nothing to do: the connection has counted since it was sent.
  }

  lost(error: AsyncSocketError): void {
    this.#dispatch.remove(this, false);
    if (!this.isForced) this.#dispatch.tell(error, this.#info);
  }

  ended(error: AsyncSocketError | null): void {
    this.#dispatch.remove(this, error !== null);
  }
}
