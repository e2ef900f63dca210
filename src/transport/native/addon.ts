/** The addon in `native/`: where it is, what it can do, and what it tells of which socket. */

import { createRequire } from "node:module";
import { getSystemErrorName } from "node:util";
import { apart } from "../../base/apart.js";
import { inWords, systemError } from "../../base/errno.js";
import { surface } from "../../base/uncaught.js";

/** What happened, as asyncsocket.cc numbers it. */
export const DATA = 0;
export const END = 1;
export const FAILED = 2;
export const OPENED = 3;
export const WRITABLE = 4;
export const ACCEPTED = 5;
export const ACCEPT_FAILED = 6;
const RECORD = 4;

/** Settings of a socket, likewise. */
export const NO_DELAY = 0;
export const KEEP_ALIVE = 1;
export const REFERENCED = 2;

/** Who is told of a socket. */
interface Owner {
  didHappen(what: number, a: number, b: number): void;
}

/** Sockets are numbers, as errors are, below 0. */
interface Addon {
  readonly records: ArrayBuffer;
  readonly memory: ArrayBuffer;
  connect(address: string, port: number, localAddress: string | undefined, localPort: number): number;
  listen(address: string, port: number, backlog: number, ipv6Only: boolean, reusePort: boolean): number;
  detach(socket: number): number;
  park(socket: number): number;
  parkCopy(descriptor: number): number;
  take(ticket: number): number;
  drop(ticket: number): number;
  close(socket: number, reset: boolean): void;
  setRoom(socket: number, bytes: number): number;
  write(socket: number, bytes: Uint8Array, offset: number): number;
  writeAll(socket: number, parts: readonly Uint8Array[], first: number, offset: number): number;
  shutdown(socket: number): number;
  sendQueue(socket: number): number;
  sendQueueOf(descriptor: number): number;
  hasNews(socket: number): boolean;
  set(socket: number, what: number, value: number): void;
  addressOf(socket: number, ofPeer: boolean): string | undefined;
}

/** Where names are looked up; see lookup.h. */
export interface LookupDesk {
  ask(id: number, host: string, family: number): void;
  /** Whether it keeps the process alive. */
  hold(on: boolean): void;
}

interface AddonModule {
  open(deliver: (count: number) => void): Addon | number;
  /** Builds from before there was one are as good otherwise. */
  readonly lookups?: (deliver: (id: number, failure: string, addresses: string) => void) => LookupDesk | number;
}

/** Where one is said to be, by whoever checks another build; where the build is; where a package may carry one. */
const PLACES = [
  ...(process.env["ASYNCSOCKET_ADDON"] === undefined ? [] : [process.env["ASYNCSOCKET_ADDON"]]),
  "../../../native/build/Release/asyncsocket.node",
  `../../../native/prebuilds/${process.platform}-${process.arch}.node`,
];

/** Not there before `nativeProblem` was found to be null. */
export let addon: Addon;
let records: Int32Array;
/** Where all that is received lies. */
export let memory: Buffer;
/** By the numbers of their sockets. */
export const owners: (Owner | null)[] = [];

/** Null: it is there. Else why it is not. Undefined: not tried yet. */
let problem: string | null | undefined;

/** Why there is no native transport; null if there is. */
export function nativeProblem(): string | null {
  // Not in the context of whoever is first: the loop would keep it.
  if (problem === undefined) apart(() => (problem = open()), undefined, undefined);
  return problem as string | null;
}

function open(): string | null {
  const module = loadAddon();
  if (typeof module === "string") return module;
  const opened = module.open(deliver);
  if (typeof opened === "number") return `the system refuses: ${getSystemErrorName(opened)}`;
  addon = opened;
  records = new Int32Array(opened.records);
  memory = Buffer.from(opened.memory);
  return null;
}

/** The addon, or why there is none. */
export function loadAddon(): AddonModule | string {
  if (process.env["ASYNCSOCKET_NATIVE"] === "0") return "ASYNCSOCKET_NATIVE=0 turns it off";
  // Loading an addon can end their process: there is nothing to probe.
  if ("bun" in process.versions || "deno" in process.versions) return "this runtime loads no addons safely";
  const here = import.meta.url as string | undefined;
  if (here === undefined) return "asyncsocket is part of a CommonJS bundle, and its addon is not: leave it out of that";
  const load = createRequire(here);
  const problems: string[] = [];
  for (const place of PLACES) {
    try {
      return load(place) as AddonModule;
    } catch (error) {
      problems.push(inWords(error).split("\n", 1)[0] ?? "");
    }
  }
  const isNowhere = problems.every((one) => one === "MODULE_NOT_FOUND");
  return isNowhere ? "its addon was not built: `npm rebuild asyncsocket` says why" : problems.join("; ");
}

function deliver(count: number): void {
  for (let at = 0, end = count * RECORD; at < end; at += RECORD) {
    const owner = owners[records[at + 1] as number];
    if (owner === null || owner === undefined) discard(at);
    else apart(tell, owner, at);
  }
}

/** What one of them throws is no reason to keep from the others what is theirs. */
function tell(owner: Owner, at: number): void {
  try {
    owner.didHappen(records[at] as number, records[at + 2] as number, records[at + 3] as number);
  } catch (error) {
    surface(error);
  }
}

/** Of a listener that was closed a moment ago. */
function discard(at: number): void {
  if (records[at] === ACCEPTED) addon.close(records[at + 2] as number, true);
}

/** A copy of a descriptor, parked for another thread. */
export function parkDescriptor(descriptor: number): number {
  const ticket = addon.parkCopy(descriptor);
  if (ticket < 0) throw systemError(ticket, "dup");
  return ticket;
}

/** Bytes in the operating system's send queue of a descriptor; 0 without the addon. */
export function sendQueueOf(descriptor: number): number {
  return descriptor < 0 || nativeProblem() !== null ? 0 : addon.sendQueueOf(descriptor);
}

/** The socket of a ticket, this thread's from then on. */
export function takeTicket(ticket: number): number {
  const problem = nativeProblem();
  if (problem !== null) throw new Error(`the addon is not there on this thread: ${problem}`);
  const id = addon.take(ticket);
  if (id < 0) throw systemError(id, "move");
  return id;
}

export function dropTicket(ticket: number): void {
  addon.drop(ticket);
}
