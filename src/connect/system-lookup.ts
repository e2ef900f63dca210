/** The names of the system, and `localhost`, which needs no system. */

import { AsyncResource } from "node:async_hooks";
import dns from "node:dns";
import type { LookupFunction } from "node:net";

type Done = Parameters<LookupFunction>[2];

interface Question {
  /** `dns.lookup`, or what was in its place when it was asked. */
  readonly by: typeof dns.lookup;
  /** Whoever waits for the answer. */
  readonly told: Done[];
}

/** By what is asked. */
const underWay = new Map<string, Question>();

const LOCALHOST = /^localhost\.?$/i;
/** Either may be the only one that the system knows, and programs listen on either (RFC 6761, section 6.3). */
const LOOPBACK = [
  { address: "::1", family: 6 },
  { address: "127.0.0.1", family: 4 },
];

/**
 * Asks the system for all addresses of a name, but for those of this machine's own. The runtime asks with few threads,
 * each of which waits until there is an answer: so a question that is asked already is not asked again, but its answer
 * awaited.
 */
export const systemLookup: LookupFunction = (host, options, done) => {
  const { family } = options;
  if (LOCALHOST.test(host)) {
    done(
      null,
      LOOPBACK.filter((one) => family !== (one.family === 4 ? 6 : 4)),
    );
    return;
  }
  const key = `${family} ${host}`;
  // By way of the object, so that a `dns.lookup` put in its place by a caching package is heeded, as by the runtime.
  const { lookup } = dns;
  // Whoever joins is not to be called in the async context of the one who asked.
  const told = AsyncResource.bind(done);
  const asked = underWay.get(key);
  if (asked?.by === lookup) asked.told.push(told);
  else askSystem(key, { by: lookup, told: [told] }, host, options);
};

function askSystem(key: string, question: Question, host: string, options: Parameters<LookupFunction>[1]): void {
  underWay.set(key, question);
  const forget = (): void => {
    if (underWay.get(key) === question) underWay.delete(key);
  };
  try {
    question.by(host, options, (...answer) => {
      forget();
      for (const told of question.told) told(...answer);
    });
  } catch (error) {
    forget();
    throw error;
  }
}
