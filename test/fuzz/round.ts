/** Programs that run at the same time, over connections of one kind. */

import { Lot } from "../simulation/lot.js";
import { openSockets } from "../support/open-sockets.js";
import { turn } from "../support/transports.js";
import { randomReadProgram, type ReadProgram } from "./read-program.js";
import { Reading } from "./reading.js";
import type { Ends, Wire } from "./wires.js";
import { randomWriteProgram, type WriteProgram } from "./write-program.js";
import { Writing } from "./writing.js";

/** What programs are held against. */
export interface Judge {
  fail(what: string): void;
  /** Throws, as user code does, and counts it. */
  throw(): never;
}

/** A program that is carried out. */
export interface Play {
  readonly done: Promise<void>;
  /** Grows with each thing that happens. */
  readonly progress: number;
  /** Where it stands, for whoever finds that it never ends. */
  readonly place: string;
  start(ends: Ends, breaks: boolean, isSystems: boolean): void;
  giveUp(): void;
}

export type Program = ReadProgram | WriteProgram;

/** What user code throws. */
class Thrown extends Error {
  constructor(readonly round: Round) {
    super("as told");
  }
}

/** No round takes a hundredth of it. */
export const PATIENCE_MS = 30_000;

/** What one seed stands for: mostly one program, sometimes several that share the thread and its poller. */
export function randomRound(of: Program["of"], seed: number): Program[] {
  const random = of === "reads" ? randomReadProgram : randomWriteProgram;
  const lot = new Lot(seed);
  const count = lot.chance(0.7) ? 1 : 2 + lot.below(5);
  return Array.from({ length: count }, (_, index) => random(seed + index * 1_000_003));
}

/** Turns of the event loop until it is so, or for ever so long. */
async function until(isSo: () => boolean): Promise<void> {
  const end = performance.now() + 2000;
  while (!isSo() && performance.now() < end) await turn();
}

export class Round implements Judge {
  failure: string | null = null;
  readonly #wire: Wire;
  readonly #patienceMs: number;
  #thrown = 0;
  #surfaced = 0;

  constructor(wire: Wire, patienceMs = PATIENCE_MS) {
    this.#wire = wire;
    this.#patienceMs = patienceMs;
  }

  fail(what: string): void {
    this.failure ??= what;
  }

  throw(): never {
    this.#thrown++;
    throw new Thrown(this);
  }

  /** @returns the first thing that was wrong, or null */
  async run(programs: readonly Program[]): Promise<string | null> {
    const before = openSockets().length;
    process.setUncaughtExceptionCaptureCallback((error) => {
      if (error instanceof Thrown) error.round.#surfaced++;
      else this.fail(`uncaught: ${error.stack}`);
    });
    try {
      await Promise.all(programs.map((program) => this.#play(program)));
      await until(() => this.#thrown === this.#surfaced);
      if (this.#thrown !== this.#surfaced) this.fail(`${this.#thrown} thrown, ${this.#surfaced} surfaced`);
      await until(() => openSockets().length <= before);
      const left = openSockets().length - before;
      if (left > 0) this.fail(`${left} descriptors are left`);
    } catch (error) {
      this.fail(String((error as Error).stack));
    } finally {
      process.setUncaughtExceptionCaptureCallback(null);
    }
    return this.failure;
  }

  async #play(program: Program): Promise<void> {
    const { seed, isAccepted, chunkBytes, readAhead, allowHalfOpen } = program;
    const limits = { readAhead, lingerMs: program.lingerMs };
    const ends = await this.#wire.open({ seed, isAccepted, chunkBytes, options: { allowHalfOpen, limits } });
    const play = program.of === "reads" ? new Reading(this, program) : new Writing(this, program, this.#wire);
    let progress = -1;
    const watchdog = setInterval(() => {
      const before = progress;
      progress = play.progress;
      if (progress !== before) return;
      this.fail(`never ends: ${play.place}`);
      ends.socket.reset();
      ends.peer.destroy();
      play.giveUp();
    }, this.#patienceMs);
    play.start(
      ends,
      program.of === "reads" && this.#wire.breaks.includes(program.ending),
      this.#wire.isClear && this.#wire.name !== "memory",
    );
    await play.done;
    clearInterval(watchdog);
  }
}
