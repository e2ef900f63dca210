const WIDTH = 16;

/** Bytes as lines of hexadecimal numbers and text, each behind a mark and the offset of its first byte. */
export function hexDump(bytes: Uint8Array, offset: number, mark: string): string {
  let lines = "";
  for (let at = 0; at < bytes.length; at += WIDTH) {
    const part = [...bytes.subarray(at, at + WIDTH)];
    const numbers = part.map((byte) => byte.toString(16).padStart(2, "0"));
    const columns = `${numbers.slice(0, 8).join(" ")}  ${numbers.slice(8).join(" ")}`.padEnd(3 * WIDTH);
    const text = part.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    lines += `${mark} ${(offset + at).toString(16).padStart(8, "0")}  ${columns} |${text}|\n`;
  }
  return lines;
}
