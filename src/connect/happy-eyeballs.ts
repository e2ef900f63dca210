import type { Clock, Timer } from "../base/clock.js";

export type Family = 4 | 6;

/** An address to which a connection may be attempted. */
export interface Candidate {
  readonly address: string;
  readonly family: Family;
}

/** The question to the resolver: the addresses of one family, or (0) all of them in one answer. */
export type Question = Family | 0;

/** The attempt at one address. */
export interface CandidateAttempt<R> {
  readonly candidate: Candidate;
  /** The value that `connect` returned; null until it has returned. */
  runner: R | null;
  isRunning: boolean;
  /** The error of an attempt that failed; null before that. */
  error: Error | null;
}

/** The owner resolves names, makes the attempts, and is told the result. None of its methods may throw. */
export interface HappyEyeballsOwner<R> {
  /** Must call `answer` exactly once, at once or later. */
  resolve(question: Question, answer: (error: Error | null, found: readonly Candidate[]) => void): void;
  /** Begins an attempt. It may call `done` with an error before it returns, but with success only later. */
  connect(candidate: Candidate, done: (error: Error | null) => void): R;
  /** Cancels an attempt. Its `done` has no effect any more. */
  cancelAttempt(runner: R): void;
  /** Called for the first attempt that succeeds. All the others have been cancelled. */
  didWin(runner: R): void;
  /** Called when the resolver has answered everything and all addresses have failed. */
  didLose(): void;
}

export interface HappyEyeballsOptions {
  readonly questions: readonly Question[];
  /**
   * The family to begin with. If undefined, it is the family of the first address in the answer to question 0, or else
   * IPv6 (RFC 8305, section 4).
   */
  readonly firstFamily: Family | undefined;
  /** The time in ms from the start of one attempt to the start of the next, unless one fails earlier. */
  readonly attemptDelayMs: number;
}

/** How long addresses of the second family wait for an answer about the first one (RFC 8305, section 3). */
export const RESOLUTION_DELAY_MS = 50;

/**
 * Happy Eyeballs, version 2 (RFC 8305). Addresses of the two families are tried alternately, as the answers come in.
 * The next attempt starts after a delay, or at once when an attempt fails; earlier attempts continue. The first that
 * succeeds wins.
 *
 * While no timer is running, the next address that is known may be tried at once.
 */
export class HappyEyeballs<R> {
  /** The attempts, in the order in which they began. */
  readonly attempts: CandidateAttempt<R>[] = [];
  readonly lookupErrors: Error[] = [];
  readonly #owner: HappyEyeballsOwner<R>;
  readonly #clock: Clock;
  readonly #attemptDelayMs: number;
  readonly #unanswered: Set<Question>;
  readonly #waiting: Record<Family, Candidate[]> = { 4: [], 6: [] };
  readonly #known = new Set<string>();
  #nextFamily: Family | undefined;
  #running = 0;
  #timer: Timer | null = null;
  /**
   * True while `#advance` runs, and before all questions are asked: answers and failures that arrive meanwhile must not
   * start it again.
   */
  #isAdvancing = true;
  #isOver = false;

  constructor(owner: HappyEyeballsOwner<R>, clock: Clock, options: HappyEyeballsOptions) {
    this.#owner = owner;
    this.#clock = clock;
    this.#attemptDelayMs = options.attemptDelayMs;
    this.#unanswered = new Set(options.questions);
    this.#nextFamily = options.firstFamily ?? (this.#unanswered.has(0) ? undefined : 6);
  }

  /** The questions that the resolver has not answered yet. */
  get unanswered(): readonly Question[] {
    return [...this.#unanswered];
  }

  start(): void {
    for (const question of [...this.#unanswered]) {
      this.#owner.resolve(question, (error, found) => this.#didAnswer(question, error, found));
    }
    this.#isAdvancing = false;
    this.#advance();
  }

  /** Cancels all attempts. The owner is told nothing more. */
  cancel(): void {
    this.#isOver = true;
    this.#clearTimer();
    for (const attempt of this.attempts) {
      if (!attempt.isRunning) continue;
      attempt.isRunning = false;
      if (attempt.runner !== null) this.#owner.cancelAttempt(attempt.runner);
    }
  }

  #didAnswer(question: Question, error: Error | null, found: readonly Candidate[]): void {
    if (this.#isOver || !this.#unanswered.delete(question)) return;
    if (error !== null) this.lookupErrors.push(error);
    for (const candidate of found) {
      if (this.#known.has(candidate.address)) continue;
      this.#known.add(candidate.address);
      this.#waiting[candidate.family].push(candidate);
    }
    this.#nextFamily ??= found[0]?.family;
    if (this.attempts.length === 0) {
      this.#clearTimer();
      const isEarly = this.#nextFamily !== undefined && this.#unanswered.has(this.#nextFamily);
      if (isEarly && found.length > 0) this.#setTimer(RESOLUTION_DELAY_MS);
    }
    this.#advance();
  }

  /**
   * Starts the attempts that may start now. An attempt that fails at once calls this method again from inside its loop;
   * that call returns, and the loop continues.
   */
  #advance(): void {
    if (this.#isAdvancing) return;
    this.#isAdvancing = true;
    while (!this.#isOver && this.#timer === null) {
      const candidate = this.#takeNext();
      if (candidate === undefined) break;
      this.#begin(candidate);
    }
    this.#isAdvancing = false;
    if (!this.#isOver && this.#running === 0 && this.#unanswered.size === 0) this.#owner.didLose();
  }

  #takeNext(): Candidate | undefined {
    const family = this.#nextFamily ?? 6;
    const candidate = this.#waiting[family].shift() ?? this.#waiting[other(family)].shift();
    if (candidate !== undefined) this.#nextFamily = other(candidate.family);
    return candidate;
  }

  #begin(candidate: Candidate): void {
    this.#running++;
    this.#setTimer(this.#attemptDelayMs);
    const attempt: CandidateAttempt<R> = { candidate, runner: null, isRunning: true, error: null };
    this.attempts.push(attempt);
    attempt.runner = this.#owner.connect(candidate, (error) => this.#didEnd(attempt, error));
  }

  #didEnd(attempt: CandidateAttempt<R>, error: Error | null): void {
    if (!attempt.isRunning) return;
    attempt.isRunning = false;
    if (error === null) {
      this.cancel();
      if (attempt.runner !== null) this.#owner.didWin(attempt.runner);
      return;
    }
    attempt.error = error;
    this.#running--;
    this.#clearTimer();
    this.#advance();
  }

  #setTimer(delayMs: number): void {
    // This timer need not keep the process alive: the lookups and attempts do.
    this.#timer = this.#clock.setTimer(this.#onTimer, delayMs, false);
  }

  #clearTimer(): void {
    if (this.#timer !== null) this.#clock.clearTimer(this.#timer);
    this.#timer = null;
  }

  readonly #onTimer = (): void => {
    this.#timer = null;
    this.#advance();
  };
}

function other(family: Family): Family {
  return family === 4 ? 6 : 4;
}
