import type { Clock } from "../base/clock.js";
import { ReceiveBuffer } from "../pump/receive-buffer.js";
import type { TransportSink } from "./transport.js";

const NOTHING = Buffer.alloc(0);

/** The transport of an inlet: it alone knows how the runtime is made to wait, and to go on. */
export interface InletOwner {
  /** The runtime may deliver so many bytes more; 0: none. Never called while bytes are being handed over. */
  didChangeOpenRoom(bytes: number): void;
}

/**
 * Hands what a transport receives over to its sink: no more bytes than the sink has room for, and everything in its order.
 *
 * A runtime gives more than it was asked for: a stream gives whole chunks, and a TLS engine that was told to pause still
 * gives all that it has decrypted. What exceeds the room is kept here, joined, so that it takes memory by its bytes and
 * not by its pieces. While anything is kept the runtime is paused, so the most that is kept is what the runtime had read
 * already.
 *
 * ```
 *   runtime ── receive ──> [ kept, where it exceeds the room ] ── as far as there is room ──> sink.didReceive
 *           ── end ──────────────> waits behind what is kept ─────────────────────────────> sink.didEnd
 *           ── fail, close ──> the room no longer matters: all that is kept, and the end, go first ──> didFail, didClose
 * ```
 */
export class Inlet {
  /** Who is told; null before somebody has taken the transport over. */
  sink: TransportSink | null = null;
  /** How many more bytes the sink takes. */
  room: number;
  readonly #owner: InletOwner;
  readonly #clock: Clock;
  /** What exceeded the room; null: nothing. */
  #kept: ReceiveBuffer | null = null;
  /** The peer's FIN has come, and waits behind what is kept. */
  #endIsKept = false;
  /** The sink is being given bytes: it may call `setRoom` from inside that. */
  #isGiving = false;
  #isScheduled = false;
  /** The sink wants nothing more but `didClose`. */
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

  /** How much the runtime may deliver now: nothing while anything is kept. */
  get openRoom(): number {
    return this.#kept === null ? this.room : 0;
  }

  /** The sink has room for so many bytes more. Bytes that are kept follow as soon as the caller has returned. */
  setRoom(bytes: number): void {
    this.room = bytes;
    if (this.#isGiving || this.#isStopped) return;
    if (this.#kept === null) this.#owner.didChangeOpenRoom(bytes);
    else if (bytes > 0) this.#schedule();
  }

  /** Nothing more is told but `didClose`. What is kept is dropped. */
  stop(): void {
    this.#isStopped = true;
    this.#kept = null;
    this.#endIsKept = false;
  }

  /** All that is kept, for somebody else. */
  takeAll(): Buffer {
    const all = this.#kept?.copyOut(this.#kept.length) ?? NOTHING;
    this.#kept = null;
    return all;
  }

  // ------------------------------------------------------------------ told by the runtime, from the event loop only

  /** `length` bytes of `chunk` from `start` on. The chunk is the caller's again when this returns. */
  receive(chunk: Buffer, start: number, length: number): void {
    if (this.#isStopped) return;
    const fitting = this.#kept === null && !this.#isGiving ? Math.min(length, this.room) : 0;
    if (fitting < length) this.#keep(chunk, start + fitting, length - fitting);
    if (fitting > 0) this.#give(chunk, start, fitting);
    // The sink may have made more room while it took the first bytes.
    if (this.#kept !== null) this.#giveKept();
  }

  /** The peer's FIN. */
  end(): void {
    if (this.#isStopped) return;
    if (this.#kept === null) this.sink?.didEnd();
    else this.#endIsKept = true;
  }

  /** Nothing more comes. What came before is told first, whatever the room: it would be lost else. */
  fail(error: Error): void {
    try {
      this.#flush();
    } finally {
      if (!this.#isStopped) this.sink?.didFail(error);
    }
  }

  /** The descriptor is closed. Told once, however often it is said. */
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
      // The caller does not come to ask what the room is now.
      if (hasThrown) this.#schedule();
    }
  }

  /** Gives of what is kept as much as there is room for, and then the end that waits behind it. */
  #giveKept(): void {
    for (let kept = this.#kept; kept !== null && this.room > 0 && !this.#isGiving; kept = this.#kept) {
      this.#giveSome(kept, Math.min(kept.length, this.room));
    }
    if (this.#kept === null) this.#giveEnd();
  }

  #giveSome(kept: ReceiveBuffer, length: number): void {
    const { block, start } = kept;
    // Dropped before it is given, so that it is not given twice where the sink throws. The block itself stays as it is.
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

  /** @internal The room has grown, or something was thrown where the room would have been asked for. */
  goOn(): void {
    this.#isScheduled = false;
    this.#giveKept();
    if (!this.isStopped) this.#owner.didChangeOpenRoom(this.openRoom);
  }
}

function goOn(inlet: Inlet): void {
  inlet.goOn();
}
