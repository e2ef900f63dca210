/** The search for where a read ends, resumable: it never looks twice at bytes that cannot start a match. */

/** One byte sequence to look for. */
export interface Delimiter {
  readonly bytes: Buffer;
  readonly first: number;
}

/** What `readUntil` looks for; the one that ends first wins. */
export interface DelimiterSet {
  readonly delimiters: readonly Delimiter[];
  /** Lengths of the longest and the shortest one. */
  readonly longest: number;
  readonly shortest: number;
}

export function delimiterSet(sequences: readonly Buffer[]): DelimiterSet {
  const delimiters = sequences.map((bytes) => ({ bytes, first: bytes[0] ?? 0 }));
  let longest = 0;
  let shortest = Infinity;
  for (const { length } of sequences) {
    longest = Math.max(longest, length);
    shortest = Math.min(shortest, length);
  }
  return { delimiters, longest, shortest };
}

const FALSE_STARTS = 8;
/** Fewer bytes than a native call costs. */
const LOOP_BYTES = 16;
/** Bytes behind the end that the native search may see in vain. */
const SLACK = 1024;
const FIRST_STEP = 256;

/**
 * Where the first delimiter ends.
 * @param from where to begin; a match may have begun up to `longest - 1` bytes before what was searched last time
 * @param end bytes from here on are not looked at
 * @returns the index behind the delimiter, or -1
 */
export function findEnd(block: Buffer, from: number, end: number, set: DelimiterSet): number {
  const { delimiters } = set;
  const only = delimiters.length === 1 ? delimiters[0] : undefined;
  if (only !== undefined) return findOne(block, from, end, only);
  // In steps, so that a delimiter which never comes does not cost a look at everything for each message found.
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
  if (bytes.length === 1) return at === -1 ? -1 : at + 1;
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
  // The native search has no end: beyond ours it could run through a large block again for each byte that comes.
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
