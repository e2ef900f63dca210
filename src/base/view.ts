import { Buffer } from "node:buffer";

type BufferConstructor = new (memory: ArrayBufferLike, offset: number, length: number) => Buffer;

const NOTHING = Buffer.alloc(0);

/** The constructor that `subarray` uses for its result. Calling it directly takes half the time. */
const species = (Buffer as unknown as { [Symbol.species]?: BufferConstructor })[Symbol.species];
const View = isUsable(species) ? species : null;

function isUsable(make: BufferConstructor | undefined): make is BufferConstructor {
  return typeof make === "function" && Object.getPrototypeOf(new make(NOTHING.buffer, 0, 0)) === Buffer.prototype;
}

/** A part of a memory as a Buffer, without a copy. */
export function viewOf(memory: ArrayBufferLike, offset: number, length: number): Buffer {
  return View === null ? Buffer.from(memory).subarray(offset, offset + length) : new View(memory, offset, length);
}
