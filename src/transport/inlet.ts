import type { Clock } from "../base/clock.js";
import { ReceiveBuffer } from "../pump/receive-buffer.js";
import type { TransportSink } from "./transport.js";

/** The room before the sink has said how much it has: what most sockets have room for. */
export const FIRST_ROOM = 64 * 1024;

const NOTHING = Buffer.alloc(0);

/** The transport of an inlet, which knows how to pause and resume the runtime. */
export interface InletOwner {
  /** The runtime may deliver so many more bytes; 0 pauses it. Never called while bytes are being handed over. */
  didChangeOpenRoom(bytes: number): void;
}

/**
 * Passes what a transport receives to its sink: in order, and never more bytes than the sink has room for.
 *
 * A runtime delivers more than it was asked for: a stream delivers whole chunks, and TLS that was told to pause still
 * delivers everything that it has decrypted. The excess is kept here, joined into one block so that many small chunks
 * do not cost extra memory. The runtime is paused while anything is kept, so no more is kept than what it had read
 * already.
 *
 * ```
 *   runtime ── receive ──> [ the excess is kept ] ── as far as there is room ──> sink.didReceive
 *           ── end ──────────────> waits behind the kept bytes ────────────────> sink.didEnd
 *           ── fail, close ──> first all kept bytes and the end, whatever the room ──> didFail, didClose
 * ```
 */
export class Inlet {
  /** Receives the bytes and the events; null until a sink has adopted the transport. */
  sink: TransportSink | null = null;
  /** How many more bytes the sink takes. */
  room: number;
  readonly #owner: InletOwner;
  readonly #clock: Clock;
  /** The bytes that exceeded the room; null if there are none. */
  #kept: ReceiveBuffer | null = null;
  /** The peer's FIN has come and waits behind the kept bytes. */
  #endIsKept = false;
  /** The sink is inside `didReceive`, from where it may call `setRoom`. */
  #isGiving = false;
  #isScheduled = false;
  /** The sink is told nothing more except `didClose`. */
  #isStopped = false;
  #isClosed = false;

  constructor(owner: InletOwner, clock: Clock, room: number) {
    this.#owner = owner;
    this.#clock = clock;
    this.room = room;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Whether `didClose` was told. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether nothing is kept that the sink is still to get. */
  get isEmpty(): boolean {
    return this.#kept === null && !this.#endIsKept && !this.#isStopped;
  }

  /** How many bytes the runtime may deliver now: none while anything is kept. */
  get openRoom(): number {
    return this.#kept === null ? this.room : 0;
  }

  /** The sink has room for so many more bytes. Kept bytes follow as soon as the running code has returned. */
  setRoom(bytes: number): void {
    this.room = bytes;
    if (this.#isGiving || this.#isStopped) return;
    if (this.#kept === null) this.#owner.didChangeOpenRoom(bytes);
    else if (bytes > 0) this.#schedule();
  }

  /** From now on the sink is told nothing except `didClose`. Kept bytes are dropped. */
  stop(): void {
    this.#isStopped = true;
    this.#kept = null;
    this.#endIsKept = false;
  }

  /** Removes and returns all kept bytes, for whoever takes the connection over. */
  takeAll(): Buffer {
    const all = this.#kept?.copyOut(this.#kept.length) ?? NOTHING;
    this.#kept = null;
    return all;
  }

  // ------------------------------------------------------------------ called by the runtime, from the event loop only

  /** Receives `length` bytes of `chunk` from `start` on. The caller may reuse the chunk when this has returned. */
  receive(chunk: Buffer, start: number, length: number): void {
    if (this.#isStopped) return;
    const fitting = this.#kept === null && !this.#isGiving ? Math.min(length, this.room) : 0;
    if (fitting < length) this.#keep(chunk, start + fitting, length - fitting);
    if (fitting > 0) this.#give(chunk, start, fitting);
    // The sink may have made more room while it took the first bytes.
    if (this.#kept !== null) this.#giveKept();
  }

  /** The peer's FIN has come. */
  end(): void {
    if (this.#isStopped) return;
    if (this.#kept === null) this.sink?.didEnd();
    else this.#endIsKept = true;
  }

  /**
   * The connection has failed. Bytes that came before are delivered first, whatever the room, or they would be lost.
   */
  fail(error: Error): void {
    try {
      this.#flush();
    } finally {
      if (!this.#isStopped) this.sink?.didFail(error);
    }
  }

  /** The descriptor is closed. Only the first call has an effect. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      this.#flush();
    } finally {
      this.sink?.didClose();
    }
  }

  // ------------------------------------------------------------------

  #keep(chunk: Buffer, start: number, length: number): void {
    this.#kept ??= new ReceiveBuffer();
    this.#kept.borrow(chunk, length, start);
    this.#kept.keep();
  }

  #give(chunk: Buffer, start: number, length: number): void {
    this.#isGiving = true;
    let hasThrown = true;
    try {
      this.sink?.didReceive(chunk, start, length);
      hasThrown = false;
    } finally {
      this.#isGiving = false;
      // The exception keeps the caller from looking at the new room, so that is done later.
      if (hasThrown) this.#schedule();
    }
  }

  /** Delivers as many kept bytes as there is room for, and then the end that waits behind them. */
  #giveKept(): void {
    for (let kept = this.#kept; kept !== null && this.room > 0 && !this.#isGiving; kept = this.#kept) {
      this.#giveSome(kept, Math.min(kept.length, this.room));
    }
    if (this.#kept === null) this.#giveEnd();
  }

  #giveSome(kept: ReceiveBuffer, length: number): void {
    const { block, start } = kept;
    // The bytes are dropped first, which does not change them, so that a sink that throws does not get them twice.
    kept.drop(length);
    if (kept.length === 0) this.#kept = null;
    else kept.trim();
    this.#give(block, start, length);
  }

  #giveEnd(): void {
    if (!this.#endIsKept) return;
    this.#endIsKept = false;
    this.sink?.didEnd();
  }

  #flush(): void {
    const kept = this.#kept;
    if (kept !== null) this.#giveSome(kept, kept.length);
    this.#giveEnd();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#clock.soon(goOn, this);
  }

  /** @internal Goes on after the room has grown, or after the sink has thrown. */
  goOn(): void {
    this.#isScheduled = false;
    this.#giveKept();
    if (!this.isStopped) this.#owner.didChangeOpenRoom(this.openRoom);
  }
}

function goOn(inlet: Inlet): void {
  inlet.goOn();
}
