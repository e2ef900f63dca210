/** The names of the system, and `localhost`, which needs no system. */

import { AsyncResource } from "node:async_hooks";
import dns from "node:dns";
import type { LookupAddress } from "node:dns";
import { asError } from "../base/errors.js";
import { canLookUp, holdForLookups, lookUpNatively } from "../transport/native/lookup.js";

type Done = (error: Error | null, found: unknown) => void;

interface Question {
  /** `dns.lookup`, or what was in its place when it was asked. */
  readonly by: typeof dns.lookup;
  /** Whoever waits for the answer: nobody perhaps, since a question that was asked cannot be taken back. */
  readonly told: Set<Done>;
}

/** By what is asked. */
const underWay = new Map<string, Question>();
/** How many wait. */
let waiting = 0;

const LOCALHOST = /^localhost\.?$/i;
/** Either may be the only one that the system knows, and programs listen on either (RFC 6761, section 6.3). */
const LOOPBACK: readonly LookupAddress[] = [
  { address: "::1", family: 6 },
  { address: "127.0.0.1", family: 4 },
];

/**
 * The runtime's own `dns.lookup`, which has a mark. What a package for caching or tracing has put in its place is heeded,
 * as by the runtime.
 */
const ofRuntime = Object.getOwnPropertySymbols(dns.lookup).length > 0 ? dns.lookup : null;

/**
 * Asks the system for the addresses of one family, or (0) of both, but for those of this machine's own. What is asked
 * already is not asked again, but its answer awaited: each question takes a thread for as long as it has none.
 * @returns what stops waiting
 */
export function systemLookup(host: string, family: 0 | 4 | 6, done: Done): () => void {
  if (LOCALHOST.test(host)) {
    const found = LOOPBACK.filter((one) => family === 0 || one.family === family);
    done(null, found);
    return () => undefined;
  }
  const key = `${family} ${host}`;
  // By way of the object, so that a function put in its place later is seen.
  const { lookup } = dns;
  const present = underWay.get(key);
  const question = present?.by === lookup ? present : { by: lookup, told: new Set<Done>() };
  // Whoever joins is not to be called in the async context of the one who asked.
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

/** An exception of one (a transport of one's own may throw) is not the others' business. */
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
