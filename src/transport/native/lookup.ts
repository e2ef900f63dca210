/**
 * Looks up names in threads of the addon. A name server that does not answer then delays no other lookup, and does not
 * keep the process from ending once nobody waits for the answer. The runtime's own lookup does both.
 */

import dns from "node:dns";
import type { LookupAddress } from "node:dns";
import { isIP } from "node:net";
import { loadAddon, type LookupDesk } from "./addon.js";

/** Called once with the result, never from inside the call that starts the lookup. */
export type FoundOrFailed = (error: Error | null, found: LookupAddress[]) => void;

interface Asker {
  readonly host: string;
  readonly done: FoundOrFailed;
}

/** What looks up names; null where the addon cannot, undefined until it was tried. */
let desk: LookupDesk | null | undefined;
const askers = new Map<number, Asker>();
let lastId = 0;

/** Whether the addon can look up names here. */
export function canLookUp(): boolean {
  if (desk === undefined) desk = openDesk();
  return desk !== null;
}

function openDesk(): LookupDesk | null {
  const addon = loadAddon();
  if (typeof addon === "string") return null;
  const opened = addon.lookups?.(deliver);
  return typeof opened === "object" ? opened : null;
}

/**
 * Looks up the addresses of one family, or of both if `family` is 0. A lookup does not keep the process alive by
 * itself.
 */
export function lookUpNatively(host: string, family: number, done: FoundOrFailed): void {
  lastId = lastId === 2 ** 31 - 1 ? 1 : lastId + 1;
  askers.set(lastId, { host, done });
  desk?.ask(lastId, host, family);
}

/** Sets whether pending lookups keep the process alive. */
export function holdForLookups(on: boolean): void {
  desk?.hold(on);
}

function deliver(id: number, failure: string, addresses: string): void {
  const asker = askers.get(id);
  askers.delete(id);
  if (failure === "") asker?.done(null, inOrder(addresses.split(" ")));
  else asker?.done(lookupError(failure, asker.host), []);
}

/** The addresses in the order of the system, unless Node was given another default order. */
function inOrder(addresses: readonly string[]): LookupAddress[] {
  const found = addresses.map((address) => ({ address, family: isIP(address) }));
  const order: string = dns.getDefaultResultOrder();
  if (order === "ipv4first") found.sort((a, b) => a.family - b.family);
  else if (order === "ipv6first") found.sort((a, b) => b.family - a.family);
  return found;
}

/** An error with the message and the properties of a failed `dns.lookup`. */
function lookupError(code: string, hostname: string): Error {
  return Object.assign(new Error(`getaddrinfo ${code} ${hostname}`), { code, syscall: "getaddrinfo", hostname });
}
