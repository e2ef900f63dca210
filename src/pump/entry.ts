import { SocketRequest, type RequestKind, type RequestOwner } from "../request.js";

/** A request that waits its turn in one of the two queues. The queue's links are in it, so queueing allocates no more. */
export class Entry<T = unknown> extends SocketRequest<T> {
  next: this | null = null;
  prev: this | null = null;
  /** Infinity: none. Grows by extensions. */
  timeoutMs: number;
  /** Clock time at which it had to wait; its deadline is that plus `timeoutMs`. -1 before. */
  startedAt = -1;
  /** Bytes that the delegate was told of as partial. */
  reported = 0;
  /** Takes the abort listener off again. */
  stopListening: (() => void) | null = null;

  constructor(kind: RequestKind, tag: unknown, owner: RequestOwner, timeoutMs: number) {
    super(kind, tag, owner);
    this.timeoutMs = timeoutMs;
  }

  get dueAt(): number {
    return this.startedAt < 0 ? Infinity : this.startedAt + this.timeoutMs;
  }
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
