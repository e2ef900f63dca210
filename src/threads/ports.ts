import type { Address } from "../base/address.js";
import { inWords } from "../base/errno.js";
import { type ShortCode, socketError } from "../base/errors.js";
import type { Connection } from "../connection/connection.js";
import type { AcceptInfo } from "../connection/delegate.js";
import type { AddressFilter } from "../listen/options.js";
import { AsyncSocket } from "../socket/async-socket.js";
import type { AcceptedThere, Message, SharedOptions, SharedPortOwner } from "./messages.js";
import { inbox } from "./inbox.js";
import type { TLSOptions } from "../tls/options.js";

/** What a link is to the listeners that go through it. */
export interface PortCarrier {
  post(message: Message): void;
  /** Tells the other side of a socket that was accepted here. */
  welcome(connection: Connection, port: number, info: AcceptedThere["info"]): void;
}

interface RemoteListener {
  readonly owner: SharedPortOwner;
  readonly resolve: (local: Address | undefined) => void;
  readonly reject: (error: Error) => void;
}

/** Listeners on the other thread, for this one; and on this one, for the other. */
export class Ports {
  readonly #carrier: PortCarrier;
  /** Theirs. */
  readonly #there = new Map<number, RemoteListener>();
  /** Ours. */
  readonly #here = new Map<number, AsyncSocket>();
  #lastId = 0;

  constructor(carrier: PortCarrier) {
    this.#carrier = carrier;
  }

  async listen(options: SharedOptions, owner: SharedPortOwner): Promise<{ id: number; local: Address | undefined }> {
    const id = ++this.#lastId;
    const local = await new Promise<Address | undefined>((resolve, reject) => {
      this.#there.set(id, { owner, resolve, reject });
      this.#carrier.post({ kind: "listen", id, options });
    });
    return { id, local };
  }

  ownerOf(id: number): SharedPortOwner | undefined {
    return this.#there.get(id)?.owner;
  }

  didAnswer({ id, local, why }: Extract<Message, { kind: "listening" }>): void {
    const listener = this.#there.get(id);
    if (why === null) listener?.resolve(local);
    else listener?.reject(new Error(why));
  }

  didFailAccept({ id, code, message, info }: Extract<Message, { kind: "failedAccept" }>): void {
    this.#there.get(id)?.owner.didFailAcceptThere(socketError(code, "listen", message), info);
  }

  /** The other thread is no more. */
  lose(error: Error): void {
    for (const { reject } of this.#there.values()) reject(error);
  }

  async open(id: number, options: SharedOptions, tls: TLSOptions | null): Promise<void> {
    const carrier = this.#carrier;
    try {
      const listener = await listenHere(options, tls, {
        didAccept: (connection, info) => carrier.welcome(connection, id, info),
        didFailAccept: (code, message, info) => carrier.post({ kind: "failedAccept", id, code, message, info }),
      });
      this.#here.set(id, listener);
      carrier.post({ kind: "listening", id, local: listener.local, why: null });
    } catch (error) {
      const cause = (error as Error).cause ?? error;
      carrier.post({ kind: "listening", id, local: undefined, why: inWords(cause) });
    }
  }

  resecure(id: number, tls: TLSOptions | null): void {
    if (tls !== null) this.#here.get(id)?.setTLS(tls);
  }

  close(id: number): void {
    void this.#here.get(id)?.disconnect();
    this.#here.delete(id);
  }

  closeAll(): void {
    for (const id of [...this.#here.keys()]) this.close(id);
  }
}

/** Receives the events of a listener on this thread. */
export interface SharedListenerOwner {
  didAccept(connection: Connection, info: AcceptInfo): void;
  didFailAccept(code: ShortCode, message: string, info: AcceptInfo): void;
}

/** Listens on this thread. @throws the error that keeps it from listening */
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
      inbox.admit(() => inbox.tell(socket, { userData: undefined, info }));
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
