import { inspect } from "node:util";
import { wrongType } from "../base/checks.js";
import { asError, badState } from "../base/errors.js";
import type { AcceptInfo } from "../connection/delegate.js";
import type { GraceOptions, ShutdownResult } from "../listen/options.js";
import type { Destination } from "../connection/destination.js";
import { Loop } from "./loop.js";

/** A function that chooses the loop of a pool for a new socket. It returns the loop, or its index in `loops`. */
export type Chooser<L extends Loop> = (info: AcceptInfo, loops: readonly L[]) => L | number;

/**
 * How a pool chooses a loop for a new socket. `"round-robin"`: each loop in turn; `"least-connections"`: the loop with
 * the fewest sockets.
 */
export type Policy<L extends Loop> = "round-robin" | "least-connections" | Chooser<L>;

/** Several run loops that run the same module. Wherever a socket can be sent to a loop, it can be sent to a pool. */
export class Pool<L extends Loop = Loop> implements Destination {
  readonly policy: Policy<L>;
  readonly #loops: L[];
  readonly #respawn: ((name: string) => Promise<L>) | null;
  #next = 0;
  #isClosing = false;

  /** @internal */
  constructor(loops: L[], policy: Policy<L>, respawn: ((name: string) => Promise<L>) | null) {
    this.#loops = loops;
    this.policy = policy;
    this.#respawn = respawn;
    if (respawn !== null) for (const loop of loops) loop._whenEnded(() => void this.#replace(loop));
  }

  /** The present loops, including loops that have ended and were not replaced. */
  get loops(): readonly L[] {
    return [...this.#loops];
  }

  /** @internal */
  get _sending(): object {
    return (this.#loops[0] as L)._sending;
  }

  /** How many connections all loops have together. */
  get sockets(): number {
    return this.#loops.reduce((count, loop) => count + loop.sockets, 0);
  }

  /**
   * Chooses the loop for a new socket.
   * @throws BAD_STATE if no loop is running
   */
  pick(info: AcceptInfo): L {
    const running = this.#loops.filter((loop) => loop.state === "running");
    const [first] = running;
    if (first === undefined) throw badState("pick", "no run loop of the pool is running");
    if (typeof this.policy === "function") return this.#choose(this.policy(info, running), running);
    if (this.policy === "least-connections") {
      return running.reduce((least, loop) => (loop.sockets < least.sockets ? loop : least), first);
    }
    return running[this.#next++ % running.length] ?? first;
  }

  #choose(choice: unknown, running: readonly L[]): L {
    const loop = typeof choice === "number" ? running[choice] : choice;
    if (loop instanceof Loop) return loop as L;
    throw wrongType("the policy's answer", `a RunLoop, or a number below ${running.length}`, choice);
  }

  /** Closes all loops, in the same way as `RunLoop.close`. */
  async close(options?: GraceOptions): Promise<ShutdownResult> {
    this.#isClosing = true;
    const running = this.#loops.filter((loop) => loop.state !== "closed");
    const results = await Promise.all(running.map((loop) => loop.close(options)));
    return {
      finished: results.reduce((count, { finished }) => count + finished, 0),
      forced: results.reduce((count, { forced }) => count + forced, 0),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Replaces a loop that has crashed. If the module of the new loop fails at once, it is not tried again. */
  async #replace(ended: L): Promise<void> {
    if (this.#isClosing || this.#respawn === null || ended.state !== "closed" || !ended._wasLost) return;
    try {
      const loop = await this.#respawn(ended.name);
      this.#loops[this.#loops.indexOf(ended)] = loop;
      loop._whenEnded(() => void this.#replace(loop));
      if (this.#hasClosed) await loop.close({ graceMs: 0 });
    } catch (error) {
      process.emitWarning(asError(error));
    }
  }

  get #hasClosed(): boolean {
    return this.#isClosing;
  }

  [inspect.custom](): string {
    return `RunLoopPool of ${this.#loops.length}: ${this.sockets} sockets`;
  }
}

/** Returns the given loop, or the one that the given pool picks. @throws TypeError for anything else */
export function chosenLoop(given: unknown, info: AcceptInfo): Loop {
  if (given instanceof Loop) return given;
  if (given instanceof Pool) return (given as Pool).pick(info);
  throw wrongType("runLoop", "a RunLoop or a pool of them", given);
}
