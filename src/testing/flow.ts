import type { Clock, Timer } from "../base/clock.js";
import { ByteQueue } from "./byte-queue.js";
import type { Link } from "./link.js";

/** @internal The parts of a connection that one of its directions uses. */
export interface FlowHost {
  readonly clock: Clock;
  readonly link: Link;
  /** Whether no bytes get through at present. */
  readonly isCut: boolean;
  /** Breaks the connection for both ends. To be called from the event loop only. */
  break(code: string): void;
}

/** The parts of the transports at both ends that a direction uses. */
export interface FlowEnd {
  readonly isOver: boolean;
  /** The receiver of events; null until the transport is adopted. */
  readonly sink: unknown;
  /** How many more bytes the sink takes. */
  readonly room: number;
  didReceive(chunk: Buffer): void;
  didEnd(): void;
  didWrite(): void;
  lose(code: string): void;
}

/**
 * One direction of a connection in memory.
 *
 * ```
 * write ── writeBytes ──> [ capacityBytes ] ── latencyMs, bytesPerMs, chunkBytes ──> the receiver, as far as it has room
 *                                           └─ then FIN, or RST in place of all of it
 * ```
 */
export class MemoryFlow {
  /** The number of bytes that the receiver has taken. */
  bytesDelivered = 0;
  readonly #host: FlowHost;
  readonly #sender: FlowEnd;
  readonly #receiver: FlowEnd;
  readonly #wire = new ByteQueue();
  /** The batch that the sender has in hand, and how much of it is on the wire. */
  #batch: readonly Uint8Array[] = [];
  #part = 0;
  #offset = 0;
  #isWriting = false;
  #lastDueAt = 0;
  /** The time at which the wire is free for the next chunk. */
  #freeAt = 0;
  #finDueAt = Infinity;
  #resetDueAt = Infinity;
  #breakAt = Infinity;
  #breakCode = "";
  #isStalled = false;
  #isScheduled = false;
  #timer: Timer | null = null;
  #timerAt = Infinity;

  /** @internal */
  constructor(host: FlowHost, sender: FlowEnd, receiver: FlowEnd) {
    this.#host = host;
    this.#sender = sender;
    this.#receiver = receiver;
  }

  /** Bytes of the batch in hand that the sender's system has not taken. */
  get bytesInHand(): number {
    let count = -this.#offset;
    for (let i = this.#part; i < this.#batch.length; i++) count += (this.#batch[i] as Uint8Array).length;
    return Math.max(0, count);
  }

  /** Bytes that the sender's system has taken, and the receiver has not. */
  get bytesUnderWay(): number {
    return this.#wire.length;
  }

  // ------------------------------------------------------------------ faults

  /**
   * Stops the direction: nothing arrives any more, no FIN and no RST either, until `resume`. Bytes that are sent fill
   * the buffers.
   */
  stall(): void {
    this.#isStalled = true;
  }

  /** Ends `stall`: everything continues. */
  resume(): void {
    this.#isStalled = false;
    this.plan();
  }

  /**
   * Breaks the connection for both ends once the receiver has been given this many bytes of this direction in all, and
   * not one more. If it already has been, the connection breaks at once.
   */
  breakAfter(bytes: number, code = "ECONNRESET"): void {
    this.#breakAt = bytes;
    this.#breakCode = code;
    this.#schedule();
  }

  // ------------------------------------------------------------------ the sender's end

  /** @internal @returns whether all of it is on the wire */
  write(parts: readonly Uint8Array[]): boolean {
    this.#batch = parts;
    this.#part = this.#offset = 0;
    const isOut = this.#accept(this.#host.link.writeBytes());
    this.#isWriting = !isOut;
    this.plan();
    return isOut;
  }

  /** @internal Sends a FIN after all bytes. */
  end(): void {
    this.#finDueAt = this.#dueAt();
    this.plan();
  }

  /** @internal Sends a RST: bytes that have not arrived never will. */
  reset(): void {
    this.#wire.clear();
    this.#finDueAt = Infinity;
    this.#resetDueAt = this.#host.clock.now() + this.#host.link.latencyMs();
    this.plan();
  }

  /** @internal The sender is gone: what is not on the wire never will be. */
  dropBatch(): void {
    this.#batch = [];
    this.#isWriting = false;
  }

  /** Puts on the wire what there is room for. @returns whether that was all */
  #accept(most: number): boolean {
    const now = this.#host.clock.now();
    let room = Math.min(most, Math.max(0, this.#host.link.capacityBytes - this.#wire.length));
    for (let part = this.#batch[this.#part]; part !== undefined; part = this.#batch[this.#part]) {
      const count = Math.min(room, part.length - this.#offset);
      if (count > 0)
        this.#wire.push(Buffer.from(part.subarray(this.#offset, this.#offset + count)), this.#dueAt(), now);
      room -= count;
      this.#offset += count;
      if (this.#offset < part.length) return false;
      this.#part++;
      this.#offset = 0;
    }
    this.#batch = [];
    return true;
  }

  /** When bytes that are sent now arrive: never before bytes that were sent earlier. */
  #dueAt(): number {
    this.#lastDueAt = Math.max(this.#lastDueAt, this.#host.clock.now() + this.#host.link.latencyMs());
    return this.#lastDueAt;
  }

  // ------------------------------------------------------------------ what happens, and when

  /** @internal Sees to it that what can happen next does. To be called when anything has changed. */
  plan(): void {
    if (this.#isScheduled) return;
    const { clock, link } = this.#host;
    if (this.#isOver) return this.stop();
    if (this.#isWriting && this.#wire.length < link.capacityBytes) return this.#schedule();
    const at = this.#isBlocked ? Infinity : this.#nextAt();
    if (at <= clock.now()) this.#schedule();
    else if (at !== this.#timerAt) this.#setTimer(at);
  }

  get #isBlocked(): boolean {
    return this.#isStalled || this.#host.isCut;
  }

  /** Whether nothing of this direction matters to anybody. */
  get #isOver(): boolean {
    return this.#receiver.isOver && (this.#sender.isOver || this.#wire.length + this.#batch.length === 0);
  }

  /** When the next bytes, FIN or RST arrive at the receiver. */
  #nextAt(): number {
    if (this.#resetDueAt !== Infinity) return this.#resetDueAt;
    if (this.#wire.length === 0) return this.#receiver.sink === null ? Infinity : this.#finDueAt;
    const mayTake = this.#receiver.isOver || (this.#receiver.sink !== null && this.#receiver.room > 0);
    return mayTake ? Math.max(this.#wire.nextDueAt, this.#freeAt) : Infinity;
  }

  #schedule(): void {
    this.stop();
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#host.clock.later(step, this);
  }

  #setTimer(at: number): void {
    this.stop();
    if (at === Infinity) return;
    const { clock } = this.#host;
    this.#timerAt = at;
    this.#timer = clock.setTimer(
      () => {
        this.#timer = null;
        this.#timerAt = Infinity;
        this.#schedule();
      },
      at - clock.now(),
      true,
    );
  }

  /** @internal */
  stop(): void {
    if (this.#timer !== null) this.#host.clock.clearTimer(this.#timer);
    this.#timer = null;
    this.#timerAt = Infinity;
  }

  /** @internal One turn's worth. */
  step(): void {
    this.#isScheduled = false;
    if (this.#breakAt <= this.bytesDelivered) return this.#host.break(this.#breakCode);
    if (!this.#isBlocked) this.#deliver();
    if (this.#isWriting && this.#accept(this.#host.link.writeBytes() || Infinity)) {
      this.#isWriting = false;
      this.#sender.didWrite();
    }
    this.plan();
  }

  #deliver(): void {
    const now = this.#host.clock.now();
    if (this.#resetDueAt <= now) {
      this.#resetDueAt = this.#finDueAt = Infinity;
      this.#receiver.lose("ECONNRESET");
      return;
    }
    if (this.#freeAt <= now) this.#deliverBytes(now);
    if (this.#wire.length > 0 || this.#finDueAt > now || this.#receiver.sink === null) return;
    this.#finDueAt = Infinity;
    this.#receiver.didEnd();
  }

  #deliverBytes(now: number): void {
    const receiver = this.#receiver;
    if (receiver.isOver) {
      if (this.#wire.due(now, 1) === 0) return;
      this.#wire.clear();
      this.#sender.lose("EPIPE");
      return;
    }
    if (receiver.sink === null) return;
    if (this.#wire.nextDueAt > now) return;
    const { bytesPerMs, chunkBytes } = this.#host.link;
    const most = Math.min(receiver.room, this.#breakAt - this.bytesDelivered, Math.max(1, Math.ceil(bytesPerMs)));
    const count = this.#wire.due(now, Math.min(most, Math.max(1, chunkBytes())));
    if (count === 0) return;
    const chunk = this.#wire.take(count);
    this.#freeAt = now + count / bytesPerMs;
    this.bytesDelivered += count;
    receiver.didReceive(chunk);
    // The memory was only lent. It is overwritten, as real transports overwrite theirs, so that code that keeps a view
    // of it is noticed.
    chunk.fill(0xdd);
    if (this.bytesDelivered >= this.#breakAt) this.#host.break(this.#breakCode);
  }

  /** @internal Whether what has arrived waits for the receiver's room: lost, if the receiver goes now. */
  get hasUnread(): boolean {
    return !this.#isBlocked && this.#wire.due(this.#host.clock.now(), 1) > 0;
  }
}

function step(flow: MemoryFlow): void {
  flow.step();
}
