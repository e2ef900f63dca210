/** Reads the packets of a capture file in the format pcapng: of this library, of Wireshark, of `dumpcap` or `tshark`. */

/** The kinds of links whose packets are understood: IP without a link header, and Ethernet. */
export type Link = "raw" | "ethernet";

export interface CapturedPacket {
  /** In milliseconds since any origin. */
  readonly timeMs: number;
  readonly link: Link;
  readonly bytes: Buffer;
  /** Which way it went, as seen by who captured it; undefined if the file does not say. */
  readonly direction: "inbound" | "outbound" | undefined;
}

interface Interface {
  /** Undefined for a kind of link that is not understood. */
  readonly link: Link | undefined;
  readonly unitsPerMs: number;
}

const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE = 1;
const ENHANCED_PACKET = 6;
const BYTE_ORDER = 0x1a2b3c4d;
const LINKS: Readonly<Record<number, Link>> = { 1: "ethernet", 101: "raw", 228: "raw", 229: "raw" };
const OPTION_RESOLUTION = 9;
const OPTION_FLAGS = 2;

/** @throws Error for what is no such file, or is cut short */
export function readPackets(file: Buffer): CapturedPacket[] {
  const packets: CapturedPacket[] = [];
  let interfaces: Interface[] = [];
  let isLittle = true;
  for (let at = 0; at < file.length;) {
    if (at + 12 > file.length) throw wrong("it ends within a block");
    const isSection = file.readUInt32LE(at) === SECTION_HEADER;
    if (at === 0 && !isSection) throw wrong("it does not begin with the header of a section");
    if (isSection) {
      isLittle = file.readUInt32LE(at + 8) === BYTE_ORDER;
      interfaces = [];
    }
    const reader = new BlockReader(file, at, isLittle);
    if (reader.type === INTERFACE) interfaces.push(interfaceIn(reader));
    else if (reader.type === ENHANCED_PACKET) addPacket(packets, reader, interfaces);
    at += reader.length;
  }
  return packets;
}

/** One block, read in the byte order of its section. */
class BlockReader {
  readonly type: number;
  readonly length: number;
  readonly #body: Buffer;
  readonly #isLittle: boolean;

  constructor(file: Buffer, at: number, isLittle: boolean) {
    this.#isLittle = isLittle;
    this.#body = file.subarray(at);
    this.type = this.u32(-8);
    this.length = this.u32(-4);
    if (this.length < 12 || this.length % 4 !== 0 || at + this.length > file.length)
      throw wrong("it ends within a block");
    this.#body = file.subarray(at, at + this.length - 4);
  }

  /** @param at counted from behind the type and the length */
  u16(at: number): number {
    const bytes = this.bytes(at, 2);
    return this.#isLittle ? bytes.readUInt16LE() : bytes.readUInt16BE();
  }

  u32(at: number): number {
    const bytes = this.bytes(at, 4);
    return this.#isLittle ? bytes.readUInt32LE() : bytes.readUInt32BE();
  }

  bytes(at: number, length: number): Buffer {
    if (at + 8 + length > this.#body.length) throw wrong("a length in a block is too long");
    return this.#body.subarray(at + 8, at + 8 + length);
  }

  /** Where the value of an option is; undefined if there is none. @param at where the options begin */
  option(at: number, wanted: number): number | undefined {
    while (at + 12 <= this.#body.length) {
      const code = this.u16(at);
      if (code === 0) return undefined;
      if (code === wanted) return at + 4;
      at += 4 + padded(this.u16(at + 2));
    }
    return undefined;
  }
}

function interfaceIn(reader: BlockReader): Interface {
  const at = reader.option(8, OPTION_RESOLUTION);
  const resolution = at === undefined ? 6 : (reader.bytes(at, 1)[0] ?? 6);
  const unitsPerSecond = resolution < 128 ? 10 ** resolution : 2 ** (resolution - 128);
  return { link: LINKS[reader.u16(0)], unitsPerMs: unitsPerSecond / 1000 };
}

function addPacket(packets: CapturedPacket[], reader: BlockReader, interfaces: readonly Interface[]): void {
  const { link, unitsPerMs } = interfaces[reader.u32(0)] ?? { link: undefined, unitsPerMs: 1 };
  if (link === undefined) return;
  const [captured, original] = [reader.u32(12), reader.u32(16)];
  if (captured < original) throw wrong("its packets are not whole; capture them with all of their bytes");
  const at = reader.option(20 + padded(captured), OPTION_FLAGS);
  const way = at === undefined ? 0 : reader.u32(at) & 3;
  packets.push({
    timeMs: (reader.u32(4) * 2 ** 32 + reader.u32(8)) / unitsPerMs,
    link,
    bytes: reader.bytes(20, captured),
    direction: way === 1 ? "inbound" : way === 2 ? "outbound" : undefined,
  });
}

function padded(length: number): number {
  return Math.ceil(length / 4) * 4;
}

function wrong(why: string): Error {
  return new Error(`The capture cannot be read: ${why}`);
}
