import { byteCount } from "../base/byte-count.js";
import type { RequestOwner } from "../base/request.js";
import { Entry, EntryList } from "./entry.js";

/** What a queued write costs beside its bytes, so that a million empty ones do not count as nothing. */
const BOOKKEEPING = 128;
/** Parts below this are copied together, larger ones are handed on as they are. */
const SMALL = 4096;
/**
 * Handed to the transport at once, at most. Progress is reported in such pieces. As small neighbours are joined, there
 * are never as many parts as one system call takes (1024).
 */
const BATCH_BYTES = 256 * 1024;
/** Entries share a batch up to this size: none waits long for the fate of others to be told of its own. */
const SHARED_BYTES = 64 * 1024;

export class WriteEntry extends Entry<void> {
  /** The bytes, unless a list was given. */
  readonly only: Uint8Array | null;
  /** The list, without empty parts. */
  readonly parts: readonly Uint8Array[] | null;
  readonly total: number;
  /** How many bytes have been given to the transport. */
  handed = 0;

  constructor(
    kind: "write" | "writeMessage" | "end" | "startTLS",
    tag: unknown,
    owner: RequestOwner,
    timeoutMs: number,
    data: Uint8Array | readonly Uint8Array[],
  ) {
    super(kind, tag, owner, timeoutMs);
    const isList = Array.isArray(data);
    this.only = isList ? null : (data as Uint8Array);
    this.parts = isList ? (data as readonly Uint8Array[]) : null;
    this.total = isList ? byteCount(data as readonly Uint8Array[]) : (data as Uint8Array).length;
  }

  /** Bytes that the operating system has. */
  get sent(): number {
    return this._bytesDone;
  }

  override get bytesTotal(): number {
    return this.total;
  }

  /** Whether a byte of it has been given to the transport: from then on it cannot be taken back. */
  get handedOn(): boolean {
    return this.handed > 0;
  }

  /** Whether its memory is as long as it was when it was queued: a caller may have transferred or resized it. */
  get isIntact(): boolean {
    return (this.parts === null ? (this.only as Uint8Array).length : byteCount(this.parts)) === this.total;
  }

  get cost(): number {
    return Math.max(this.total, BOOKKEEPING);
  }

  get isEnd(): boolean {
    return this.kind === "end";
  }

  /** Whether it holds no bytes, but a place in the stream. */
  get isMark(): boolean {
    return this.kind === "end" || this.kind === "startTLS";
  }

  /** Its `index`th part. */
  part(index: number): Uint8Array | undefined {
    if (this.parts !== null) return this.parts[index];
    return index === 0 && this.total > 0 ? (this.only as Uint8Array) : undefined;
  }
}

/** Looked at for each piece that is handed on; of a list, the sum of its parts tells, once all are. */
function hasChanged({ only, total }: WriteEntry): boolean {
  return only !== null && only.length !== total;
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
  /** An entry that `gather` came to whose memory is not as long any more as it was. It has to be taken off the queue. */
  changed: WriteEntry | null = null;
  /** The first entry of which the operating system may not have all. */
  #unlanded: WriteEntry | null = null;
  /** The first entry of which something was not yet handed on, and where in it. */
  #next: WriteEntry | null = null;
  #part = 0;
  #offset = 0;

  override push(entry: WriteEntry): void {
    super.push(entry);
    this.unsentBytes += entry.total;
    this.cost += entry.cost;
    this.#next ??= entry;
    this.#unlanded ??= entry;
  }

  /** Takes back an entry that waits, or drops one whose connection is gone. */
  override remove(entry: WriteEntry): void {
    if (this.#next === entry) this.#nextEntry();
    if (this.#unlanded === entry) this.#unlanded = entry.next;
    if (this.changed === entry) this.changed = null;
    super.remove(entry);
    this.unsentBytes -= entry.total - entry.sent;
    this.cost -= entry.cost;
  }

  /** Whether there are bytes that the transport was not given yet. */
  get hasMore(): boolean {
    return this.#next !== null && !this.#next.isMark;
  }

  /**
   * The next batch, at most BATCH_BYTES; empty when only empty entries, or a mark, are left.
   * @param scratch memory for small parts to be joined in, instead of new memory
   */
  gather(scratch: Buffer | null): Uint8Array[] {
    const parts: Uint8Array[] = [];
    let room = BATCH_BYTES;
    while (room > 0 && this.changed === null && this.#mayShare(BATCH_BYTES - room)) {
      if (this.#next?.total === 0) {
        this.#nextEntry();
        continue;
      }
      const shared = this.#isBegun ? room : Math.max(0, SHARED_BYTES - (BATCH_BYTES - room));
      const joined = this.#offset === 0 ? this.#joinSmall(shared, parts.length === 0 ? scratch : null) : null;
      const part = joined ?? this.#takePart(room);
      if (part === null) break;
      parts.push(part);
      room -= part.length;
    }
    this.inFlight = BATCH_BYTES - room;
    return parts;
  }

  /** Whether a part of the next entry was handed on before. */
  get #isBegun(): boolean {
    return this.#part > 0;
  }

  /** Whether the next entry may go along with what a batch has already. */
  #mayShare(bytes: number): boolean {
    const entry = this.#next;
    if (entry === null || entry.isMark) return false;
    return bytes === 0 || this.#isBegun || bytes + entry.total <= SHARED_BYTES;
  }

  /** The next part, or as much of it as there is room for. Null: it is not what it was. */
  #takePart(room: number): Uint8Array | null {
    const entry = this.#next as WriteEntry;
    const part = entry.part(this.#part) as Uint8Array;
    const count = Math.min(room, part.length - this.#offset);
    if (count <= 0 || entry.handed + count > entry.total || hasChanged(entry)) {
      this.changed = entry;
      return null;
    }
    const piece = count === part.length ? part : part.subarray(this.#offset, this.#offset + count);
    this.#offset += count;
    entry.handed += count;
    if (this.#offset === part.length) this.#nextPart(entry);
    return piece;
  }

  /** Copies neighbours that are small into one: fewer, larger pieces for the system call. */
  #joinSmall(room: number, scratch: Buffer | null): Uint8Array | null {
    const bytes = this.#smallBytes(room);
    if (bytes === 0) return null;
    const target = scratch !== null && bytes <= scratch.length ? scratch : Buffer.allocUnsafe(bytes);
    for (let offset = 0; offset < bytes;) {
      const entry = this.#next as WriteEntry;
      const part = entry.part(this.#part);
      if (part === undefined) {
        this.#nextEntry();
        continue;
      }
      target.set(part, offset);
      offset += part.length;
      entry.handed += part.length;
      this.#nextPart(entry);
    }
    return target.length === bytes ? target : target.subarray(0, bytes);
  }

  /** How many bytes the next parts have that are small, if there are two at least. */
  #smallBytes(room: number): number {
    let bytes = 0;
    let count = 0;
    let index = this.#part;
    for (let entry = this.#next; entry !== null && !entry.isMark; entry = entry.next, index = 0) {
      if (hasChanged(entry)) break;
      for (let part = entry.part(index); part !== undefined; part = entry.part(++index)) {
        if (part.length >= SMALL || bytes + part.length > room) return count > 1 ? bytes : 0;
        bytes += part.length;
        count++;
      }
    }
    return count > 1 ? bytes : 0;
  }

  #nextPart(entry: WriteEntry): void {
    this.#offset = 0;
    if (entry.part(++this.#part) !== undefined) return;
    if (entry.handed !== entry.total) this.changed = entry;
    this.#nextEntry();
  }

  #nextEntry(): void {
    this.#next = this.#next?.next ?? null;
    this.#part = 0;
    this.#offset = 0;
  }

  /**
   * The operating system has so many more bytes of the batch. Each entry gets its part at once: none can be given
   * another's, then.
   */
  landed(count = this.inFlight): void {
    let left = count;
    this.inFlight -= count;
    while (this.#unlanded !== null && left > 0) {
      const entry = this.#unlanded;
      const part = Math.min(left, entry.total - entry.sent);
      entry._bytesDone += part;
      this.unsentBytes -= part;
      left -= part;
      if (entry.sent === entry.total) this.#unlanded = entry.next;
    }
  }

  /** An entry of the batch in hand whose memory has changed since: nobody knows what went out in its place. */
  findChanged(): WriteEntry | null {
    let left = this.inFlight;
    for (let entry = this.#unlanded; entry !== null && left > 0; entry = entry.next) {
      if (!entry.isIntact) return entry;
      left -= entry.total - entry.sent;
    }
    return null;
  }

  /** Takes the head off the queue if all of it has landed. */
  nextDone(): WriteEntry | null {
    const entry = this.head;
    if (entry === null || entry.isMark || entry.sent < entry.total) return null;
    this.remove(entry);
    return entry;
  }
}
