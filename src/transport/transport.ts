import type { SrvRecord } from "node:dns";
import type { LookupFunction } from "node:net";
import type { Address } from "../base/address.js";
import type { Clock } from "../base/clock.js";
import type { SecureInfo } from "../tls/info.js";
import type { SecureSettings } from "../tls/settings.js";
import type { KernelSettings } from "./kernel-settings.js";
import type { Endpoint, ListenTarget, SocketSettings } from "./options.js";

/**
 * Carries the bytes of one connection. A transport does not queue and does not decide anything. It calls its sink only
 * from the event loop, never from inside one of these methods.
 */
export interface Transport {
  readonly local: Address | undefined;
  readonly remote: Address | undefined;
  /** Whether an open connection keeps the process alive by itself. */
  readonly holdsProcess: boolean;
  /**
   * Sets how many more bytes the sink takes; 0 pauses. The first call comes before anything is delivered. Only a
   * connection that fails or closes may deliver more.
   */
  setRoom(bytes: number): void;
  /**
   * Writes a batch. The next batch may follow when this one is out; until then the memory must not be changed.
   * @returns true when the operating system has taken all bytes already; otherwise `didWrite` follows
   */
  write(parts: readonly Uint8Array[]): boolean;
  /** How many bytes of the present batch the operating system has not taken; all of them where that is not known. */
  readonly inHandBytes: number;
  /** Whether `inHandBytes` shows which part of a batch is out, before all of it is. @default false */
  readonly countsInHand?: boolean | undefined;
  /** How many bytes in the operating system's send queue the peer's system has not acknowledged; 0 where unknown. */
  readonly underWayBytes: number;
  /**
   * Whether the operating system has an event for this connection that was not delivered yet. Matters only for a
   * transport that may deliver the events of some sockets in a later turn, when very many sockets have events.
   */
  hasNews(): boolean;
  /** Sends a FIN behind everything written. `didFinish` follows. */
  end(): void;
  /** Closes at once, with a RST if `reset` is true and the transport can. Only `didClose` follows. */
  destroy(reset: boolean): void;
  /**
   * Starts TLS. The returned transport takes this one's place, which must not be used any more.
   * @param ahead bytes that were received already and belong to the handshake
   */
  secure(settings: SecureSettings, ahead: Buffer, sink: SecureSink): Transport;
  setNoDelay(on: boolean): void;
  /** Sets the idle time in milliseconds before the first keepalive probe; false turns keepalive off. */
  setKeepAlive(idleMs: number | false): void;
  /** The descriptor; -1 or undefined where the system has none for this connection, or it is not known. */
  readonly descriptor?: number | undefined;
  /**
   * Makes settings of the kernel. A connection without a kernel, as in a network in memory, lacks this method, and
   * ignores such settings.
   * @throws BAD_STATE if they cannot be made
   */
  setKernel?(operation: string, settings: KernelSettings): void;
  /**
   * Lets what is received from now on pass to `other`, and tells neither sink of it, until this transport meets an end or
   * either fails, or `part` is called. Only a transport that has nothing in hand may be passed to.
   * @param isTimed whether `passedAgoMs` will be asked
   * @returns whether it does so; a transport that cannot lacks this method and the following ones
   */
  passTo?(other: Transport, isTimed: boolean): boolean;
  /** Ends passing. @returns bytes that were received and not sent; undefined if there are none */
  part?(): Buffer | undefined;
  /** @returns how many bytes have passed since the last call */
  takePassed?(): number;
  /** How long ago the last bytes have passed. */
  readonly passedAgoMs?: number;
  ref(): void;
  unref(): void;
}

/** What lets bytes pass between two connections in the transport, so that neither connection sees them. */
export interface Passing {
  /** Whether any bytes may have passed. */
  readonly isUsed: boolean;
  /** Counts the bytes that have passed, on both connections. */
  account(): void;
  /** Ends that, and gives the bytes that are on their way to the connections. */
  part(): void;
}

/** Receives the events of an attempt to connect. */
export interface ConnectSink {
  /** The connection is established. The receiver calls `adopt` from inside this call. */
  didOpen(): void;
  /** The attempt has failed. The receiver has to call `destroy`, and `didClose` follows. */
  didFail(error: Error): void;
  /** The descriptor is closed. This is the last call, and comes once. */
  didClose(): void;
}

/** Receives the events of a connected transport. */
export interface TransportSink {
  /** `length` bytes have come, in `chunk` from `start` on. The transport reuses the chunk when this has returned. */
  didReceive(chunk: Buffer, start: number, length: number): void;
  /** The peer's FIN has come. */
  didEnd(): void;
  /** The operating system has taken all of the batch given to `write`. */
  didWrite(): void;
  /** The FIN that `end` asked for was handed to the operating system. */
  didFinish(): void;
  /** The connection has failed. The receiver has to call `destroy`, and `didClose` follows. */
  didFail(error: Error): void;
  /** The descriptor is closed. This is the last call, and comes once. */
  didClose(): void;
}

/** Receives the events of a transport that begins with a TLS handshake. */
export interface SecureSink extends TransportSink {
  /** The handshake is done. `info` says whether the peer was verified; nothing may be sent before that is judged. */
  didHandshake(info: SecureInfo): void;
}

/** A listening socket. */
export interface TransportListener {
  readonly local: Address | undefined;
  /** Stops listening. `didClose` follows. Accepted connections stay open. */
  close(): void;
  ref(): void;
  unref(): void;
}

/** Receives the events of a listener. */
export interface ListenerSink {
  didListen(): void;
  /** A connection was accepted. The receiver must either give it a sink by `adopt`, or destroy it. */
  didAccept(transport: AcceptedTransport): void;
  /** Accepting one connection has failed; the listener goes on. */
  didFailAccept(error: Error): void;
  /** Listening could not be started. `didClose` follows after `close`. */
  didFail(error: Error): void;
  didClose(): void;
}

/** A transport that gets its sink later, because it was accepted or is one of several attempts to connect. */
export interface AcceptedTransport extends Transport {
  /** Sets the sink. Nothing is received before the first call. A later call replaces the sink. */
  adopt(sink: TransportSink): void;
}

/** Makes transports. One factory serves any number of sockets. */
export interface TransportFactory {
  readonly clock: Clock;
  /** What `socket.transport` says. @default "custom" */
  readonly name?: string | undefined;
  /** Starts one attempt to connect to one address or path. */
  connect(endpoint: Endpoint, settings: SocketSettings, sink: ConnectSink): AcceptedTransport;
  /**
   * Listens on one place. If `isOfTheSystem` is true, the place is one address, all addresses, or one path: the
   * listener has resolved names before, opens one place per address, and removes socket files that were left behind.
   */
  listen(target: ListenTarget, settings: SocketSettings, sink: ListenerSink): TransportListener;
  /** Whether the addresses and paths of this network are those of the machine. @default false */
  readonly isOfTheSystem?: boolean | undefined;
  /** Looks up host names in this network, for one address family per call. @default `dns.lookup` */
  readonly lookup?: LookupFunction | undefined;
  /** Looks up SRV records in this network. @default the name servers of the system */
  readonly resolveSrv?: ResolveSrv | undefined;
}

/**
 * Asks for the SRV records of a name, as `dns.resolveSrv` does.
 * @returns a function that gives the query up; `done` may be called nevertheless
 */
export type ResolveSrv = (
  name: string,
  done: (error: Error | null, records: readonly SrvRecord[]) => void,
) => () => void;
