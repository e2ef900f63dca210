import dns, { type LookupAddress } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { asError } from "../errors.js";
import { dnsFailure, isAbsence, noAddress } from "./failure.js";
import type { Candidate, Family, Question } from "./race.js";

/** Whose addresses are wanted, and who is asked for them. */
export interface NameQuery {
  /** A name, or an address: then nobody is asked. */
  readonly host: string;
  /** Addresses of other families are left out. */
  readonly families: readonly Family[];
  /** The caller's own, which is asked once, and whose answer is taken as it is. */
  readonly lookup: LookupFunction | undefined;
  /** That of a network of one's own; the system's where there is none. */
  readonly networkLookup: LookupFunction | undefined;
}

/** By way of the object, so that a `dns.lookup` put in its place by a caching package is heeded, as by the runtime. */
const systemLookup: LookupFunction = (host, options, done) => dns.lookup(host, options, done);

type Answer = (error: Error | null, found: readonly Candidate[]) => void;

const LOCALHOST = /^localhost\.?$/i;
const LOOPBACK: Readonly<Record<Family, string>> = { 4: "127.0.0.1", 6: "::1" };

/** `[::1]`, as in a URL, is the address in it. */
export function withoutBrackets(host: string): string {
  const inner = host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : "";
  return isIP(inner) === 6 ? inner : host;
}

/** What a race asks: both families at once, so that a name server slow with one does not hold up the other. */
export function questionsOf({ host, families, lookup }: NameQuery): readonly Question[] {
  if (isIP(host) !== 0) return [isIP(host) as Family];
  if (families.length === 1) return families;
  return lookup === undefined ? [6, 4] : [0];
}

/** Asks one of those questions. Errors are `DNS` errors, in words. */
export function ask(query: NameQuery, question: Question, answer: Answer): void {
  const { host, families, lookup, networkLookup } = query;
  const family = isIP(host);
  if (family !== 0) {
    const isWanted = families.includes(family as Family);
    answer(
      isWanted ? null : noAddress(host, families, []),
      isWanted ? [{ address: host, family: family as Family }] : [],
    );
    return;
  }
  lookUp(lookup ?? networkLookup ?? systemLookup, host, question, (error, all) => {
    const isOurs = lookup === undefined && networkLookup === undefined;
    // Either may be the only one in the hosts file, and programs listen on either.
    if (isOurs && question !== 0 && LOCALHOST.test(host)) {
      answer(null, all.length > 0 ? all : [{ address: LOOPBACK[question], family: question }]);
      return;
    }
    const found = all.filter((one) => families.includes(one.family));
    if (found.length > 0) answer(null, found);
    else if (error === null) answer(noAddress(host, families, all), []);
    else if (families.length === 1 && lookup === undefined) explainAbsence(query, error, answer);
    else answer(dnsFailure(host, families, error), []);
  });
}

/** Resolvers do not tell "no such name" from "no address of that family": the other family does. */
function explainAbsence(query: NameQuery, error: Error, answer: Answer): void {
  const { host, families, networkLookup } = query;
  if (!isAbsence(error)) {
    answer(dnsFailure(host, families, error), []);
    return;
  }
  const other = families.includes(4) ? 6 : 4;
  lookUp(networkLookup ?? systemLookup, host, other, (_error, found) => {
    answer(found.length > 0 ? noAddress(host, families, found) : dnsFailure(host, families, error), []);
  });
}

/** Calls a function like `dns.lookup`, and takes what such functions answer. Family 0 is both. */
function lookUp(lookup: LookupFunction, host: string, family: Question, answer: Answer): void {
  try {
    lookup(host, { all: true, family }, (error, address) => {
      if (error !== null && (error as unknown) !== undefined) answer(asError(error), []);
      else answer(null, candidates(typeof address === "string" ? [{ address }] : address));
    });
  } catch (error) {
    answer(asError(error), []);
  }
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

/** All addresses of a host, as the system orders them, to listen on. */
export function addressesOf(host: string): Promise<string[]> {
  return new Promise((found, failed) => {
    lookUp(systemLookup, host, 0, (error, all) => {
      if (error === null && all.length > 0) found([...new Set(all.map(({ address }) => address))]);
      else failed(error === null ? noAddress(host, [6, 4], [], "listen") : dnsFailure(host, [6, 4], error, "listen"));
    });
  });
}
