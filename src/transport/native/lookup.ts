/**
 * Names looked up by the addon, in threads of its own: a name without an answer holds up no other, nor, once nobody waits
 * for it, the end of the process. The runtime's own lookup does both.
 */

import dns from "node:dns";
import type { LookupAddress } from "node:dns";
import { isIP } from "node:net";
import { loadAddon, type LookupDesk } from "./addon.js";

/** Told once, never from inside the call that asks. */
export type FoundOrFailed = (error: Error | null, found: LookupAddress[]) => void;

interface Asker {
  readonly host: string;
  readonly done: FoundOrFailed;
}

/** Null: there is none. Undefined: not tried yet. */
let desk: LookupDesk | null | undefined;
const askers = new Map<number, Asker>();
let lastId = 0;

/** Whether names can be looked up here. */
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

/** Asks for the addresses of one family, or (0) of both. By itself that does not keep the process alive. */
export function lookUpNatively(host: string, family: number, done: FoundOrFailed): void {
  lastId = lastId === 2 ** 31 - 1 ? 1 : lastId + 1;
  askers.set(lastId, { host, done });
  desk?.ask(lastId, host, family);
}

/** Whether the process is kept alive until there are answers. */
export function holdForLookups(on: boolean): void {
  desk?.hold(on);
}

function deliver(id: number, failure: string, addresses: string): void {
  const asker = askers.get(id);
  askers.delete(id);
  if (failure === "") asker?.done(null, inOrder(addresses.split(" ")));
  else asker?.done(lookupError(failure, asker.host), []);
}

/** In the system's order, unless the runtime was told otherwise. */
function inOrder(addresses: readonly string[]): LookupAddress[] {
  const found = addresses.map((address) => ({ address, family: isIP(address) }));
  const order: string = dns.getDefaultResultOrder();
  if (order === "ipv4first") found.sort((a, b) => a.family - b.family);
  else if (order === "ipv6first") found.sort((a, b) => b.family - a.family);
  return found;
}

/** As the runtime has it. */
function lookupError(code: string, hostname: string): Error {
  return Object.assign(new Error(`getaddrinfo ${code} ${hostname}`), { code, syscall: "getaddrinfo", hostname });
}
