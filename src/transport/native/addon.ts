/** Loads the addon in `native/`, describes its functions, and passes its events to the sockets that they belong to. */

import { getSystemErrorName } from "node:util";
import { apart } from "../../base/apart.js";
import { systemError } from "../../base/errno.js";
import { surface } from "../../base/uncaught.js";
import { findAddon } from "./find.js";

/** The kinds of events, numbered as in loop.h. */
export const DATA = 0;
export const END = 1;
export const FAILED = 2;
export const OPENED = 3;
export const WRITABLE = 4;
export const ACCEPTED = 5;
export const ACCEPT_FAILED = 6;
const RECORD = 4;

/** The settings of a socket, numbered as in properties.h. */
export const NO_DELAY = 0;
export const KEEP_ALIVE = 1;
export const REFERENCED = 2;

/** Receives the events of a socket. */
interface Owner {
  didHappen(what: number, a: number, b: number): void;
}

/** The functions of the addon. Sockets are numbers from 0 on; a result below 0 is the number of an error. */
interface Addon {
  readonly records: ArrayBuffer;
  readonly memory: ArrayBuffer;
  connect(
    address: string,
    port: number,
    localAddress: string | undefined,
    localPort: number,
    settings?: Int32Array,
  ): number;
  listen(
    address: string,
    port: number,
    backlog: number,
    ipv6Only: boolean,
    reusePort: boolean,
    settings?: Int32Array,
  ): number;
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
  /** This and the following are missing in older builds of the addon, which then ignore `settings` above. */
  descriptorOf?(socket: number): number;
  /** Makes the settings of a list; see settings.h. */
  setOf?(descriptor: number, settings: Int32Array): number;
  settingOf?(descriptor: number, what: number): number;
  tcpInfoOf?(descriptor: number): readonly number[] | undefined;
  /** The path of a Unix-domain listener, undefined for an IP listener, the number of an error for anything else. */
  listenerOf?(descriptor: number): string | number | undefined;
  adopt?(descriptor: number, backlog: number): number;
  credentialsOf?(descriptor: number): readonly number[] | undefined;
  /** Lets what one socket receives pass to another, without an event. This and the following: see traffic.h. */
  join?(from: number, to: number, isTimed: boolean): number;
  part?(from: number): Buffer | undefined;
  passed?(from: number): number;
  passedAgo?(from: number): number;
}

/** Looks up names; see lookup.h. */
export interface LookupDesk {
  ask(id: number, host: string, family: number): void;
  /** Sets whether pending lookups keep the process alive. */
  hold(on: boolean): void;
}

interface AddonModule {
  open(deliver: (count: number) => void): Addon | number;
  /** Missing in older builds of the addon, which work otherwise. */
  readonly lookups?: (deliver: (id: number, failure: string, addresses: string) => void) => LookupDesk | number;
}

/** Defined only after `nativeProblem` has returned null. */
export let addon: Addon;
let records: Int32Array;
/** The memory into which all sockets of the thread receive. */
export let memory: Buffer;
/** The owners of the sockets, indexed by the sockets' numbers. */
export const owners: (Owner | null)[] = [];

/** Why the addon cannot be used; null if it can. Undefined until it was tried. */
let problem: string | null | undefined;

/** Why the native transport cannot be used; null if it can. */
export function nativeProblem(): string | null {
  // The addon keeps the async context in which it is opened, so that must not be the context of its first user.
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

/** Loads the addon. @returns the addon, or why it cannot be loaded */
export function loadAddon(): AddonModule | string {
  return findAddon() as AddonModule | string;
}

function deliver(count: number): void {
  for (let at = 0, end = count * RECORD; at < end; at += RECORD) {
    const owner = owners[records[at + 1] as number];
    if (owner === null || owner === undefined) discard(at);
    else apart(tell, owner, at);
  }
}

/** An exception of one owner must not keep the others from their events. */
function tell(owner: Owner, at: number): void {
  try {
    owner.didHappen(records[at] as number, records[at + 2] as number, records[at + 3] as number);
  } catch (error) {
    surface(error);
  }
}

/** Drops an event of a socket without an owner. A connection accepted by a listener that was just closed is reset. */
function discard(at: number): void {
  if (records[at] === ACCEPTED) addon.close(records[at + 2] as number, true);
}

/** Parks a copy of a descriptor for another thread. @returns the ticket by which that thread takes it */
export function parkDescriptor(descriptor: number): number {
  const ticket = addon.parkCopy(descriptor);
  if (ticket < 0) throw systemError(ticket, "dup");
  return ticket;
}

/** How many bytes are in the operating system's send queue of a descriptor; 0 without the addon. */
export function sendQueueOf(descriptor: number): number {
  return descriptor < 0 || nativeProblem() !== null ? 0 : addon.sendQueueOf(descriptor);
}

/** Takes the parked socket of a ticket over to this thread. */
export function takeTicket(ticket: number): number {
  const problem = nativeProblem();
  if (problem !== null) throw new Error(`the addon cannot be used on this thread: ${problem}`);
  const id = addon.take(ticket);
  if (id < 0) throw systemError(id, "move");
  return id;
}

export function dropTicket(ticket: number): void {
  addon.drop(ticket);
}
