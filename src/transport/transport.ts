import type { SrvRecord } from "node:dns";
import type { LookupFunction } from "node:net";
import type { Address } from "../base/address.js";
import type { Clock } from "../base/clock.js";
import type { SecureInfo } from "../tls/info.js";
import type { SecureSettings } from "../tls/settings.js";
import type { Endpoint, ListenTarget, SocketSettings } from "./options.js";

/**
 * Bytes in, bytes out: what carries one connection. It queues nothing, decides nothing, and calls its sink from the
 * event loop only, never from inside one of these methods.
 */
export interface Transport {
  readonly local: Address | undefined;
  readonly remote: Address | undefined;
  /** Whether an open connection keeps the process alive by itself. */
  readonly holdsProcess: boolean;
  /** How many more bytes the sink will take: 0 pauses. A transport that cannot be exact stays as close as it can. */
  setRoom(bytes: number): void;
  /**
   * One batch at a time. The memory must be left alone until the batch is out.
   * @returns true when the operating system has all of it already; else `didWrite` follows
   */
  write(parts: readonly Uint8Array[]): boolean;
  /** Bytes of the batch in hand that the operating system has not taken; where that cannot be known, all of them. */
  readonly inHandBytes: number;
  /** Bytes in the operating system's send queue, which the peer's has not taken; where that cannot be known, 0. */
  readonly underWayBytes: number;
  /**
   * Whether the operating system has anything to tell of it. Only a transport need know that a turn of the event loop may
   * pass by, since many others have news, too.
   */
  hasNews(): boolean;
  /** FIN, behind everything written. `didFinish` follows. */
  end(): void;
  /** Closes at once, with a RST if asked and possible. `didClose` follows; nothing else does. */
  destroy(reset: boolean): void;
  /**
   * Goes on encrypted: what this becomes is given, and this is done with. `ahead` was received already, and belongs to
   * the handshake.
   */
  secure(settings: SecureSettings, ahead: Buffer, sink: SecureSink): Transport;
  setNoDelay(on: boolean): void;
  /** Idle time before the first probe, in ms; false: off. */
  setKeepAlive(idleMs: number | false): void;
  ref(): void;
  unref(): void;
}

/** Who is told how an attempt to connect goes. */
export interface ConnectSink {
  /** The connection is there; `adopt` gives it its sink, from inside this call. */
  didOpen(): void;
  /** It will never be. `didClose` follows. */
  didFail(error: Error): void;
  /** The descriptor is closed. Last, and once. */
  didClose(): void;
}

/** Who is told what happens to a connected transport. */
export interface TransportSink {
  /** `length` bytes of `chunk` from `start` on. The chunk is the transport's again when this returns. */
  didReceive(chunk: Buffer, start: number, length: number): void;
  /** The peer's FIN. */
  didEnd(): void;
  /** The batch given to `write` is out. */
  didWrite(): void;
  /** The FIN asked for by `end` is out. */
  didFinish(): void;
  /** Nothing more can be done with the connection. `didClose` follows. */
  didFail(error: Error): void;
  /** The descriptor is closed. Last, and once. */
  didClose(): void;
}

/** Who is told of a transport that begins with a TLS handshake. */
export interface SecureSink extends TransportSink {
  /** It is through. Whether the peer is to be trusted, `info` tells; nothing may be sent before that is decided. */
  didHandshake(info: SecureInfo): void;
}

/** A listening socket, or several on one port. */
export interface TransportListener {
  readonly local: Address | undefined;
  /** `didClose` follows. Connections live on. */
  close(): void;
  ref(): void;
  unref(): void;
}

export interface ListenerSink {
  didListen(): void;
  /** The sink for the new connection is given by `adopt`; without one the connection must be destroyed. */
  didAccept(transport: AcceptedTransport): void;
  /** One accept failed; the listener goes on. */
  didFailAccept(error: Error): void;
  /** It never listened. `didClose` follows. */
  didFail(error: Error): void;
  didClose(): void;
}

/** A transport whose sink comes later: it was accepted, or it is one of several attempts to connect. */
export interface AcceptedTransport extends Transport {
  /** The connection's sink. Nothing is received before. Another one may take it over from the first. */
  adopt(sink: TransportSink): void;
}

/** Makes transports. One serves any number of sockets. */
export interface TransportFactory {
  readonly clock: Clock;
  /** One attempt to connect to one address. */
  connect(endpoint: Endpoint, settings: SocketSettings, sink: ConnectSink): AcceptedTransport;
  /**
   * Listens on one place. Where `isOfTheSystem`, that is one address, all of them, or one path; names, ports that are
   * shared by several addresses, and files that were left behind are the listener's.
   */
  listen(target: ListenTarget, settings: SocketSettings, sink: ListenerSink): TransportListener;
  /** Whether its addresses and paths are those of the machine. @default false */
  readonly isOfTheSystem?: boolean | undefined;
  /** The names of this network, asked for one family at a time. @default the system's, `dns.lookup` */
  readonly lookup?: LookupFunction | undefined;
  /** The services of this network. @default the system's name servers */
  readonly resolveSrv?: ResolveSrv | undefined;
}

/**
 * Asks for the SRV records of a name, as `dns.resolveSrv` does.
 * @returns what gives the question up; the answer may come all the same
 */
export type ResolveSrv = (
  name: string,
  done: (error: Error | null, records: readonly SrvRecord[]) => void,
) => () => void;
