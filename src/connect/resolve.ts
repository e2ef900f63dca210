import type { LookupAddress } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { asError, type AsyncSocketError } from "../base/errors.js";
import type { Candidate, Family, Question } from "./happy-eyeballs.js";
import { zoned } from "./local-address.js";
import { dnsFailure, isAbsence, noAddress } from "./messages.js";
import { systemLookup } from "./system-lookup.js";

/** Whose addresses are wanted, and who is asked for them. */
export interface NameQuery {
  /** A name, or an address: then nobody is asked. */
  readonly host: string;
  /** Addresses of other families are left out. */
  readonly families: readonly Family[];
  /** What it is that leaves others out, for people; undefined: the caller has said so. */
  readonly because?: string | undefined;
  /** The caller's own, which is asked once, and whose answer is taken as it is. */
  readonly lookup: LookupFunction | undefined;
  /** That of a network of one's own; the system's where there is none. */
  readonly networkLookup: LookupFunction | undefined;
}

/** Ends waiting. */
type Stop = () => void;

const nothing: Stop = () => undefined;

type Answer = (error: Error | null, found: readonly Candidate[]) => void;

/** `[::1]`, as in a URL, is the address in it. */
export function withoutBrackets(host: string): string {
  const inner = host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : "";
  return isIP(inner) === 6 ? inner : host;
}

/**
 * What a race asks. A lookup is asked once for both families: the system merges what it finds, and orders it by what can
 * be reached from here (RFC 6724). Networks of one's own, which have names of their own, are asked family by family.
 */
export function questionsOf({ host, families, lookup, networkLookup }: NameQuery): readonly Question[] {
  if (isIP(host) !== 0) return [isIP(host) as Family];
  if (families.length === 1) return families;
  return lookup === undefined && networkLookup !== undefined ? [6, 4] : [0];
}

/**
 * Asks one of those questions. Errors are `DNS` errors, in words.
 * @returns what stops waiting for the answer, which may come all the same
 */
export function ask(query: NameQuery, question: Question, answer: Answer): Stop {
  const { host, families, because, lookup, networkLookup } = query;
  if (isIP(host) !== 0) return askNobody(query, isIP(host) as Family, answer);
  let stopExplaining: Stop = nothing;
  const stop = lookUp(lookup ?? networkLookup, host, question, (error, all) => {
    const found = all.filter((one) => families.includes(one.family));
    if (found.length > 0) answer(null, found);
    else if (error === null) answer(noAddress(host, families, all, because), []);
    else if (families.length === 1 && lookup === undefined) stopExplaining = explainAbsence(query, error, answer);
    else answer(dnsFailure(host, families, error), []);
  });
  return () => {
    stop();
    stopExplaining();
  };
}

/** An address is its own answer, in the form that the system takes. */
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

/** Resolvers do not tell "no such name" from "no address of that family": the other family does. */
function explainAbsence(query: NameQuery, error: Error, answer: Answer): Stop {
  const { host, families, because, networkLookup } = query;
  if (!isAbsence(error)) {
    answer(dnsFailure(host, families, error), []);
    return nothing;
  }
  const other = families.includes(4) ? 6 : 4;
  return lookUp(networkLookup, host, other, (_error, found) => {
    answer(found.length > 0 ? noAddress(host, families, found, because) : dnsFailure(host, families, error), []);
  });
}

/** Calls a function like `dns.lookup`, or the system, and takes what such functions answer. Family 0 is both. */
function lookUp(lookup: LookupFunction | undefined, host: string, family: Question, answer: Answer): Stop {
  const done = (error: Error | null, address: unknown): void => {
    if (error !== null && (error as unknown) !== undefined) answer(asError(error), []);
    else answer(null, candidates(typeof address === "string" ? [{ address }] : address));
  };
  if (lookup === undefined) return systemLookup(host, family, done);
  try {
    lookup(host, { all: true, family }, done);
  } catch (error) {
    answer(asError(error), []);
  }
  return nothing;
}

/** What is no address is left out, and the family is that of the address, whatever it is said to be. */
function candidates(found: unknown): Candidate[] {
  const all = Array.isArray(found) ? (found as readonly (Partial<LookupAddress> | null | undefined)[]) : [];
  return all.flatMap((one) => {
    const address = one?.address;
    const family = typeof address === "string" ? isIP(address) : 0;
    return address === undefined || family === 0 ? [] : [{ address, family: family as Family }];
  });
}

/**
 * All addresses of a host, as the system orders them, to listen on.
 * @param canStop told what stops waiting for them: then there is no answer
 */
export function addressesOf(host: string, canStop?: (stop: Stop) => void): Promise<string[]> {
  return new Promise((found, failed) => {
    if (isIP(host) !== 0) {
      found([zoned(host, "listen")]);
      return;
    }
    const stop = lookUp(undefined, host, 0, (error, all) => {
      if (error === null && all.length > 0) found([...new Set(all.map(({ address }) => address))]);
      else if (error === null) failed(noAddress(host, [6, 4], [], undefined, "listen"));
      else failed(dnsFailure(host, [6, 4], error, "listen"));
    });
    canStop?.(stop);
  });
}
