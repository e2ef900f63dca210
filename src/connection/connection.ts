import { type Clock, soonest } from "../base/clock.js";
import { inWords } from "../base/errno.js";
import { type AsyncSocketError, isOurs, socketError } from "../base/errors.js";
import type { FullLimits } from "../base/limits.js";
import { nobody, settle, SocketRequest } from "../base/request.js";
import { surface } from "../base/uncaught.js";
import { applySettings } from "../connect/attempt.js";
import { Connecting, type ConnectPlan } from "../connect/connecting.js";
import type { Reached, RouteOwner } from "../connect/route.js";
import type { ConnectTrace } from "../connect/trace.js";
import { type Entry, EntryList } from "../pump/entry.js";
import type { ReadEntry } from "../pump/read-entry.js";
import type { SecureInfo } from "../tls/info.js";
import type { SecureSettings } from "../tls/settings.js";
import type { SocketSettings } from "../transport/options.js";
import type { AcceptedTransport, Passing, SecureSink, Transport } from "../transport/transport.js";
import type { CloseReason } from "./close-reason.js";
import { closeReason, closeStep } from "./closing.js";
import type { RemoteConnection } from "./destination.js";
import { publishEnd, publishReceived, publishSecure } from "./diagnostics.js";
import { markDone, markFailed, notify, tellEnded } from "./notify.js";
import { socketClosed, socketOpened } from "./live-sockets.js";
import { NEW, type Origin } from "./origin.js";
import type { ClosingOwner, ReadingOwner, SocketFace, TimerOwner, UpgradeOwner, WritingOwner } from "./owner.js";
import { closed, dialing, ending, IDLE, OPEN, type Phase } from "./phase.js";
import { Reading } from "./reading.js";
import { ConnectionTimer } from "./timer.js";
import type { Upgrade } from "./upgrade.js";
import { Writing } from "./writing.js";

/** The most bytes that a transport is asked to deliver at once. */
const ROOM_MAX = 64 * 1024;
/** The bounds of one turn, so that a socket that always has work leaves time for other sockets. */
const STEPS_A_TURN = 100;
const ENTRIES_A_TURN = 2000;

/**
 * One connection of a socket, from idle to closed: it connects the reading and the writing half to a transport. A socket
 * that is used again gets a new Connection, so that nothing of the old one can affect the new one.
 *
 * All work is done by `drain`, a loop of small steps, and the last act of each step is a call to the application. Calls
 * from outside, and from inside callbacks, only change the queues and make sure that `drain` runs.
 *
 * ```
 * idle ── connect ──> connecting ── a winner ─> open ── a condition is met, FIN in effect ──> flushing
 *   └────────────────────┴───────────────────────┴──── close(): anything that ends it ──────────┴──> ending ──> closed
 * ```
 * The table in phase.ts says which event leads where.
 */
export class Connection
  implements SecureSink, RouteOwner, ReadingOwner, WritingOwner, TimerOwner, UpgradeOwner, ClosingOwner
{
  readonly socket: SocketFace;
  readonly limits: FullLimits;
  readonly clock: Clock;
  readonly reading: Reading = new Reading(this);
  readonly writing: Writing = new Writing(this);
  readonly timer: ConnectionTimer = new ConnectionTimer(this);
  phase: Phase = IDLE;
  /** The transport; null before the socket is connected. */
  transport: Transport | null = null;
  /** Where the connection comes from. */
  origin: Origin = NEW;
  /** The upgrade to TLS; null if the connection is not to be encrypted. */
  upgrade: Upgrade | null = null;
  /** Notes what the connect does, for the diagnostics channel; null where nobody has subscribed. */
  trace: ConnectTrace | null = null;
  /** The record of the connection on another thread, if it has moved there. */
  moved: RemoteConnection | null = null;
  /** Whether the connection keeps the process alive; set by `setReferenced`. */
  isReferenced = true;
  bytesRead = 0;
  /** The conditions of a graceful close that were asked for so far: AFTER_READING, AFTER_WRITING, or both. */
  closeWhen = 0;
  /** How many descriptors are open: that of the connection, and those of connect attempts that did not win. */
  descriptors = 0;
  readonly closeRequests: SocketRequest<CloseReason>[] = [];
  /** What lets bytes pass between this connection and another one without JavaScript; null if nothing does. */
  passing: Passing | null = null;
  /** Called when the descriptor is closed, before the delegate is told. */
  onClosed: ((connection: Connection) => void) | null = null;

  /**
   * How many more entries may be reported before other sockets have their turn. The count continues over turns in which
   * few are reported.
   */
  entriesLeft = ENTRIES_A_TURN;
  /** Entries that have ended outside of the loop of reads and writes, and are not reported yet: most have failed. */
  readonly #untold = new EntryList<Entry>();
  #draining = false;
  #scheduled = false;
  /** Whether the connection does nothing until `resume` or `goOn` is called. */
  #rests = false;
  #opened = false;
  /** How many bytes the transport may deliver, as it was told last. -1 before it was told: each one is told at once. */
  #room = -1;

  constructor(socket: SocketFace, limits: FullLimits, clock: Clock) {
    this.socket = socket;
    this.limits = limits;
    this.clock = clock;
  }

  get isOpen(): boolean {
    return this.phase === OPEN;
  }

  /** Whether a close has begun, so that entries fail with CLOSED. */
  get isEnding(): boolean {
    if (this.isOpen) return false;
    const { name } = this.phase;
    return name === "flushing" || name === "ending" || name === "closed";
  }

  /** The reason why the connection ends or has ended; null before that, and during a graceful close. */
  get reason(): CloseReason | null {
    return this.phase.reason;
  }

  /** The connect under way; null if there is none. */
  get attempt(): Connecting | null {
    return this.phase.name === "connecting" ? this.phase.attempt : null;
  }

  /** Whether the system has an event for the connection, or for the connect under way, that was not delivered yet. */
  hasNews(): boolean {
    return this.transport?.hasNews() ?? this.attempt?.hasNews() ?? false;
  }

  /** Whether an event has come since the last call, or the system has one. Only for connections without deadlines. */
  takeNews(): boolean {
    const { wasHeard } = this.timer;
    this.timer.wasHeard = false;
    return wasHeard || this.hasNews();
  }

  /** Whether writes can be sent now, also during a graceful close. */
  get isCarrying(): boolean {
    return (this.phase === OPEN || this.phase.name === "flushing") && !this.isHeld;
  }

  /** Whether everything else waits for a TLS handshake. */
  get isHeld(): boolean {
    return this.upgrade?.isUnderWay === true;
  }

  /** Whether there are failed entries that are not reported yet. */
  get hasUntold(): boolean {
    return this.#untold.head !== null;
  }

  /**
   * Whether reporting is paused: other sockets have their turn, or an exception of the delegate has to surface first.
   */
  get isPaused(): boolean {
    return this.#rests || this.entriesLeft <= 0;
  }

  /** Whether reads can be served outside of the loop: nothing is under way or asked for that must come first. */
  get isServing(): boolean {
    const isIdle = this.phase === OPEN && this.closeWhen === 0 && !this.#draining;
    return isIdle && !this.isPaused && !this.hasUntold && !this.isHeld;
  }

  // ------------------------------------------------------------------ asked for by the socket

  /** Starts connecting; the timeout runs from here. */
  connect(plan: ConnectPlan): SocketRequest<unknown> {
    this.origin = { ...NEW, host: plan.target.path === null ? plan.target.host : undefined };
    const attempt = new Connecting(this, plan);
    this.phase = dialing(attempt);
    attempt.start();
    this.timer.arm();
    return attempt.request;
  }

  setReferenced(on: boolean): void {
    this.isReferenced = on;
    this.attempt?.setReferenced(on);
    if (on) this.transport?.ref();
    else this.transport?.unref();
    if (this.phase.name === "connecting") this.timer.arm();
  }

  change(settings: Partial<SocketSettings>): void {
    this.attempt?.change(settings);
    if (this.transport !== null) applySettings(this.transport, settings);
  }

  /** Takes over a transport that is connected already. */
  adopt(transport: Transport, origin = NEW): void {
    this.origin = origin;
    this.bytesRead += origin.bytesRead;
    this.writing.goOnFrom(origin);
    this.descriptors++;
    this.timer.wasHeard = true;
    this.transport = transport;
    this.#becomeOpen();
    this.#setRoom();
  }

  /**
   * Gives the transport away, with the bytes it has received; this connection is over then. Null if the transport is
   * lost already.
   */
  release(): Reached | null {
    const { transport, reading } = this;
    if (transport === null || this.reason !== null) return null;
    const ahead = reading.queue.buffer.copyOut(reading.queue.buffer.length);
    this.timer.disarm();
    this.retire(closeReason(this, "local", null));
    return { transport: transport as AcceptedTransport, ahead, hasEnded: reading.peerEnded };
  }

  /** Takes bytes that were received before this connection took over the transport. They are copied. */
  takeAhead(bytes: Buffer): void {
    this.bytesRead += bytes.length;
    publishReceived(this, bytes, 0, bytes.length);
    this.reading.queue.buffer.borrow(bytes, bytes.length);
    this.reading.queue.buffer.keep();
  }

  cancelReads(): number {
    return this.reading.cancelAll();
  }

  leave(): void {
    this.leaveOpenCount();
    this.onClosed?.(this);
  }

  /** Removes the connection from this thread's count of open connections. */
  leaveOpenCount(): void {
    socketClosed(this.socket, this.#opened);
    this.#opened = false;
  }

  /** Marks the connection as closed without any report. Operations called from now on fail with CLOSED. */
  retire(reason: CloseReason): void {
    this.leaveOpenCount();
    this.phase = closed(reason);
  }

  /** The connection leaves for another thread, which is no end to be announced. */
  depart(reason: CloseReason): void {
    this.timer.disarm();
    this.phase = ending(reason, "entries", null);
    this.schedule();
  }

  /** The connection was lost on its way to another thread. This ends it as anything else does. */
  loseOnTheWay(error: AsyncSocketError): void {
    this.moved = null;
    this.phase = ending(closeReason(this, "error", error), "announce", null);
  }

  /** Closes at once. */
  disconnect(reset: boolean): SocketRequest<CloseReason> {
    this.close("local", null, reset);
    return this.whenClosed("disconnect");
  }

  /** Closes gracefully once the conditions are met, together with those of earlier calls. */
  disconnectAfter(conditions: number): SocketRequest<CloseReason> {
    this.closeWhen |= conditions;
    this.passing?.part();
    this.schedule();
    return this.whenClosed("disconnect");
  }

  whenClosed(kind: "disconnect" | "closed"): SocketRequest<CloseReason> {
    const request = new SocketRequest<CloseReason>(kind, undefined, nobody);
    if (this.phase.name === "closed") settle(request, "done", this.phase.reason);
    else this.closeRequests.push(request);
    return request;
  }

  // ------------------------------------------------------------------ told by the attempt to connect

  expireConnect(): void {
    if (this.attempt !== null) this.close("error", this.attempt.timeoutError());
  }

  /** Takes over the transport that a route has connected. No other method does so. */
  didConnect({ transport, ahead, hasEnded }: Reached): void {
    this.timer.disarm();
    this.timer.wasHeard = true;
    this.transport = transport;
    if (ahead.length > 0) this.takeAhead(ahead);
    transport.adopt(this);
    if (this.upgrade !== null && this.upgrade.entry === null) this.upgrade.begin();
    else this.#didConnect(false);
    if (hasEnded) this.didEnd();
    this.drain();
  }

  #didConnect(isSecure: boolean): void {
    const { attempt } = this;
    if (attempt !== null) this.#becomeOpen();
    attempt?.stop();
    if (isSecure) publishSecure(this.socket, this.upgrade?.info ?? null, this.upgrade?.tookMs ?? 0, undefined);
    if (attempt !== null) notify(this.socket, "didConnect");
    if (isSecure) notify(this.socket, "didSecure");
    if (attempt === null) return;
    attempt.succeed(this.upgrade?.tookMs);
    // Code that awaits the connection has its turn before the first entry has.
    if (attempt.request._settlers === null) return;
    this.#rests = true;
    this.clock.later(goOn, this);
  }

  didHandshake(info: SecureInfo): void {
    this.timer.wasHeard = true;
    this.upgrade?.didHandshake(info);
  }

  /** The handshake is done, and the peer is trusted. */
  didSecure(): void {
    this.#didConnect(true);
  }

  didFailToConnect(error: AsyncSocketError): void {
    this.close("error", error);
  }

  didOpenDescriptor(): void {
    this.timer.wasHeard = true;
    this.descriptors++;
  }

  didCloseDescriptor(): void {
    this.descriptors--;
    if (this.reason !== null) this.drain();
  }

  // ------------------------------------------------------------------ told by the transport

  didReceive(chunk: Buffer, start: number, length: number): void {
    this.bytesRead += length;
    this.timer.wasHeard = true;
    publishReceived(this, chunk, start, length);
    if (!this.isOpen && !this.isHeld) return;
    this.timer.markActive(0);
    const { buffer } = this.reading.queue;
    buffer.borrow(chunk, length, start);
    this.drain();
    buffer.keep();
  }

  didEnd(): void {
    this.timer.wasHeard = true;
    if (this.upgrade?.state === "handshaking")
      this.upgrade.fail("TLS", "The peer ended the stream in the TLS handshake");
    else if (this.upgrade?.isCutShort === true) this.upgrade.failCutShort();
    publishEnd(this, "received");
    this.reading.peerDidEnd();
    this.drain();
  }

  didWrite(): void {
    this.timer.wasHeard = true;
    this.writing.didWrite();
    this.drain();
  }

  didFinish(): void {
    this.timer.wasHeard = true;
    this.writing.finDone = true;
    this.drain();
  }

  didFail(error: Error): void {
    const words = inWords(error);
    if (this.upgrade?.state === "handshaking") this.upgrade.fail("TLS", `The TLS handshake failed: ${words}`, error);
    else if (isOurs(error)) this.close("error", error);
    else if (!this.writing.failChanged())
      this.close("error", socketError("CONNECTION_LOST", "connection", `Connection lost: ${words}`, error));
    this.drain();
  }

  didClose(): void {
    this.descriptors--;
    // If both sides have ended, the descriptor may close; the connection stays while bytes are unread.
    if (this.reading.peerEnded && this.writing.finSent) this.writing.finDone = true;
    else this.close("error", socketError("CONNECTION_LOST", "connection", "Connection lost: it was closed underneath"));
    this.drain();
  }

  // ------------------------------------------------------------------ the loop

  schedule(): void {
    if (this.#draining || this.#scheduled) return;
    this.#scheduled = true;
    this.clock.soon(drain, this);
  }

  /**
   * Does everything that can be done now, in small steps. It never runs nested: a call made by a callback leaves its
   * work to the loop that is running.
   */
  drain(): void {
    if (this.#draining) return;
    this.#scheduled = false;
    if (!this.#rests) this.#work();
    this.reading.queue.buffer.trim();
    this.#setRoom();
    this.timer.arm();
  }

  /** Does as many steps as one turn may have. */
  #work(): void {
    this.#draining = true;
    let steps = STEPS_A_TURN;
    try {
      while (steps > 0 && !this.isPaused && this.#step()) steps--;
    } catch (error) {
      this.#didBreak(error);
    } finally {
      this.#draining = false;
    }
    if (steps === 0 || this.entriesLeft <= 0) this.#rest();
    if (this.reading.servedAwaited) {
      this.reading.servedAwaited = false;
      // A tick of its own would run before the code that awaits the read; this call runs after that code.
      if (this.writing.queue.hasMore) soonest(() => this.schedule());
    }
  }

  #step(): boolean {
    if (this.hasUntold) return this.#tellEnded();
    if (this.upgrade !== null && this.reason === null && this.upgrade.step()) return true;
    if (this.reading.step() || this.writing.step() || closeStep(this)) return true;
    return this.reading.report() || this.writing.report();
  }

  #tellEnded(): true {
    if (this.phase.name === "ending") this.phase.wasToldLate = true;
    for (let entry = this.#untold.head; entry !== null && !this.isPaused; entry = this.#untold.head) {
      this.#untold.remove(entry);
      this.entriesLeft--;
      tellEnded(this.socket, entry);
    }
    return true;
  }

  /**
   * Handles an exception from code that must not throw, such as a transport of the application's. It ends this
   * connection and no other.
   */
  #didBreak(error: unknown): void {
    if (this.reason !== null) surface(error);
    else this.close("error", socketError("CONNECTION_LOST", "connection", `Connection lost: ${inWords(error)}`, error));
    this.#rest();
  }

  /** Stops until the next turn, so that other sockets have theirs. */
  #rest(): void {
    this.#rests = true;
    this.writing.flushWaiting();
    this.clock.later(resume, this);
  }

  /** Continues after a turn's rest. */
  resume(): void {
    this.entriesLeft = ENTRIES_A_TURN;
    this.goOn();
  }

  /** Reports nothing more until the delegate's exception has surfaced, which is scheduled already. */
  pause(): void {
    this.#rests = true;
    this.clock.later(goOn, this);
  }

  goOn(): void {
    this.#rests = false;
    this.drain();
  }

  // ------------------------------------------------------------------ failing and closing

  /** Marks an entry as failed that was removed from its queue; the loop reports it. */
  failEntry(entry: Entry, error: AsyncSocketError): void {
    markFailed(entry, error);
    this.#untold.push(entry);
  }

  /** Marks a standing read as done that was removed from its queue; the loop reports it. */
  endStanding(entry: ReadEntry): void {
    markDone(entry, entry.standing?.messages);
    this.#untold.push(entry);
  }

  /** Ends the connection at once. The loop then reports it. */
  close(by: "local" | "remote", error: null, reset?: boolean): void;
  close(by: "error", error: AsyncSocketError, reset?: boolean): void;
  close(by: "local" | "remote" | "error", error: AsyncSocketError | null, reset = false): void {
    if (this.reason !== null) return;
    this.passing?.part();
    this.writing.wasReset = reset;
    this.writing.account();
    const { attempt } = this;
    this.phase = ending(closeReason(this, by, error), this.#opened ? "announce" : "connect", attempt);
    attempt?.giveUp();
    // A stream may report its close inside this call; the loop must not run before this method is done.
    const wasDraining = this.#draining;
    this.#draining = true;
    this.transport?.destroy(reset);
    this.#draining = wasDraining;
    this.schedule();
  }

  /**
   * Closes because a deadline has passed. If bytes are unsent, a RST is sent, since the system would otherwise keep
   * them for a long time.
   */
  closeLate(error: AsyncSocketError): void {
    this.close("error", error, this.writing.unsentBytes > 0);
  }

  // ------------------------------------------------------------------ room

  #becomeOpen(): void {
    this.phase = OPEN;
    this.#opened = true;
    socketOpened(this.socket);
    this.timer.markOpen();
  }

  /** Starts TLS. Bytes that were received already belong to the handshake, and never reach a read. */
  becomeSecure(settings: SecureSettings): void {
    const { buffer } = this.reading.queue;
    const ahead = buffer.copyOut(buffer.length);
    buffer.drop(ahead.length);
    this.bytesRead -= ahead.length;
    if (this.transport === null) return;
    this.transport = this.transport.secure(settings, ahead, this);
    this.#room = -1;
    this.#setRoom();
  }

  /** Tells the transport how many bytes it may deliver: those for the current read, and the read-ahead. */
  #setRoom(): void {
    let room = ROOM_MAX;
    if (this.isOpen || this.isHeld) {
      const { queue, mayServe } = this.reading;
      room = Math.min(ROOM_MAX, queue.room(this.limits.readAhead, mayServe));
    } else if (this.phase.name !== "flushing") return;
    if (room === this.#room) return;
    this.#room = room;
    this.transport?.setRoom(room);
  }
}

const resume = (connection: Connection): void => connection.resume();
const drain = (connection: Connection): void => connection.drain();
const goOn = (connection: Connection): void => connection.goOn();
