import type { Address, ProxiedAddresses } from "../base/address.js";
import { wrongType } from "../base/checks.js";
import { inWords } from "../base/errno.js";
import { type AsyncSocketError, isOurs, socketError } from "../base/errors.js";
import type { Connection } from "../connection/connection.js";
import type { AcceptInfo } from "../connection/delegate.js";
import { notify } from "../connection/notify.js";
import type { Listener } from "../listen/listener.js";
import type { AsyncSocket } from "../socket/async-socket.js";
import type { AcceptedTransport } from "../transport/transport.js";
import type { Passage, Sender } from "./link.js";
import { chosenLoop, RunLoopPool } from "./pool.js";
import type { Secrets } from "./portable-tls.js";
import { RunLoop } from "./run-loop.js";
import { drop, joined, type Luggage, pack, whyStuck } from "./transfer.js";

/** Where connections go that no delegate has decided on. */
export type Loops = RunLoopPool;

/** The option `loops`. @throws TypeError also for TLS options that cannot go to another thread */
export function checkLoops(given: unknown, secrets: Secrets | null): Loops | null {
  if (given === undefined) return null;
  secrets?.check();
  if (given instanceof RunLoopPool) return given;
  const list = given instanceof RunLoop ? [given] : given;
  const isList = Array.isArray(list) && list.length > 0 && list.every((one) => one instanceof RunLoop);
  if (!isList) throw wrongType("loops", "a pool, a RunLoop, or a list of them", given);
  return new RunLoopPool(list, "round-robin", null);
}

/** Sends a listener's connections to other threads, and keeps count of those that are there. */
export class Dispatch {
  readonly #socket: AsyncSocket;
  readonly #listener: Listener;
  readonly #loops: Loops | null;
  /** Told of new TLS options; null: nobody else secures connections by them. */
  onSecrets: ((secrets: Secrets) => void) | null = null;
  readonly #emigrants = new Set<Emigrant>();
  /** Those that it has sent anything to, with what stops the watch. */
  readonly #watched = new Map<RunLoop, () => void>();
  /** Connections that went with loops that have just ended. */
  readonly #lost = new Map<RunLoop, number>();
  #isStopped = false;

  constructor(socket: AsyncSocket, listener: Listener, loops: Loops | null) {
    this.#socket = socket;
    this.#listener = listener;
    this.#loops = loops;
    for (const loop of loops?.loops ?? []) this.#watch(loop);
  }

  /** Whether there is anybody to be asked. */
  get isOn(): boolean {
    return this.#loops !== null || this.#socket.delegate?.wantsRunLoopForNewSocket !== undefined;
  }

  /** Those that may listen by themselves: nobody here decides on each connection. */
  get ownListeners(): readonly RunLoop[] | null {
    if (this.#loops === null || this.#socket.delegate?.wantsRunLoopForNewSocket !== undefined) return null;
    return this.#loops.loops.filter((loop) => loop.state === "running");
  }

  /** Connections that are on other threads, or on their way. */
  get size(): number {
    return this.#emigrants.size;
  }

  /** @returns whether the connection is not this thread's any more */
  send(transport: AcceptedTransport, proxied: ProxiedAddresses | null, ahead: Buffer): boolean {
    const { local, remote } = transport;
    const info: AcceptInfo = proxied === null ? { local, remote } : { local, remote, proxied };
    try {
      const loop = this.#choose(info);
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

  #choose(info: AcceptInfo): RunLoop | null {
    const socket = this.#socket;
    if (socket.delegate?.wantsRunLoopForNewSocket === undefined) return this.#loops?.pick(info) ?? null;
    const wanted = notify(socket, "wantsRunLoopForNewSocket", info);
    return wanted === undefined || wanted === null ? null : chosenLoop(wanted, info);
  }

  #send(
    loop: RunLoop,
    transport: AcceptedTransport,
    proxied: ProxiedAddresses | null,
    ahead: Buffer,
    info: AcceptInfo,
  ): void {
    const { secrets } = this.#listener;
    this.#watch(loop);
    const secretsId = secrets === null ? null : loop._sendSecrets(secrets);
    const { freight, surplus } = pack(transport);
    const emigrant = new Emigrant(this, loop, proxied?.remote ?? info.remote, info);
    try {
      emigrant.passage = loop._send(freight, this.#luggage(proxied, joined([ahead, ...surplus]), secretsId), emigrant);
    } catch (error) {
      drop(freight);
      throw error;
    }
    this.#add(emigrant);
  }

  #luggage(proxied: ProxiedAddresses | null, ahead: Uint8Array, secrets: number | null): Luggage {
    return {
      ahead,
      bytesRead: 0,
      bytesWritten: 0,
      allowHalfOpen: this.#socket.allowHalfOpen,
      limits: this.#listener.limits,
      isAccepted: true,
      isReferenced: true,
      host: undefined,
      proxied,
      hasFinished: false,
      userData: undefined,
      secrets,
    };
  }

  /** A connection that was here, and has moved. */
  follow({ reason, proxied, transport }: Connection, passage: Passage, isForced: boolean): void {
    const loop = (reason as { movedTo?: RunLoop }).movedTo as RunLoop;
    const info = { local: transport?.local, remote: transport?.remote };
    const emigrant = new Emigrant(this, loop, proxied?.remote ?? info.remote, info);
    emigrant.passage = passage;
    emigrant.isForced = isForced;
    passage.sender = emigrant;
    this.#watch(loop);
    this.#add(emigrant);
    if (isForced) passage.link.end(passage);
  }

  /** One that a loop has accepted by itself. */
  adopt(id: number, loop: RunLoop, info: AcceptInfo): void {
    const emigrant = new Emigrant(this, loop, info.remote, info);
    emigrant.passage = loop._passageOf(id, emigrant);
    this.#add(emigrant);
  }

  #add(emigrant: Emigrant): void {
    this.#emigrants.add(emigrant);
    this.#listener.count(emigrant.remote, 1);
  }

  remove(emigrant: Emigrant, isLost: boolean): void {
    if (!this.#emigrants.delete(emigrant)) return;
    this.#listener.count(emigrant.remote, -1);
    if (isLost) this.#lost.set(emigrant.loop, (this.#lost.get(emigrant.loop) ?? 0) + 1);
    this.#listener.didEndOne(emigrant.isForced && !isLost);
    if (this.#isStopped && this.#emigrants.size === 0) this.#unwatch();
  }

  tell(error: AsyncSocketError, info: AcceptInfo): void {
    notify(this.#socket, "didFailAccept", error, info);
  }

  // ------------------------------------------------------------------ loops that end

  #watch(loop: RunLoop): void {
    if (this.#watched.has(loop)) return;
    this.#watched.set(
      loop,
      loop._whenEnded(() => this.#didLose(loop)),
    );
  }

  #didLose(loop: RunLoop): void {
    const lost = this.#lost.get(loop) ?? 0;
    this.#lost.delete(loop);
    this.#watched.delete(loop);
    const error = loop._wasLost;
    if (error === null) return;
    const words = `${error.message}; ${lost} connections of this listener were lost with it`;
    this.tell(socketError("TRANSFER", "listen", words, error), {
      local: this.#listener.transport?.local,
      remote: undefined,
    });
  }

  #unwatch(): void {
    for (const stop of this.#watched.values()) stop();
    this.#watched.clear();
  }

  // ------------------------------------------------------------------ asked for by the listener

  replaceSecrets(old: Secrets | null, fresh: Secrets | null): void {
    if (this.#loops !== null) fresh?.check();
    if (fresh !== null) this.onSecrets?.(fresh);
    if (old !== null) for (const loop of this.#watched.keys()) loop._forgetSecrets(old);
  }

  /** No more will be sent. */
  stop(): void {
    this.#isStopped = true;
    this.replaceSecrets(this.#listener.secrets, null);
    if (this.#emigrants.size === 0) this.#unwatch();
  }

  /** Closes those on other threads at once. @returns how many */
  endAll(): number {
    for (const emigrant of this.#emigrants) {
      emigrant.isForced = true;
      const { passage } = emigrant;
      passage?.link.end(passage);
    }
    return this.#emigrants.size;
  }
}

/** A connection of a listener's that another thread has. */
class Emigrant implements Sender {
  passage: Passage | null = null;
  isForced = false;
  readonly loop: RunLoop;
  readonly remote: Address | undefined;
  readonly #dispatch: Dispatch;
  readonly #info: AcceptInfo;

  constructor(dispatch: Dispatch, loop: RunLoop, remote: Address | undefined, info: AcceptInfo) {
    this.#dispatch = dispatch;
    this.loop = loop;
    this.remote = remote;
    this.#info = info;
  }

  arrived(): void {
    // It counted from when it was sent.
  }

  lost(error: AsyncSocketError): void {
    this.#dispatch.remove(this, false);
    if (!this.isForced) this.#dispatch.tell(error, this.#info);
  }

  ended(error: AsyncSocketError | null): void {
    this.#dispatch.remove(this, error !== null);
  }
}
