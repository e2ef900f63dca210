import { checkMs, checkOptions, checkSignal, wrongType } from "../base/checks.js";
import { type AsyncSocketError, badState, isCode, socketError } from "../base/errors.js";
import { checkNames, type OptionNames } from "../base/option-names.js";
import { onAbort } from "../base/request.js";
import type { CloseReason } from "../connection/close-reason.js";
import { AFTER_WRITING } from "../connection/closing.js";
import type { Connection } from "../connection/connection.js";
import { whyNotGiven } from "../connection/permissions.js";
import { available } from "../framing/available.js";
import { type BytesInPlace, InPlaceFraming, UNKNOWN, type UnreadBytes } from "../framing/framing.js";
import { NO_TIMEOUT } from "../pump/entry.js";
import { ReadEntry } from "../pump/read-entry.js";
import { WriteEntry } from "../pump/write-queue.js";
import { AsyncSocket } from "./async-socket.js";
import { IdleWatch } from "./idle-watch.js";
import { Joint } from "./joint.js";

/** The options of `relay`. */
export interface RelayOptions {
  /**
   * Ends the relay when no byte went either way for so many milliseconds. It does not run while a side still connects.
   * Bytes that a peer takes from the system's send queue count. It may strike late by an eighth. @default Infinity
   */
  idleMs?: number | undefined;
  /** Aborting this signal ends the relay, and closes both sockets at once. @default none */
  signal?: AbortSignal | undefined;
}

/** How a relay has ended. */
export interface RelayResult {
  /** The number of bytes of `a` that the operating system has taken for `b`. */
  readonly aToB: number;
  /** The number of bytes of `b` that the operating system has taken for `a`. */
  readonly bToA: number;
  /**
   * `"finished"`: both peers have ended their side, and each has got everything. `"failed"`: `side` has failed with
   * `error`. `"closed"`: `side` was closed before both peers had ended, without an error; by this program, for example.
   * `"idle"`: `idleMs` is over. `"aborted"`: the signal was aborted.
   */
  readonly ended: "finished" | "failed" | "closed" | "idle" | "aborted";
  /** The socket that failed or was closed first; null where neither did. */
  readonly side: "a" | "b" | null;
  /** The error of that socket, or of the relay (`IDLE_TIMEOUT`, `CANCELED`); null if there is none. */
  readonly error: AsyncSocketError | null;
}

type Side = "a" | "b";
type End = Pick<RelayResult, "ended" | "side" | "error">;

const RELAY_OPTIONS: OptionNames<RelayOptions> = { idleMs: true, signal: true };

/**
 * Joins two sockets: what comes from one is sent to the other, both ways, until both peers have ended their side.
 *
 * ```ts
 * for await (const client of listener.connections()) {
 *   const upstream = new AsyncSocket();
 *   upstream.connect({ host, port, timeout: 5_000 });
 *   void relay(client, upstream);
 * }
 * ```
 *
 * Bytes that are unread come first, behind writes that are queued. A side that does not take its bytes holds the other
 * one up, so that only little is in memory. When a peer ends its side, the other peer is told so after all bytes, and
 * the other direction goes on, whatever `allowHalfOpen` of the sockets says. When a socket fails or is closed, what came
 * from it is still sent, and then the other socket is closed gracefully. Either may still be connecting, or in the TLS
 * handshake of its `connect` or `listen`.
 *
 * The sockets belong to the relay: they lose their delegates (only `shouldTrustPeer` is still called, for a handshake
 * under way), and cannot be used again. They keep their limits, and their properties and their methods for closing still
 * work.
 *
 * The promise is settled when both sockets are closed. It never rejects, so it may be ignored.
 * @throws BAD_STATE if a socket is idle or listens, has reads queued, is a stream or relayed already, or is to be ended
 * by `end` or a graceful disconnect. A socket that has closed is no mistake: the relay ends with `"failed"` or
 * `"closed"`.
 */
export function relay<TagA, UserDataA, TagB, UserDataB>(
  a: AsyncSocket<TagA, UserDataA>,
  b: AsyncSocket<TagB, UserDataB>,
  options?: RelayOptions,
): Promise<RelayResult> {
  checkSocket("a", a);
  checkSocket("b", b);
  if ((a as unknown) === b) throw new TypeError("Expected b to be another socket than a, got the same");
  const given = checkOptions(options) ?? {};
  checkNames("options of relay", given, RELAY_OPTIONS);
  const idleMs = checkMs("idleMs", given.idleMs);
  const signal = checkSignal(given.signal);
  mayRelay("a", a);
  mayRelay("b", b);
  a._giveAway("relay");
  b._giveAway("relay");
  return new Promise((resolve) => new Relay(a._connection, b._connection, resolve).start(idleMs, signal));
}

function checkSocket(name: Side, value: unknown): void {
  if (!(value instanceof AsyncSocket)) throw wrongType(name, "an AsyncSocket", value);
}

function mayRelay(name: Side, socket: Parameters<typeof whyNotGiven>[0] & { readonly state: string }): void {
  const { state, _isStream } = socket;
  const hasClosed = state === "closing" || state === "closed";
  const why = hasClosed && !_isStream ? null : whyNotGiven(socket);
  if (why !== null) throw badState("relay", `of ${name}, ${why}`);
}

/** Two connections that are joined: a direction each way, and what becomes of one when the other has ended. */
class Relay {
  readonly #a: Connection;
  readonly #b: Connection;
  readonly #joint: Joint;
  readonly #aToB: Direction;
  readonly #bToA: Direction;
  readonly #resolve: (result: RelayResult) => void;
  #end: End | null = null;
  #openSides = 2;
  #watch: IdleWatch | null = null;
  #stopListening: (() => void) | null = null;

  constructor(a: Connection, b: Connection, resolve: (result: RelayResult) => void) {
    this.#a = a;
    this.#b = b;
    this.#joint = new Joint(a, b);
    this.#aToB = new Direction(a, b, this.#joint);
    this.#bToA = new Direction(b, a, this.#joint);
    this.#resolve = resolve;
  }

  start(idleMs: number, signal: AbortSignal | undefined): void {
    void this.#a.whenClosed("closed").then((reason) => this.#didClose("a", reason));
    void this.#b.whenClosed("closed").then((reason) => this.#didClose("b", reason));
    this.#aToB.read();
    this.#bToA.read();
    if (idleMs !== Infinity) {
      this.#watch = new IdleWatch(this.#a, this.#b, idleMs, () => {
        const message = `No byte went either way for idleMs, ${idleMs} ms`;
        this.#endBoth("idle", socketError("IDLE_TIMEOUT", "relay", message));
      });
    }
    if (signal !== undefined) {
      this.#stopListening = onAbort(signal, (cause) => {
        this.#endBoth("aborted", socketError("CANCELED", "relay", "relay was canceled", cause));
      });
    }
  }

  /** Closes both sides at once; with a RST where bytes are missing, so that the peer learns that. */
  #endBoth(ended: "idle" | "aborted", error: AsyncSocketError): void {
    this.#end ??= { ended, side: null, error };
    this.#joint.takeBack();
    const isCut = [isMissing(this.#b, this.#a), isMissing(this.#a, this.#b)] as const;
    this.#a.close("error", error, isCut[0]);
    this.#b.close("error", error, isCut[1]);
  }

  /**
   * One side is closed. Unless both directions have ended as they should, the other side gets what came from it, and is
   * closed. If this side has ended as it should, its last bytes may still be on their way to the other one.
   */
  #didClose(side: Side, { by, error, unread }: CloseReason): void {
    const out = side === "a" ? this.#aToB : this.#bToA;
    const back = side === "a" ? this.#bToA : this.#aToB;
    if (error !== null) this.#end ??= { ended: "failed", side, error };
    else if (by === "remote" && back.hasEnded) out.passEnd();
    else this.#end ??= { ended: "closed", side, error };
    if (this.#end !== null) out.finish(unread);
    if (--this.#openSides === 0) this.#settle();
  }

  #settle(): void {
    this.#watch?.stop();
    this.#stopListening?.();
    const { ended, side, error } = this.#end ?? { ended: "finished", side: null, error: null };
    this.#resolve({ aToB: this.#aToB.bytes, bToA: this.#bToA.bytes, ended, side, error });
  }
}

/** Whether bytes that were meant for a side are unsent, or were received and not passed on. */
function isMissing(from: Connection, to: Connection): boolean {
  return to.writing.unsentBytes > 0 || from.reading.queue.buffer.length > 0;
}

/** The most bytes that are moved at once. */
const CHUNK_BYTES = 64 * 1024;

/**
 * Memory for bytes on their way from one socket to the other. If the operating system takes them at once, as it nearly
 * always does, the memory is used again; otherwise it belongs to the write under way, and new memory is allocated.
 */
let passage = Buffer.allocUnsafeSlow(CHUNK_BYTES);

/** Whatever has come, copied into `passage`; or, where it was copied before, as it lies there. */
class Passing extends InPlaceFraming<Buffer> {
  override readonly isContiguous = false;

  override locate({ ready, length }: BytesInPlace, _searched: number, limit: number): number {
    const count = ready > 0 ? ready : length;
    return count === 0 ? UNKNOWN : Math.min(count, limit);
  }

  override draw(bytes: UnreadBytes, count: number): Buffer {
    if (bytes.ready > 0) return bytes.give(0, count);
    bytes.copyTo(passage, count, 0);
    return passage.subarray(0, count);
  }

  override decode(message: Buffer): Buffer {
    return message;
  }
}

const passing = new Passing();
const kept = available(null);

/**
 * One direction of a relay: a read, then a write of what it gave, and so on. While the write is not out, what comes
 * gathers in the receive buffer, up to `limits.readAhead`. So at most that and one chunk are in memory. Between transports
 * that can pass bytes on by themselves, the read waits while they do so: it gets what they do not pass on.
 */
class Direction {
  readonly #from: Connection;
  readonly #to: Connection;
  readonly #joint: Joint;
  /** What had been written to `#to`, or was queued for it, before the relay. */
  readonly #bytesBefore: number;
  /** Whether the operating system took the last chunk at once. If not, the next one gets memory of its own. */
  #wasImmediate = true;
  /** Whether the FIN was passed on. */
  hasEnded = false;

  constructor(from: Connection, to: Connection, joint: Joint) {
    this.#from = from;
    this.#to = to;
    this.#joint = joint;
    this.#bytesBefore = to.writing.bytesWritten + to.writing.unsentBytes;
  }

  get bytes(): number {
    return Math.max(0, this.#to.writing.bytesWritten - this.#bytesBefore);
  }

  read(): void {
    const { reading } = this.#from;
    const framing = this.#wasImmediate ? passing : kept;
    const entry = new RelayRead("read", undefined, reading, NO_TIMEOUT, framing, CHUNK_BYTES);
    entry.direction = this;
    reading.enqueue(entry, undefined);
    this.#joint.join(this.#from, this.#to);
  }

  didRead(data: Buffer): void {
    this.#joint.partFrom(this.#from);
    const entry = this.#write("write", data);
    if (entry === null) return;
    this.#to.drain();
    this.#wasImmediate = entry._state === "done";
    if (!this.#wasImmediate && data.buffer === passage.buffer) passage = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  }

  /** Any other failure ends the socket, which is told apart. */
  didFailRead(error: AsyncSocketError): void {
    if (isCode(error, "END_OF_STREAM")) this.passEnd();
  }

  passEnd(): void {
    this.hasEnded = true;
    const entry = this.#write("end", []);
    if (entry === null) return;
    this.#to.writing.endEntry = entry;
    this.#to.schedule();
  }

  /** The socket is closed: sends what it had not given yet, and then closes the other socket gracefully. */
  finish(unread: Buffer): void {
    const to = this.#to;
    if (to.isEnding) return;
    if (unread.length > 0) this.#write("write", unread);
    const isPointless = to.phase.name === "connecting" && to.writing.queue.head === null;
    if (isPointless) void to.disconnect(false);
    else void to.disconnectAfter(AFTER_WRITING);
  }

  /** Queues a write, whatever `limits.writeQueue`: the relay bounds what it queues by itself. */
  #write(kind: "write" | "end", data: Uint8Array | readonly Uint8Array[]): RelayWrite | null {
    const { writing, isEnding } = this.#to;
    if (isEnding || writing.endEntry !== null) return null;
    const entry = new RelayWrite(kind, undefined, writing, NO_TIMEOUT, data);
    entry.direction = this;
    writing.queue.push(entry);
    return entry;
  }
}

/** A read that tells its direction of its end directly: a promise for each chunk would cost more than the rest. */
class RelayRead extends ReadEntry<Buffer> {
  direction: Direction | null = null;

  override _tell(): void {
    super._tell();
    if (this._state === "done") this.direction?.didRead(this._outcome as Buffer);
    else this.direction?.didFailRead(this._outcome as AsyncSocketError);
  }
}

class RelayWrite extends WriteEntry {
  direction: Direction | null = null;

  override _tell(): void {
    super._tell();
    if (this._state === "done" && !this.isEnd) this.direction?.read();
  }
}
