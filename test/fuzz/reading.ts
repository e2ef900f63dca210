/**
 * A program of reads, carried out, and held against the model: concatenate what the peer has sent, then cut. How it was sent,
 * when, and what user code does meanwhile must not matter.
 */

import type { AsyncSocket, AsyncSocketDelegate, AsyncSocketError, CloseReason, SocketRequest } from "asyncsocket";
import type { ReadSpec } from "../pump/entries.js";
import { measure } from "../pump/model.js";
import { close, POOL } from "../simulation/calls.js";
import { replaceable } from "../simulation/replaceable.js";
import { afterTurns, ask, blockFor, codeOf, detach, show, type Asked } from "./doings.js";
import type { Mischief, ReadProgram, Step } from "./read-program.js";
import type { Judge, Play } from "./round.js";
import type { Ends } from "./wires.js";
import { completeCharacters } from "#dist/framing/text.js";

/** One step, once it was asked for. */
interface Tracked extends Asked {
  readonly step: Step;
  readonly number: number;
  isSettled: boolean;
  isCanceled: boolean;
  isDetached: boolean;
  /** It was asked of a socket that was closed. */
  readonly isLate: boolean;
}

/** Many a step is asked for late. */
const SETTLED_TURNS = 1000;
/** What a system sends before it waits for the first answer. A RST throws away what it has not sent. */
const FIRST_SEGMENTS = 8;
const FIRST_BYTES = 10_000;

export class Reading implements Play {
  readonly done: Promise<void>;
  readonly #judge: Judge;
  readonly #program: ReadProgram;
  readonly #payload: Buffer;
  #ends: Ends | null = null;
  /** The peer's ending may cost bytes. */
  #breaks = false;
  #isSystems = false;
  /** How much of the payload the reads have taken. */
  #consumed = 0;
  readonly #asked: Tracked[] = [];
  #settled = 0;
  #isResting = false;
  #isThrough = false;
  #isAllSent = false;
  #isOver = false;
  /** What is read, where that is not a step. */
  #head: ReadSpec | null = null;
  /** Steps asked for before it may have failed at the end of the stream together with one before them. */
  #endedBefore = 0;
  /** We have closed it, or a read has. */
  #isClosing = false;
  #closedBy: string | null = null;
  #mayCloseBy: string | null = null;
  readonly #given: [Uint8Array, Buffer][] = [];
  #finish: () => void = () => undefined;

  constructor(judge: Judge, program: ReadProgram) {
    this.#judge = judge;
    this.#program = program;
    const length = program.pieces.reduce((sum, piece) => sum + piece.length, 0);
    this.#payload = POOL.subarray(program.from, program.from + length);
    this.done = new Promise((done) => (this.#finish = done));
  }

  /** Grows with each thing that happens. */
  get progress(): number {
    const { socket } = this.#ends ?? {};
    return this.#consumed + this.#settled + this.#asked.length + (socket?.bytesRead ?? 0);
  }

  /** Where it stands, for whoever finds that it never ends. */
  get place(): string {
    const head = this.#asked.find((one) => !one.isSettled);
    const { socket, peer } = this.#ends ?? {};
    return [
      `${this.#settled} of ${this.#program.steps.length} steps done, at byte ${this.#consumed} of ${this.#payload.length}`,
      head === undefined ? `nothing is asked for` : `step ${head.number} (${head.step.spec.kind}) waits`,
      `${socket?.bytesRead} read, ${socket?.unreadBytes} unread, ${socket?.state}, ended ${socket?.peerEnded}`,
      `the peer has ${peer?.writableLength} left to write, all sent: ${this.#isAllSent}`,
    ].join("; ");
  }

  giveUp(): void {
    this.#isOver = true;
    setImmediate(this.#finish);
  }

  #check(isSo: boolean, what: string): void {
    if (!isSo) this.#judge.fail(what);
  }

  get #rest(): Buffer {
    return this.#payload.subarray(this.#consumed);
  }

  get delegate(): AsyncSocketDelegate {
    const own: AsyncSocketDelegate = {
      didRead: (_, data, tag) => this.#didSettle(tag, (tracked) => this.#didRead(tracked, data)),
      didReadText: (_, text, tag) => this.#didSettle(tag, (tracked) => this.#didRead(tracked, text)),
      didFailRead: (_, error, tag) => this.#didSettle(tag, (tracked) => this.#didFail(tracked, error)),
      didDisconnect: () => {
        const late = this.#asked.find((one) => !one.isSettled && !one.isLate);
        if (late !== undefined)
          this.#judge.fail(`step ${late.number} (${late.step.spec.kind}) is pending in didDisconnect`);
      },
      didReadPartial: (_, count) => this.#check(count > 0, `a partial report of ${count} bytes`),
    };
    return replaceable(own, (what) => this.#judge.fail(what));
  }

  // ------------------------------------------------------------------ the run

  /** @param isSystems - whether the system carries the bytes as they are; `breaks`: the peer's ending may cost bytes */
  start(ends: Ends, breaks: boolean, isSystems: boolean): void {
    this.#isSystems = isSystems;
    this.#ends = ends;
    this.#breaks = breaks;
    const { socket, peer } = ends;
    if (this.#program.style === "delegate") socket.delegate = this.delegate;
    socket.closed.then((reason) => this.#didClose(reason));
    peer.resume();
    peer.on("end", () => this.#considerEnd());
    peer.on("close", () => this.#considerEnd());
    this.#send(0);
    const { iteration } = this.#program;
    if (iteration === undefined) this.#askMore();
    else void this.#iterate(socket, iteration);
  }

  #send(number: number): void {
    const { pieces, from } = this.#program;
    const peer = this.#ends?.peer;
    const piece = pieces[number];
    if (peer === undefined || peer.destroyed) return;
    if (piece === undefined) return this.#didSend();
    afterTurns(piece.restTurns, () => {
      if (peer.destroyed) return;
      let at = from;
      for (const { length } of pieces.slice(0, number)) at += length;
      const isLast = number === pieces.length - 1;
      const bytes = Buffer.from(POOL.subarray(at, at + piece.length));
      // The last one is waited for: what a RST or a drop overtakes is lost, and that is not to be judged here.
      peer.write(bytes, isLast ? (): void => this.#didSend() : undefined);
      if (!isLast) this.#send(number + 1);
    });
  }

  #didSend(): void {
    this.#isAllSent = true;
    const { ending } = this.#program;
    if (ending === "fin") this.#ends?.peer.end();
    else if (ending === "drop") this.#ends?.peer.destroy();
    else if (ending === "reset") this.#ends?.reset();
    else this.#considerEnd();
  }

  /** A late FIN comes once nothing more can be done without it. */
  #considerEnd(): void {
    const { ends, head } = { ends: this.#ends, head: this.#waiting };
    if (this.#program.ending !== "late" || ends === null || !this.#isAllSent || ends.peer.writableEnded) return;
    const isGone = ends.peer.readableEnded || ends.peer.destroyed;
    const isIdle = head === null ? this.#isThrough : measure(head, this.#rest) === null;
    if (isGone || isIdle) ends.peer.end();
  }

  get #waiting(): ReadSpec | null {
    return this.#head ?? this.#asked.find((one) => !one.isSettled)?.step.spec ?? null;
  }

  async #iterate(socket: AsyncSocket, { of, spec, count }: NonNullable<ReadProgram["iteration"]>): Promise<void> {
    const frames = { lengthBytes: spec.frame?.lengthBytes as 1, littleEndian: spec.frame?.littleEndian };
    const results: AsyncIterable<Buffer | string> =
      of === "lines" ? socket.lines() : of === "chunks" ? socket : socket.frames(frames);
    this.#head = spec;
    this.#considerEnd();
    let left = count;
    try {
      for await (const result of results) {
        this.#take(spec, result, `the ${count - left + 1}. of ${of}`);
        if (--left === 0) break;
        this.#considerEnd();
      }
      if (left > 0) this.#iterationDidEnd(null, spec);
    } catch (error) {
      this.#iterationDidEnd(error as AsyncSocketError, spec);
    }
    this.#head = null;
    this.#askMore();
  }

  #iterationDidEnd(error: AsyncSocketError | null, spec: ReadSpec): void {
    const code = error === null ? "END_OF_STREAM" : codeOf(error);
    const isClean = code === "END_OF_STREAM" && (error === null) === (this.#rest.length === 0);
    if (code === "END_OF_STREAM")
      this.#check(isClean || this.#breaks, `an iterator ends at ${this.#rest.length} bytes: ${error?.message}`);
    this.#judgeFailure(code, spec, false, "the iterator");
  }

  #askMore(): void {
    const { steps, width } = this.#program;
    const { socket } = this.#ends as Ends;
    while (!this.#isResting && this.#asked.length < steps.length && this.#asked.length - this.#settled < width) {
      const step = steps[this.#asked.length] as Step;
      this.#isResting = step.restTurns > 0;
      if (!this.#isResting) this.#ask(socket, step);
      else {
        afterTurns(step.restTurns, () => {
          this.#isResting = false;
          this.#ask(socket, step);
          this.#askMore();
        });
      }
    }
    if (!this.#isThrough && this.#settled === steps.length) this.#didAll(socket);
    this.#considerEnd();
  }

  #ask(socket: AsyncSocket, step: Step): void {
    const number = this.#asked.length;
    const tracked: Tracked = {
      step,
      number,
      request: null as unknown as SocketRequest<unknown>,
      into: null,
      isSettled: false,
      isCanceled: false,
      isDetached: false,
      isLate: socket.state === "closed",
    };
    const common = {
      tag: tracked,
      timeout: step.hasNoTime ? 0 : undefined,
      onFailure: step.alone ? ("continue" as const) : undefined,
    };
    this.#asked.push(tracked);
    try {
      Object.assign(tracked, ask(socket, step.spec, common));
    } catch (error) {
      // After disconnectAfterReading, of a socket that is not closing yet.
      this.#check(codeOf(error) === "BAD_STATE" && this.#isClosing, `step ${number} threw ${String(error)}`);
      this.#settle(tracked);
      return;
    }
    if (this.#program.style === "promises") this.#await(tracked);
    const { cancelTurns } = step;
    if (cancelTurns === undefined) return;
    afterTurns(cancelTurns, () => {
      if (!tracked.isSettled && tracked.request.cancel()) tracked.isCanceled = true;
    });
  }

  #await(tracked: Tracked): void {
    tracked.request.then(
      (data) => this.#didSettle(tracked, () => this.#didRead(tracked, data as Buffer | string)),
      (error: unknown) => this.#didSettle(tracked, () => this.#didFail(tracked, error as AsyncSocketError)),
    );
  }

  /** All steps are done: the rest is read, or not, and the socket closed. */
  #didAll(socket: AsyncSocket): void {
    this.#isThrough = true;
    const leave = (): void => {
      this.#head = null;
      this.#isClosing = true;
      close(socket, this.#program.closing);
    };
    // From a callback on, in a later turn, as others would.
    if (!this.#program.drains) return void setImmediate(leave);
    if (this.#isClosing) setImmediate(leave);
    else void this.#drain(socket).then(leave);
  }

  async #drain(socket: AsyncSocket): Promise<void> {
    this.#head = { kind: "read", length: 2 ** 31 - 1 };
    for (;;) {
      this.#considerEnd();
      try {
        this.#take(this.#head, await socket.read(), "one of the last reads");
      } catch (error) {
        return this.#judgeFailure(codeOf(error), this.#head, false, "the last read");
      }
    }
  }

  // ------------------------------------------------------------------ told

  #didSettle(tag: unknown, judge: (tracked: Tracked) => void): void {
    if (tag === undefined) return; // what is awaited as well
    const tracked = tag as Tracked;
    const { number, step, isSettled } = tracked;
    this.#check(!isSettled, `step ${number} (${step.spec.kind}) is told of twice`);
    judge(tracked);
    this.#settle(tracked);
    this.#askMore();
    if (step.mischief !== undefined) this.#do(step.mischief);
  }

  #settle(tracked: Tracked): void {
    tracked.isSettled = true;
    this.#settled++;
  }

  #didRead(tracked: Tracked, data: Buffer | string): void {
    const { spec } = tracked.step;
    const what = `step ${tracked.number} (${spec.kind})`;
    for (const one of this.#asked) {
      if (one === tracked) break;
      this.#check(one.isSettled, `${what} before step ${one.number}`);
    }
    if (tracked.isDetached) this.#judge.fail(`${what} gave memory that is gone`);
    else this.#take(spec, data, what);
    const { into } = tracked;
    if (into !== null && typeof data !== "string" && data.length > 0)
      this.#check(data.buffer === into.buffer && data.byteOffset === into.byteOffset, `${what} gave other memory`);
  }

  /** By the bytes alone. */
  #take(spec: ReadSpec, data: Buffer | string, what: string): void {
    const rest = this.#rest;
    if (spec.kind === "skip") {
      this.#check(rest.length >= spec.length, `${what} skipped more than was sent`);
      this.#consumed += spec.length;
      return;
    }
    const encoding = spec.encoding ?? (spec.kind === "readLine" ? "utf8" : undefined);
    this.#check((encoding === undefined) === (typeof data !== "string"), `${what} gave a ${typeof data}`);
    const found = spec.kind === "read" ? this.#measureSome(spec, data) : measure(spec, rest);
    if (found === null || typeof found === "string") return this.#judge.fail(`${what} gave ${show(data)}: ${found}`);
    const bytes = rest.subarray(found.from, found.to);
    const isSame = typeof data === "string" ? data === bytes.toString(encoding) : bytes.equals(data);
    this.#check(isSame, `${what} gave ${show(data)}, not ${show(bytes)}, at byte ${this.#consumed}`);
    if (spec.kind !== "peek") this.#consumed += found.taken;
    if (typeof data !== "string") this.#given.push([data, Buffer.from(data)]);
  }

  /** Whatever was there: some of the rest, and no half of a character. */
  #measureSome({ length, encoding }: ReadSpec, data: Buffer | string): ReturnType<typeof measure> {
    const rest = this.#rest;
    if (data.length === 0) return null;
    if (encoding === undefined || typeof data !== "string")
      return data.length <= length ? { taken: data.length, from: 0, to: data.length } : null;
    for (let there = 1; there <= Math.min(length, rest.length, 4 * data.length + 4); there++) {
      const count = completeCharacters(rest, 0, there, encoding);
      if (rest.toString(encoding, 0, count) === data) return { taken: count, from: 0, to: count };
    }
    return null;
  }

  #didFail(tracked: Tracked, error: AsyncSocketError): void {
    const { step, number } = tracked;
    const what = `step ${number} (${step.spec.kind})`;
    const code = codeOf(error);
    if (error.partial !== undefined) {
      const isSame = this.#rest.subarray(0, error.partial.length).equals(error.partial);
      this.#check(isSame, `${what} failed with ${show(error.partial)} as its part, at byte ${this.#consumed}`);
      this.#check(
        error.partial.length === error.bytesDone,
        `${what}: ${error.bytesDone} bytes done, ${error.partial.length} in partial`,
      );
    }
    if (step.spec.kind === "skip") this.#didFailSkip(step.spec, error, what);
    if (code === "READ_TIMEOUT") this.#check(step.hasNoTime, `${what} timed out`);
    else if (code === "CANCELED") this.#check(tracked.isCanceled, `${what} was canceled`);
    else if (tracked.isDetached && code !== "END_OF_STREAM") return;
    this.#judgeFailure(code, step.spec, step.alone, what, number);
  }

  /** A long one drops bytes as it goes, and tells how many. */
  #didFailSkip({ length }: ReadSpec, { bytesDone }: AsyncSocketError, what: string): void {
    const most = length > this.#program.readAhead ? Math.min(length, this.#rest.length) : 0;
    this.#check(bytesDone <= most, `${what} has dropped ${bytesDone} bytes`);
    this.#consumed += bytesDone;
  }

  #judgeFailure(code: string, spec: ReadSpec, alone: boolean, what: string, number = Infinity): void {
    const { allowHalfOpen } = this.#program;
    const found = measure(spec, this.#rest);
    switch (code) {
      case "READ_LIMIT":
      case "BAD_FRAME":
        this.#check(
          found === (code === "BAD_FRAME" ? "bad-frame" : "over-limit"),
          `${what} failed by ${code}: ${JSON.stringify(found)}`,
        );
        if (!alone) this.#closes(code);
        return;
      case "READ_TIMEOUT":
        if (!alone) this.#closes(code);
        return;
      case "END_OF_STREAM": {
        const isBehind = number < this.#endedBefore;
        this.#check(
          found === null || isBehind || this.#breaks,
          `${what} met the end, and could be met: ${JSON.stringify(found)}, at byte ${this.#consumed} of ${this.#payload.length}`,
        );
        // Whoever cannot be met takes along those that were queued behind it, by now at the latest.
        if (found === null) this.#endedBefore = this.#asked.length;
        if (!allowHalfOpen) this.#isClosing = true;
        return;
      }
      case "CLOSED":
        // The end may have taken effect while nothing was asked for.
        return this.#check(this.#isClosing || this.#breaks || this.#mayHaveEnded, `${what} failed by CLOSED`);
      case "CONNECTION_LOST":
        return this.#check(this.#breaks, `${what} failed by CONNECTION_LOST`);
      case "CANCELED":
        return;
      default:
        this.#judge.fail(`${what} failed by ${code}`);
    }
  }

  get #mayHaveEnded(): boolean {
    return !this.#program.allowHalfOpen && this.#isAllSent && this.#rest.length === 0;
  }

  #closes(code: string): void {
    // One that is asked for while the end takes effect may fail by itself, and close it first.
    if (this.#isClosing) this.#mayCloseBy = code;
    else this.#closedBy = code;
    this.#isClosing = true;
  }

  #didClose({ by, error, unread, bytesRead }: CloseReason): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const code = error === null ? null : codeOf(error);
    // A graceful close drops what still comes.
    const end = this.#isClosing ? this.#consumed + unread.length : bytesRead;
    const expected = this.#payload.subarray(this.#consumed, Math.min(end, bytesRead));
    this.#check(
      unread.equals(expected),
      `${show(unread)} is unread, not ${show(expected)}, of ${bytesRead} from byte ${this.#consumed} on`,
    );
    if (this.#closedBy !== null) this.#check(code === this.#closedBy, `closed by ${code}, not ${this.#closedBy}`);
    else if (!this.#asked.some((one) => one.isDetached) && !this.#breaks)
      this.#check(code === null || code === this.#mayCloseBy, `closed by ${by}: ${code}`);
    const isHere =
      this.#isSystems && this.#program.pieces.length < FIRST_SEGMENTS && this.#payload.length < FIRST_BYTES;
    if (isHere && !this.#isClosing) {
      const what = `${bytesRead} of ${this.#payload.length} bytes came, which were here`;
      this.#check(bytesRead === this.#payload.length, what);
    }
    if (by === "remote")
      this.#check(
        bytesRead === this.#payload.length || this.#breaks,
        `${bytesRead} of ${this.#payload.length} bytes came before the end`,
      );
    for (const [given, copy] of this.#given) this.#check(copy.equals(given), "bytes given away have changed");
    this.#considerOver(SETTLED_TURNS);
  }

  /** All that is asked of a socket that is closed fails, too; after a throw in a later turn. */
  #considerOver(turns: number): void {
    const pending = this.#asked.find(({ isSettled }) => !isSettled);
    if ((pending !== undefined || !this.#isThrough) && turns > 0)
      return void setImmediate(() => this.#considerOver(turns - 1));
    if (pending !== undefined)
      this.#judge.fail(`step ${pending.number} (${pending.step.spec.kind}) is pending after the close`);
    this.#ends?.peer.destroy();
    this.#finish();
  }

  // ------------------------------------------------------------------ mischief

  #do(mischief: Mischief): void {
    const { socket } = this.#ends as Ends;
    switch (mischief.do) {
      case "throw":
        // Out of a promise's callback it would be an unhandled rejection, which is nothing of the socket's.
        if (this.#program.style === "delegate") this.#judge.throw();
        return queueMicrotask(() => this.#judge.throw());
      case "block":
        return blockFor(mischief.ms);
      case "replace":
        if (this.#program.style === "delegate") socket.delegate = this.delegate;
        return;
      case "write":
        return this.#write(socket);
      case "detach":
        return this.#detach();
      case "cancelReads":
        for (const one of this.#asked) if (!one.isSettled) one.isCanceled = true;
        socket.cancelReads();
        return;
      case "close":
        this.#isClosing = true;
        close(socket, mischief.how);
    }
  }

  /** Where the peer has gone, that is what meets its RST first, or what it answers by one. Streams may answer nothing. */
  #write(socket: AsyncSocket): void {
    const { peer } = this.#ends as Ends;
    if (this.#isClosing || (peer.destroyed && !this.#isSystems)) return;
    if (this.#program.ending === "drop" || this.#program.ending === "reset") this.#breaks = true;
    socket.write("something\n");
  }

  #detach(): void {
    const isPending = ({ state }: SocketRequest<unknown>): boolean => state === "queued" || state === "current";
    const one = this.#asked.find(({ isSettled, into, request }) => !isSettled && into !== null && isPending(request));
    if (one?.into === null || one === undefined) return;
    one.isDetached = true;
    this.#isClosing = true; // it may cost the connection
    detach(one.into);
  }
}
