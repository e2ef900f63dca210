/** Looks up names with the system's resolver, and `localhost` without it. */

import { AsyncResource } from "node:async_hooks";
import dns from "node:dns";
import type { LookupAddress } from "node:dns";
import { asError } from "../base/errors.js";
import { canLookUp, holdForLookups, lookUpNatively } from "../transport/native/lookup.js";

type Done = (error: Error | null, found: unknown) => void;

interface Question {
  /** The function that was asked: `dns.lookup`, or what was in its place at that time. */
  readonly by: typeof dns.lookup;
  /** The callbacks that wait for the answer. There may be none, since a lookup that has begun cannot be cancelled. */
  readonly told: Set<Done>;
}

/** The lookups under way, by family and name. */
const underWay = new Map<string, Question>();
/** The number of callbacks that wait for an answer. */
let waiting = 0;

const LOCALHOST = /^localhost\.?$/i;
/**
 * The addresses of `localhost`. A system may know only one of them, and programs may listen on either (RFC 6761,
 * section 6.3).
 */
const LOOPBACK: readonly LookupAddress[] = [
  { address: "::1", family: 6 },
  { address: "127.0.0.1", family: 4 },
];

/**
 * The runtime's own `dns.lookup`, which can be told by its symbols; null if a package (for caching or tracing, say) has
 * put another function in its place, which is then called as the runtime would.
 */
const ofRuntime = Object.getOwnPropertySymbols(dns.lookup).length > 0 ? dns.lookup : null;

/** The addresses of `localhost`, for which nobody is asked; null for any other name. */
export function localhostAddresses(host: string, family: 0 | 4 | 6): readonly LookupAddress[] | null {
  return LOCALHOST.test(host) ? LOOPBACK.filter((one) => family === 0 || one.family === family) : null;
}

/**
 * Asks the system for the addresses of one family, or (0) of both; `localhost` is answered without asking. If the same
 * question is already under way, its answer is awaited instead of asking again, since each lookup occupies a thread
 * until it has an answer.
 * @returns a function that stops waiting
 */
export function systemLookup(host: string, family: 0 | 4 | 6, done: Done): () => void {
  const known = localhostAddresses(host, family);
  if (known !== null) {
    done(null, known);
    return () => undefined;
  }
  const key = `${family} ${host}`;
  // The function is read from the `dns` object, so that a function put in its place later is used.
  const { lookup } = dns;
  const present = underWay.get(key);
  const question = present?.by === lookup ? present : { by: lookup, told: new Set<Done>() };
  // A caller that joins a lookup must be called in its own async context, not in that of the first caller.
  const told = AsyncResource.bind(done);
  question.told.add(told);
  wait(1);
  if (question !== present) askSystem(key, question, host, family);
  return () => {
    if (question.told.delete(told)) wait(-1);
  };
}

function wait(more: 1 | -1): void {
  const wasAny = waiting > 0;
  waiting += more;
  if (wasAny !== waiting > 0) holdForLookups(waiting > 0);
}

function askSystem(key: string, question: Question, host: string, family: 0 | 4 | 6): void {
  underWay.set(key, question);
  const answer = (error: Error | null, found: unknown): void => {
    if (underWay.get(key) === question) underWay.delete(key);
    for (const told of question.told) tell(question, told, error, found);
  };
  if (question.by === ofRuntime && canLookUp()) {
    if (waiting > 0) holdForLookups(true);
    lookUpNatively(host, family, answer);
    return;
  }
  try {
    question.by(host, { all: true, family }, answer);
  } catch (error) {
    answer(asError(error), []);
  }
}

/**
 * Calls one callback. If it throws, as a transport factory of the application's might, the other callbacks are still
 * called.
 */
function tell(question: Question, told: Done, error: Error | null, found: unknown): void {
  if (!question.told.delete(told)) return;
  wait(-1);
  try {
    told(error, found);
  } catch (thrown) {
    process.nextTick(() => {
      throw thrown;
    });
  }
}
