/**
 * Where sockets cannot be moved at all: each run loop listens by itself, on one port that they share (`reusePort`), and
 * the kernel spreads the connections. The listener here counts them, as it does those that it has sent.
 */

import { BlockList } from "node:net";
import { MessageChannel } from "node:worker_threads";
import type { Address } from "../base/address.js";
import { realClock } from "../base/clock.js";
import { inWords } from "../base/errno.js";
import { type AsyncSocketError, type ShortCode, socketError } from "../base/errors.js";
import { canTransfer } from "../base/undocumented.js";
import type { Connection } from "../connection/connection.js";
import type { AcceptInfo } from "../connection/delegate.js";
import type { Listener } from "../listen/listener.js";
import type { AddressFilter } from "../listen/options.js";
import { AsyncSocket } from "../socket/async-socket.js";
import type { TLSOptions } from "../tls/options.js";
import { nativeProblem } from "../transport/native/addon.js";
import type { ListenTarget } from "../transport/options.js";
import type { TransportListener } from "../transport/transport.js";
import { host } from "./inbox.js";
import type { AcceptedThere, SharedOptions } from "./messages.js";
import type { RunLoop } from "./run-loop.js";

type Common = Omit<SharedOptions, "host" | "port" | "backlog" | "ipv6Only" | "secrets">;

/** What the other thread tells of its listener. */
export interface SharedPortOwner {
  didAcceptThere(accepted: AcceptedThere): void;
  didFailAcceptThere(error: AsyncSocketError, info: AcceptInfo): void;
}

/** Others have workers that differ in what is needed here. */
const isNode = !("bun" in process.versions || "deno" in process.versions);

/** Whether accepted sockets cannot be moved here, by whatever way. */
export function needsSharedPort(): boolean {
  return nativeProblem() !== null && !canTransfer;
}

/** The listening end on this thread: nothing but what the loops tell. */
export class SharedPort implements TransportListener {
  local: Address | undefined;
  readonly #listener: Listener;
  readonly #opened = new Map<RunLoop, number>();
  /** Loops do not hold the process for that they listen. */
  readonly #hold = new MessageChannel();
  #isClosed = false;

  constructor(target: ListenTarget, listener: Listener, loops: readonly RunLoop[], options: Common) {
    this.#listener = listener;
    this.#hold.port1.on("message", nothing);
    listener.dispatch.onSecrets = (secrets) => {
      for (const [loop, id] of this.#opened) loop._resecure(id, secrets);
    };
    this.#start(target, loops, options).then(
      () => {
        if (!this.#isClosed) listener.didListen();
      },
      (error: unknown) => {
        if (!this.#isClosed) listener.didFail(this.#words(error));
      },
    );
  }

  async #start(target: ListenTarget, loops: readonly RunLoop[], options: Common): Promise<void> {
    if (!isNode)
      throw new Error("threads of this runtime do not listen for one another: let each listen, with reusePort");
    if (target.path !== null) throw new Error("a path cannot be shared between threads");
    if (options.blockList !== undefined && !(options.blockList instanceof BlockList)) {
      throw new Error("a block list that is no net.BlockList cannot go to other threads");
    }
    const { host: name, backlog, ipv6Only } = target;
    let { port } = target;
    for (const loop of loops) {
      const { secrets } = this.#listener;
      const secretsId = secrets === null ? null : loop._sendSecrets(secrets);
      const all = { ...options, host: name, port, backlog, ipv6Only, secrets: secretsId };
      const { id, local } = await loop._listen(all, this.#ownerFor(loop));
      this.#opened.set(loop, id);
      if (this.#isClosed) loop._unlisten(id);
      // They may have been changed while the other thread began to listen.
      else if (this.#listener.secrets !== null && this.#listener.secrets !== secrets) {
        loop._resecure(id, this.#listener.secrets);
      }
      this.local ??= local;
      if (local !== undefined && local.family !== "unix") port = local.port;
    }
  }

  #words(error: unknown): AsyncSocketError {
    const words = `Cannot listen with loops: ${inWords(error)}. This runtime cannot move sockets between threads (the addon is not there: ${nativeProblem() ?? ""}), so each run loop has to listen by itself, on a port shared by reusePort. Compile the addon by npm install, or use Node 22.12 or later`;
    return socketError("LISTEN", "listen", words, error);
  }

  #ownerFor(loop: RunLoop): SharedPortOwner {
    const { dispatch } = this.#listener;
    return {
      didAcceptThere: ({ id, info }) => dispatch.adopt(id, loop, info),
      didFailAcceptThere: (error, info) => dispatch.tell(error, info),
    };
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const [loop, id] of this.#opened) loop._unlisten(id);
    this.#hold.port1.close();
    realClock.later(tellClosed, this.#listener);
  }

  ref(): void {
    this.#hold.port1.ref();
  }

  unref(): void {
    this.#hold.port1.unref();
  }
}

function nothing(): void {
  // Nothing is ever sent: it is there to be waited for.
}

function tellClosed(listener: Listener): void {
  listener.didClose();
}

/** Whom the thread that listens tells. */
export interface SharedListenerOwner {
  didAccept(connection: Connection, info: AcceptInfo): void;
  didFailAccept(code: ShortCode, message: string, info: AcceptInfo): void;
}

/** Listens on the thread of a run loop. @throws what keeps it from that */
export async function listenHere(
  options: SharedOptions,
  tls: TLSOptions | null,
  owner: SharedListenerOwner,
): Promise<AsyncSocket> {
  const { allowHalfOpen, limits, settings, host: name, port, backlog, ipv6Only, proxyProtocol } = options;
  const listener = new AsyncSocket({ allowHalfOpen, limits, transport: "node" });
  listener.delegate = {
    didAccept(_listener, socket) {
      const info = { local: socket.local, remote: socket.remote };
      host.admit(() => host.tell(socket, { userData: undefined, info }));
      owner.didAccept(socket._connection, info);
    },
    didFailAccept(_listener, error, info) {
      owner.didFailAccept(error.code.replace("ERR_ASYNCSOCKET_", "") as ShortCode, error.message, info);
    },
  };
  await listener.listen({
    host: name,
    port,
    backlog,
    ipv6Only,
    proxyProtocol,
    reusePort: true,
    noDelay: settings.noDelay,
    keepAlive: settings.keepAliveMs,
    blockList: options.blockList as AddressFilter | undefined,
    tls: tls ?? false,
  });
  return listener;
}
