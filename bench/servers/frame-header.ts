/** The header of a frame, made by all contenders in the same way: it is part of the reply, not of what is compared. */
import { HEADER_BYTES } from "../workloads.js";

export function frameHeader(length: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(length, 0);
  return header;
}
