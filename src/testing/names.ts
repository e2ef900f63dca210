import type { Clock, Timer } from "../base/clock.js";
import { systemError } from "./memory-transport.js";

/** What a name server answers: what it has found, or a failure such as `"ESERVFAIL"`. */
export interface NameAnswer<T> {
  /** @default none */
  readonly found?: readonly T[] | undefined;
  /** Fails with this errno code instead. */
  readonly error?: string | undefined;
  /** How long the answer takes; `Infinity`: it never comes. @default 0: it comes at once */
  readonly delayMs?: number | undefined;
}

/** A short form: what is found. */
export type Answer<T> = readonly T[] | NameAnswer<T>;

type Done<T> = (error: Error | null, found: readonly T[]) => void;

/** Answers as told. @returns what makes it forget the question */
export function answerName<T>(
  clock: Clock,
  operation: string,
  answer: Answer<T> | undefined,
  done: Done<T>,
): () => void {
  const { found = [], error, delayMs = 0 } = isList(answer) ? { found: answer } : (answer ?? { error: "ENOTFOUND" });
  const tell = (): void => {
    if (error !== undefined) done(systemError(error, operation), []);
    else done(null, found);
  };
  let timer: Timer | null = null;
  if (delayMs === 0) tell();
  else if (delayMs !== Infinity) timer = clock.setTimer(tell, delayMs, true);
  return () => {
    if (timer !== null) clock.clearTimer(timer);
  };
}

function isList<T>(answer: Answer<T> | undefined): answer is readonly T[] {
  return Array.isArray(answer);
}
