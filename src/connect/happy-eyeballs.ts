import type { Clock, Timer } from "../base/clock.js";

export type Family = 4 | 6;

/** An address that a connection may be tried to. */
export interface Candidate {
  readonly address: string;
  readonly family: Family;
}

/** What the resolver is asked for: the addresses of one family, or (0) all of them in one answer. */
export type Question = Family | 0;

/** One address tried. */
export interface Attempt<R> {
  readonly candidate: Candidate;
  /** Null while it is being begun. */
  runner: R | null;
  isRunning: boolean;
  /** Why it failed. */
  error: Error | null;
}

/** What a race is run for: it resolves, dials, and is told how it went. None of its methods may throw. */
export interface HappyEyeballsOwner<R> {
  /** Answers once, at once or later. */
  resolve(question: Question, answer: (error: Error | null, found: readonly Candidate[]) => void): void;
  /** Begins an attempt. `done` may be called with an error from inside, with success only later. */
  dial(candidate: Candidate, done: (error: Error | null) => void): R;
  /** Ends an attempt that is not wanted any more. Nothing more is heard of it. */
  hangUp(runner: R): void;
  /** The first success. All the others have been cancelled. */
  didWin(runner: R): void;
  /** All answers are in, and all addresses have failed. */
  didLose(): void;
}

export interface RaceOptions {
  readonly questions: readonly Question[];
  /** The family to begin with. Undefined: that of the first address in the answer to 0, and else IPv6 (RFC 8305, 4). */
  readonly firstFamily: Family | undefined;
  /** Ms between the starts of two attempts, while none fails. */
  readonly attemptDelayMs: number;
}

/** How long the addresses of the other family wait for those of the first one (RFC 8305, section 3). */
export const RESOLUTION_DELAY_MS = 50;

/**
 * Happy Eyeballs, version 2 (RFC 8305): addresses of both families, taken in turns as the answers come in. The next is
 * tried after a delay, or at once when one fails; those tried before go on. The first that succeeds wins.
 *
 * Without a timer running, the next address that is there may be tried at once.
 */
export class HappyEyeballs<R> {
  /** In the order in which they were begun. */
  readonly attempts: Attempt<R>[] = [];
  readonly lookupErrors: Error[] = [];
  readonly #host: HappyEyeballsOwner<R>;
  readonly #clock: Clock;
  readonly #attemptDelayMs: number;
  readonly #unanswered: Set<Question>;
  readonly #waiting: Record<Family, Candidate[]> = { 4: [], 6: [] };
  readonly #known = new Set<string>();
  #nextFamily: Family | undefined;
  #running = 0;
  #timer: Timer | null = null;
  /** Or not to begin yet: nothing is tried before all is asked, and answers may come from inside. */
  #isAdvancing = true;
  #isOver = false;

  constructor(host: HappyEyeballsOwner<R>, clock: Clock, options: RaceOptions) {
    this.#host = host;
    this.#clock = clock;
    this.#attemptDelayMs = options.attemptDelayMs;
    this.#unanswered = new Set(options.questions);
    this.#nextFamily = options.firstFamily ?? (this.#unanswered.has(0) ? undefined : 6);
  }

  /** Questions that the resolver has not answered yet. */
  get unanswered(): readonly Question[] {
    return [...this.#unanswered];
  }

  start(): void {
    for (const question of [...this.#unanswered]) {
      this.#host.resolve(question, (error, found) => this.#didAnswer(question, error, found));
    }
    this.#isAdvancing = false;
    this.#advance();
  }

  /** Ends it without a winner: nothing more is heard of it. */
  cancel(): void {
    this.#isOver = true;
    this.#clearTimer();
    for (const attempt of this.attempts) {
      if (!attempt.isRunning) continue;
      attempt.isRunning = false;
      if (attempt.runner !== null) this.#host.hangUp(attempt.runner);
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

  /** A failed dial comes back here from inside: then the loop that is running goes on. */
  #advance(): void {
    if (this.#isAdvancing) return;
    this.#isAdvancing = true;
    while (!this.#isOver && this.#timer === null) {
      const candidate = this.#takeNext();
      if (candidate === undefined) break;
      this.#begin(candidate);
    }
    this.#isAdvancing = false;
    if (!this.#isOver && this.#running === 0 && this.#unanswered.size === 0) this.#host.didLose();
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
    const attempt: Attempt<R> = { candidate, runner: null, isRunning: true, error: null };
    this.attempts.push(attempt);
    attempt.runner = this.#host.dial(candidate, (error) => this.#didEnd(attempt, error));
  }

  #didEnd(attempt: Attempt<R>, error: Error | null): void {
    if (!attempt.isRunning) return;
    attempt.isRunning = false;
    if (error === null) {
      this.cancel();
      if (attempt.runner !== null) this.#host.didWin(attempt.runner);
      return;
    }
    attempt.error = error;
    this.#running--;
    this.#clearTimer();
    this.#advance();
  }

  #setTimer(delayMs: number): void {
    // What is waited for, an answer or an attempt, keeps the process alive by itself.
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
