import { checkMs } from "../base/checks.js";
import { type RequestKind, type RequestOwner, SocketRequest } from "../base/request.js";

/** A small integer where `Infinity` would do: a number that is none costs an allocation in each entry that holds it. */
export const NO_TIMEOUT = -1;

/** A request that waits its turn in one of the two queues. The queue's links are in it, so queueing allocates no more. */
export class Entry<T = unknown> extends SocketRequest<T> {
  next: this | null = null;
  prev: this | null = null;
  /** Or NO_TIMEOUT. Grows by extensions. */
  timeoutMs: number;
  /** Takes the abort listener off again. */
  stopListening: (() => void) | null = null;

  constructor(kind: RequestKind, tag: unknown, owner: RequestOwner, timeoutMs: number) {
    super(kind, tag, owner);
    this.timeoutMs = timeoutMs;
  }
}

/** Whether nobody has settled it yet. */
export function isPending(request: SocketRequest<unknown>): boolean {
  return request._state === "queued" || request._state === "current";
}

/** More time for an entry that has a timeout. */
export function extendEntry(entry: Entry, ms: number): boolean {
  if (!isPending(entry) || entry.timeoutMs === NO_TIMEOUT) return false;
  entry.timeoutMs += ms;
  return true;
}

/** First in, first out; taking one back from the middle costs no more than from the head. */
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

/** How long the current entry of a queue has been waiting, and what was reported of it. */
export class Wait {
  /** Clock time at which the current entry had to wait; -1 before. Its timeout runs from there. */
  startedAt = -1;
  /** Bytes that the delegate was told of as partial. */
  reported = 0;

  /** The entry is the current one, from now on. */
  enter(entry: Entry): void {
    if (entry._state === "current") return;
    entry._state = "current";
    this.startedAt = -1;
    this.reported = 0;
  }

  /** When the entry's time is up. `Infinity`: never. */
  dueAt(entry: Entry): number {
    return entry.timeoutMs === NO_TIMEOUT || this.startedAt < 0 ? Infinity : this.startedAt + entry.timeoutMs;
  }
}

/** Of an entry: milliseconds, or NO_TIMEOUT. */
export function checkTimeout(value: unknown): number {
  const ms = checkMs("timeout", value);
  return ms === Infinity ? NO_TIMEOUT : ms;
}
