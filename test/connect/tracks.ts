/** Races on a clock that stands still: every answer and every outcome comes when the plan says so. */

import { VirtualClock } from "asyncsocket/testing";
import {
  type Candidate,
  type Family,
  type Question,
  HappyEyeballs,
  type HappyEyeballsOwner,
} from "#dist/connect/happy-eyeballs.js";

/** Ms after the question, and what is found; null: the lookup fails. */
export type Answer = readonly [afterMs: number, found: readonly string[] | null];
/** Ms after the dial, and whether it succeeds. */
export type Outcome = readonly [afterMs: number, succeeds: boolean];

export interface Plan {
  /** By question. One that is not here is never answered. */
  readonly answers: Partial<Record<Question, Answer>>;
  /** By address. One that is not here never answers. After 0 ms: it fails within the dial. */
  readonly outcomes: Readonly<Record<string, Outcome>>;
  readonly questions: readonly Question[];
  readonly firstFamily?: Family | undefined;
  readonly attemptDelayMs?: number;
  readonly cancelAtMs?: number;
}

/** In these tests an address is a letter and its family: `a6`. */
export function familyOf(address: string): Family {
  return address.endsWith("6") ? 6 : 4;
}

/** What a race did, each with its time: `250 dial a4`. */
export class Track implements HappyEyeballsOwner<string> {
  readonly clock = new VirtualClock();
  readonly log: string[] = [];
  readonly race: HappyEyeballs<string>;
  readonly #plan: Plan;

  constructor(plan: Plan) {
    this.#plan = plan;
    const { questions, firstFamily, attemptDelayMs = 250 } = plan;
    this.race = new HappyEyeballs<string>(this, this.clock, { questions, firstFamily, attemptDelayMs });
  }

  /** Runs for an hour of the clock's time. */
  run(): this {
    const { cancelAtMs } = this.#plan;
    if (cancelAtMs !== undefined) this.clock.setTimer(() => this.race.cancel(), cancelAtMs);
    this.race.start();
    this.clock.advance(3_600_000);
    return this;
  }

  #note(text: string): void {
    this.log.push(`${this.clock.now()} ${text}`);
  }

  resolve(question: Question, answer: (error: Error | null, found: readonly Candidate[]) => void): void {
    const planned = this.#plan.answers[question];
    if (planned === undefined) return;
    const [afterMs, found] = planned;
    const tell = (): void => {
      if (found === null) answer(new Error(`no answer to ${question}`), []);
      else
        answer(
          null,
          found.map((address) => ({ address, family: familyOf(address) })),
        );
    };
    if (afterMs === 0) tell();
    else this.clock.setTimer(tell, afterMs);
  }

  connect({ address }: Candidate, done: (error: Error | null) => void): string {
    this.#note(`dial ${address}`);
    const planned = this.#plan.outcomes[address];
    if (planned === undefined) return address;
    const [afterMs, succeeds] = planned;
    const tell = (): void => done(succeeds ? null : new Error(`${address} failed`));
    if (afterMs === 0) tell();
    else this.clock.setTimer(tell, afterMs);
    return address;
  }

  cancelAttempt(address: string): void {
    this.#note(`hang up ${address}`);
  }

  didWin(address: string): void {
    this.#note(`won ${address}`);
  }

  didLose(): void {
    this.#note("lost");
  }
}
