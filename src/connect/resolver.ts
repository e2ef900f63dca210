/** The `resolver` option of `connect`: who is asked for the addresses of a name. */

import dns from "node:dns";
import { isIP } from "node:net";
import { checkOneOf, wrongType } from "../base/checks.js";
import { asError } from "../base/errors.js";
import { localhostAddresses, systemLookup } from "./system-lookup.js";

/** Addresses, as text or as `dns` gives them. */
export type ResolvedAddresses = readonly (string | { readonly address: string })[];

/**
 * Finds the addresses of a host name, which is in ASCII. It is called once for each name, and its order is heeded. The
 * signal is aborted when the answer is not wanted any more. If the function throws or rejects, the connect fails with
 * `DNS`, and that is the cause; if it gives something else than addresses, the cause is a `TypeError` that says what.
 */
export type ResolverFunction = (
  host: string,
  options: { readonly signal: AbortSignal },
) => ResolvedAddresses | PromiseLike<ResolvedAddresses>;

export type Resolver = "system" | "c-ares" | ResolverFunction;

/** A resolver as it is used. */
export interface Resolving {
  /** Whether it is asked for each family by itself. */
  readonly isAskedByFamily: boolean;
  /** Whether it is a function of the caller's, which is asked once. */
  readonly isOfCaller: boolean;
  /** Asks for the addresses of one family, or (0) of both. @returns a function that gives the question up */
  lookUp(host: string, family: 0 | 4 | 6, done: (error: Error | null, found: unknown) => void): () => void;
}

const SYSTEM: Resolving = { isAskedByFamily: false, isOfCaller: false, lookUp: systemLookup };

/** Asks the name servers over the network, without a thread of the runtime's pool. */
const C_ARES: Resolving = {
  isAskedByFamily: true,
  isOfCaller: false,
  lookUp(host, family, done) {
    const known = localhostAddresses(host, family);
    if (known !== null) {
      done(null, known);
      return () => undefined;
    }
    const resolver = new dns.Resolver();
    // Servers that were set with `dns.setServers` are heeded.
    resolver.setServers(dns.getServers());
    const tell = (error: Error | null, found: readonly string[]): void =>
      done(error, error === null ? listed(found) : []);
    if (family === 4) resolver.resolve4(host, tell);
    else resolver.resolve6(host, tell);
    return () => resolver.cancel();
  },
};

function ofCaller(resolve: ResolverFunction): Resolving {
  return {
    isAskedByFamily: false,
    isOfCaller: true,
    lookUp(host, _family, done) {
      const controller = new AbortController();
      // Inside a promise, an exception of the function is a failure like any other.
      const found = new Promise<ResolvedAddresses>((told) => told(resolve(host, { signal: controller.signal })));
      found.then(
        (all) => done(wrongAnswer(all), listed(all)),
        (error: unknown) => done(asError(error), []),
      );
      return () => controller.abort();
    },
  };
}

/** The error of a function that gave something else than addresses. Nothing is wrong with a list that has some. */
function wrongAnswer(found: unknown): TypeError | null {
  if (!Array.isArray(found)) return wrongType("the result of resolver", "a list of addresses", found);
  const all = found.map(addressOf);
  if (all.length === 0 || all.some((one) => typeof one === "string" && isIP(one) !== 0)) return null;
  return wrongType("the result of resolver", "a list of addresses", all[0]);
}

/** What stands in the place of an address. */
function addressOf(one: unknown): unknown {
  const { address } = (one ?? {}) as { address?: unknown };
  return address ?? one;
}

/** What is no address is left out later. */
function listed(found: unknown): unknown {
  return Array.isArray(found) ? found.map((one: unknown) => (typeof one === "string" ? { address: one } : one)) : found;
}

export function checkResolver(value: unknown): Resolving | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "function") return ofCaller(value as ResolverFunction);
  if (typeof value !== "string") throw wrongType("resolver", '"system", "c-ares" or a function', value);
  return checkOneOf("resolver", value, ["system", "c-ares"], "system") === "system" ? SYSTEM : C_ARES;
}
