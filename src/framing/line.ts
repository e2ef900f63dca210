import type { ReadEntry } from "../pump/read-entry.js";
import { endOfLine } from "../pump/read-queue.js";
import type { ReceiveBuffer } from "../pump/receive-buffer.js";

export function takeLine(entry: ReadEntry, buffer: ReceiveBuffer, count: number): string {
  const { block, start } = buffer;
  const encoding = (entry.target as BufferEncoding | null) ?? "utf8";
  const text = block.toString(encoding, start, endOfLine(block, start, start + count));
  buffer.drop(count);
  return text;
}
