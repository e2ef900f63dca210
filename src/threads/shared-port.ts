/**
 * Used on runtimes that cannot move sockets between threads: each run loop listens by itself, on one port that they
 * share (`reusePort`), and the kernel distributes the connections. The listener on this thread counts them like
 * connections that it has sent.
 */

import { BlockList } from "node:net";
import { MessageChannel } from "node:worker_threads";
import type { Address } from "../base/address.js";
import { realClock } from "../base/clock.js";
import { inWords } from "../base/errno.js";
import { type AsyncSocketError, socketError } from "../base/errors.js";
import { canTransfer } from "../base/undocumented.js";
import type { AcceptInfo } from "../connection/delegate.js";
import type { DispatcherOwner, ListenerTLS, SharedListening } from "../listen/dispatcher.js";
import { nativeProblem } from "../transport/native/addon.js";
import type { ListenTarget } from "../transport/options.js";
import type { TransportListener } from "../transport/transport.js";
import type { SharedPortOwner } from "./messages.js";
import type { PortableTLS } from "./portable-tls.js";
import type { Loop } from "./loop.js";

/** The dispatcher, which counts the connections that the loops have accepted. */
export interface SharedPortDispatcher {
  adopt(id: number, loop: Loop, info: AcceptInfo): void;
  portableOf(tls: ListenerTLS): PortableTLS;
}

/** Worker threads of Bun and Deno lack some of what a shared port needs. */
const isNode = !("bun" in process.versions || "deno" in process.versions);

/** Whether this runtime has no way at all to move accepted sockets. */
export function needsSharedPort(): boolean {
  return nativeProblem() !== null && !canTransfer;
}

/** The listener on this thread. It accepts nothing itself, and only passes on what the loops report. */
export class SharedPort implements TransportListener {
  local: Address | undefined;
  readonly #owner: DispatcherOwner;
  readonly #dispatcher: SharedPortDispatcher;
  readonly #opened = new Map<Loop, number>();
  /** A message channel that keeps the process alive, since a run loop that only listens does not. */
  readonly #hold = new MessageChannel();
  #isClosed = false;

  constructor(
    target: ListenTarget,
    owner: DispatcherOwner,
    dispatcher: SharedPortDispatcher,
    loops: readonly Loop[],
    options: SharedListening,
  ) {
    this.#owner = owner;
    this.#dispatcher = dispatcher;
    this.#hold.port1.on("message", nothing);
    this.#start(target, loops, options).then(
      () => {
        if (!this.#isClosed) owner.didListen();
      },
      (error: unknown) => {
        if (!this.#isClosed) owner.didFail(this.#words(error));
      },
    );
  }

  async #start(target: ListenTarget, loops: readonly Loop[], options: SharedListening): Promise<void> {
    if (!isNode)
      throw new Error("threads of this runtime do not listen for one another: let each listen, with reusePort");
    if (target.path !== null) throw new Error("a path cannot be shared between threads");
    if (target.fd !== undefined) throw new Error("a descriptor cannot be shared between threads");
    if (options.blockList !== undefined && !(options.blockList instanceof BlockList)) {
      throw new Error("a block list that is no net.BlockList cannot go to other threads");
    }
    const { allowHalfOpen, limits } = this.#owner;
    const { host, backlog, ipv6Only } = target;
    let { port } = target;
    for (const loop of loops) {
      const { tls } = this.#owner;
      const tlsId = tls === null ? null : loop._sendTLS(this.#dispatcher.portableOf(tls));
      const all = { ...options, allowHalfOpen, limits, host, port, backlog, ipv6Only, tlsId };
      const { id, local } = await loop._listen(all, this.#ownerFor(loop));
      this.#opened.set(loop, id);
      if (this.#isClosed) loop._unlisten(id);
      // The TLS options may have been replaced while the other thread began to listen.
      else if (this.#owner.tls !== null && this.#owner.tls !== tls) {
        loop._resecure(id, this.#dispatcher.portableOf(this.#owner.tls));
      }
      this.local ??= local;
      if (local !== undefined && local.family !== "unix") port = local.port;
    }
  }

  /** Replaces the TLS options for connections that the loops accept from now on. */
  resecure(tls: ListenerTLS): void {
    for (const [loop, id] of this.#opened) loop._resecure(id, this.#dispatcher.portableOf(tls));
  }

  #words(error: unknown): AsyncSocketError {
    const words = `Cannot listen with loops: ${inWords(error)}. This runtime cannot move sockets between threads (the addon is not there: ${nativeProblem() ?? ""}), so each run loop has to listen by itself, on a port shared by reusePort. Install the addon (docs/runtimes.md), or use Node 22.12 or later`;
    return socketError("LISTEN", "listen", words, error);
  }

  #ownerFor(loop: Loop): SharedPortOwner {
    return {
      didAcceptThere: ({ id, info }) => this.#dispatcher.adopt(id, loop, info),
      didFailAcceptThere: (error, info) => this.#owner.didFailAcceptWith(error, info),
    };
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const [loop, id] of this.#opened) loop._unlisten(id);
    this.#hold.port1.close();
    realClock.later(tellClosed, this.#owner);
  }

  ref(): void {
    this.#hold.port1.ref();
  }

  unref(): void {
    this.#hold.port1.unref();
  }
}

function nothing(): void {
  // Nothing is ever sent: the channel only keeps the process alive.
}

function tellClosed(owner: DispatcherOwner): void {
  owner.didClose();
}
