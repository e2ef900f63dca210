/**
 * A program of writes, carried out. What the writer is told is held against what its peer has: the bytes of all that was not
 * taken back, in their order, never more than is said to be written, and all of that after a graceful end.
 */

import type { AsyncSocket, AsyncSocketDelegate, AsyncSocketError, CloseReason, SocketRequest } from "asyncsocket";
import { close, POOL } from "../simulation/calls.js";
import { replaceable } from "../simulation/replaceable.js";
import { afterTurns, blockFor, codeOf, detach, show } from "./doings.js";
import type { Mischief } from "./read-program.js";
import type { Judge, Play } from "./round.js";
import type { Ends, Wire } from "./wires.js";
import { LONGEST_WRITE, type Write, type WriteProgram } from "./write-program.js";

/** A long one, from the pool of all programs: no multiple of any power of two, so that bytes that moved are seen. */
const LONG_POOL = Buffer.alloc(2 * LONGEST_WRITE + 1, POOL.subarray(0, 699_999));

interface Tracked {
  readonly write: Write;
  readonly number: number;
  readonly bytes: Buffer;
  /** What was handed over. */
  readonly parts: Buffer[];
  request: SocketRequest<void> | null;
  isSettled: boolean;
  isCanceled: boolean;
  isDetached: boolean;
  /** It was taken back, or refused: no part of the stream. */
  isRemoved: boolean;
  bytesDone: number;
  /** What it has failed by. */
  code: string | null;
  reported: number;
}

export class Writing implements Play {
  readonly done: Promise<void>;
  readonly #judge: Judge;
  readonly #program: WriteProgram;
  readonly #wire: Wire;
  #ends: Ends | null = null;
  readonly #asked: Tracked[] = [];
  #settled = 0;
  readonly #received: Buffer[] = [];
  #receivedBytes = 0;
  #hasEnd = false;
  #hasError = false;
  #hasReset = false;
  #isClosing = false;
  #reason: CloseReason | null = null;
  #isPeerClosed = false;
  #isOver = false;
  #stalls: readonly { readonly afterBytes: number; readonly turns: number }[];
  #finish: () => void = () => undefined;

  constructor(judge: Judge, program: WriteProgram, wire: Wire) {
    this.#judge = judge;
    this.#program = program;
    this.#wire = wire;
    this.#stalls = program.stalls;
    this.done = new Promise((done) => (this.#finish = done));
  }

  get progress(): number {
    return (
      this.#receivedBytes +
      this.#settled +
      this.#asked.length +
      Number(this.#isPeerClosed) +
      Number(this.#reason !== null)
    );
  }

  get place(): string {
    const head = this.#asked.find((one) => !one.isSettled);
    const { socket, peer } = this.#ends ?? {};
    return [
      `${this.#settled} of ${this.#program.writes.length} writes done, write ${head?.number} waits`,
      `${socket?.state}, ${socket?.bytesWritten} written, ${socket?.unsentBytes} unsent`,
      `the peer has ${this.#receivedBytes}, ended ${this.#hasEnd}, closed ${peer?.closed}, paused ${peer?.isPaused()}`,
    ].join("; ");
  }

  giveUp(): void {
    this.#isOver = true;
    setImmediate(this.#finish);
  }

  #check(isSo: boolean, what: string): void {
    if (!isSo) this.#judge.fail(what);
  }

  get delegate(): AsyncSocketDelegate {
    const own: AsyncSocketDelegate = {
      didWrite: (_, tag) => this.#didSettle(tag, null),
      didFailWrite: (_, error, tag) => this.#didSettle(tag, error),
      didWritePartial: (_, count, tag) => {
        const tracked = tag as Tracked;
        tracked.reported += count;
        this.#check(
          count > 0 && tracked.reported < tracked.bytes.length,
          `write ${tracked.number} reported ${tracked.reported}`,
        );
      },
    };
    return replaceable(own, (what) => this.#judge.fail(what));
  }

  // ------------------------------------------------------------------ the run

  start(ends: Ends): void {
    this.#ends = ends;
    const { socket, peer } = ends;
    if (this.#program.style === "delegate") socket.delegate = this.delegate;
    socket.closed.then((reason) => this.#didClose(reason));
    peer.on("data", (chunk: Buffer) => this.#didReceive(chunk));
    peer.on("end", () => {
      this.#hasEnd = true;
      peer.end();
    });
    peer.on("error", () => (this.#hasError = true));
    peer.on("close", () => {
      this.#isPeerClosed = true;
      this.#considerOver();
    });
    this.#stall();
    this.#ask(0);
  }

  #didReceive(chunk: Buffer): void {
    this.#received.push(chunk);
    this.#receivedBytes += chunk.length;
    this.#stall();
    const mayReset = this.#wire.breaks.includes("reset");
    if (this.#hasReset || !mayReset || this.#receivedBytes < this.#program.resetAfter) return;
    this.#hasReset = true;
    this.#ends?.reset();
  }

  #stall(): void {
    const { peer, socket } = this.#ends as Ends;
    const [next, ...rest] = this.#stalls;
    if (next === undefined || this.#receivedBytes < next.afterBytes || socket.state === "closed") return;
    this.#stalls = rest;
    peer.pause();
    if (next.turns !== Infinity) afterTurns(next.turns, () => peer.resume());
  }

  #ask(number: number): void {
    const write = this.#program.writes[number];
    const { socket } = this.#ends as Ends;
    if (write === undefined) return this.#leave(socket);
    afterTurns(write.restTurns, () => {
      const request = this.#write(socket, write, number);
      const next = (): void => this.#ask(number + 1);
      if (write.isAwaited && request !== null) request.then(next, next);
      else next();
    });
  }

  #write(socket: AsyncSocket, write: Write, number: number): SocketRequest<void> | null {
    const parts: Buffer[] = [];
    let at = write.from;
    // Copies, since some are detached.
    for (const size of write.sizes) parts.push(copyOf(LONG_POOL.subarray(at, (at += size))));
    const text = write.as === "text" ? Buffer.concat(parts).toString("latin1") : null;
    const bytes = text === null ? Buffer.concat(parts) : Buffer.from(text);
    const [only] = parts;
    const data = text ?? (write.as === "bytes" && only !== undefined ? only : parts);
    const tracked: Tracked = {
      ...{ write, number, bytes, parts, request: null, bytesDone: 0, code: null, reported: 0 },
      ...{ isSettled: false, isCanceled: false, isDetached: false, isRemoved: false },
    };
    this.#asked.push(tracked);
    try {
      tracked.request = socket.write(data, { tag: tracked, timeout: write.timeoutMs });
    } catch (error) {
      this.#check(codeOf(error) === "BAD_STATE" && this.#isClosing, `write ${number} threw ${String(error)}`);
      tracked.isRemoved = tracked.isSettled = true;
      this.#settled++;
      return null;
    }
    const { request } = tracked;
    if (request.state === "failed") tracked.isRemoved = true;
    if (this.#program.style === "promises") {
      request.then(
        () => this.#didSettle(tracked, null),
        (error: unknown) => this.#didSettle(tracked, error as AsyncSocketError),
      );
    }
    if (write.cancelTurns !== undefined) afterTurns(write.cancelTurns, () => this.#cancel(tracked, request));
    return request;
  }

  #cancel(tracked: Tracked, request: SocketRequest<void>): void {
    if (request.cancel()) tracked.isCanceled = true;
  }

  #leave(socket: AsyncSocket): void {
    const { closing } = this.#program;
    if (closing === "end" && socket.state === "open" && !this.#isClosing) {
      socket.end(); // the peer ends as well then, which closes it
      return;
    }
    this.#close(socket, closing === "end" ? "afterWriting" : closing);
  }

  #close(socket: AsyncSocket, how: Parameters<typeof close>[1]): void {
    this.#isClosing = true;
    close(socket, how);
  }

  // ------------------------------------------------------------------ told

  #didSettle(tag: unknown, error: AsyncSocketError | null): void {
    const tracked = tag as Tracked;
    const { number, bytes, isSettled, write, request } = tracked;
    this.#check(!isSettled, `write ${number} is told of twice`);
    tracked.isSettled = true;
    this.#settled++;
    tracked.bytesDone = error?.bytesDone ?? bytes.length;
    if (error === null) {
      for (const one of this.#asked) {
        if (one === tracked) break;
        this.#check(one.isSettled, `write ${number} before write ${one.number}`);
      }
      this.#check(
        request?.bytesDone === bytes.length,
        `write ${number} is done with ${request?.bytesDone} of ${bytes.length}`,
      );
    } else this.#didFail(tracked, codeOf(error));
    if (write.mischief !== undefined) this.#do(write.mischief);
  }

  #didFail(tracked: Tracked, code: string): void {
    const { number, write, bytesDone, bytes } = tracked;
    tracked.code = code;
    this.#check(bytesDone <= bytes.length, `write ${number} has ${bytesDone} bytes done of ${bytes.length}`);
    switch (code) {
      case "CANCELED":
      case "WRITE_TIMEOUT":
        if (code === "CANCELED")
          this.#check(tracked.isCanceled || write.cancelTurns !== undefined, `write ${number} was canceled`);
        else this.#check(write.timeoutMs !== undefined, `write ${number} timed out`);
        this.#wasTaken(tracked);
        return;
      case "CLOSED":
        return this.#check(this.#isClosing || this.#hasReset || this.#hasEnd, `write ${number} failed by CLOSED`);
      case "CONNECTION_LOST":
        return this.#check(this.#hasReset, `write ${number} failed by CONNECTION_LOST`);
      default:
        this.#check(tracked.isDetached && code === "BAD_STATE", `write ${number} failed by ${code}`);
        this.#wasTaken(tracked);
    }
  }

  /** It is off the queue, and others go on; or, where the transport had some of it in hand, it has closed the connection. */
  #wasTaken(tracked: Tracked): void {
    const { socket } = this.#ends as Ends;
    tracked.isRemoved = tracked.bytesDone === 0;
    if (socket.state !== "open") this.#isClosing = true;
  }

  #didClose(reason: CloseReason): void {
    this.#reason = reason;
    const { peer } = this.#ends as Ends;
    peer.resume();
    // What awaits the close comes right after those that await its last writes.
    setImmediate(() => this.#considerOver());
  }

  #considerOver(): void {
    if (this.#reason === null || !this.#isPeerClosed || this.#isOver) return;
    // What is asked for after the close fails, too, and may be told of in a later turn.
    if (this.#settled < this.#program.writes.length) return void setImmediate(() => this.#considerOver());
    this.#isOver = true;
    this.#judgeAll(this.#reason);
    this.#finish();
  }

  #judgeAll({ bytesWritten, unsentBytes, error }: CloseReason): void {
    const culprit = this.#asked.find((one) => one === error?.tag);
    if (culprit !== undefined) culprit.isRemoved = false;
    const asked = this.#asked.filter((one) => !one.isRemoved);
    const stream = Buffer.concat(asked.map(({ bytes }) => bytes));
    let told = 0;
    for (const { number, bytesDone, bytes, isSettled } of asked) {
      this.#check(isSettled, `write ${number} is pending after the close`);
      const before = asked.slice(
        0,
        asked.findIndex((one) => one.number === number),
      );
      const isBehind = before.some((one) => one.bytesDone < one.bytes.length);
      if (isBehind)
        this.#check(bytesDone === 0, `write ${number} has ${bytesDone} of ${bytes.length} behind one that is not done`);
      told += bytesDone;
    }
    if (asked.some((one) => one.isDetached)) return;
    const code = error === null ? null : codeOf(error);
    const received = Buffer.concat(this.#received);
    const what = `${received.length} came, ${bytesWritten} written, ${told} told, ${unsentBytes} unsent, of ${stream.length}, closed by ${code}`;
    this.#check(told === bytesWritten, what);
    this.#check(bytesWritten + unsentBytes === stream.length, what);
    const expected = stream.subarray(0, received.length);
    if (!received.equals(expected)) this.#judge.fail(`other bytes: ${show(received)}, not ${show(expected)}; ${what}`);
    if (this.#wire.isClear) this.#check(received.length <= bytesWritten, `more: ${what}`);
    const isReset = this.#program.closing === "reset" || asked.some(({ write: { mischief } }) => isResetBy(mischief));
    // Some versions of the runtime tell a RST behind bytes as an end.
    const isWhole = this.#hasEnd && !this.#hasError && !this.#hasReset && !isReset && code === null;
    const isGraceful = code === null && !isCut(this.#program.closing) && !this.#asked.some(hasCut);
    if (isWhole && this.#wire.isClear) this.#check(received.length === bytesWritten, `less: ${what}`);
    if (isGraceful && isWhole) this.#check(received.length === stream.length, `not all: ${what}`);
    if (culprit !== undefined) this.#check(culprit.code === code, `closed by ${code}, not ${culprit.code}`);
    else if (code === "LINGER_TIMEOUT") this.#check(this.#program.lingerMs < 1000, `closed by ${code}`);
    else this.#check(code === null || this.#hasReset, `closed by ${code}`);
  }

  // ------------------------------------------------------------------ mischief

  #do(mischief: Mischief): void {
    const { socket } = this.#ends as Ends;
    switch (mischief.do) {
      case "throw":
        if (this.#program.style === "delegate") this.#judge.throw();
        return queueMicrotask(() => this.#judge.throw());
      case "block":
        return blockFor(mischief.ms);
      case "replace":
        if (this.#program.style === "delegate") socket.delegate = this.delegate;
        return;
      case "detach":
        return this.#detach();
      case "close":
        return this.#close(socket, mischief.how);
      case "write":
      case "cancelReads":
    }
  }

  #detach(): void {
    if (this.#wire.sharesMemory === true) return;
    const one = this.#asked.find(({ isSettled, write }) => !isSettled && write.as !== "text");
    const part = one?.parts.at(-1);
    if (one === undefined || part === undefined || part.length === 0) return;
    one.isDetached = true;
    this.#isClosing = true; // it costs the connection, where a byte of it was out
    detach(part);
  }
}

function isResetBy(mischief: Mischief | undefined): boolean {
  return mischief?.do === "close" && mischief.how === "reset";
}

function isCut(how: string): boolean {
  return how === "disconnect" || how === "reset";
}

/** Whether it may have closed the connection before all was out. */
function hasCut({ write: { mischief, timeoutMs, cancelTurns } }: Tracked): boolean {
  const isClose = mischief?.do === "close" && isCut(mischief.how);
  return isClose || timeoutMs !== undefined || cancelTurns !== undefined;
}

/** In memory of its own. */
function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.from(new ArrayBuffer(bytes.length));
  bytes.copy(copy);
  return copy;
}
