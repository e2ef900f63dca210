import { whenAsked } from "../base/clock.js";
import type { Connection } from "../connection/connection.js";
import { type Deadlines, deadlinesOf, type Sleeper } from "../pump/deadlines.js";

/** How many turns of the event loop a time that is over waits at most for bytes that are about to come. */
const TURNS_MAX = 100;

/**
 * The `setTimeout` of a stream: after some time without traffic in either direction the stream is told, and nothing
 * else happens. Bytes that the peer takes of a long write count as traffic. The timer does not keep the
 * process alive.
 */
export class StreamTimeout implements Sleeper {
  heapIndex = -1;
  wakeAt = Infinity;
  readonly #connection: Connection;
  readonly #deadlines: Deadlines;
  readonly #tell: () => void;
  #timeoutMs = Infinity;
  #activeAt = 0;
  #bytesTaken = 0;
  /** The number of turns after which a time that is over is reported at the latest. 0 if it is not over. */
  #turnsLeft = 0;

  constructor(connection: Connection, tell: () => void) {
    this.#connection = connection;
    this.#deadlines = deadlinesOf(connection.clock, false);
    this.#tell = tell;
  }

  /** Starts the time anew. */
  start(timeoutMs: number): void {
    this.stop();
    this.#timeoutMs = timeoutMs;
    this.refresh();
  }

  stop(): void {
    this.#timeoutMs = Infinity;
    this.#deadlines.disarm(this);
  }

  /** Notes that bytes have gone in either direction. After a report, this starts the time anew. */
  refresh(): void {
    if (this.#timeoutMs === Infinity) return;
    this.#activeAt = this.#connection.clock.now();
    if (this.heapIndex === -1 && this.#turnsLeft === 0) this.#arm();
  }

  wake(): void {
    this.#look();
    if (this.#turnsLeft > 0) return;
    if (!this.#isOver()) {
      this.#arm();
      return;
    }
    this.#turnsLeft = TURNS_MAX;
    this.#askOnceMore();
  }

  /** Bytes that came while the thread was busy are received after this timer has woken, in a turn that follows. */
  #askOnceMore(): void {
    whenAsked(this.#connection.clock, strike, this);
  }

  /** A turn of the event loop has passed since the time was over. */
  strike(): void {
    const { isPaused, transport } = this.#connection;
    const isOver = this.#isOver();
    if (isOver && (isPaused || transport?.hasNews() === true) && --this.#turnsLeft > 0) {
      this.#askOnceMore();
      return;
    }
    this.#turnsLeft = 0;
    if (isOver) this.#tell();
    else this.#arm();
  }

  #isOver(): boolean {
    return this.#connection.clock.now() >= this.#activeAt + this.#timeoutMs;
  }

  /** How many bytes the peer has taken. */
  #taken(): number {
    const { writing, transport } = this.#connection;
    return writing.bytesWritten - (transport?.underWayBytes ?? 0);
  }

  /** While a write goes on, what the peer takes of it is seen only here. The end of a write has told of itself. */
  #look(): void {
    const { writing } = this.#connection;
    if (writing.unsentBytes > 0 && this.#taken() !== this.#bytesTaken) this.refresh();
  }

  #arm(): void {
    if (this.#timeoutMs === Infinity) return;
    this.#bytesTaken = this.#taken();
    this.#deadlines.arm(this, this.#activeAt + this.#timeoutMs);
  }
}

function strike(timeout: StreamTimeout): void {
  timeout.strike();
}
