/**
 * One life of a simulated socket, as naive as can be: a list of what was asked, and the bytes that were written as one plain
 * string. Each thing that the socket tells is held against it.
 */

import type { AsyncSocket, AsyncSocketError, CloseReason, SocketRequest } from "asyncsocket";
import type { ReadSpec } from "../pump/entries.js";
import { measure } from "../pump/model.js";
import { assertInvariants } from "../support/invariants.js";

/** One thing asked of a socket; its own tag. */
export interface Tracked {
  readonly life: Life;
  readonly name: string;
  readonly isRead: boolean;
  readonly spec: ReadSpec | null;
  readonly bytes: Buffer;
  readonly askedAtMs: number;
  readonly awaits: boolean;
  /** A standing read. */
  readonly repeats: boolean;
  /** How many messages the delegate was told of, for a standing read. */
  messages: number;
  /** Without what was added to it. */
  readonly givenTimeoutMs: number;
  request: SocketRequest<unknown>;
  /** The call did not throw. */
  isAsked: boolean;
  /** With all that was added to it. */
  timeoutMs: number;
  /** Whether `cancel`, `cancelReads` or its signal took it back. */
  isCanceled: boolean;
  /** It was asked of a socket that was closed. */
  readonly isLate: boolean;
  /** It was refused, or taken back before a byte of it was on its way: no part of the stream. */
  isRemoved: boolean;
  told: number;
  settled: number;
  reported: number;
  currentSinceMs: number;
}

/** Times with fractions are not exact. */
const ROUNDING_MS = 1e-6;
const NOTHING = Buffer.alloc(0);

interface Asking extends Partial<Pick<Tracked, "isRead" | "spec" | "bytes" | "awaits">> {
  readonly timeout?: number | undefined;
  readonly repeats?: boolean | undefined;
}

/** What is about to be asked of a socket. */
export function trackedOf(life: Life, askedAtMs: number, name: string, asking: Asking): Tracked {
  const { isRead = false, spec = null, bytes = NOTHING, awaits = false, repeats = false } = asking;
  const { timeout = Infinity } = asking;
  return {
    ...{ life, name: `${name} ${life.asked.length}`, isRead, spec, bytes, awaits, askedAtMs, timeoutMs: timeout },
    ...{ repeats, messages: 0, givenTimeoutMs: timeout },
    ...{ isAsked: false, isCanceled: false, isRemoved: false, isLate: life.isOver },
    ...{ told: 0, settled: 0, reported: 0, currentSinceMs: -1 },
    request: null as unknown as SocketRequest<unknown>, // set once it was asked for
  };
}

/** What a life needs of the world around it. */
export interface Judge {
  now(): number;
  turn(): number;
  fail(what: string): void;
}

export function isPending({ request }: Tracked): boolean {
  return request.state === "queued" || request.state === "current";
}

/** Whether the delegate is not told that this is done: of an `end`, and of a standing read at the FIN. */
export function isUntold({ name, repeats, request }: Tracked): boolean {
  return name.startsWith("end") || (repeats && request.state === "done");
}

/** The next message of a standing read has a timeout of its own. */
function restart(tracked: Tracked): void {
  tracked.messages++;
  tracked.timeoutMs = tracked.givenTimeoutMs;
  tracked.currentSinceMs = -1;
  tracked.reported = 0;
}

export class Life {
  readonly socket: AsyncSocket;
  readonly isClient: boolean;
  readonly asked: Tracked[] = [];
  /** The other end, once there is one. */
  peer: Life | null = null;
  /** Bytes of the incoming stream that reads have taken. */
  consumed = 0;
  isConnected: boolean;
  readonly begunAtMs: number;
  hasEndedReading = false;
  willDisconnectTold = false;
  reason: CloseReason | null = null;
  isOver = false;
  closedTold = 0;
  /** What the calls have forbidden. */
  isEndAsked = false;
  isAfterReading = false;
  isAfterWriting = false;
  lastSettledTurn = -1;
  #endFailedTurn = -1;
  /** How many reads had been asked for when one met the end. */
  #askedAtEnd = 0;
  #lastReadTurn = -1;
  /** The most that a read has ever been able to take. */
  #widestRead = 0;
  #sent: Buffer | null = null;
  readonly #readAhead: number;
  readonly #writeQueue: number;
  readonly #judge: Judge;
  readonly #written: [atMs: number, bytes: number][] = [];
  readonly #given: [given: Buffer, copy: Buffer][] = [];

  constructor(judge: Judge, socket: AsyncSocket, isClient: boolean, limits: { readAhead: number; writeQueue: number }) {
    this.#judge = judge;
    this.socket = socket;
    this.isClient = isClient;
    this.isConnected = !isClient;
    this.begunAtMs = judge.now();
    this.#readAhead = limits.readAhead;
    this.#writeQueue = limits.writeQueue;
  }

  get name(): string {
    return this.isClient ? "client" : "server";
  }

  #check(isSo: boolean, what: string): void {
    if (!isSo) this.#judge.fail(`${this.name}: ${what}`);
  }

  /** Notes what its system has taken by now. */
  noteWritten(): void {
    this.#written.push([this.#judge.now(), (this.reason ?? this.socket).bytesWritten]);
  }

  /** What its system had taken before that time, as far as it was noted. */
  writtenBefore(ms: number): number {
    return this.#written.findLast(([atMs]) => atMs < ms)?.[1] ?? 0;
  }

  // ------------------------------------------------------------------ the bytes

  /** All that was written, but for what was taken back. */
  get sent(): Buffer {
    this.#sent ??= Buffer.concat(this.asked.filter((one) => !one.isRemoved).map(({ bytes }) => bytes));
    return this.#sent;
  }

  get incoming(): Buffer {
    return this.peer?.sent ?? NOTHING;
  }

  add(tracked: Tracked): void {
    this.asked.push(tracked);
    this.#sent = null;
    if (tracked.spec !== null) this.#widestRead = Math.max(this.#widestRead, tracked.spec.length);
    if (tracked.spec?.kind === "readFrame") this.#widestRead += 8;
  }

  /** It was taken back just now. */
  cancel(tracked: Tracked): void {
    tracked.isCanceled = true;
    if (tracked.isRead || this.socket.closeReason !== undefined) return;
    this.#check(tracked.request.bytesDone === 0, `${tracked.name} was taken back after bytes of it had gone`);
    tracked.isRemoved = true;
    this.#sent = null;
  }

  /** Same bytes, or it is told. */
  #compare(found: Buffer, from: number, what: string): void {
    const expected = this.incoming.subarray(from, from + found.length);
    if (found.equals(expected)) return;
    this.#check(false, `${what} gave ${show(found)} from byte ${from}, where ${show(expected)} was sent`);
  }

  // ------------------------------------------------------------------ told

  #event(what: string): void {
    this.#check(this.isConnected, `${what} before didConnect`);
    this.#check(!this.isOver, `${what} after didDisconnect`);
  }

  #settle(tracked: Tracked, what: string, success: boolean): void {
    if (success) this.#event(what);
    this.#check(!this.isOver || tracked.isLate, `${what} of ${tracked.name} after didDisconnect`);
    this.#check(tracked.life === this, `${what} of ${tracked.name}, of another life`);
    const { state } = tracked.request;
    if (success && tracked.repeats) {
      this.#check(state === "current", `${what} of ${tracked.name}, which is ${state}`);
    } else {
      this.#check(++tracked.told === 1, `${what} of ${tracked.name}, for the ${tracked.told}. time`);
      this.#check(success === (state === "done"), `${what} of ${tracked.name}, which is ${state}`);
    }
    this.lastSettledTurn = this.#judge.turn();
    if (!success) return;
    this.#check(!this.willDisconnectTold, `${what} of ${tracked.name} after willDisconnect`);
    for (const one of this.asked) {
      if (one === tracked) break;
      if (one.isRead === tracked.isRead) this.#check(!isPending(one), `${what} of ${tracked.name} before ${one.name}`);
    }
  }

  didRead(tracked: Tracked, data: Buffer | string): void {
    const { spec, name } = tracked;
    this.#settle(tracked, "didRead", true);
    if (spec === null) return this.#check(false, `didRead of ${name}, which is no read`);
    const before = this.consumed;
    if (tracked.repeats) restart(tracked);
    if (spec.kind === "read") {
      this.#check(
        typeof data !== "string" && data.length > 0 && data.length <= spec.length,
        `${name} gave nothing, or too much`,
      );
      if (typeof data !== "string") this.#compare(data, before, name);
      this.consumed += data.length;
    } else if (spec.kind === "skip") this.consumed += spec.length;
    else this.#didReadFixed(tracked, spec, data);
    const { bytesRead, unreadBytes } = this.socket;
    const taken = bytesRead - unreadBytes - before;
    this.#check(taken === this.consumed - before, `${name} took ${taken} bytes, not ${this.consumed - before}`);
    this.#lastReadTurn = this.#judge.turn();
    if (typeof data !== "string") this.#given.push([data, Buffer.from(data)]);
  }

  /** By the bytes alone, whatever the chunks were. */
  #didReadFixed({ name }: Tracked, spec: ReadSpec, data: Buffer | string): void {
    const left = this.incoming.subarray(this.consumed);
    const found = measure(spec, left);
    if (found === null || typeof found === "string")
      return this.#check(false, `${name} gave ${show(data)}, and should not: ${found}`);
    const bytes = left.subarray(found.from, found.to);
    const encoding = spec.encoding ?? (spec.kind === "readLine" ? "utf8" : undefined);
    const isSame = typeof data === "string" ? data === bytes.toString(encoding) : data.equals(bytes);
    this.#check(
      isSame && (encoding === undefined) === (typeof data !== "string"),
      `${name} gave ${show(data)}, not ${show(bytes)}`,
    );
    if (spec.kind !== "peek") this.consumed += found.taken;
  }

  didFailRead(tracked: Tracked, error: AsyncSocketError): void {
    const { spec, name } = tracked;
    this.#settle(tracked, "didFailRead", false);
    if (spec === null) return this.#check(false, `didFailRead of ${name}, which is no read`);
    const { bytesRead, unreadBytes } = this.socket;
    if (spec.kind === "skip") {
      // A long one drops as it goes, and what is unread after it shows whether it tells how much.
      const isLong = spec.length > this.#readAhead;
      this.#check(isLong || error.bytesDone === 0, `${name} dropped ${error.bytesDone} bytes`);
      this.consumed += error.bytesDone;
      const taken = bytesRead - unreadBytes;
      const isFirst = !this.asked.some(
        (one) => one.isRead && isPending(one) && this.asked.indexOf(one) < this.asked.indexOf(tracked),
      );
      const isOther = error.code === "ERR_ASYNCSOCKET_CLOSED"; // and the socket may be connected anew
      const isSame = isOther || this.socket.state !== "open" || !isFirst || taken === this.consumed;
      this.#check(isSame, `${name} dropped ${error.bytesDone} bytes, and ${taken} are taken, not ${this.consumed}`);
    }
    if (error.partial !== undefined) {
      this.#check(
        error.partial.length === error.bytesDone,
        `${name}: partial has ${error.partial.length}, bytesDone is ${error.bytesDone}`,
      );
      this.#compare(error.partial, this.consumed, `the rest of ${name}`);
    }
    this.#checkCode(tracked, error);
    if (error.code === "ERR_ASYNCSOCKET_END_OF_STREAM") this.#didFailAtEnd(tracked, spec);
    const outcome = error.code.endsWith("READ_LIMIT")
      ? "over-limit"
      : error.code.endsWith("BAD_FRAME")
        ? "bad-frame"
        : null;
    if (outcome === null) return;
    const found = measure(spec, this.incoming.subarray(this.consumed, bytesRead));
    this.#check(found === outcome, `${name} failed by ${error.code}, and should not`);
  }

  #didFailAtEnd(tracked: Tracked, spec: ReadSpec): void {
    const { name } = tracked;
    this.#check(this.socket.peerEnded && this.hasEndedReading, `${name} met the end before didEndReading`);
    // The reads behind the first fail with it, and are told of later where its callback has thrown.
    const isQueuedBehind = this.asked.indexOf(tracked) < this.#askedAtEnd;
    const isFirst = this.#endFailedTurn !== this.#judge.turn() && !isQueuedBehind;
    this.#endFailedTurn = this.#judge.turn();
    this.#askedAtEnd = this.asked.length;
    const left = this.incoming.subarray(this.consumed, this.socket.bytesRead);
    const found = spec.kind === "skip" && left.length < spec.length ? null : measure(spec, left);
    // Behind a standing read that the FIN has ended, a read of no bytes fails, too: the FIN has taken effect.
    const isBehind = this.asked.some((one) => one.repeats && one.request.state === "done");
    if (isFirst && !isBehind)
      this.#check(found === null, `${name} met the end, and could be satisfied by what was left`);
  }

  #checkCode(tracked: Tracked, { code, tag }: AsyncSocketError): void {
    const { name, timeoutMs, askedAtMs, life } = tracked;
    const { closeReason, state } = this.socket;
    this.#check(tag === tracked, `${name} failed with another tag`);
    switch (code) {
      case "ERR_ASYNCSOCKET_CANCELED":
        return this.#check(tracked.isCanceled, `${name} was canceled by nobody`);
      case "ERR_ASYNCSOCKET_READ_TIMEOUT":
      case "ERR_ASYNCSOCKET_WRITE_TIMEOUT":
        return this.#check(this.#judge.now() >= askedAtMs + timeoutMs - ROUNDING_MS, `${name} timed out too early`);
      case "ERR_ASYNCSOCKET_CLOSED":
        return this.#check(
          tracked.isLate || state === "closing" || state === "closed",
          `${name} failed by CLOSED while ${state}`,
        );
      case "ERR_ASYNCSOCKET_CONNECTION_LOST":
        return this.#check(closeReason?.error?.code === code, `${name} lost a connection that is not`);
      case "ERR_ASYNCSOCKET_QUEUE_FULL":
        return this.#check(closeReason !== undefined && life.#writeQueue < 2 ** 20, `${name} found the queue full`);
      case "ERR_ASYNCSOCKET_READ_LIMIT":
      case "ERR_ASYNCSOCKET_BAD_FRAME":
      case "ERR_ASYNCSOCKET_END_OF_STREAM":
        return this.#check(tracked.isRead, `${name} failed by ${code}`);
      default:
        return this.#check(false, `${name} failed by ${code}`);
    }
  }

  didWrite(tracked: Tracked): void {
    this.#settle(tracked, "didWrite", true);
    this.#check(tracked.request.bytesDone === tracked.bytes.length, `${tracked.name} was done before its last byte`);
  }

  didFailWrite(tracked: Tracked, error: AsyncSocketError): void {
    this.#settle(tracked, "didFailWrite", false);
    this.#checkCode(tracked, error);
    this.#check(error.bytesDone <= tracked.bytes.length, `${tracked.name} has sent more than it has`);
    if (error.bytesDone > 0)
      this.#check(this.socket.closeReason !== undefined, `${tracked.name} left a hole in the stream`);
  }

  didReport(tracked: Tracked, count: number): void {
    this.#event("a partial report");
    tracked.reported += count;
    this.#check(
      tracked.request.state === "current" && count > 0,
      `a partial report of ${tracked.name}, which is ${tracked.request.state}`,
    );
    this.#check(
      tracked.reported <= tracked.request.bytesDone,
      `${tracked.name} reported ${tracked.reported} of ${tracked.request.bytesDone}`,
    );
  }

  shouldExtend(tracked: Tracked, elapsed: number, bytesDone: number): void {
    this.#event("a question for time");
    this.#check(
      tracked.request.state === "current",
      `time is asked for ${tracked.name}, which is ${tracked.request.state}`,
    );
    this.#check(
      elapsed >= tracked.timeoutMs - ROUNDING_MS,
      `time is asked for ${tracked.name} after ${elapsed} of ${tracked.timeoutMs} ms`,
    );
    this.#check(bytesDone === tracked.request.bytesDone, `${tracked.name} has other bytes than told`);
  }

  didConnect(): void {
    this.#check(this.isClient && !this.isConnected, "didConnect, twice or of an accepted socket");
    this.isConnected = true;
    this.#event("didConnect");
  }

  didEndReading(): void {
    this.#event("didEndReading");
    this.#check(!this.hasEndedReading && this.socket.peerEnded, "didEndReading, twice or without a FIN");
    this.#check(!this.willDisconnectTold, "didEndReading after willDisconnect");
    this.#check(this.#judge.turn() > this.#lastReadTurn, "didEndReading in the turn of the last read");
    this.hasEndedReading = true;
    const { peer } = this;
    // Writes are done when the system has them: all those, and no other bytes, are before the FIN.
    const { bytesWritten = 0, unsentBytes = 0 } = peer?.reason ?? peer?.socket ?? {};
    const { bytesRead } = this.socket;
    this.#check(
      bytesRead >= bytesWritten && bytesRead <= bytesWritten + unsentBytes,
      `the end came after ${bytesRead} bytes, ${bytesWritten} were sent`,
    );
  }

  willDisconnect(reason: CloseReason): void {
    this.#event("willDisconnect");
    this.#check(!this.willDisconnectTold, "willDisconnect twice");
    this.willDisconnectTold = true;
    this.#check(this.socket.closeReason === reason, "willDisconnect with another reason");
  }

  didDisconnect(reason: CloseReason): void {
    this.#check(!this.isOver, "didDisconnect twice");
    this.#check(!this.isConnected || this.willDisconnectTold, "didDisconnect without willDisconnect");
    this.#check(this.#judge.turn() > this.lastSettledTurn, "didDisconnect in the turn of the last settlement");
    for (const one of this.asked) {
      this.#check(!isPending(one), `${one.name} is pending after the close`);
      this.#check(one.told === 1 || isUntold(one), `${one.name} was told ${one.told} times`);
      this.#check(
        !one.awaits || one.settled === 1,
        `who awaits ${one.name} was told ${one.settled} times before didDisconnect`,
      );
    }
    this.isOver = true;
    this.reason = reason;
    this.#checkReason(reason);
  }

  #checkReason({ by, error, unread, bytesRead, bytesWritten, unsentBytes }: CloseReason): void {
    this.#check((by === "error") === (error !== null), `closed by ${by}, error ${error?.code}`);
    if (!this.isConnected) return;
    this.#compare(unread, this.consumed, "the unread rest");
    this.#check(
      this.consumed + unread.length <= bytesRead,
      `${this.consumed} + ${unread.length} bytes unread of ${bytesRead}`,
    );
    this.#check(bytesRead <= this.incoming.length, `${bytesRead} bytes came, ${this.incoming.length} were sent`);
    this.#checkWritten(bytesRead);
    const { length } = this.sent;
    this.#check(
      bytesWritten + unsentBytes === length,
      `${bytesWritten} bytes out and ${unsentBytes} not, of ${length}`,
    );
  }

  // ------------------------------------------------------------------ at every step

  /** No more has come than what the other end's system is said to have taken. */
  #checkWritten(bytesRead: number): void {
    if (this.peer === null) return;
    const { bytesWritten } = this.peer.reason ?? this.peer.socket.closeReason ?? this.peer.socket;
    this.#check(bytesRead <= bytesWritten, `${bytesRead} bytes came, ${bytesWritten} are said to be written`);
  }

  /** What must hold at any time. */
  check(): void {
    if (this.isOver) return;
    this.#checkWritten(this.socket.bytesRead);
    const { socket } = this;
    this.#checkInvariants();
    let reads = 0;
    let writes = 0;
    for (const one of this.asked) {
      if (!isPending(one)) continue;
      if (one.isRead) reads++;
      else writes++;
    }
    this.#check(socket.pendingReads === reads, `${socket.pendingReads} reads pending, not ${reads}`);
    this.#check(socket.pendingWrites === writes, `${socket.pendingWrites} writes pending, not ${writes}`);
    this.#check(socket.unreadBytes <= this.#readAhead + this.#widestRead, `${socket.unreadBytes} bytes unread`);
    this.#check(socket.unsentBytes <= this.#writeQueue, `${socket.unsentBytes} bytes unsent`);
  }

  #checkInvariants(): void {
    try {
      assertInvariants(this.socket);
    } catch (error) {
      this.#check(false, (error as Error).message);
    }
  }

  /** What must hold when nothing more can happen without time. */
  checkQuiet(): void {
    if (this.isOver) return;
    const { socket } = this;
    if (socket.state !== "open") return;
    const head = this.asked.find((one) => one.isRead && isPending(one));
    const now = this.#judge.now();
    for (const one of this.asked) {
      if (one.request.state !== "current") continue;
      if (one.currentSinceMs < 0) one.currentSinceMs = now;
      // A millisecond, since timers are set by whole ones.
      this.#check(
        now <= one.currentSinceMs + one.timeoutMs + 1,
        `${one.name} has not timed out since ${one.currentSinceMs}`,
      );
    }
    if (head?.spec === null || head === undefined) return;
    this.#check(!socket.peerEnded, `${head.name} waits behind the end of the stream`);
    if (head.spec.kind === "skip") return;
    const { unread } = socket;
    this.#compare(unread, this.consumed, "unread");
    this.#check(measure(head.spec, unread) === null, `${head.name} waits, and could go on`);
  }

  /** What was given to the user stays as it was. */
  checkGiven(): void {
    for (const [given, copy] of this.#given) this.#check(given.equals(copy), `bytes given away have changed`);
  }
}

function show(data: Buffer | string): string {
  const text = typeof data === "string" ? data : data.toString("latin1");
  return `${text.length} (${JSON.stringify(text.slice(0, 40))})`;
}
