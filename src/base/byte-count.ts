/** How many bytes the parts have in all. */
export function byteCount(parts: readonly Uint8Array[]): number {
  let count = 0;
  for (const part of parts) count += part.length;
  return count;
}
