import { byteCount } from "../base/byte-count.js";
import type { RequestKind, RequestOwner } from "../base/request.js";
import { Entry, EntryList } from "./entry.js";

/**
 * The least that a queued write counts in `limits.writeQueue`, so that a million empty writes do not count as nothing.
 */
const BOOKKEEPING = 128;
/** Neighbouring parts below this size are copied together; larger parts are handed to the transport as they are. */
const SMALL = 4096;
/** The longest text in bytes that is encoded only when it is put into a batch. With a header it is a small part, too. */
const SHORT_TEXT = SMALL - 64;
/**
 * The size of the largest batch that is handed to the transport. Progress is reported per batch. Since small neighbours
 * are joined, a batch never has more parts than one system call takes (1024).
 */
const BATCH_BYTES = 256 * 1024;
/** Writes are batched together only up to this size, so that no completion waits for many other writes. */
const SHARED_BYTES = 64 * 1024;

/** The methods that make writes. */
export type WriteKind = Extract<
  RequestKind,
  "write" | "writeFrame" | "writeLine" | "writeMessage" | "end" | "startTLS"
>;

/** A length field, which stands before the bytes of a frame. */
export interface LengthHeader {
  readonly headerBytes: number;
  /** @throws RangeError for so many bytes that the length field cannot express their number */
  checkBody(name: string, bodyBytes: number): void;
  /** Writes the header of a body with so many bytes. */
  putHeader(target: Buffer, at: number, bodyBytes: number): void;
}

export class WriteEntry extends Entry<void> {
  /** The header, which is made when the write is put into a batch; null for a write without one. */
  readonly header: LengthHeader | null;
  /** Short text, which is encoded when the write is put into a batch; null if bytes were given. */
  readonly text: string | null;
  /** The bytes to write; null if a text or a list was given. */
  readonly only: Uint8Array | null;
  /** The list to write, without empty parts; null if no list was given. */
  readonly parts: readonly Uint8Array[] | null;
  /** How many bytes the header and the text have, which are made in place: a part of their own, before all others. */
  readonly madeBytes: number;
  readonly total: number;
  /** How many bytes were handed to the transport. */
  handed = 0;

  constructor(
    kind: WriteKind,
    tag: unknown,
    owner: RequestOwner,
    timeoutMs: number,
    data: string | Uint8Array | readonly Uint8Array[],
    header: LengthHeader | null = null,
  ) {
    super(kind, tag, owner, timeoutMs);
    const textBytes = typeof data === "string" ? Buffer.byteLength(data) : 0;
    const body = typeof data === "string" && textBytes > SHORT_TEXT ? Buffer.from(data) : data;
    this.header = header;
    this.text = typeof body === "string" ? body : null;
    this.parts = Array.isArray(body) ? (body as readonly Uint8Array[]) : null;
    this.only = this.text === null && this.parts === null ? (body as Uint8Array) : null;
    this.madeBytes = (header?.headerBytes ?? 0) + (this.text === null ? 0 : textBytes);
    this.total = this.madeBytes + this.#givenBytes;
  }

  /** How many bytes the caller's memory has at present. */
  get #givenBytes(): number {
    if (this.parts !== null) return byteCount(this.parts);
    return this.only === null ? 0 : this.only.length;
  }

  /** How many bytes the operating system has taken. */
  get sent(): number {
    return this._bytesDone;
  }

  override get bytesTotal(): number {
    return this.total;
  }

  /** Whether a byte was handed to the transport. From then on the write cannot be taken off the queue. */
  get handedOn(): boolean {
    return this.handed > 0;
  }

  /** Whether the memory is as long as it was when it was queued. The caller may have transferred or resized it. */
  get isIntact(): boolean {
    return this.madeBytes + this.#givenBytes === this.total;
  }

  get cost(): number {
    return Math.max(this.total, BOOKKEEPING);
  }

  get isEnd(): boolean {
    return this.kind === "end";
  }

  /** Whether the entry only marks a place in the stream and has no bytes. */
  get isMark(): boolean {
    return this.kind === "end" || this.kind === "startTLS";
  }

  /** Whether the part with this index is the header and the text, which are made in place. */
  isMade(index: number): boolean {
    return index === 0 && this.madeBytes > 0;
  }

  /** The part with this index; undefined behind the last part. A part that is made in place is none of these. */
  part(index: number): Uint8Array | undefined {
    const at = this.madeBytes > 0 ? index - 1 : index;
    if (this.parts !== null) return this.parts[at];
    return at === 0 && this.only !== null && this.total > this.madeBytes ? this.only : undefined;
  }

  /** Writes the header and the text. */
  make(target: Buffer, at: number): void {
    const { header, text } = this;
    header?.putHeader(target, at, this.total - header.headerBytes);
    if (text !== null) target.write(text, at + (header?.headerBytes ?? 0));
  }
}

/** Checked before each piece is handed on. A list is summed up before its first piece; later, a part that is gone is empty. */
function hasChanged(entry: WriteEntry): boolean {
  return (entry.parts === null || entry.handed === 0) && !entry.isIntact;
}

/**
 * The pending writes, without any I/O or time. `gather` returns the next batch for the transport, from as many entries
 * as fit. When the operating system has taken bytes of the batch, `landed` is called, and `nextDone` then returns the
 * finished entries one by one.
 */
export class WriteQueue extends EntryList<WriteEntry> {
  /** How many bytes the operating system has not taken yet. */
  unsentBytes = 0;
  /** What the pending writes count in `limits.writeQueue`. */
  cost = 0;
  /** How many bytes of the present batch the operating system has not taken yet. */
  inFlight = 0;
  /** An entry whose memory changed its length before it was handed on. The caller has to remove it from the queue. */
  changed: WriteEntry | null = null;
  /** The first entry that the operating system may not have taken completely. */
  #unlanded: WriteEntry | null = null;
  /** The first entry that was not handed on completely, and the place in it that comes next. */
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

  /** Removes an entry: one that is done, was cancelled, or whose connection is gone. */
  override remove(entry: WriteEntry): void {
    if (this.#next === entry) this.#nextEntry();
    if (this.#unlanded === entry) this.#unlanded = entry.next;
    if (this.changed === entry) this.changed = null;
    super.remove(entry);
    this.unsentBytes -= entry.total - entry.sent;
    this.cost -= entry.cost;
  }

  /** Whether there is an entry that was not handed to the transport, before the next mark. */
  get hasMore(): boolean {
    return this.#next !== null && !this.#next.isMark;
  }

  /**
   * Returns the next batch of at most BATCH_BYTES; an empty one when only empty entries or a mark are left.
   * @param scratch memory in which small parts can be joined, instead of new memory
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

  /** Whether the next entry may join a batch that has so many bytes already. */
  #mayShare(bytes: number): boolean {
    const entry = this.#next;
    if (entry === null || entry.isMark) return false;
    return bytes === 0 || this.#isBegun || bytes + entry.total <= SHARED_BYTES;
  }

  /**
   * Returns the next part, or as much of it as there is room for; null if the entry's memory changed its length, or if
   * the part is made in place and there is no room for all of it.
   */
  #takePart(room: number): Uint8Array | null {
    const entry = this.#next as WriteEntry;
    const part = entry.part(this.#part);
    if (part === undefined) {
      if (hasChanged(entry)) this.changed = entry;
      return null;
    }
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

  /**
   * Copies small neighbouring parts into one piece, because a system call with fewer pieces is faster, and makes headers
   * and short texts there.
   */
  #joinSmall(room: number, scratch: Buffer | null): Uint8Array | null {
    const bytes = this.#smallBytes(room);
    if (bytes === 0) return null;
    const target = scratch !== null && bytes <= scratch.length ? scratch : Buffer.allocUnsafe(bytes);
    for (let offset = 0; offset < bytes;) {
      const entry = this.#next as WriteEntry;
      if (entry.isMade(this.#part)) {
        entry.make(target, offset);
        offset += entry.madeBytes;
        entry.handed += entry.madeBytes;
        this.#nextPart(entry);
        continue;
      }
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

  /** How many bytes the small parts that come next have in all; 0 if that is one part, which needs no copy. */
  #smallBytes(room: number): number {
    let bytes = 0;
    let count = 0;
    let index = this.#part;
    for (let entry = this.#next; entry !== null && !entry.isMark; entry = entry.next, index = 0) {
      if (hasChanged(entry)) break;
      if (entry.isMade(index)) {
        if (bytes + entry.madeBytes > room) break;
        bytes += entry.madeBytes;
        count += 2; // Even alone it needs a place where it is made.
        index++;
      }
      for (let part = entry.part(index); part !== undefined; part = entry.part(++index)) {
        // No part was empty when it was queued: memory that is gone cannot even be copied.
        if (part.length === 0 || part.length >= SMALL || bytes + part.length > room) return count > 1 ? bytes : 0;
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
   * The operating system has taken so many more bytes of the batch. They are assigned to their entries at once, so that
   * removing an entry later cannot assign them to a wrong one.
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

  /**
   * Returns an entry of the present batch whose memory changed its length, so that unknown bytes may have been sent.
   */
  findChanged(): WriteEntry | null {
    let left = this.inFlight;
    for (let entry = this.#unlanded; entry !== null && left > 0; entry = entry.next) {
      if (!entry.isIntact) return entry;
      left -= entry.total - entry.sent;
    }
    return null;
  }

  /** Removes and returns the head of the queue if the operating system has taken all of it. */
  nextDone(): WriteEntry | null {
    const entry = this.head;
    if (entry === null || entry.isMark || entry.sent < entry.total) return null;
    this.remove(entry);
    return entry;
  }
}
