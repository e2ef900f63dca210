/**
 * Makes the errors of connects, lookups and listens that failed: each message is one sentence that a person can read.
 */

import { isIP } from "node:net";
import { inWords, reasonOf, wordsFor } from "../base/errno.js";
import { type AsyncSocketError, isCode, isOurs, socketError } from "../base/errors.js";
import type { ListenTarget } from "../transport/options.js";
import type { Candidate, Family } from "./happy-eyeballs.js";

/** An address that was tried, or another obstacle. */
export interface Tried {
  /** The address, in words. Empty if the error alone says everything. */
  readonly where: string;
  /** The error; null if there is no answer yet. */
  readonly error: Error | null;
}

/**
 * Codes that mean that the name, or an address of the family, does not exist. All other codes mean that nothing is
 * known.
 */
const ABSENT = ["ENOTFOUND", "ENODATA", "EAI_NODATA", "EAI_NONAME"];

const DNS_WORDS: Readonly<Record<string, string>> = {
  ENOTFOUND: "no such host name, or one without an address; check how it is spelt",
  EAI_NONAME: "no such host name, or one without an address; check how it is spelt",
  ETIMEOUT: "the name server did not answer in time; check the network and the resolver",
  ECONNREFUSED: "no name server answers there; check the resolver",
  ESERVFAIL: "the name server failed",
  EREFUSED: "the name server refused to answer",
};

/** Whether a lookup has shown that no address exists, as opposed to a lookup that failed. */
export function isAbsence(error: Error): boolean {
  return ABSENT.includes(reasonOf(isOurs(error) ? (error.cause ?? "ENODATA") : error));
}

/** The error of a failed connect, with every address that was tried and why each one failed. */
export function connectFailure(where: string, tried: readonly Tried[]): AsyncSocketError {
  const [first] = tried;
  if (tried.length === 1 && isOurs(first?.error)) return first.error;
  const isDns = tried.every(({ error }) => isCode(error, "DNS"));
  const message = `Cannot connect to ${where}: ${tried.map(inList).join("; ")}`;
  return socketError(isDns ? "DNS" : "CONNECT", "connect", message, causeOf(tried));
}

/** A lookup that has no answer yet, as a part of a sentence. */
export function lookupInWords(name: string): string {
  return `the name lookup of ${name} has not answered yet`;
}

/**
 * The error of a connect that timed out.
 * @param pending other things that the connect was waiting for, as parts of a sentence
 */
export function connectTimeout(
  where: string,
  timeoutMs: number,
  tried: readonly Tried[],
  pending: readonly string[],
): AsyncSocketError {
  const parts = [`it took more than ${timeoutMs} ms`, ...pending, ...tried.map(inList)];
  return socketError("CONNECT_TIMEOUT", "connect", `Cannot connect to ${where}: ${parts.join("; ")}`, causeOf(tried));
}

function inList({ where, error }: Tried): string {
  const words = error === null ? "no answer yet" : isOurs(error) ? error.message : inWords(error);
  return where === "" ? words : `${where}: ${words}`;
}

/** The cause of a failure: the only error, or an AggregateError with all of them, which has the code of the first, as in Node. */
export function causeOf(tried: readonly Tried[]): Error | undefined {
  const errors = tried.flatMap(({ error }) => (error === null ? [] : [error]));
  const [first] = errors;
  if (errors.length <= 1) return first;
  const code = errors.map((error) => (error as NodeJS.ErrnoException).code).find((one) => one !== undefined);
  return Object.assign(new AggregateError(errors, "All addresses failed"), code === undefined ? {} : { code });
}

/** An address as it is written in a sentence. */
export function addressInWords(address: string): string {
  return isIP(address) === 6 ? `[${address}]` : address;
}

function inFamilies(families: readonly Family[]): string {
  const [family] = families;
  return families.length === 1 ? `an IPv${family ?? 4} address` : "an address";
}

/** The error of a lookup that failed. */
export function dnsFailure(
  host: string,
  families: readonly Family[],
  cause: Error,
  operation = "connect",
): AsyncSocketError {
  const message = `Cannot find ${inFamilies(families)} of the host "${host}": ${dnsWords(cause)}`;
  return socketError("DNS", operation, message, cause);
}

/**
 * The error for a name that exists, but has no suitable address.
 * @param others the addresses that the name has
 * @param because what requires these families, as a part of a sentence
 */
export function noAddress(
  host: string,
  families: readonly Family[],
  others: readonly Candidate[],
  because?: string,
  operation = "connect",
): AsyncSocketError {
  const all = others.map(({ address }) => address).join(", ");
  let why = "the name exists but has no address";
  if (isIP(host) !== 0) why = `it is an IPv${isIP(host)} address`;
  else if (all !== "") why = `the name exists but has other addresses only: ${all}`;
  if (because !== undefined) why += ` (${because})`;
  return socketError("DNS", operation, `Cannot find ${inFamilies(families)} of the host "${host}": ${why}`);
}

/** The error of a service that was not found. @param why the reason, as a part of a sentence */
export function srvFailure(name: string, why: string, cause?: Error): AsyncSocketError {
  return socketError("DNS", "connect", `Cannot find the service ${name}: ${why}`, cause);
}

/** Says why there are no SRV records, so that `port` is needed. */
export function srvWords(cause: Error | null): string {
  if (cause === null || isAbsence(cause)) return "there is no SRV record of that name, and no port to fall back on";
  return `${dnsWords(cause)}; and there is no port to fall back on`;
}

function dnsWords(cause: Error): string {
  const reason = reasonOf(cause);
  const words = wordsFor(reason, DNS_WORDS);
  return words === undefined ? inWords(cause) : `${words} (${reason})`;
}

/** The error of a failed listen; the message says where. */
export function listenFailure(target: ListenTarget, cause: Error): AsyncSocketError {
  if (isOurs(cause)) return cause;
  const ipPlace = target.path === null && (target.fd === undefined ? `port ${target.port}` : `descriptor ${target.fd}`);
  const port = target.path ?? ipPlace;
  const where = target.path === null && target.host !== undefined ? `${target.host} ${port}` : port;
  return socketError("LISTEN", "listen", `Cannot listen on ${where}: ${inWords(cause)}`, cause);
}
