import { type MessagePort, receiveMessageOnPort, type Transferable } from "node:worker_threads";
import { apart } from "../base/apart.js";
import { realClock } from "../base/clock.js";
import { inWords } from "../base/errno.js";
import { type AsyncSocketError, socketError } from "../base/errors.js";
import type { Connection } from "../connection/connection.js";
import type { AcceptInfo } from "../connection/delegate.js";
import { openSocketsHere } from "../connection/live-sockets.js";
import type { RemoteConnection } from "../connection/destination.js";
import type { TLSOptions } from "../tls/options.js";
import { type SecureSettings, serverSettings } from "../tls/settings.js";
import type { AcceptedTransport } from "../transport/transport.js";
import { arrive } from "./arrival.js";
import { endLate } from "../connection/closing.js";
import { inbox } from "./inbox.js";
import type { AcceptedThere, Message } from "./messages.js";
import { type PortableTLS, unpackTLS } from "./portable-tls.js";
import { Ports } from "./ports.js";
import { drop, type TransferHandle, type TransferState, type Transfer, turnAway, unpack } from "./transfer.js";

/** The sender of a socket, which is told what happens to it. */
export interface Sender {
  /** The socket has arrived on the other thread. */
  arrived(): void;
  /** The socket never arrived, and is closed. */
  lost(error: AsyncSocketError): void;
  /** The socket is closed on the other thread; `error` is set if the thread itself has ended. */
  ended(error: AsyncSocketError | null): void;
}

/**
 * The sender's record of a socket that is on another thread or on its way there. It exists until the socket is closed.
 */
export class Sent implements RemoteConnection {
  readonly id: number;
  /** The handle that was sent; null if the other thread accepted the socket by itself. */
  readonly handle: TransferHandle | null;
  sender: Sender;
  state: "waiting" | "there" | "over";
  readonly #link: Link;

  constructor(id: number, link: Link, handle: TransferHandle | null, sender: Sender) {
    this.id = id;
    this.#link = link;
    this.handle = handle;
    this.sender = sender;
    this.state = handle === null ? "there" : "waiting";
  }

  end(): void {
    this.#link.end(this);
  }
}

/** The owner of a link: a run loop. */
export interface LinkOwner {
  readonly name: string;
  /** Receives the messages that only one of the two threads sends. */
  didReceive(message: Extract<Message, { kind: "look" | "seen" | "ready" | "close" | "closed" }>): void;
  /** Called when the number of sockets on the other thread, or on their way there, may have changed. */
  didChange(): void;
}

/** One end of the link between two threads: it sends sockets, receives them, and counts both. */
export class Link {
  /** How many connections the other thread has, as it last reported. */
  open = 0;
  /** The sockets received from the other thread, by that thread's numbers. */
  readonly received = new Map<number, Connection>();
  /** Transfers that wait until this thread has a handler for sockets. */
  readonly #unadmitted = new Map<number, Transfer>();
  /** The reason why no more sockets are taken; null if they are. */
  refusal: string | null = null;
  readonly #port: MessagePort;
  readonly #owner: LinkOwner;
  readonly #sent = new Map<number, Sent>();
  #waiting = 0;
  #lastId = 0;
  #outbox: Transfer[] = [];
  #news = {
    arrived: [] as number[],
    refused: [] as [number, string][],
    ended: [] as number[],
    accepted: [] as AcceptedThere[],
  };
  #hasNews = false;
  readonly #sentTLS = new WeakMap<PortableTLS, number>();
  readonly #settings = new Map<number, SecureSettings>();
  readonly #keys = new Map<number, TLSOptions>();
  readonly ports = new Ports(this);
  #whenEmpty: (() => void) | null = null;

  constructor(port: MessagePort, owner: LinkOwner) {
    this.#port = port;
    this.#owner = owner;
    port.on("message", (message: Message) => this.#receive(message));
  }

  /** The number of connections of the other thread, those on their way to it included. */
  get sockets(): number {
    return this.open + this.#waiting;
  }

  hold(on: boolean): void {
    if (on) this.#port.ref();
    else this.#port.unref();
  }

  post(message: Message): void {
    this.#port.postMessage(message);
  }

  // ------------------------------------------------------------------ sending

  send(handle: TransferHandle, state: TransferState, sender: Sender): Sent {
    const id = ++this.#lastId;
    const sent = new Sent(id, this, handle, sender);
    this.#sent.set(id, sent);
    this.#waiting++;
    this.#owner.didChange();
    if (this.#outbox.length === 0) realClock.soon(flush, this);
    this.#outbox.push({ id, handle, state });
    return sent;
  }

  /** Posts all sockets that were sent since the last turn as one message. */
  flush(): void {
    const transfers = this.#outbox.splice(0);
    if (transfers.length === 0) return;
    try {
      this.#postTransfers(transfers);
    } catch {
      // One of the sockets cannot be sent, so each is sent alone.
      for (const transfer of transfers) this.#sendAlone(transfer);
    }
  }

  #postTransfers(transfers: readonly Transfer[]): void {
    const moved: unknown[] = transfers.map(({ state }) => state.ahead.buffer);
    for (const { handle } of transfers) if (handle.socket !== null) moved.push(handle.socket);
    this.#port.postMessage({ kind: "sockets", transfers }, moved as Transferable[]);
  }

  #sendAlone(transfer: Transfer): void {
    try {
      this.#postTransfers([transfer]);
    } catch (error) {
      this.#refused(transfer.id, inWords(error), error);
    }
  }

  /** Asks the other thread to close the socket at once, even if it still waits there for a handler. */
  end({ id }: Sent): void {
    this.flush();
    this.post({ kind: "end", ids: [id] });
  }

  /** Sends TLS options, unless they were sent before. @returns the number by which the other thread knows them */
  sendTLS(tls: PortableTLS): number {
    let id = this.#sentTLS.get(tls);
    if (id === undefined) {
      id = ++this.#lastId;
      this.post({ kind: "tls", id, options: tls.packed });
      this.#sentTLS.set(tls, id);
    }
    return id;
  }

  /** Tells the other thread that these TLS options are not used any more. */
  forgetTLS(tls: PortableTLS): void {
    const id = this.#sentTLS.get(tls);
    if (id === undefined) return;
    this.#sentTLS.delete(tls);
    this.flush();
    this.post({ kind: "forget", id });
  }

  // ------------------------------------------------------------------ receiving

  #receive(message: Message): void {
    switch (message.kind) {
      case "sockets":
        for (const transfer of message.transfers) apart((link, one) => link.#admit(one), this, transfer);
        break;
      case "news":
        this.open = message.open;
        for (const id of message.arrived) apart((link, one) => link.#arrived(one), this, id);
        for (const refused of message.refused) apart((link, [id, why]) => link.#refused(id, why), this, refused);
        for (const accepted of message.accepted) apart((link, one) => link.#acceptedThere(one), this, accepted);
        for (const id of message.ended) apart((link, one) => link.#ended(one, null), this, id);
        this.#owner.didChange();
        break;
      case "tls":
        this.#keys.set(message.id, unpackTLS(message.options));
        this.#settings.set(message.id, serverSettings(unpackTLS(message.options)));
        break;
      case "forget":
        this.#keys.delete(message.id);
        this.#settings.delete(message.id);
        break;
      case "listen":
        void this.ports.open(message.id, message.options, this.#keys.get(message.options.tlsId ?? -1) ?? null);
        break;
      case "resecure":
        this.ports.resecure(message.id, this.#keys.get(message.tlsId) ?? null);
        break;
      case "unlisten":
        this.ports.close(message.id);
        break;
      case "listening":
        this.ports.didAnswer(message);
        break;
      case "failedAccept":
        this.ports.didFailAccept(message);
        break;
      case "end":
        for (const id of message.ids) this.#endReceived(id);
        break;
      default:
        this.#owner.didReceive(message);
    }
  }

  /** Handles a socket that the other thread has accepted by itself. */
  #acceptedThere(accepted: AcceptedThere): void {
    this.ports.ownerOf(accepted.port)?.didAcceptThere(accepted);
  }

  /**
   * Makes the record of a socket that the other thread has accepted.
   * @param id the other thread's own number, which is below 0
   */
  sentBy(id: number, sender: Sender): Sent {
    const sent = new Sent(id, this, null, sender);
    this.#sent.set(id, sent);
    return sent;
  }

  /** Treats a socket that this thread accepted by itself like one that was sent to it. */
  welcome(connection: Connection, port: number, info: AcceptInfo): void {
    const id = -++this.#lastId;
    const { onClosed } = connection;
    connection.onClosed = (closed) => {
      onClosed?.(closed);
      this.#left(id);
    };
    this.received.set(id, connection);
    this.#news.accepted.push({ id, port, info });
    this.noteNews();
  }

  #arrived(id: number): void {
    const sent = this.#sent.get(id);
    if (sent?.state !== "waiting") return;
    sent.state = "there";
    this.#waiting--;
    sent.sender.arrived();
  }

  #refused(id: number, why: string, cause?: unknown): void {
    const sent = this.#sent.get(id);
    if (sent?.state !== "waiting") return;
    const words = `The socket did not get to the run loop ${JSON.stringify(this.#owner.name)}: ${why}`;
    this.#fail(sent, socketError("TRANSFER", "moveTo", words, cause));
  }

  #fail(sent: Sent, error: AsyncSocketError): void {
    this.#sent.delete(sent.id);
    sent.state = "over";
    this.#waiting--;
    if (sent.handle !== null) drop(sent.handle);
    sent.sender.lost(error);
    this.#owner.didChange();
  }

  #ended(id: number, error: AsyncSocketError | null): void {
    const sent = this.#sent.get(id);
    if (sent === undefined) return;
    this.#sent.delete(id);
    sent.state = "over";
    sent.sender.ended(error);
  }

  /** The other thread has ended. Messages that it sent before are handled first. */
  lose(error: AsyncSocketError): void {
    for (let left = receiveMessageOnPort(this.#port); left !== undefined; left = receiveMessageOnPort(this.#port)) {
      this.#receive(left.message as Message);
    }
    this.#port.close();
    this.#outbox = [];
    this.open = 0;
    this.ports.lose(error);
    for (const sent of [...this.#sent.values()]) {
      if (sent.state === "waiting") apart((link, one) => link.#fail(one, error), this, sent);
      else apart((link, one) => link.#ended(one, error), this, sent.id);
    }
    this.#owner.didChange();
  }

  // ------------------------------------------------------------------ sockets from the other thread

  #admit(transfer: Transfer): void {
    const { tlsId } = transfer.state;
    const secure = tlsId === null ? null : (this.#settings.get(tlsId) ?? null);
    this.#unadmitted.set(transfer.id, transfer);
    inbox.admit(() => this.#take(transfer, secure));
  }

  /**
   * Closes a socket because its sender asks for it. The sender is told of the end in any case, even if the socket never
   * arrived.
   */
  #endReceived(id: number): void {
    const connection = this.received.get(id);
    if (connection !== undefined) {
      endLate(connection, nothing);
      return;
    }
    const transfer = this.#unadmitted.get(id);
    this.#unadmitted.delete(id);
    this.#refuse(id, transfer?.handle ?? null, "it was closed before it was received");
  }

  #take(transfer: Transfer, secure: SecureSettings | null): void {
    const { id, handle, state } = transfer;
    if (!this.#unadmitted.delete(id)) return;
    let transport: AcceptedTransport | null = null;
    try {
      if (this.refusal !== null) throw new Error(this.refusal);
      // A connection that is to be encrypted must never be used without TLS.
      if (state.tlsId !== null && secure === null) throw new Error("its TLS options are not there");
      transport = unpack(handle);
      this.received.set(
        id,
        arrive(transport, handle.carrier, state, secure, () => this.#left(id)),
      );
      this.#news.arrived.push(id);
      this.noteNews();
    } catch (error) {
      transport?.destroy(true);
      this.#refuse(id, handle, inWords(error));
    }
  }

  #refuse(id: number, handle: TransferHandle | null, why: string): void {
    if (handle !== null) turnAway(handle);
    this.#news.refused.push([id, why]);
    this.noteNews();
  }

  #left(id: number): void {
    this.received.delete(id);
    this.#news.ended.push(id);
    this.noteNews();
    if (this.received.size === 0) this.#tellEmpty();
  }

  /** Schedules a message with news for the next turn, so that all news of a turn goes in one message. */
  noteNews(): void {
    if (this.#hasNews) return;
    this.#hasNews = true;
    realClock.later(tellNews, this);
  }

  tellNews(): void {
    if (!this.#hasNews) return;
    this.#hasNews = false;
    const news = this.#news;
    this.#news = { arrived: [], refused: [], ended: [], accepted: [] };
    this.post({ kind: "news", ...news, open: openSocketsHere() });
  }

  /** Takes no more sockets. `whenEmpty` is called once all received sockets have closed. */
  drain(refusal: string, whenEmpty: () => void): void {
    this.refusal = refusal;
    this.ports.closeAll();
    inbox.stopWaiting();
    this.#whenEmpty = whenEmpty;
    if (this.received.size === 0) this.#tellEmpty();
  }

  /** Calls `whenEmpty` a turn later, when the last socket has told its delegate that it is closed. */
  #tellEmpty(): void {
    if (this.#whenEmpty !== null) realClock.later(this.#whenEmpty, undefined);
    this.#whenEmpty = null;
  }
}

function flush(link: Link): void {
  link.flush();
}

function tellNews(link: Link): void {
  link.tellNews();
}

function nothing(): void {
  // It is the sender that counts the connections that it has ended.
}
