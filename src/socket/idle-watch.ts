import { whenAsked } from "../base/clock.js";
import type { Connection } from "../connection/connection.js";
import { type Deadlines, deadlinesOf, type Sleeper } from "../pump/deadlines.js";

/** How many times within the idle time the traffic is looked at. Nothing is counted or timed per byte. */
const LOOKS = 8;
/** How many turns of the event loop a deadline that has passed waits at most for bytes that are about to come. */
const TURNS_MAX = 100;

/** Watches two joined connections, and tells when no byte went either way for `idleMs`. */
export class IdleWatch implements Sleeper {
  heapIndex = -1;
  wakeAt = Infinity;
  readonly #a: Connection;
  readonly #b: Connection;
  readonly #idleMs: number;
  readonly #onIdle: () => void;
  #activeAt: number;
  #traffic: number;
  #turnsLeft = 0;
  #deadlines: Deadlines | null = null;
  #isStopped = false;

  constructor(a: Connection, b: Connection, idleMs: number, onIdle: () => void) {
    this.#a = a;
    this.#b = b;
    this.#idleMs = idleMs;
    this.#onIdle = onIdle;
    this.#activeAt = a.clock.now();
    this.#traffic = trafficOf(a) + trafficOf(b);
    this.#arm(this.#activeAt);
  }

  stop(): void {
    this.#isStopped = true;
    this.#deadlines?.disarm(this);
  }

  /** The timer keeps the process alive only where a side has no descriptor that does so. */
  #arm(now: number): void {
    this.#deadlines = deadlinesOf(this.#a.clock, !holdsProcess(this.#a) || !holdsProcess(this.#b));
    this.#deadlines.arm(this, Math.min(this.#activeAt + this.#idleMs, now + this.#idleMs / LOOKS));
  }

  wake(now: number): void {
    this.#look(now);
    if (now < this.#activeAt + this.#idleMs) this.#arm(now);
    else {
      this.#turnsLeft = TURNS_MAX;
      whenAsked(this.#a.clock, strike, this);
    }
  }

  #look(now: number): void {
    this.#a.passing?.account();
    const traffic = trafficOf(this.#a) + trafficOf(this.#b);
    const isConnecting = this.#a.phase.name === "connecting" || this.#b.phase.name === "connecting";
    if (traffic === this.#traffic && !isConnecting) return;
    this.#traffic = traffic;
    this.#activeAt = now;
  }

  /** A turn has passed since the deadline did, so that bytes that came while the thread was busy were received. */
  strike(): void {
    if (this.#isStopped) return;
    const now = this.#a.clock.now();
    this.#look(now);
    if (now < this.#activeAt + this.#idleMs) this.#arm(now);
    else if (--this.#turnsLeft > 0 && (mayHear(this.#a) || mayHear(this.#b))) whenAsked(this.#a.clock, strike, this);
    else this.#onIdle();
  }
}

/** How many bytes have come, and how many the peer has taken. */
function trafficOf({ bytesRead, writing, transport }: Connection): number {
  return bytesRead + writing.bytesWritten - (transport?.underWayBytes ?? 0);
}

function mayHear({ isPaused, transport }: Connection): boolean {
  return isPaused || transport?.hasNews() === true;
}

function holdsProcess({ transport }: Connection): boolean {
  return transport === null || transport.holdsProcess;
}

function strike(watch: IdleWatch): void {
  watch.strike();
}
