/** The blocks of a capture file: pcapng, draft-ietf-opsawg-pcapng. All numbers are written in little-endian order. */

const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE = 1;
const ENHANCED_PACKET = 6;
const BYTE_ORDER = 0x1a2b3c4d;
/** Packets begin with an IPv4 or IPv6 header. */
const LINK_RAW = 101;

const OPTION_COMMENT = 1;
const OPTION_APPLICATION = 4;
const OPTION_FLAGS = 2;
const OPTION_NAME = 2;
const INBOUND = 1;
const OUTBOUND = 2;

/** What a file begins with: the byte order, and the one interface that all packets are of. */
export function fileHeader(): Buffer {
  const version = Buffer.concat([u32(BYTE_ORDER), u16(1), u16(0), Buffer.alloc(8, 0xff)]); // of unknown length
  const section = block(SECTION_HEADER, version, options([OPTION_APPLICATION, Buffer.from("asyncsocket")]));
  const name = Buffer.from("asyncsocket, the clear side of TLS");
  const link = block(INTERFACE, u16(LINK_RAW), u16(0), u32(0), options([OPTION_NAME, name]));
  return Buffer.concat([section, link]);
}

/** @param timeMs since 1970, in parts of a millisecond, too */
export function packetBlock(packet: Uint8Array, timeMs: number, isOutbound: boolean, comment?: string): Buffer {
  const micros = Math.round(timeMs * 1000);
  const times = [u32(Math.floor(micros / 2 ** 32)), u32(micros % 2 ** 32)];
  const flags: [number, Buffer] = [OPTION_FLAGS, u32(isOutbound ? OUTBOUND : INBOUND)];
  const more: [number, Buffer][] = comment === undefined ? [] : [[OPTION_COMMENT, Buffer.from(comment)]];
  const lengths = [u32(packet.length), u32(packet.length)];
  return block(ENHANCED_PACKET, u32(0), ...times, ...lengths, padded(packet), options(...more, flags));
}

/** A block has its length on both sides. */
function block(type: number, ...parts: readonly Uint8Array[]): Buffer {
  const length = u32(12 + parts.reduce((sum, part) => sum + part.length, 0));
  return Buffer.concat([u32(type), length, ...parts, length]);
}

function options(...given: readonly (readonly [code: number, value: Buffer])[]): Buffer {
  const parts = given.flatMap(([code, value]) => [u16(code), u16(value.length), padded(value)]);
  return Buffer.concat([...parts, u32(0)]);
}

/** Everything begins at a multiple of four bytes. */
function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
