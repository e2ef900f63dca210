/**
 * How many of the bytes form complete characters; the bytes behind them begin a character that is not complete. Bytes
 * that can never form a character count as complete, and decoding shows them as U+FFFD.
 */
export function completeCharacters(block: Buffer, start: number, end: number, encoding: BufferEncoding): number {
  const count = end - start;
  switch (encoding) {
    case "utf8":
    case "utf-8":
      return count - openUtf8(block, start, end);
    case "utf16le":
    case "utf-16le":
    case "ucs2":
    case "ucs-2":
      return count - openUtf16(block, count, end);
    case "base64":
    case "base64url":
      return count - (count % 3);
    default:
      return count;
  }
}

/** How many bytes at the end begin a UTF-8 character (RFC 3629, section 4) without completing it. */
function openUtf8(block: Buffer, start: number, end: number): number {
  for (let back = 1; back <= Math.min(3, end - start); back++) {
    const lead = block[end - back] ?? 0;
    if ((lead & 0xc0) === 0x80) continue;
    const mayGoOn = back === 1 || maySecond(lead, block[end - back + 1] ?? 0);
    return mayGoOn && utf8Length(lead) > back ? back : 0;
  }
  return 0;
}

function utf8Length(lead: number): number {
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  return lead >= 0xc2 && lead <= 0xdf ? 2 : 1;
}

/** Whether the second byte is valid: overlong forms, surrogates and characters beyond U+10FFFF are not. */
function maySecond(lead: number, second: number): boolean {
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  return second >= low && second <= high;
}

function openUtf16(block: Buffer, count: number, end: number): number {
  const odd = count % 2;
  const high = count - odd < 2 ? 0 : (block[end - odd - 1] ?? 0);
  const opensPair = (high & 0xfc) === 0xd8;
  return odd + (opensPair ? 2 : 0);
}
