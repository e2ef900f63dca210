import type { Address } from "../base/address.js";
import type { Clock } from "../base/clock.js";
import { MemoryFlow } from "./flow.js";
import type { Link } from "./link.js";
import type { MemoryTransport } from "./memory-transport.js";

/** An open connection of a `MemoryNetwork`, with methods that make it fail. */
export class MemoryConnection {
  /** The end that connected. */
  readonly from: Address;
  /** The end that accepted. */
  readonly to: Address;
  /** From the end that connected to the end that accepted. */
  readonly up: MemoryFlow;
  /** From the end that accepted to the end that connected. */
  readonly down: MemoryFlow;
  /** @internal */ readonly clock: Clock;
  /** @internal */ readonly link: Link;
  readonly #near: MemoryTransport;
  readonly #far: MemoryTransport;
  readonly #isCut: (connection: MemoryConnection) => boolean;

  /** @internal */
  constructor(
    clock: Clock,
    link: Link,
    near: MemoryTransport,
    far: MemoryTransport,
    isCut: (connection: MemoryConnection) => boolean,
  ) {
    this.from = near.local;
    this.to = near.remote;
    this.clock = clock;
    this.link = link;
    this.#near = near;
    this.#far = far;
    this.#isCut = isCut;
    this.up = near.outgoing = far.incoming = new MemoryFlow(this, near, far);
    this.down = far.outgoing = near.incoming = new MemoryFlow(this, far, near);
  }

  /** @internal */
  get isCut(): boolean {
    return this.#isCut(this);
  }

  /** @internal Whether both ends are gone. */
  get isOver(): boolean {
    return this.#near.isOver && this.#far.isOver;
  }

  /** Stalls both directions. */
  stall(): void {
    this.up.stall();
    this.down.stall();
  }

  /** Ends `stall`, in both directions. */
  resume(): void {
    this.up.resume();
    this.down.resume();
  }

  /**
   * Breaks the connection for both ends in the next turn of the event loop. Bytes that have not arrived by then never
   * will.
   */
  reset(code = "ECONNRESET"): void {
    this.clock.later(() => this.break(code), undefined);
  }

  /** @internal */
  break(code: string): void {
    this.#near.lose(code);
    this.#far.lose(code);
  }
}
