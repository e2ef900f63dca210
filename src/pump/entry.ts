import { checkMs } from "../base/checks.js";
import { entryTimes, noteCurrent } from "../base/entry-times.js";
import { type RequestKind, type RequestOwner, SocketRequest } from "../base/request.js";

/** The timeout of an entry without one. `Infinity` is not a small integer, so V8 would allocate it in each entry. */
export const NO_TIMEOUT = -1;

/**
 * A request in one of the two queues. The links of the queue are fields of the entry, so queueing allocates nothing.
 */
export class Entry<T = unknown> extends SocketRequest<T> {
  next: this | null = null;
  prev: this | null = null;
  /** Milliseconds, or NO_TIMEOUT. `extend` adds to them. */
  timeoutMs: number;
  /** Removes the abort listener. */
  stopListening: (() => void) | null = null;

  constructor(kind: RequestKind, tag: unknown, owner: RequestOwner, timeoutMs: number) {
    super(kind, tag, owner);
    this.timeoutMs = timeoutMs;
  }
}

/** Whether a request has not been settled yet. */
export function isPending(request: SocketRequest<unknown>): boolean {
  return request._state === "queued" || request._state === "current";
}

/** Adds time to the timeout of a pending entry. @returns false where the entry is settled or has no timeout */
export function extendEntry(entry: Entry, ms: number): boolean {
  if (!isPending(entry) || entry.timeoutMs === NO_TIMEOUT) return false;
  entry.timeoutMs += ms;
  return true;
}

/** A linked list, first in, first out. Removing an entry from the middle costs no more than removing the head. */
export class EntryList<E extends Entry> {
  head: E | null = null;
  tail: E | null = null;
  length = 0;

  push(entry: E): void {
    entry.prev = this.tail;
    if (this.tail === null) this.head = entry;
    else this.tail.next = entry;
    this.tail = entry;
    this.length++;
  }

  remove(entry: E): void {
    const { next, prev } = entry;
    if (prev === null) this.head = next;
    else prev.next = next;
    if (next === null) this.tail = prev;
    else next.prev = prev;
    entry.next = entry.prev = null;
    this.length--;
  }
}

/** How long the current entry of a queue has been waiting, and how much of its progress was reported. */
export class Wait {
  /** The clock time at which the current entry had to wait, from which its timeout runs; -1 before that. */
  startedAt = -1;
  /** How many bytes of partial progress the delegate was told of. */
  reported = 0;

  /** Makes the entry the current one. */
  enter(entry: Entry): void {
    if (entry._state === "current") return;
    entry._state = "current";
    if (entryTimes.areKept) noteCurrent(entry);
    this.restart();
  }

  /** Begins anew, for the next message of the current entry. */
  restart(): void {
    this.startedAt = -1;
    this.reported = 0;
  }

  /** The clock time at which the entry times out; `Infinity` if it never does. */
  dueAt(entry: Entry): number {
    return entry.timeoutMs === NO_TIMEOUT || this.startedAt < 0 ? Infinity : this.startedAt + entry.timeoutMs;
  }
}

/** Checks the `timeout` option of an entry. @returns milliseconds, or NO_TIMEOUT */
export function checkTimeout(value: unknown): number {
  const ms = checkMs("timeout", value);
  return ms === Infinity ? NO_TIMEOUT : ms;
}
