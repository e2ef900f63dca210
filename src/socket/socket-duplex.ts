import type { AddressInfo } from "node:net";
import type { CipherNameAndProtocol, DetailedPeerCertificate, PeerCertificate } from "node:tls";
import { inspect } from "node:util";
import type { Address, ProxiedAddresses } from "../base/address.js";
import { checkMs, wrongType } from "../base/checks.js";
import { badState, socketError } from "../base/errors.js";
import type { SocketRequest } from "../base/request.js";
import { checkConnect, type ConnectOptions } from "../connect/options.js";
import type { Connection } from "../connection/connection.js";
import type { SecureInfo } from "../tls/info.js";
import { checkKeepAlive, type SocketSettings } from "../transport/options.js";
import { StreamTimeout } from "./stream-timeout.js";
import { ConnectionDuplex } from "./streams.js";

/** The parts of an `AsyncSocket` that its stream uses. */
interface StreamOwner {
  readonly allowHalfOpen: boolean;
  readonly local: Address | undefined;
  readonly remote: Address | undefined;
  readonly proxied: ProxiedAddresses | undefined;
  readonly _connection: Connection;
  _connect(options: ReturnType<typeof checkConnect>): SocketRequest<unknown>;
  ref(): void;
  unref(): void;
  toJSON(): object;
}

/** What a stream's `connect` takes: the options of `AsyncSocket.connect`, and habits of the runtime's own sockets. */
export interface StreamConnectOptions extends Omit<ConnectOptions, "family"> {
  /** The only family whose addresses are tried, 4 or 6; 0 stands for both. @default both */
  family?: number | undefined;
  /** The time in ms without traffic before the first keepalive probe, if `keepAlive` is true. @default the system's */
  keepAliveInitialDelay?: number | undefined;
}

/**
 * The stream that `toDuplex()` gives. It has the methods, properties and events that programs use of a `net.Socket`, and
 * of a `tls.TLSSocket` if the connection is encrypted. Over TLS, 'connect' and 'ready' come after the handshake,
 * together with 'secureConnect', since nothing can be sent before it.
 */
export class SocketDuplex extends ConnectionDuplex {
  /** The time that was set by `setTimeout`, in ms; undefined before that. */
  timeout?: number;
  readonly #socket: StreamOwner;
  readonly #connection: Connection;
  /** Settings that were made before `connect`. */
  #early: Partial<SocketSettings> = {};

  /** @internal */
  constructor(socket: StreamOwner) {
    super(socket._connection, socket.allowHalfOpen);
    this.#socket = socket;
    this.#connection = socket._connection;
    const { attempt } = this.#connection;
    if (attempt !== null) this.#expectConnect(attempt.request);
  }

  // ------------------------------------------------------------------ connecting

  /**
   * Connects the idle socket that the stream was made of: to a port and a host (`"localhost"` if none is given), to a
   * Unix path, or as the options of `AsyncSocket.connect` say. `listener` is added for 'connect'. A connect that fails
   * destroys the stream with the error. A stream connects once.
   * @throws BAD_STATE unless the socket is idle
   */
  connect(port: number | string, host: string, listener?: () => void): this;
  connect(target: StreamConnectOptions | number | string, listener?: () => void): this;
  connect(target: StreamConnectOptions | number | string, host?: string | (() => void), listener?: () => void): this {
    const checked = checkConnect({ ...this.#earlyOptions(), ...connectOptions(target, host) });
    if (this.#connection.phase.name !== "idle") throw badState("connect", "the socket is not idle any more");
    const heard = typeof host === "function" ? host : listener;
    if (heard !== undefined) this.once("connect", heard);
    this.#expectConnect(this.#socket._connect(checked));
    this.quiet?.refresh();
    return this;
  }

  #earlyOptions(): ConnectOptions {
    const { noDelay, keepAliveMs } = this.#early;
    return { noDelay, keepAlive: keepAliveMs === 0 ? true : keepAliveMs };
  }

  /** A connect that fails closes the connection, which destroys the stream. */
  #expectConnect(request: SocketRequest<unknown>): void {
    // What a listener throws must not become a rejection of this promise.
    request.then(
      () => process.nextTick(() => this.#didConnect()),
      () => undefined,
    );
  }

  #didConnect(): void {
    if (this.destroyed) return;
    this.quiet?.refresh();
    this.emit("connect");
    this.emit("ready");
    if (this.encrypted === true) this.emit("secureConnect");
  }

  /** Whether a connect is under way; over TLS, until the handshake is done. */
  get connecting(): boolean {
    return this.#connection.phase.name === "connecting";
  }

  /** Whether there is no connection: not yet, or not any more. */
  get pending(): boolean {
    return this.destroyed || this.connecting || this.#connection.phase.name === "idle";
  }

  /** What can be done at present, by the direction in which bytes may still go. */
  get readyState(): "opening" | "open" | "readOnly" | "writeOnly" | "closed" {
    if (this.connecting) return "opening";
    if (this.readable) return this.writable ? "open" : "readOnly";
    return this.writable ? "writeOnly" : "closed";
  }

  /** Always empty: the error of a connect that failed names the addresses that were tried. */
  get autoSelectFamilyAttemptedAddresses(): string[] {
    return [];
  }

  // ------------------------------------------------------------------ settings

  /**
   * Emits 'timeout' after `timeoutMs` without traffic in either direction, and once more after each traffic that
   * follows. Nothing else happens: to close the connection is up to the listener. 0 ends it. The timer does not keep the
   * process alive. `listener` is added for the next 'timeout', or removed if `timeoutMs` is 0.
   */
  setTimeout(timeoutMs: number, listener?: () => void): this {
    const ms = checkMs("timeoutMs", timeoutMs);
    if (this.destroyed) return this;
    this.timeout = ms;
    this.quiet ??= new StreamTimeout(this.#connection, () => this.emit("timeout"));
    if (ms === 0) this.quiet.stop();
    else this.quiet.start(ms);
    if (listener !== undefined) {
      if (ms === 0) this.removeListener("timeout", listener);
      else this.once("timeout", listener);
    }
    return this;
  }

  /** Sets TCP_NODELAY, now or once the socket is connected. */
  setNoDelay(on: unknown = true): this {
    return this.#change({ noDelay: Boolean(on) });
  }

  /**
   * Turns TCP keepalive on or off, now or once the socket is connected.
   * @param initialDelayMs the time without traffic before the first probe; 0 leaves it as it is
   */
  setKeepAlive(on = false, initialDelayMs = 0): this {
    return this.#change({ keepAliveMs: on ? checkKeepAlive("initialDelayMs", initialDelayMs) : false });
  }

  #change(settings: Partial<SocketSettings>): this {
    const { phase } = this.#connection;
    if (phase.name === "idle") this.#early = { ...this.#early, ...settings };
    else if (phase.reason === null) this.#connection.change(settings);
    return this;
  }

  /** Lets the socket keep the process alive while it is open. This is the default. */
  ref(): this {
    this.#socket.ref();
    return this;
  }

  /** Lets the process exit even while the socket is open. */
  unref(): this {
    this.#socket.unref();
    return this;
  }

  // ------------------------------------------------------------------ ending

  /** Destroys the stream once everything that was written is out. */
  destroySoon(): void {
    // What was written to an idle stream waits for a connect, which will not come.
    if (this.#connection.phase.name === "idle") return void this.destroy();
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  /** Destroys the stream with a RST; what is not sent is dropped. While it connects, that is done once it is connected. */
  resetAndDestroy(): this {
    const { name } = this.#connection.phase;
    if (name === "connecting") this.once("connect", () => this.#reset());
    else if (name === "idle" || this.destroyed) this.destroy(socketError("CLOSED", "reset", "The socket is closed"));
    else this.#reset();
    return this;
  }

  #reset(): void {
    this.resets = true;
    this.destroy();
  }

  // ------------------------------------------------------------------ addresses and counters

  /** The local address; an empty object before there is one, and for a Unix-domain socket. */
  address(): AddressInfo | Record<string, never> {
    const { local } = this.#socket;
    if (local === undefined || local.family === "unix") return {};
    return { address: local.address, family: local.family, port: local.port };
  }

  get localAddress(): string | undefined {
    return hostOf(this.#socket.local);
  }

  get localPort(): number | undefined {
    return portOf(this.#socket.local);
  }

  get localFamily(): string | undefined {
    return familyOf(this.#socket.local);
  }

  /** The peer's address. For a connection accepted with `proxyProtocol`, it is that of the client behind the proxy. */
  get remoteAddress(): string | undefined {
    return hostOf(this.#peer);
  }

  get remotePort(): number | undefined {
    return portOf(this.#peer);
  }

  get remoteFamily(): string | undefined {
    return familyOf(this.#peer);
  }

  get #peer(): Address | undefined {
    return this.#socket.proxied?.remote ?? this.#socket.remote;
  }

  /** The number of bytes received, those that were not read from the stream yet included. */
  get bytesRead(): number {
    return this.#connection.bytesRead;
  }

  /** The number of bytes that were written to the stream and are not sent yet. */
  get bufferSize(): number {
    return this.writableLength;
  }

  // ------------------------------------------------------------------ TLS

  /** True if the connection is encrypted, or will be before anything is sent; otherwise undefined. */
  get encrypted(): true | undefined {
    return this.#connection.upgrade === null ? undefined : true;
  }

  /** Whether the peer's certificate was verified. Undefined without TLS. */
  get authorized(): boolean | undefined {
    return this.encrypted && this.#info?.authorized === true;
  }

  /** The code of the reason why the peer was not verified; null if no check has failed. Undefined without TLS. */
  get authorizationError(): string | null | undefined {
    if (this.encrypted === undefined) return undefined;
    const error: NodeJS.ErrnoException | null | undefined = this.#info?.authorizationError;
    return error ? (error.code ?? error.message) : null;
  }

  /** The protocol that was negotiated by ALPN; false if none was, null before the handshake. Undefined without TLS. */
  get alpnProtocol(): string | false | null | undefined {
    if (this.encrypted === undefined) return undefined;
    return this.#info === null ? null : (this.#info.alpn ?? false);
  }

  /** The name that the client asked for (SNI); false if it asked for none, null before the handshake. */
  get servername(): string | false | null | undefined {
    if (this.encrypted === undefined) return undefined;
    return this.#info === null ? null : (this.#info.servername ?? false);
  }

  /** The peer's certificate, with that of its issuers if `detailed`; an empty object if there is none. */
  getPeerCertificate(detailed: true): DetailedPeerCertificate;
  getPeerCertificate(detailed?: boolean): PeerCertificate;
  getPeerCertificate(detailed = false): PeerCertificate | DetailedPeerCertificate {
    const certificate = this.#info?.peerCertificate ?? null;
    if (certificate === null) return {} as PeerCertificate;
    if (detailed) return certificate;
    const short: Partial<DetailedPeerCertificate> = { ...certificate };
    delete short.issuerCertificate;
    return short as PeerCertificate;
  }

  /** The cipher; undefined without TLS, and before the handshake. */
  getCipher(): CipherNameAndProtocol | undefined {
    return this.#info?.cipherFacts;
  }

  /** The version of TLS, such as `"TLSv1.3"`; null without TLS, and before the handshake. */
  getProtocol(): string | null {
    return this.#info?.version ?? null;
  }

  /** The TLS session, with which a client can resume; undefined as long as there is none. */
  getSession(): Buffer | undefined {
    return this.#info?.session;
  }

  /** Whether an earlier TLS session was resumed. */
  isSessionReused(): boolean {
    return this.#info?.resumed === true;
  }

  get #info(): SecureInfo | null {
    return this.#connection.upgrade?.info ?? null;
  }

  // ------------------------------------------------------------------ what can be seen

  /** Prints one line, without the data in the buffers of the stream. */
  [inspect.custom](): string {
    return `SocketDuplex of ${inspect(this.#socket)}`;
  }

  /** Gives the facts about the socket for JSON. */
  toJSON(): object {
    return this.#socket.toJSON();
  }
}

/** Reads the arguments of `connect` as `net.Socket` does: a string of digits is a port, any other one a path. */
function connectOptions(target: StreamConnectOptions | number | string | null, host: unknown): ConnectOptions {
  if (typeof target === "object" && target !== null) {
    const { keepAliveInitialDelay: delayMs = 0, keepAlive, family, ...options } = target;
    return {
      ...options,
      ...(keepAlive !== undefined && { keepAlive: keepAlive === true && delayMs > 0 ? delayMs : keepAlive }),
      ...(family !== undefined && family !== 0 && { family: family as 4 | 6 }),
    };
  }
  if (typeof target !== "number" && typeof target !== "string") {
    throw wrongType("options", "an object, a port or a path", target);
  }
  const port = Number(target);
  if (Number.isNaN(port)) return { path: String(target) };
  return typeof host === "string" ? { port, host } : { port };
}

function hostOf(address: Address | undefined): string | undefined {
  return address === undefined || address.family === "unix" ? undefined : address.address;
}

function portOf(address: Address | undefined): number | undefined {
  return address === undefined || address.family === "unix" ? undefined : address.port;
}

function familyOf(address: Address | undefined): string | undefined {
  return address === undefined || address.family === "unix" ? undefined : address.family;
}
