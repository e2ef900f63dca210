import type { ReadEntry } from "../pump/read-entry.js";
import { MORE, OVER_LIMIT } from "../pump/read-queue.js";
import type { ReceiveBuffer } from "../pump/receive-buffer.js";
import { completeCharacters } from "./text.js";

export function measureSome(entry: ReadEntry, buffer: ReceiveBuffer): number {
  const { ready } = buffer;
  if (ready === 0 || (ready < entry.length && ready < buffer.length)) return MORE;
  const count = Math.min(ready, entry.length);
  if (typeof entry.target !== "string") return count;
  const whole = completeCharacters(buffer.block, buffer.start, buffer.start + count, entry.target);
  if (whole > 0) return whole;
  return count === entry.length ? OVER_LIMIT : MORE;
}
