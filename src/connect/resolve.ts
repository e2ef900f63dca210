import { lookup as systemLookup, type LookupAddress } from "node:dns";
import type { LookupFunction } from "node:net";
import { inWords } from "../errors.js";
import { socketError } from "../failures.js";

/** What of a connect target the name lookup depends on. */
export interface NameQuery {
  readonly host: string;
  readonly family: 4 | 6 | undefined;
  readonly preferFamily: 4 | 6 | undefined;
  readonly lookup: LookupFunction | undefined;
}

/** Finds all addresses of a host, the preferred family first. Errors are `DNS` errors, in words. */
export function resolve(query: NameQuery, done: (error: Error | null, addresses: LookupAddress[]) => void): void {
  const { host, family, preferFamily } = query;
  const lookup = query.lookup ?? systemLookup;
  lookup(host, { all: true, family: family ?? 0 }, (error, address, addressFamily) => {
    if (error !== null && (error as unknown) !== undefined) {
      done(dnsError(query, error), []);
      return;
    }
    const found = typeof address === "string" ? [{ address, family: addressFamily ?? 4 }] : address;
    const usable = found.filter((one) => family === undefined || one.family === family);
    if (usable.length === 0) done(dnsError(query, undefined), []);
    else done(null, preferFamily === undefined ? usable : preferred(usable, preferFamily));
  });
}

function preferred(addresses: LookupAddress[], family: 4 | 6): LookupAddress[] {
  const isPreferred = (one: LookupAddress): boolean => one.family === family;
  return [...addresses.filter(isPreferred), ...addresses.filter((one) => !isPreferred(one))];
}

function dnsError({ host, family }: NameQuery, cause: Error | undefined): Error {
  const wanted = family === undefined ? "an address" : `an IPv${family} address`;
  const why = cause === undefined ? "it has none" : inWords(cause);
  return socketError("DNS", "connect", `Cannot find ${wanted} of the host "${host}": ${why}`, cause);
}
