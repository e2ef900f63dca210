import type { ReadableStream, WritableStream } from "node:stream/web";
import type { TLSOptions } from "./tls/options.js";
import type { LookupFunction } from "node:net";
import type { ProxyServer } from "./connect/proxy.js";
import type { AsyncSocketDelegate } from "./delegate.js";
import type { RunLoopPool } from "./loops/pool.js";
import type { RunLoop } from "./run-loop.js";
import type { TransportFactory } from "./transport/transport.js";

/** Bounds, on by default. `Infinity` lifts one. Sizes are bytes, times milliseconds. */
export interface Limits {
  /** Taken from the kernel ahead of the reads; then TCP pushes back. @default 65 536 */
  readAhead?: number | undefined;
  /**
   * The `maxLength` of delimiter, line and frame reads that name none; more fails with `READ_LIMIT`. @default 16 MiB
   */
  readLength?: number | undefined;
  /**
   * Unsent bytes (each write counts as 128 at least); a write beyond fails with `QUEUE_FULL`, and closes.
   * @default 16 MiB
   */
  writeQueue?: number | undefined;
  /**
   * For a TLS handshake, from when it can begin until the peer is trusted; then it closes with `TLS_TIMEOUT`. For a
   * PROXY header as well, from the accept on. @default 10 000
   */
  handshakeMs?: number | undefined;
  /**
   * How long a graceful close waits for the peer's FIN after sending its own; and how long what is queued may take to get
   * out without a single byte, else it closes with `LINGER_TIMEOUT` and a RST.
   * @default 5 000
   */
  lingerMs?: number | undefined;
  /**
   * No byte of the application either way for this long closes the connection with `IDLE_TIMEOUT`. @default Infinity
   */
  idleMs?: number | undefined;
  /**
   * Of a listener: open connections at once; more are reset, and told to `didFailAccept` with `ACCEPT`. @default 65 536
   */
  connections?: number | undefined;
  /** Of a listener: the same for those from one address. @default Infinity */
  connectionsPerAddress?: number | undefined;
}

/** What the constructor takes. */
export interface AsyncSocketOptions<Tag = unknown, UserData = unknown> {
  /** Told what happens; may be set later. @default none */
  delegate?: AsyncSocketDelegate<Tag, UserData> | null | undefined;
  /** Yours. Never used, never copied to accepted sockets. */
  userData?: UserData | undefined;
  /** Whether writing goes on after the peer's FIN. @default false */
  allowHalfOpen?: boolean | undefined;
  limits?: Limits | undefined;
  /** What carries the bytes: the best there is, `node:net`, or a network of your own. @default "auto" */
  transport?: "auto" | "node" | "native" | TransportFactory | undefined;
}

/** Kernel settings of a connection. */
export interface TcpOptions {
  /** Send small segments at once (TCP_NODELAY). @default true */
  noDelay?: boolean | undefined;
  /**
   * Idle ms before the first keepalive probe, rounded up to whole seconds, on Linux at most 32 767 of them; true: the
   * system's own delay. @default false
   */
  keepAlive?: number | boolean | undefined;
}

export interface ConnectOptions extends TcpOptions {
  /** A name or an address; with `service` the domain, which is then needed. @default "localhost" */
  host?: string | undefined;
  /** 1 to 65 535. With `service`: the port to fall back on where the domain has no SRV records. */
  port?: number | undefined;
  /**
   * Looks up the SRV records `_SERVICE._tcp.HOST`, and tries their targets by priority and weight (RFC 2782).
   * @default none: `host` and `port` are where to connect to
   */
  service?: string | undefined;
  /**
   * A Unix-domain socket instead of host and port. Where its backlog is full it is tried again within `timeout`, without
   * one for 10 seconds.
   */
  path?: string | undefined;
  /**
   * Ms from the call, lookups, proxy and TLS included, until the socket is usable; then `CONNECT_TIMEOUT`.
   * @default none
   */
  timeout?: number | undefined;
  /** Aborting it before the connection is there fails the connect with `CANCELED`; later it has no effect. */
  signal?: AbortSignal | undefined;
  /** The address to connect from. Only addresses of its family are tried. @default the system's choice */
  localAddress?: string | undefined;
  /** The port to connect from. @default any free one */
  localPort?: number | undefined;
  /**
   * The name of the network interface to connect from, by an address that it has, of the family of each attempt:
   * `"eth0"`. Not together with `localAddress`. @default the system's choice
   */
  interface?: string | undefined;
  /** Only addresses of this family. @default both */
  family?: 4 | 6 | undefined;
  /** The family to try first. @default that of the first address found, which is the system's choice */
  preferFamily?: 4 | 6 | undefined;
  /**
   * Ms after which the next address is tried as well, where none has failed before (RFC 8305, section 5); at least 10.
   * @default 250
   */
  attemptDelay?: number | undefined;
  /**
   * In place of `dns.lookup`, of the same form. Called once, with `all` set, and the name in ASCII; what it finds is all
   * that is tried.
   */
  lookup?: LookupFunction | undefined;
  /**
   * Connect through a proxy: `"socks5://user:password@host:port"` (the addresses of `host` are looked up here),
   * `socks5h` (the proxy looks them up), or `http` (CONNECT; looked up there, too). User name and password are
   * percent-encoded, and may be left out, and so may the port: 1080, or 80 for `http`. `family`, `localAddress`,
   * `interface` and the like then are those of the connection to the proxy, which is in the clear; `tls` is spoken with
   * `host`. Not together with `path` or `service`. Fails with `PROXY` where the proxy refuses. @default none
   */
  proxy?: string | undefined;
  /**
   * Encrypt from the start; `true` for the defaults: the server's certificate must be for `host`, by an authority that
   * the runtime trusts. `limits.handshakeMs` and `timeout` both bound the handshake. Fails with `TLS` or `TLS_TIMEOUT`,
   * and the connection with it. @default false
   */
  tls?: TLSOptions | boolean | undefined;
}

/** Whether connections from an address are refused; `net.BlockList` is one. */
export interface AddressFilter {
  check(address: string, family: "ipv4" | "ipv6"): boolean;
}

export interface ListenOptions extends TcpOptions {
  /** 0: any free port. */
  port?: number | undefined;
  /** A name or an address; one with several addresses is listened on at all of them. @default both families */
  host?: string | undefined;
  /** A Unix-domain socket instead. A stale socket file is replaced, anything else there is not. */
  path?: string | undefined;
  /** Connections that the kernel queues. @default 511 */
  backlog?: number | undefined;
  /** IPv6 alone, where both would be taken. @default false */
  ipv6Only?: boolean | undefined;
  /** Share the port with other listeners that ask for it too. Fails where the runtime cannot. @default false */
  reusePort?: boolean | undefined;
  /** Connections from these addresses are reset, and told to `didFailAccept` with `ACCEPT`. @default none */
  blockList?: AddressFilter | undefined;
  /**
   * Every connection comes by way of a proxy that tells whose it is by a PROXY header, of version 1 or 2 (HAProxy's
   * proxy-protocol.txt): `socket.proxied`. Without a header, or with a wrong one, a connection is reset, and told to
   * `didFailAccept` with `PROXY_PROTOCOL`; the header has `limits.handshakeMs` to come. The block list and
   * `limits.connectionsPerAddress` heed the address it tells, too. Only for listeners that nobody else can reach:
   * whoever can, may claim any address. @default false
   */
  proxyProtocol?: boolean | undefined;
  /**
   * Encrypt every connection from its start. `limits.handshakeMs` bounds the handshake; one that fails closes its own
   * connection alone, with `TLS`, and is told to its delegate. @default false
   */
  tls?: TLSOptions | false | undefined;
  /**
   * The threads that connections go to: a pool, which picks by its policy, or run loops, in turns. `onSocket` is told
   * of them there, in place of `didAccept` here. A `wantsRunLoopForNewSocket` of the delegate's has precedence. Keys
   * and certificates of `tls` must then be such as can go to another thread: no functions and contexts. @default none
   */
  loops?: RunLoopPool | RunLoop | readonly RunLoop[] | undefined;
}

/** What every queued operation takes. */
export interface OperationOptions<Tag = unknown> {
  /**
   * Ms, from when the entry becomes current and has to wait until it is done: total time. 0: only if it need not wait.
   * Then it fails with `READ_TIMEOUT` or `WRITE_TIMEOUT`. @default none
   */
  timeout?: number | undefined;
  /** Yours; handed back with the result. */
  tag?: Tag | undefined;
  /**
   * Aborting it cancels the operation, with `CANCELED`, and its reason as the cause. Counts from the call.
   * @default none
   */
  signal?: AbortSignal | undefined;
}

/** What reads take besides. */
export interface ReadingOptions<Tag = unknown> extends OperationOptions<Tag> {
  /**
   * What a timeout or a limit does: close the connection, or fail this read alone, taking no byte; the next entry then
   * starts in a later turn of the event loop. @default "disconnect"
   */
  onFailure?: "disconnect" | "continue" | undefined;
}

export interface DataOptions<Tag = unknown> extends ReadingOptions<Tag> {
  /** Give a string, decoded by this, instead of bytes. */
  encoding?: BufferEncoding | undefined;
  /** Put the bytes here, and give a view of it. It bounds the read. Leave it alone until then. */
  into?: Uint8Array | undefined;
}

export interface ReadOptions<Tag = unknown> extends DataOptions<Tag> {
  /** At most so many bytes; the rest stays. @default none */
  maxLength?: number | undefined;
}

export interface DelimitedOptions<Tag = unknown> extends DataOptions<Tag> {
  /** Bytes, the delimiter counted. More without a delimiter is `READ_LIMIT`. @default limits.readLength */
  maxLength?: number | undefined;
}

export interface LineOptions<Tag = unknown> extends ReadingOptions<Tag> {
  /** Bytes, the line's ending counted. @default limits.readLength */
  maxLength?: number | undefined;
  /** @default "utf8" */
  encoding?: BufferEncoding | undefined;
}

export interface FrameOptions<Tag = unknown> extends DataOptions<Tag> {
  /** Size of the length field: 1, 2, 3, 4, 5, 6 or 8. */
  lengthBytes: number;
  /** @default false: network byte order */
  littleEndian?: boolean | undefined;
  /** Whether the length counts the length field too. @default false */
  lengthIncludesHeader?: boolean | undefined;
  /** Bytes of the body. A frame that claims more is `READ_LIMIT`. @default limits.readLength */
  maxLength?: number | undefined;
}

export interface PeekOptions<Tag = unknown> extends DataOptions<Tag> {
  /** How many bytes to look at: exactly so many. */
  length: number;
}

/** Options that make a read give a string. */
export interface WithEncoding {
  encoding: BufferEncoding;
}

/** Options that make a read give bytes. */
export interface WithoutEncoding {
  encoding?: undefined;
}

export interface MoveOptions {
  /** Goes along as a structured clone. @default the socket's own `userData` */
  userData?: unknown;
}

export interface ShutdownOptions {
  /** Ms that connections may take to finish before they are closed. @default Infinity */
  graceMs?: number | undefined;
}

/**
 * How a listener's shutdown went: connections that finished by themselves, and those closed at the end of the grace.
 */
export interface ShutdownResult {
  finished: number;
  forced: number;
}

/** Bytes as they are given to `write`. */
export type Bytes = string | ArrayBufferView | ArrayBuffer;

/** @internal All limits, filled in. */
export type FullLimits = { readonly [K in keyof Limits]-?: number };

/** Where one attempt to connect goes: a path, or an address, with no name to look up. */
export type Endpoint =
  | { readonly path: string }
  | {
      readonly path: null;
      readonly address: string;
      readonly family: 4 | 6;
      readonly port: number;
      /** The address to come from; undefined: the system's choice. */
      readonly localAddress: string | undefined;
      /** The port to come from; undefined: any. */
      readonly localPort: number | undefined;
    };

/** @internal Checked, with the defaults in place. Where a `connect` goes to. */
export type ConnectTarget =
  | {
      readonly path: string;
      /** How long a listener with a full backlog is tried again; `Infinity`: as long as the connect may take. */
      readonly patienceMs: number;
    }
  | {
      readonly path: null;
      readonly host: string;
      /** 0: none, which needs a service. */
      readonly port: number;
      readonly service: string | undefined;
      /** That of `localAddress`, too. */
      readonly family: 4 | 6 | undefined;
      readonly preferFamily: 4 | 6 | undefined;
      readonly attemptDelayMs: number;
      readonly localAddress: string | undefined;
      readonly localPort: number | undefined;
      readonly interface: string | undefined;
      readonly lookup: LookupFunction | undefined;
      readonly proxy: ProxyServer | undefined;
    };

/** Checked, with the defaults in place. Where a transport listens. */
export type ListenTarget = { readonly backlog: number } & (
  | { readonly path: string }
  | {
      readonly path: null;
      readonly host: string | undefined;
      readonly port: number;
      readonly ipv6Only: boolean;
      readonly reusePort: boolean;
    }
);

/** Checked, with the defaults in place. */
export interface SocketSettings {
  readonly noDelay: boolean;
  readonly keepAliveMs: number | false;
}

/** A connection as web streams. */
export interface WebStreams {
  /** Ends with the peer's FIN. To cancel it closes the connection. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Its close is the FIN. To abort it closes the connection. */
  readonly writable: WritableStream<Bytes>;
}
