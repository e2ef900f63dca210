import { checkBoolean, checkOneOf, wrongType } from "../base/checks.js";
import type { FrameOptions } from "../socket/read-options.js";

export function readLength(block: Buffer, offset: number, { lengthBytes, littleEndian }: FrameHeader): number {
  if (lengthBytes === 4) return littleEndian ? block.readUInt32LE(offset) : block.readUInt32BE(offset);
  if (lengthBytes === 8) {
    return Number(littleEndian ? block.readBigUInt64LE(offset) : block.readBigUInt64BE(offset));
  }
  return littleEndian ? block.readUIntLE(offset, lengthBytes) : block.readUIntBE(offset, lengthBytes);
}

export interface FrameHeader {
  readonly lengthBytes: number;
  readonly littleEndian: boolean;
  readonly lengthIncludesHeader: boolean;
}

const LENGTH_BYTES = [1, 2, 3, 4, 5, 6, 8] as const;

const NETWORK_ORDER_4: FrameHeader = { lengthBytes: 4, littleEndian: false, lengthIncludesHeader: false };

export function frameHeader(options: FrameOptions): FrameHeader {
  const { lengthBytes, littleEndian, lengthIncludesHeader } = options;
  if (lengthBytes === 4 && littleEndian === undefined && lengthIncludesHeader === undefined) return NETWORK_ORDER_4;
  if (typeof lengthBytes !== "number") throw wrongType("lengthBytes", "a number", lengthBytes);
  return {
    lengthBytes: checkOneOf("lengthBytes", lengthBytes, LENGTH_BYTES, 4),
    littleEndian: checkBoolean("littleEndian", littleEndian, false),
    lengthIncludesHeader: checkBoolean("lengthIncludesHeader", lengthIncludesHeader, false),
  };
}
