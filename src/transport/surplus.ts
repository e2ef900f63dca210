/** Who is given what came beyond its room, when it has room again. */
export interface SurplusOwner {
  readonly room: number;
  readonly isDestroyed: boolean;
  /** May change the room, and end it all. */
  give(chunk: Buffer, length: number): void;
  /** All of it has been given. */
  didGiveSurplus(hasEnd: boolean): void;
}

/**
 * What came beyond the room that there was: a stream gives whole chunks, and a TLS engine told to pause still gives all
 * that it has decrypted. It is bounded by what these read at once.
 */
export class Surplus {
  readonly #chunks: Buffer[] = [];
  /** The stream's end has come, and waits behind. */
  hasEnd = false;

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  /** Keeps a copy of what there is no room for. @returns how many bytes there is room for */
  fit(chunk: Buffer, length: number, room: number): number {
    const fitting = this.isEmpty ? Math.min(length, room) : 0;
    if (fitting < length) this.#chunks.push(Buffer.from(chunk.subarray(fitting, length)));
    return fitting;
  }

  /** There is room again. Not to be called from inside `setRoom`. */
  giveTo(owner: SurplusOwner): void {
    for (let first = this.#chunks[0]; first !== undefined; first = this.#chunks[0]) {
      if (owner.room === 0 || owner.isDestroyed) return;
      const chunk = this.#take(first, owner.room);
      owner.give(chunk, chunk.length);
    }
    const { hasEnd } = this;
    this.hasEnd = false;
    if (!owner.isDestroyed) owner.didGiveSurplus(hasEnd);
  }

  /** All of it, for somebody else. */
  takeAll(): Buffer[] {
    return this.#chunks.splice(0);
  }

  #take(first: Buffer, most: number): Buffer {
    if (first.length <= most) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(most);
    return first.subarray(0, most);
  }
}
