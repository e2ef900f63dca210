import { type MessagePort, receiveMessageOnPort, type Transferable } from "node:worker_threads";
import { apart } from "../base/apart.js";
import { realClock } from "../base/clock.js";
import { inWords } from "../base/errno.js";
import { type AsyncSocketError, socketError } from "../base/errors.js";
import type { Connection } from "../connection/connection.js";
import type { AcceptInfo } from "../connection/delegate.js";
import { openSocketsHere } from "../connection/open-count.js";
import type { RemoteConnection } from "../connection/destination.js";
import type { TLSOptions } from "../tls/options.js";
import { type SecureSettings, serverSettings } from "../tls/settings.js";
import type { AcceptedTransport } from "../transport/transport.js";
import { arrive } from "./arrival.js";
import { endAtOnce } from "../connection/closing.js";
import { host } from "./inbox.js";
import type { AcceptedThere, Message } from "./messages.js";
import { type PortableTLS, unpackTLS } from "./portable-tls.js";
import { Ports } from "./ports.js";
import { drop, type Freight, type Luggage, type Parcel, turnAway, unpack } from "./transfer.js";

/** Who sent a socket, and is told what becomes of it. */
export interface Sender {
  /** It is the other thread's now. */
  arrived(): void;
  /** It never arrived, and is closed. */
  lost(error: AsyncSocketError): void;
  /** It is closed there; by the end of the thread itself, where there is an error. */
  ended(error: AsyncSocketError | null): void;
}

/** A socket that was sent, for as long as it is open there. */
export class Passage implements RemoteConnection {
  readonly id: number;
  /** Null: it was accepted there. */
  readonly freight: Freight | null;
  sender: Sender;
  state: "waiting" | "there" | "over";
  readonly #link: Link;

  constructor(id: number, link: Link, freight: Freight | null, sender: Sender) {
    this.id = id;
    this.#link = link;
    this.freight = freight;
    this.sender = sender;
    this.state = freight === null ? "there" : "waiting";
  }

  end(): void {
    this.#link.end(this);
  }
}

/** Who owns a link. */
export interface LinkOwner {
  readonly name: string;
  /** What only one of the two says. */
  didReceive(message: Extract<Message, { kind: "ready" | "close" | "closed" }>): void;
  /** There are sockets on the other side, or on their way; or none. */
  didChange(): void;
}

/** One end of what connects two threads: sends sockets, receives them, and keeps count of both. */
export class Link {
  /** How many connections the other thread has, as it told last. */
  open = 0;
  /** Sockets from the other side, by its numbers. */
  readonly guests = new Map<number, Connection>();
  /** Those that wait for somebody to be told of them. */
  readonly #unadmitted = new Map<number, Parcel>();
  /** Why no more are taken. */
  refusal: string | null = null;
  readonly #port: MessagePort;
  readonly #owner: LinkOwner;
  readonly #passages = new Map<number, Passage>();
  #waiting = 0;
  #lastId = 0;
  #outbox: Parcel[] = [];
  #news = {
    arrived: [] as number[],
    refused: [] as [number, string][],
    ended: [] as number[],
    accepted: [] as AcceptedThere[],
  };
  #hasNews = false;
  readonly #sentSecrets = new WeakMap<PortableTLS, number>();
  readonly #settings = new Map<number, SecureSettings>();
  readonly #keys = new Map<number, TLSOptions>();
  readonly ports = new Ports(this);
  #whenEmpty: (() => void) | null = null;

  constructor(port: MessagePort, owner: LinkOwner) {
    this.#port = port;
    this.#owner = owner;
    port.on("message", (message: Message) => this.#receive(message));
  }

  /** Connections of the other thread, those on their way to it included. */
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

  send(freight: Freight, luggage: Luggage, sender: Sender): Passage {
    const id = ++this.#lastId;
    const passage = new Passage(id, this, freight, sender);
    this.#passages.set(id, passage);
    this.#waiting++;
    this.#owner.didChange();
    if (this.#outbox.length === 0) realClock.soon(flush, this);
    this.#outbox.push({ id, freight, luggage });
    return passage;
  }

  /** What was sent since the last turn, in one message. */
  flush(): void {
    const parcels = this.#outbox.splice(0);
    if (parcels.length === 0) return;
    try {
      this.#postParcels(parcels);
    } catch {
      // One of them cannot go; the others can.
      for (const parcel of parcels) this.#sendAlone(parcel);
    }
  }

  #postParcels(parcels: readonly Parcel[]): void {
    const transfers: unknown[] = parcels.map(({ luggage }) => luggage.ahead.buffer);
    for (const { freight } of parcels) if (freight.socket !== null) transfers.push(freight.socket);
    this.#port.postMessage({ kind: "sockets", parcels }, transfers as Transferable[]);
  }

  #sendAlone(parcel: Parcel): void {
    try {
      this.#postParcels([parcel]);
    } catch (error) {
      this.#refused(parcel.id, inWords(error), error);
    }
  }

  /** Has the other side close it at once, also where it still waits there for somebody to be told of it. */
  end({ id }: Passage): void {
    this.flush();
    this.post({ kind: "end", ids: [id] });
  }

  /** @returns by which number the other side knows them from now on */
  sendTLS(secrets: PortableTLS): number {
    let id = this.#sentSecrets.get(secrets);
    if (id === undefined) {
      id = ++this.#lastId;
      this.post({ kind: "secrets", id, secrets: secrets.packed });
      this.#sentSecrets.set(secrets, id);
    }
    return id;
  }

  /** They are not used any more. */
  forgetTLS(secrets: PortableTLS): void {
    const id = this.#sentSecrets.get(secrets);
    if (id === undefined) return;
    this.#sentSecrets.delete(secrets);
    this.flush();
    this.post({ kind: "forget", id });
  }

  // ------------------------------------------------------------------ receiving

  #receive(message: Message): void {
    switch (message.kind) {
      case "sockets":
        for (const parcel of message.parcels) apart((link, one) => link.#admit(one), this, parcel);
        break;
      case "news":
        this.open = message.open;
        for (const id of message.arrived) apart((link, one) => link.#arrived(one), this, id);
        for (const refused of message.refused) apart((link, [id, why]) => link.#refused(id, why), this, refused);
        for (const accepted of message.accepted) apart((link, one) => link.#acceptedThere(one), this, accepted);
        for (const id of message.ended) apart((link, one) => link.#ended(one, null), this, id);
        this.#owner.didChange();
        break;
      case "secrets":
        this.#keys.set(message.id, unpackTLS(message.secrets));
        this.#settings.set(message.id, serverSettings(unpackTLS(message.secrets)));
        break;
      case "forget":
        this.#keys.delete(message.id);
        this.#settings.delete(message.id);
        break;
      case "listen":
        void this.ports.open(message.id, message.options, this.#keys.get(message.options.secrets ?? -1) ?? null);
        break;
      case "resecure":
        this.ports.resecure(message.id, this.#keys.get(message.secrets) ?? null);
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
        for (const id of message.ids) this.#endGuest(id);
        break;
      default:
        this.#owner.didReceive(message);
    }
  }

  /** Nothing was sent: the other side has accepted it by itself. */
  #acceptedThere(accepted: AcceptedThere): void {
    this.ports.ownerOf(accepted.port)?.didAcceptThere(accepted);
  }

  /** @param id below 0: by the other side's own count */
  passageOf(id: number, sender: Sender): Passage {
    const passage = new Passage(id, this, null, sender);
    this.#passages.set(id, passage);
    return passage;
  }

  /** A socket that was accepted here is as one that was sent here. */
  welcome(connection: Connection, port: number, info: AcceptInfo): void {
    const id = -++this.#lastId;
    const { onClosed } = connection;
    connection.onClosed = (closed) => {
      onClosed?.(closed);
      this.#left(id);
    };
    this.guests.set(id, connection);
    this.#news.accepted.push({ id, port, info });
    this.noteNews();
  }

  #arrived(id: number): void {
    const passage = this.#passages.get(id);
    if (passage?.state !== "waiting") return;
    passage.state = "there";
    this.#waiting--;
    passage.sender.arrived();
  }

  #refused(id: number, why: string, cause?: unknown): void {
    const passage = this.#passages.get(id);
    if (passage?.state !== "waiting") return;
    const words = `The socket did not get to the run loop ${JSON.stringify(this.#owner.name)}: ${why}`;
    this.#fail(passage, socketError("TRANSFER", "moveTo", words, cause));
  }

  #fail(passage: Passage, error: AsyncSocketError): void {
    this.#passages.delete(passage.id);
    passage.state = "over";
    this.#waiting--;
    if (passage.freight !== null) drop(passage.freight);
    passage.sender.lost(error);
    this.#owner.didChange();
  }

  #ended(id: number, error: AsyncSocketError | null): void {
    const passage = this.#passages.get(id);
    if (passage === undefined) return;
    this.#passages.delete(id);
    passage.state = "over";
    passage.sender.ended(error);
  }

  /** The other thread is no more. What it had said before is heard. */
  lose(error: AsyncSocketError): void {
    for (let left = receiveMessageOnPort(this.#port); left !== undefined; left = receiveMessageOnPort(this.#port)) {
      this.#receive(left.message as Message);
    }
    this.#port.close();
    this.#outbox = [];
    this.open = 0;
    this.ports.lose(error);
    for (const passage of [...this.#passages.values()]) {
      if (passage.state === "waiting") apart((link, one) => link.#fail(one, error), this, passage);
      else apart((link, one) => link.#ended(one, error), this, passage.id);
    }
    this.#owner.didChange();
  }

  // ------------------------------------------------------------------ being host

  #admit(parcel: Parcel): void {
    const { secrets } = parcel.luggage;
    const secure = secrets === null ? null : (this.#settings.get(secrets) ?? null);
    this.#unadmitted.set(parcel.id, parcel);
    host.admit(() => this.#take(parcel, secure));
  }

  /** Whoever asks for it hears of the end in any case, of one that never came, too. */
  #endGuest(id: number): void {
    const guest = this.guests.get(id);
    if (guest !== undefined) {
      endAtOnce(guest);
      return;
    }
    const parcel = this.#unadmitted.get(id);
    this.#unadmitted.delete(id);
    this.#refuse(id, parcel?.freight ?? null, "it was closed before it was received");
  }

  #take(parcel: Parcel, secure: SecureSettings | null): void {
    const { id, freight, luggage } = parcel;
    if (!this.#unadmitted.delete(id)) return;
    let transport: AcceptedTransport | null = null;
    try {
      if (this.refusal !== null) throw new Error(this.refusal);
      // Never in the clear what is to be encrypted.
      if (luggage.secrets !== null && secure === null) throw new Error("its TLS options are not there");
      transport = unpack(freight);
      this.guests.set(
        id,
        arrive(transport, freight.carrier, luggage, secure, () => this.#left(id)),
      );
      this.#news.arrived.push(id);
      this.noteNews();
    } catch (error) {
      transport?.destroy(true);
      this.#refuse(id, freight, inWords(error));
    }
  }

  #refuse(id: number, freight: Freight | null, why: string): void {
    if (freight !== null) turnAway(freight);
    this.#news.refused.push([id, why]);
    this.noteNews();
  }

  #left(id: number): void {
    this.guests.delete(id);
    this.#news.ended.push(id);
    this.noteNews();
    if (this.guests.size === 0) this.#tellEmpty();
  }

  /** There is something to tell the other side: in the next turn, with all there is by then. */
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

  /** Takes no more; `whenEmpty` is called once the last of the guests has left. */
  drain(refusal: string, whenEmpty: () => void): void {
    this.refusal = refusal;
    this.ports.closeAll();
    host.stopWaiting();
    this.#whenEmpty = whenEmpty;
    if (this.guests.size === 0) this.#tellEmpty();
  }

  /** Once the last of them has told its delegate that it is closed. */
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
