import { byteCount } from "../base/byte-count.js";
import type { RequestKind, RequestOwner } from "../base/request.js";
import { batchMemory, isList, type LengthHeader, piecesOf, type Writable } from "./batch-memory.js";
import { Entry, EntryList } from "./entry.js";

/**
 * The least that a queued write counts in `limits.writeQueue`, so that a million empty writes do not count as nothing.
 */
const BOOKKEEPING = 128;
/**
 * The size of the largest batch that is handed to the transport. Progress is reported per batch. Since small neighbours
 * are joined, a batch never has more parts than one system call takes (1024).
 */
const BATCH_BYTES = 256 * 1024;
/** Writes are batched together only up to this size, so that no completion waits for many other writes. */
const SHARED_BYTES = 64 * 1024;
const NOTHING = new Uint8Array(0);

/** The methods that make writes. */
export type WriteKind = Extract<
  RequestKind,
  "write" | "writeFrame" | "writeLine" | "writeMessage" | "end" | "startTLS"
>;

/** A write. A small one was copied by the call that made it; of a large one, the caller's memory is used. */
export class WriteEntry extends Entry<void> {
  /** The memory with the bytes: a block of the batch memory, the caller's memory, or a list of pieces. */
  data: Uint8Array | readonly Uint8Array[] = NOTHING;
  /** Where the copied bytes begin in the block; -1 if the bytes were not copied. */
  start = -1;
  /** Where the room that is kept for more behind the copied bytes ends; 0 if there is none. */
  roomEnd = 0;
  total = 0;
  /** How many bytes were handed to the transport. */
  handed = 0;

  /**
   * @param last the last write in the queue, if the write is going to be pushed at once
   * @param hasToWait whether it cannot go out in this turn
   * @throws RangeError if the header cannot express the length of the data
   */
  constructor(
    kind: WriteKind,
    tag: unknown,
    owner: RequestOwner,
    timeoutMs: number,
    data: Writable,
    header: LengthHeader | null = null,
    last: WriteEntry | null = null,
    hasToWait = false,
  ) {
    super(kind, tag, owner, timeoutMs);
    const copied = hasToWait ? batchMemory.copyApart(data, header, last) : batchMemory.copy(data, header, last);
    if (copied > 0) {
      this.data = batchMemory.target;
      this.start = batchMemory.start;
      this.roomEnd = batchMemory.roomEnd;
      this.total = copied;
    } else if (copied < 0) {
      this.data = piecesOf(data, header);
      this.total = this.#bytesThere;
    }
  }

  get #bytesThere(): number {
    return isList(this.data) ? byteCount(this.data) : this.data.length;
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
    return this.start >= 0 || this.#bytesThere === this.total;
  }

  get cost(): number {
    return this.total > BOOKKEEPING ? this.total : BOOKKEEPING;
  }

  get isEnd(): boolean {
    return this.kind === "end";
  }

  /** Whether the entry only marks a place in the stream and has no bytes. */
  get isMark(): boolean {
    return this.total === 0 && (this.kind === "end" || this.kind === "startTLS");
  }

  /** The piece with this index of a write that was not copied; undefined behind the last piece. */
  piece(index: number): Uint8Array | undefined {
    if (isList(this.data)) return this.data[index];
    return index === 0 ? this.data : undefined;
  }

  /** Lets go of the bytes. They are not needed any more, or never were handed on. */
  forget(): void {
    if (this.start >= 0 && this.handed === 0) {
      batchMemory.giveBack(batchMemory.piece(this.data as Buffer, this.start, this.total));
    }
    this.data = NOTHING;
  }
}

/**
 * Checked before each piece is handed on. A list is summed up before its first piece; later, a part that is gone is
 * empty.
 */
function hasChanged(entry: WriteEntry): boolean {
  return (entry.handed === 0 || !isList(entry.data)) && !entry.isIntact;
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
  /**
   * The pieces of the batch that lie in blocks. Others may look alike: what a stream was given lies in a block, and may
   * come back as memory of the caller's.
   */
  readonly #copies: Uint8Array[] = [];

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
    entry.forget();
  }

  /** Whether there is an entry that was not handed to the transport, before the next mark. */
  get hasMore(): boolean {
    return this.#next !== null && !this.#next.isMark;
  }

  /** Returns the next batch of at most BATCH_BYTES; an empty one when only empty entries or a mark are left. */
  gather(): Uint8Array[] {
    const batch: Uint8Array[] = [];
    this.#copies.length = 0;
    let bytes = 0;
    while (this.changed === null && this.#mayShare(bytes)) {
      const entry = this.#next as WriteEntry;
      if (entry.total === 0) {
        this.#nextEntry();
        continue;
      }
      const piece = entry.start < 0 ? this.#takePiece(entry, BATCH_BYTES - bytes) : this.#takeRun(entry, bytes);
      if (piece === null) break;
      batch.push(piece);
      bytes += piece.length;
    }
    this.inFlight = bytes;
    return batch;
  }

  /** Whether the next entry may join a batch that has so many bytes already. */
  #mayShare(bytes: number): boolean {
    const entry = this.#next;
    if (entry === null || entry.isMark) return false;
    const isBegun = this.#part > 0;
    return bytes === 0 || (isBegun ? bytes < BATCH_BYTES : bytes + entry.total <= SHARED_BYTES);
  }

  /** Returns the bytes of copied writes that lie side by side, as one piece. */
  #takeRun(first: WriteEntry, bytes: number): Uint8Array {
    const { start } = first;
    const block = first.data as Buffer;
    const most = start + SHARED_BYTES - bytes;
    let end = start;
    let entry: WriteEntry | null = first;
    do {
      end += entry.total;
      entry.handed = entry.total;
      entry = entry.next;
    } while (entry !== null && entry.start === end && entry.data === block && end + entry.total <= most);
    this.#next = entry;
    const piece = batchMemory.piece(block, start, end - start);
    this.#copies.push(piece);
    return piece;
  }

  /** Returns the next piece, or as much of it as there is room for; null if the entry's memory changed its length. */
  #takePiece(entry: WriteEntry, room: number): Uint8Array | null {
    const piece = entry.piece(this.#part);
    const count = piece === undefined ? 0 : Math.min(room, piece.length - this.#offset);
    if (piece === undefined || count <= 0 || entry.handed + count > entry.total || hasChanged(entry)) {
      this.changed = entry;
      return null;
    }
    const taken = count === piece.length ? piece : piece.subarray(this.#offset, this.#offset + count);
    this.#offset += count;
    entry.handed += count;
    if (this.#offset === piece.length) this.#nextPiece(entry);
    return taken;
  }

  #nextPiece(entry: WriteEntry): void {
    this.#offset = 0;
    if (entry.piece(++this.#part) !== undefined) return;
    if (entry.handed !== entry.total) this.changed = entry;
    this.#nextEntry();
  }

  /**
   * The batch was handed on.
   * @param isTaken whether the operating system has taken all of it at once: then nobody needs its copies any more
   */
  didHandOn(isTaken: boolean): void {
    if (isTaken) for (const piece of this.#copies) batchMemory.giveBack(piece);
    this.#copies.length = 0;
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
    let entry = this.#unlanded;
    this.inFlight -= count;
    this.unsentBytes -= count;
    while (entry !== null && left > 0) {
      const part = Math.min(left, entry.total - entry.sent);
      entry._bytesDone += part;
      left -= part;
      if (entry.sent < entry.total) break;
      entry = entry.next;
    }
    this.unsentBytes += left;
    this.#unlanded = entry;
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
    if (entry === null || entry.sent < entry.total || entry.isMark) return null;
    if (entry.total === 0 || entry === this.changed) this.remove(entry);
    else this.#removeHead(entry);
    return entry;
  }

  /** Does what `remove` does for a head that was handed on and has landed, which nearly all are. */
  #removeHead(entry: WriteEntry): void {
    const { next } = entry;
    this.head = next;
    if (next === null) this.tail = null;
    else next.prev = entry.next = null;
    this.length--;
    this.cost -= entry.cost;
    entry.data = NOTHING;
  }
}
