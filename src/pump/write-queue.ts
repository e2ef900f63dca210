import type { RequestOwner } from "../request.js";
import { Entry, EntryList } from "./entry.js";

/** What a queued write costs beside its bytes, so that a million empty ones do not count as nothing. */
const BOOKKEEPING = 128;
/** Parts below this are copied together, larger ones are handed on as they are. */
const SMALL = 4096;
/** Handed to the transport at once, at most. Progress is reported in such pieces. */
const BATCH_BYTES = 256 * 1024;
const BATCH_PARTS = 1024;

const NO_PART = new Uint8Array(0);

export class WriteEntry extends Entry<void> {
  /** One part, or a list of them, none of them empty. */
  readonly data: Uint8Array | readonly Uint8Array[];
  readonly total: number;
  /** Whether a byte of it has been given to the transport: from then on it cannot be taken back. */
  handedOn = false;

  constructor(
    kind: "write" | "end",
    tag: unknown,
    owner: RequestOwner,
    timeoutMs: number,
    data: Uint8Array | readonly Uint8Array[],
  ) {
    super(kind, tag, owner, timeoutMs);
    this.data = data;
    this.total = sizeOf(data);
  }

  /** Bytes that the operating system has. */
  get sent(): number {
    return this._bytesDone;
  }

  override get bytesTotal(): number {
    return this.total;
  }

  get cost(): number {
    return Math.max(this.total, BOOKKEEPING);
  }

  get isEnd(): boolean {
    return this.kind === "end";
  }

  /** Its `index`th part; empty behind the last. */
  part(index: number): Uint8Array {
    const { data } = this;
    if (data instanceof Uint8Array) return index === 0 ? data : NO_PART;
    return data[index] ?? NO_PART;
  }
}

function sizeOf(data: Uint8Array | readonly Uint8Array[]): number {
  if (data instanceof Uint8Array) return data.length;
  let total = 0;
  for (const part of data) total += part.length;
  return total;
}

/**
 * Writes that wait: pure state. `gather` gives the next batch for the transport, of as many entries as fit; when the
 * operating system has it, `landed` is called, and `nextDone` gives one after the other the entries that are finished.
 */
export class WriteQueue extends EntryList<WriteEntry> {
  /** Bytes that the operating system does not have yet. */
  unsentBytes = 0;
  /** What `limits.writeQueue` bounds. */
  cost = 0;
  /** Bytes of the batch that the transport has in hand. */
  inFlight = 0;
  #landed = 0;
  /** The first entry of which something was not yet handed on, and where in it. */
  #next: WriteEntry | null = null;
  #part = 0;
  #offset = 0;

  override push(entry: WriteEntry): void {
    super.push(entry);
    this.unsentBytes += entry.total;
    this.cost += entry.cost;
    this.#next ??= entry;
  }

  /** Takes back an entry that waits, or drops one whose connection is gone. */
  override remove(entry: WriteEntry): void {
    if (this.#next === entry) this.#nextEntry();
    super.remove(entry);
    this.unsentBytes -= entry.total - entry.sent;
    this.cost -= entry.cost;
  }

  /** Whether there are bytes that the transport was not given yet. */
  get hasMore(): boolean {
    return this.#next !== null && !this.#next.isEnd;
  }

  /** The next batch, at most BATCH_BYTES; empty when only empty entries, or an end, are left. */
  gather(): Uint8Array[] {
    const parts: Uint8Array[] = [];
    let room = BATCH_BYTES;
    for (let entry = this.#next; entry !== null && !entry.isEnd; entry = this.#next) {
      const part = entry.part(this.#part);
      if (part.length === 0) {
        this.#nextEntry();
        continue;
      }
      if (room === 0 || parts.length === BATCH_PARTS) break;
      const count = Math.min(room, part.length - this.#offset);
      entry.handedOn = true;
      parts.push(count === part.length ? part : part.subarray(this.#offset, this.#offset + count));
      room -= count;
      this.#offset += count;
      if (this.#offset === part.length) {
        this.#part++;
        this.#offset = 0;
      }
    }
    this.inFlight = BATCH_BYTES - room;
    return parts.length > 1 ? joinSmall(parts) : parts;
  }

  #nextEntry(): void {
    this.#next = this.#next?.next ?? null;
    this.#part = 0;
    this.#offset = 0;
  }

  /** The operating system has the whole batch. */
  landed(): void {
    this.#landed += this.inFlight;
    this.inFlight = 0;
  }

  /** Takes the head off the queue if all of it has landed. */
  nextDone(): WriteEntry | null {
    const entry = this.head;
    if (entry === null || entry.isEnd) return null;
    const count = Math.min(this.#landed, entry.total - entry.sent);
    this.#landed -= count;
    entry._bytesDone += count;
    this.unsentBytes -= count;
    if (entry.sent < entry.total) return null;
    this.remove(entry);
    return entry;
  }
}

/** Copies neighbours that are small into one: fewer, larger pieces for the system call. */
function joinSmall(parts: readonly Uint8Array[]): Uint8Array[] {
  const joined: Uint8Array[] = [];
  for (let i = 0; i < parts.length;) {
    let bytes = 0;
    let end = i;
    for (let part = parts[end]; part !== undefined && part.length < SMALL; part = parts[++end]) bytes += part.length;
    const first = parts[i];
    if (first === undefined) break;
    if (end - i < 2) {
      joined.push(first);
      i++;
      continue;
    }
    joined.push(join(parts, i, end, bytes));
    i = end;
  }
  return joined;
}

function join(parts: readonly Uint8Array[], from: number, to: number, bytes: number): Buffer {
  const target = Buffer.allocUnsafe(bytes);
  let offset = 0;
  for (let i = from; i < to; i++) {
    const part = parts[i];
    if (part === undefined) break;
    target.set(part, offset);
    offset += part.length;
  }
  return target;
}
