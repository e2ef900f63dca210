import type { Clock, Timer } from "../base/clock.js";
import { nobody, settle, SocketRequest } from "../base/request.js";
import { endLate } from "../connection/closing.js";
import type { Connection } from "../connection/connection.js";
import type { ShutdownResult } from "./options.js";

/** The parts of a listener that its shutdown uses. */
export interface ShutdownOwner {
  /** The connections of this thread that have not been told closed. */
  readonly connections: Iterable<Connection>;
  /** Whether the listener has closed, and so have all its connections, on this thread and on others. */
  readonly isOver: boolean;
  /** Closes the connections that are on other threads. */
  forceElsewhere(): void;
}

/** The shutdown of a listener: it waits for the connections, closes what is left after the grace period, and counts. */
export class Shutdown {
  readonly request = new SocketRequest<ShutdownResult>("shutdown", undefined, nobody);
  /** Whether the grace period is over. */
  isGraceOver = false;
  readonly #result: ShutdownResult = { finished: 0, forced: 0 };
  readonly #forced = new Set<Connection>();
  readonly #clock: Clock;
  readonly #owner: ShutdownOwner;
  readonly #timer: Timer | null;

  constructor(clock: Clock, owner: ShutdownOwner, graceMs: number) {
    this.#clock = clock;
    this.#owner = owner;
    this.request._state = "current";
    this.#timer = graceMs === Infinity ? null : clock.setTimer(() => this.#force(), Math.max(1, graceMs), true);
    clock.later(finish, this);
  }

  /** Called when a connection of this thread has closed. */
  didEnd(connection: Connection): void {
    this.didEndOne(this.#forced.has(connection));
  }

  /** Called when a connection has closed, on this thread or on another one. */
  didEndOne(isForced: boolean): void {
    if (isForced) this.#result.forced++;
    else this.#result.finished++;
    this.finish();
  }

  /** Settles the request if everything has closed. */
  finish(): void {
    if (!this.#owner.isOver) return;
    if (this.#timer !== null) this.#clock.clearTimer(this.#timer);
    if (this.request._state === "current") settle(this.request, "done", this.#result);
  }

  forceElsewhere(): void {
    this.#owner.forceElsewhere();
  }

  /** Connections that end by themselves before they are closed do not count as forced. */
  #force(): void {
    this.isGraceOver = true;
    for (const connection of this.#owner.connections) endLate(connection, () => this.#forced.add(connection));
    // Other threads may have reported connections that have ended while this thread was busy.
    this.#clock.later(forceElsewhere, this);
  }
}

function finish(shutdown: Shutdown): void {
  shutdown.finish();
}

function forceElsewhere(shutdown: Shutdown): void {
  shutdown.forceElsewhere();
}
