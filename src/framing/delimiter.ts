/** The search for delimiters. It can be resumed, and never looks twice at bytes that cannot start a match. */

/** One byte sequence to look for. */
export interface Delimiter {
  readonly bytes: Buffer;
  readonly first: number;
}

/** The delimiters that `readUntil` looks for. A message ends with the delimiter that ends first. */
export interface DelimiterSet {
  readonly delimiters: readonly Delimiter[];
  /** The lengths of the longest and of the shortest delimiter. */
  readonly longest: number;
  readonly shortest: number;
  /** The only delimiter, if that is a single byte, which is the fastest to look for; else -1. */
  readonly byte: number;
}

export function delimiterSet(sequences: readonly Buffer[]): DelimiterSet {
  const delimiters = sequences.map((bytes) => ({ bytes, first: bytes[0] ?? 0 }));
  let longest = 0;
  let shortest = Infinity;
  for (const { length } of sequences) {
    longest = Math.max(longest, length);
    shortest = Math.min(shortest, length);
  }
  const [only] = delimiters;
  const byte = only !== undefined && delimiters.length === 1 && longest === 1 ? only.first : -1;
  return { delimiters, longest, shortest, byte };
}

/** After so many bytes that equal the first byte of a delimiter but start no match, the native search takes over. */
const FALSE_STARTS = 8;
/** A loop over so few bytes is faster than a native call. */
const LOOP_BYTES = 16;
/** How many bytes behind the end the native search may look at in vain. */
const SLACK = 1024;
const FIRST_STEP = 256;

/**
 * Finds the delimiter that ends first.
 * @param from where to begin; when a search is resumed, a match may begin up to `longest - 1` bytes before its last end
 * @param end the index from which on bytes are not looked at
 * @returns the index behind the delimiter, or -1
 */
export function findEnd(block: Buffer, from: number, end: number, set: DelimiterSet): number {
  const { delimiters, byte } = set;
  if (byte !== -1) {
    const at = findByte(block, from, end, byte);
    return at === -1 ? -1 : at + 1;
  }
  const only = delimiters.length === 1 ? delimiters[0] : undefined;
  if (only !== undefined) return findOne(block, from, end, only);
  // The steps keep a delimiter that never comes from being sought in all bytes again for each message that is found.
  for (let step = FIRST_STEP, low = from; low < end; step *= 2) {
    let high = Math.min(end, low + step + set.longest);
    let found = -1;
    for (const delimiter of delimiters) {
      const at = findOne(block, low, high, delimiter);
      if (at !== -1) high = found = at;
    }
    if (found !== -1) return found;
    low += step;
  }
  return -1;
}

function findOne(block: Buffer, from: number, end: number, delimiter: Delimiter): number {
  const { bytes, first } = delimiter;
  const last = end - bytes.length;
  let at = findByte(block, from, last + 1, first);
  for (let falseStarts = 0; at !== -1; falseStarts++) {
    if (matches(block, at, bytes)) return at + bytes.length;
    if (falseStarts === FALSE_STARTS) return findNatively(block, at + 1, end, bytes);
    at = findByte(block, at + 1, last + 1, first);
  }
  return -1;
}

function findByte(block: Buffer, from: number, end: number, byte: number): number {
  if (end - from <= LOOP_BYTES) {
    for (let i = from; i < end; i++) if (block[i] === byte) return i;
    return -1;
  }
  // `indexOf` takes no end. Without one it could run through the rest of a large block again for each byte that comes.
  if (block.length - end > end - from + SLACK) {
    const at = block.subarray(from, end).indexOf(byte);
    return at === -1 ? -1 : from + at;
  }
  const at = block.indexOf(byte, from);
  return at < end ? at : -1;
}

function findNatively(block: Buffer, from: number, end: number, bytes: Buffer): number {
  const at = block.subarray(from, end).indexOf(bytes);
  return at === -1 ? -1 : from + at + bytes.length;
}

function matches(block: Buffer, at: number, bytes: Buffer): boolean {
  for (let i = 1; i < bytes.length; i++) if (block[at + i] !== bytes[i]) return false;
  return true;
}
