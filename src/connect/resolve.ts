import type { LookupAddress } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import type { Clock } from "../base/clock.js";
import { asError, type AsyncSocketError } from "../base/errors.js";
import type { Candidate, Family, Question } from "./happy-eyeballs.js";
import { zoned } from "./local-address.js";
import { dnsFailure, isAbsence, noAddress } from "./messages.js";
import type { Resolving } from "./resolver.js";
import { systemLookup } from "./system-lookup.js";

/** The name whose addresses are wanted, and the lookup functions to ask. */
export interface NameQuery {
  /** A name, or an address, for which no lookup is made. */
  readonly host: string;
  /** The wanted families; addresses of other families are left out. */
  readonly families: readonly Family[];
  /** What excludes the other families, in words; undefined if the caller named the family. */
  readonly because?: string | undefined;
  /** A lookup function of the caller's. It is asked once, and its answer is taken as it is. */
  readonly lookup: LookupFunction | undefined;
  /** Who is asked in place of all others. */
  readonly resolver?: Resolving | undefined;
  /** The lookup function of the transport factory; the system's lookup is used if there is none. */
  readonly networkLookup: LookupFunction | undefined;
}

/** Stops waiting for an answer. */
type Stop = () => void;

const nothing: Stop = () => undefined;

type Answer = (error: Error | null, found: readonly Candidate[]) => void;

/** Removes the brackets of an IPv6 address that is written as in a URL: `[::1]`. */
export function withoutBrackets(host: string): string {
  const inner = host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : "";
  return isIP(inner) === 6 ? inner : host;
}

/**
 * The questions to ask. The system's lookup and the caller's are asked once for both families: the system merges what
 * it finds, and orders it by what can be reached from here (RFC 6724). Transport factories with names of their own are
 * asked for each family.
 */
export function questionsOf({ host, families, lookup, resolver, networkLookup }: NameQuery): readonly Question[] {
  if (isIP(host) !== 0) return [isIP(host) as Family];
  if (families.length === 1) return families;
  if (resolver !== undefined) return resolver.isAskedByFamily ? [6, 4] : [0];
  return lookup === undefined && networkLookup !== undefined ? [6, 4] : [0];
}

/**
 * Asks one of those questions. Errors are `DNS` errors with readable messages.
 * @returns a function that stops waiting; the answer may come all the same
 */
export function ask(query: NameQuery, question: Question, answer: Answer): Stop {
  const { host, families, because, lookup, resolver } = query;
  if (isIP(host) !== 0) return askNobody(query, isIP(host) as Family, answer);
  let stopExplaining: Stop = nothing;
  const isOfCaller = lookup !== undefined || resolver?.isOfCaller === true;
  const stop = lookUp(query, host, question, (error, all) => {
    const found = all.filter((one) => families.includes(one.family));
    if (found.length > 0) answer(null, found);
    else if (error === null) answer(noAddress(host, families, all, because), []);
    else if (families.length === 1 && !isOfCaller) stopExplaining = explainAbsence(query, error, answer);
    else answer(dnsFailure(host, families, error), []);
  });
  return () => {
    stop();
    stopExplaining();
  };
}

/** Answers with the address itself, in the form that the system takes. */
function askNobody({ host, families, because }: NameQuery, family: Family, answer: Answer): Stop {
  let address = "";
  let failure = families.includes(family) ? null : noAddress(host, families, [], because);
  try {
    address = zoned(host);
  } catch (error) {
    failure ??= error as AsyncSocketError;
  }
  answer(failure, failure === null ? [{ address, family }] : []);
  return nothing;
}

/**
 * Finds out why a lookup of one family found nothing. Resolvers do not distinguish a missing name from a name without
 * addresses of that family, so the other family is looked up, too.
 */
function explainAbsence(query: NameQuery, error: Error, answer: Answer): Stop {
  const { host, families, because } = query;
  if (!isAbsence(error)) {
    answer(dnsFailure(host, families, error), []);
    return nothing;
  }
  const other = families.includes(4) ? 6 : 4;
  return lookUp(query, host, other, (_error, found) => {
    answer(found.length > 0 ? noAddress(host, families, found, because) : dnsFailure(host, families, error), []);
  });
}

/** Who can be asked, the first of them first; the system where there is none. */
type Asked = Pick<NameQuery, "resolver" | "lookup" | "networkLookup">;

/**
 * Asks the resolver, calls a function like `dns.lookup`, or asks the system, and accepts whatever these answer. Family 0
 * means both.
 */
function lookUp(asked: Partial<Asked>, host: string, family: Question, answer: Answer): Stop {
  const done = (error: Error | null, address: unknown): void => {
    if (error !== null && (error as unknown) !== undefined) answer(asError(error), []);
    else answer(null, candidates(typeof address === "string" ? [{ address }] : address));
  };
  if (asked.resolver !== undefined) return asked.resolver.lookUp(host, family, done);
  const lookup = asked.lookup ?? asked.networkLookup;
  if (lookup === undefined) return systemLookup(host, family, done);
  try {
    lookup(host, { all: true, family }, done);
  } catch (error) {
    answer(asError(error), []);
  }
  return nothing;
}

/**
 * Leaves out everything that is no address. The family is determined from the address, whatever the lookup says it is.
 */
function candidates(found: unknown): Candidate[] {
  const all = Array.isArray(found) ? (found as readonly (Partial<LookupAddress> | null | undefined)[]) : [];
  return all.flatMap((one) => {
    const address = one?.address;
    const family = typeof address === "string" ? isIP(address) : 0;
    return address === undefined || family === 0 ? [] : [{ address, family: family as Family }];
  });
}

/**
 * Asks one of those questions, and gives it up after a time with an answer that says so.
 * @param ms `Infinity` for no such limit
 */
export function askWithin({ clock, isReferenced }: Waiting, ms: number, ...asked: Parameters<typeof ask>): Stop {
  const [query, question, answer] = asked;
  if (ms === Infinity) return ask(query, question, answer);
  let stop: Stop = nothing;
  let isOver = false;
  const end = (): void => {
    isOver = true;
    clock.clearTimer(timer);
  };
  const timer = clock.setTimer(
    () => {
      end();
      stop();
      const cause = new Error(`there was no answer within ${ms} ms`);
      answer(dnsFailure(query.host, query.families, cause), []);
    },
    ms,
    isReferenced,
  );
  stop = ask(query, question, (error, found) => {
    if (isOver) return;
    end();
    answer(error, found);
  });
  return () => {
    end();
    stop();
  };
}

/** On which clock an answer is waited for, and whether that keeps the process alive. */
export interface Waiting {
  readonly clock: Clock;
  readonly isReferenced: boolean;
}

/**
 * Finds all addresses of a host, in the system's order, to listen on.
 * @param canStop receives a function that stops waiting; after that, the promise never settles
 */
export function addressesOf(host: string, canStop?: (stop: Stop) => void): Promise<string[]> {
  return new Promise((found, failed) => {
    if (isIP(host) !== 0) {
      found([zoned(host, "listen")]);
      return;
    }
    const stop = lookUp({}, host, 0, (error, all) => {
      if (error === null && all.length > 0) found([...new Set(all.map(({ address }) => address))]);
      else if (error === null) failed(noAddress(host, [6, 4], [], undefined, "listen"));
      else failed(dnsFailure(host, [6, 4], error, "listen"));
    });
    canStop?.(stop);
  });
}
