/** A TCP segment in an IP packet, as it might have been on the wire: RFC 791, RFC 8200, RFC 9293. */

import { ipv4Bytes, ipv6Bytes } from "../base/ip-bytes.js";

/** An end of a connection, as a packet names it. */
export interface PacketEnd {
  readonly family: "IPv4" | "IPv6";
  readonly address: string;
  readonly port: number;
}

export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;

/** The most that fits into one packet of either family, behind its headers. */
export const MOST_PAYLOAD = 65_495;

export interface Segment {
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

const TCP = 6;
const HOP_LIMIT = 64;
/** The segment size, and a window of a gibibyte, so that no reader of the capture finds the window full. */
const SYN_OPTIONS = Buffer.from([2, 4, MOST_PAYLOAD >> 8, MOST_PAYLOAD & 0xff, 1, 3, 3, 14]);
const NO_OPTIONS = Buffer.alloc(0);
const WINDOW = 65_535;

/** Both ends must be of the same family. */
export function packet(from: PacketEnd, to: PacketEnd, segment: Segment): Buffer {
  const tcp = tcpSegment(from, to, segment);
  return from.family === "IPv4" ? inIPv4(from, to, tcp) : inIPv6(from, to, tcp);
}

function tcpSegment(from: PacketEnd, to: PacketEnd, { seq, ack, flags, payload }: Segment): Buffer {
  const options = (flags & SYN) !== 0 ? SYN_OPTIONS : NO_OPTIONS;
  const headerLength = 20 + options.length;
  const tcp = Buffer.alloc(headerLength + payload.length);
  tcp.writeUInt16BE(from.port, 0);
  tcp.writeUInt16BE(to.port, 2);
  tcp.writeUInt32BE(seq, 4);
  tcp.writeUInt32BE(ack, 8);
  tcp.writeUInt8((headerLength / 4) << 4, 12);
  tcp.writeUInt8(flags, 13);
  tcp.writeUInt16BE(WINDOW, 14);
  options.copy(tcp, 20);
  tcp.set(payload, headerLength);
  const ends = Buffer.concat([addressBytes(from), addressBytes(to)]);
  const pseudo = Buffer.alloc(4);
  pseudo.writeUInt16BE(TCP, 0);
  pseudo.writeUInt16BE(tcp.length, 2);
  tcp.writeUInt16BE(checksum(ends, pseudo, tcp), 16);
  return tcp;
}

function inIPv4(from: PacketEnd, to: PacketEnd, tcp: Buffer): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45, 0);
  header.writeUInt16BE(header.length + tcp.length, 2);
  header.writeUInt16BE(0x4000, 6); // not to be fragmented
  header.writeUInt8(HOP_LIMIT, 8);
  header.writeUInt8(TCP, 9);
  addressBytes(from).copy(header, 12);
  addressBytes(to).copy(header, 16);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, tcp]);
}

function inIPv6(from: PacketEnd, to: PacketEnd, tcp: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt8(0x60, 0);
  header.writeUInt16BE(tcp.length, 4);
  header.writeUInt8(TCP, 6);
  header.writeUInt8(HOP_LIMIT, 7);
  return Buffer.concat([header, addressBytes(from), addressBytes(to), tcp]);
}

function addressBytes({ family, address }: PacketEnd): Buffer {
  return family === "IPv4" ? ipv4Bytes(address) : ipv6Bytes(address);
}

/** The checksum of the Internet (RFC 1071). Only the last part may have an odd length. */
function checksum(...parts: readonly Buffer[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let at = 0; at + 1 < part.length; at += 2) sum += part.readUInt16BE(at);
    if (part.length % 2 === 1) sum += (part.at(-1) ?? 0) << 8;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}
