import type { DetailedPeerCertificate } from "node:tls";
import { inWords } from "../base/errno.js";
import { AsyncSocketError, socketError } from "../base/errors.js";
import { isThenable } from "../base/checks.js";
import { onAbort, type RequestOwner, settle, type SocketRequest } from "../base/request.js";
import { surface } from "../base/uncaught.js";
import { exactly } from "../framing/fixed.js";
import { type Entry, isPending, NO_TIMEOUT } from "../pump/entry.js";
import { ReadEntry } from "../pump/read-entry.js";
import { WriteEntry } from "../pump/write-queue.js";
import type { SecureInfo } from "../tls/info.js";
import type { TLSInfo } from "../tls/options.js";
import { type SecureSettings, withHost } from "../tls/settings.js";
import type { SocketDelegate } from "./delegate.js";
import { publishSecure } from "./diagnostics.js";
import { hears } from "./notify.js";
import type { SocketFace, UpgradeOwner } from "./owner.js";

/** The entry of a startTLS in the queue of reads. */
export class UpgradeEntry extends ReadEntry<TLSInfo> {
  constructor(tag: unknown, owner: RequestOwner, timeoutMs: number) {
    super("startTLS", tag, owner, timeoutMs, exactly(0), 0);
  }

  override get bytesTotal(): undefined {
    return undefined;
  }
}

/** The entry of the same startTLS in the queue of writes. Writes after it wait for it. */
export class UpgradeGate extends WriteEntry {
  readonly entry: UpgradeEntry;

  constructor(entry: UpgradeEntry, owner: RequestOwner) {
    super("startTLS", entry.tag, owner, NO_TIMEOUT, []);
    this.entry = entry;
  }
}

/**
 * ```
 * queued ── both queues have reached it ──> handshaking ──> handshakeDone ── a turn ──> deciding ──> trusted ──> secure
 *   (a connection encrypted from its start begins here, without an entry)                  └─ askingDelegate ─┘
 * ```
 * Any failure closes the connection: operations queued after the upgrade must never be carried out unencrypted.
 */
type UpgradeState = "queued" | "handshaking" | "handshakeDone" | "deciding" | "askingDelegate" | "trusted" | "secure";

/** The upgrade of one connection to TLS. A connection has at most one. */
export class Upgrade implements RequestOwner {
  state: UpgradeState = "queued";
  info: SecureInfo | null = null;
  readonly settings: SecureSettings;
  /** The startTLS in the read queue; null if the connection is encrypted from its start. */
  entry: UpgradeEntry | null = null;
  #gate: UpgradeGate | null = null;
  #keptJudge: SocketDelegate<SocketFace> | null = null;
  #readsAreHere = false;
  #writesAreHere = false;
  #handshakeDueAt = Infinity;
  #entryDueAt = Infinity;
  /** The clock time at which the handshake began; -1 before that. */
  #startedAt = -1;
  #tookMs: number | undefined;
  readonly #connection: UpgradeOwner;

  constructor(connection: UpgradeOwner, settings: SecureSettings) {
    this.#connection = connection;
    this.settings = settings;
  }

  /** Whether the handshake has begun and the peer is not trusted yet. Reads and writes wait during this time. */
  get isUnderWay(): boolean {
    return this.state !== "queued" && this.state !== "secure";
  }

  /** How long the handshake took, the trust in the peer included; undefined before it is done. */
  get tookMs(): number | undefined {
    return this.#tookMs;
  }

  get dueAt(): number {
    return Math.min(this.#handshakeDueAt, this.#entryDueAt);
  }

  // ------------------------------------------------------------------ as an entry of the two queues

  enqueue(tag: unknown, timeoutMs: number, signal: AbortSignal | undefined): UpgradeEntry {
    const connection = this.#connection;
    const entry = new UpgradeEntry(tag, this, timeoutMs);
    this.entry = entry;
    if (connection.isEnding) {
      connection.reading.enqueue(entry, undefined);
      return entry;
    }
    this.#gate = new UpgradeGate(entry, this);
    connection.reading.enqueue(entry, undefined);
    connection.writing.enqueue(this.#gate, undefined);
    if (signal !== undefined) entry.stopListening = onAbort(signal, (cause) => this.#cancel(cause));
    return entry;
  }

  cancelRequest(request: SocketRequest<unknown>): boolean {
    if (!isPending(request)) return false;
    this.#cancel(undefined);
    return true;
  }

  extendRequest(request: SocketRequest<unknown>, ms: number): boolean {
    const { entry } = this;
    if (entry === null || !isPending(request) || entry.timeoutMs === NO_TIMEOUT) return false;
    entry.timeoutMs += ms;
    this.#entryDueAt += ms;
    return true;
  }

  bytesDoneOf(): number {
    return 0;
  }

  #cancel(cause: unknown): void {
    this.fail("CANCELED", "startTLS was canceled; what was queued behind it cannot go in the clear", cause);
    this.#connection.schedule();
  }

  /** The queue of reads has reached the startTLS. @returns whether that began the handshake */
  readsReached(): boolean {
    this.#readsAreHere = true;
    return this.#reached();
  }

  /** The queue of writes has reached the startTLS. @returns whether that began the handshake */
  writesReached(): boolean {
    this.#writesAreHere = true;
    return this.#reached();
  }

  #reached(): boolean {
    const { entry } = this;
    const { clock } = this.#connection;
    if (this.#entryDueAt === Infinity && entry !== null && entry.timeoutMs !== NO_TIMEOUT) {
      this.#entryDueAt = clock.now() + entry.timeoutMs;
    }
    if (!this.#readsAreHere || !this.#writesAreHere || this.state !== "queued") return false;
    this.#expectHandshake();
    // The handshake must not begin inside the transport's call that has just delivered bytes.
    clock.soon(start, this);
    return true;
  }

  // ------------------------------------------------------------------ the handshake

  /** Begins the handshake of a connection that is encrypted from its start. */
  begin(): void {
    this.#expectHandshake();
    this.start();
  }

  #expectHandshake(): void {
    const { clock, limits, timer } = this.#connection;
    this.state = "handshaking";
    this.#startedAt = clock.now();
    this.#handshakeDueAt = clock.now() + limits.handshakeMs;
    timer.arm();
  }

  start(): void {
    const connection = this.#connection;
    if (connection.reason !== null) return;
    const settings = withHost(this.settings, connection.origin.host);
    if (settings !== null) connection.becomeSecure(settings);
    else this.fail("TLS", "startTLS needs a servername: the name that the peer's certificate must be for is not known");
  }

  /**
   * Closes the connection if the peer's FIN has taken effect before the handshake, since no handshake is possible then.
   */
  didEnd(): void {
    if (this.state !== "queued") return;
    const message = "The peer ended the stream before the TLS handshake";
    this.#connection.close("error", socketError("TLS", "startTLS", message));
  }

  didHandshake(info: SecureInfo): void {
    if (this.state !== "handshaking") return;
    this.info = info;
    this.state = "handshakeDone";
    // A TLS 1.3 server on Node loses its close_notify if it ends in the turn of the handshake.
    this.#connection.clock.later(decide, this);
  }

  decide(): void {
    if (this.state === "handshakeDone") this.state = "deciding";
    this.#connection.drain();
  }

  /** Takes the next step. Its last act is a call to the application. @returns whether there was a step to take */
  step(): boolean {
    if (this.state === "deciding") this.#decide();
    else if (this.state === "trusted") this.#finish();
    else return false;
    return true;
  }

  #decide(): void {
    const { peerCertificate, authorizationError: problem } = this.info as SecureInfo;
    if (peerCertificate !== null && this.#asks(peerCertificate, problem)) return;
    if (problem === null || !this.settings.rejectUnauthorized) this.state = "trusted";
    else this.#refuse(inWords(problem.message === "" ? problem : problem.message), problem);
  }

  /**
   * Keeps the delegate of a socket that becomes a stream, for `shouldTrustPeer` alone. Otherwise, a server that makes
   * streams of the sockets it accepts would let in any peer.
   */
  keepJudge(delegate: SocketDelegate<SocketFace> | null): void {
    this.#keptJudge = delegate;
  }

  /**
   * Asks the delegate whether it trusts the peer. Both its method and the `then` of its answer may be getters that throw.
   * @returns whether there was a delegate to ask
   */
  #asks(certificate: DetailedPeerCertificate, problem: Error | null): boolean {
    this.state = "askingDelegate";
    try {
      const { socket } = this.#connection;
      const judge = hears(socket, "shouldTrustPeer") ? socket.delegate : this.#keptJudge;
      if (!judge?.shouldTrustPeer) return false;
      const answer: unknown = judge.shouldTrustPeer(socket, certificate, problem);
      if (isThenable(answer)) Promise.resolve(answer).then(this.#take, this.#fault);
      else this.#take(answer);
    } catch (error) {
      surface(error);
      this.#fault(error);
    }
    return true;
  }

  readonly #take = (answer: unknown): void => {
    if (!this.#isAsked) return;
    if (answer === true) this.state = "trusted";
    else this.#refuse("the delegate does not trust it", this.info?.authorizationError ?? undefined);
    this.#connection.schedule();
  };

  /** Refuses the peer because shouldTrustPeer failed; the error is the cause. */
  readonly #fault = (error: unknown): void => {
    if (!this.#isAsked) return;
    this.#refuse(`shouldTrustPeer failed: ${inWords(error)}`, error);
    this.#connection.schedule();
  };

  /** Whether the delegate's answer still counts. */
  get #isAsked(): boolean {
    return this.state === "askingDelegate" && this.#connection.reason === null;
  }

  #refuse(why: string, cause: unknown): void {
    this.fail("TLS", `The peer is not to be trusted: ${why}`, cause);
  }

  #finish(): void {
    this.state = "secure";
    this.#tookMs = this.#connection.clock.now() - this.#startedAt;
    this.#handshakeDueAt = this.#entryDueAt = Infinity;
    const { entry } = this;
    const connection = this.#connection;
    this.#leaveQueues();
    connection.didSecure();
    entry?.stopListening?.();
    if (entry !== null) settle(entry, "done", this.info);
  }

  // ------------------------------------------------------------------ failing

  /** Whether the stream has ended without close_notify although the options require one. */
  get isCutShort(): boolean {
    return this.settings.requireCloseNotify && this.info?.truncated === true;
  }

  failCutShort(): void {
    this.fail("TLS", "The peer's FIN came without close_notify: the stream may have been cut short");
  }

  expire(now: number): void {
    const { limits } = this.#connection;
    if (now < this.dueAt) return;
    const own = now >= this.#entryDueAt;
    const ms = own ? `${this.entry?.timeoutMs} ms` : `limits.handshakeMs, ${limits.handshakeMs} ms`;
    const who = this.entry === null ? "The TLS handshake" : "startTLS";
    this.fail("TLS_TIMEOUT", `${who} timed out after ${ms}: ${this.#waitingFor()}`);
  }

  #waitingFor(): string {
    if (this.state === "queued") return `it waited for ${this.#holdUp()}`;
    return this.state === "askingDelegate" ? "shouldTrustPeer has not answered" : "the peer was not through with it";
  }

  /** The operation that the upgrade waits for, in words. */
  #holdUp(): string {
    const { reading, writing } = this.#connection;
    const before = this.#readsAreHere ? writing.queue.head : reading.queue.head;
    return `the ${this.#readsAreHere ? "write" : "read"} before it (${nameOf(before)})`;
  }

  /** Fails the upgrade, and then closes the connection. */
  fail(code: "TLS" | "TLS_TIMEOUT" | "CANCELED", message: string, cause?: unknown): void {
    const { entry } = this;
    const connection = this.#connection;
    const operation = entry?.kind ?? (connection.attempt === null ? "connection" : "connect");
    const error = new AsyncSocketError(code, message, { operation, tag: entry?.tag, cause });
    this.#leaveQueues();
    if (this.#startedAt >= 0)
      publishSecure(connection.socket, this.info, connection.clock.now() - this.#startedAt, error);
    if (entry !== null && isPending(entry)) connection.failEntry(entry, error);
    if (code === "TLS_TIMEOUT") connection.closeLate(error);
    else connection.close("error", error);
  }

  /** The entry in the queue of writes was removed. */
  forgetGate(): void {
    this.#gate = null;
  }

  #leaveQueues(): void {
    const { reading, writing } = this.#connection;
    if (this.entry !== null && isPending(this.entry)) reading.queue.remove(this.entry);
    if (this.#gate !== null) writing.queue.remove(this.#gate);
    this.#gate = null;
  }
}

function decide(upgrade: Upgrade): void {
  upgrade.decide();
}

function start(upgrade: Upgrade): void {
  upgrade.start();
}

/** An operation in words. A standing read says that it repeats, since the upgrade waits until it ends. */
function nameOf(entry: Entry | null): string {
  const repeats = entry instanceof ReadEntry && entry.standing !== null;
  return `${entry?.kind ?? "none"}${repeats ? ", which repeats" : ""}`;
}
