/** From captured packets to what each side of each connection has sent, in order. */

import { ipv4Text, ipv6Text } from "../base/ip-bytes.js";
import { type CapturedPacket, readPackets } from "./pcapng-reader.js";

export type Side = "client" | "server";

/** Something that a side did, and when. */
export interface Step {
  readonly side: Side;
  /** In milliseconds since the first packet of the connection. */
  readonly atMs: number;
  /** The bytes of a chunk; undefined for an end. */
  readonly bytes?: Buffer;
  readonly end?: "FIN" | "RST";
}

export interface CapturedConnection {
  readonly client: string;
  readonly server: string;
  readonly steps: readonly Step[];
  /** The side that was recorded; undefined if the file does not say. */
  readonly recorded: Side | undefined;
}

interface Segment {
  readonly from: string;
  readonly to: string;
  readonly seq: number;
  readonly flags: number;
  readonly payload: Buffer;
}

const ETHERTYPES: Readonly<Record<number, 4 | 6>> = { 0x0800: 4, 0x86dd: 6 };
const TCP = 6;
const [FIN, SYN, RST, PSH, ACK] = [1, 2, 4, 8, 16] as const;

/** The connections of a capture, in the order in which they began. @throws Error */
export function readConnections(file: Buffer): CapturedConnection[] {
  const all: Assembly[] = [];
  for (const packet of readPackets(file)) {
    const segment = segmentIn(packet);
    if (segment === null) continue;
    const isNew = (segment.flags & (SYN | ACK)) === SYN;
    let assembly = isNew ? undefined : all.findLast((one) => one.isOf(segment));
    if (assembly === undefined) all.push((assembly = new Assembly(segment, packet.timeMs)));
    assembly.add(segment, packet);
  }
  for (const assembly of all) assembly.finish();
  return all;
}

/** The TCP segment of a packet; null if it has none. */
function segmentIn({ link, bytes }: CapturedPacket): Segment | null {
  const ip = link === "ethernet" ? behindEthernet(bytes) : bytes;
  if (ip === null || ip.length < 40) return null;
  const isFour = ip.readUInt8(0) >> 4 === 4;
  if (ip.readUInt8(isFour ? 9 : 6) !== TCP) return null;
  const [at, end] = isFour ? [(ip.readUInt8(0) & 15) * 4, ip.readUInt16BE(2)] : [40, 40 + ip.readUInt16BE(4)];
  const tcp = ip.subarray(at, end);
  if (tcp.length < 20) return null;
  const [from, to] = isFour
    ? [ipv4Text(ip.subarray(12, 16)), ipv4Text(ip.subarray(16, 20))]
    : [ipv6Text(ip.subarray(8, 24)), ipv6Text(ip.subarray(24, 40))].map((address) => `[${address}]`);
  return {
    from: `${from ?? ""}:${tcp.readUInt16BE(0)}`,
    to: `${to ?? ""}:${tcp.readUInt16BE(2)}`,
    seq: tcp.readUInt32BE(4),
    flags: tcp.readUInt8(13),
    payload: tcp.subarray((tcp.readUInt8(12) >> 4) * 4),
  };
}

/** The packet behind an Ethernet header, which may have a VLAN tag. */
function behindEthernet(frame: Buffer): Buffer | null {
  if (frame.length < 18) return null;
  const at = frame.readUInt16BE(12) === 0x8100 ? 18 : 14;
  return ETHERTYPES[frame.readUInt16BE(at - 2)] === undefined ? null : frame.subarray(at);
}

/** One side's stream, put together. */
interface Stream {
  /** The number of the next byte; undefined before the first segment. */
  next: number | undefined;
  /** The segments of a chunk whose PSH has not come, and the time of the first. */
  parts: Buffer[];
  atMs: number;
}

class Assembly implements CapturedConnection {
  readonly client: string;
  readonly server: string;
  readonly steps: Step[] = [];
  recorded: Side | undefined;
  readonly #startMs: number;
  readonly #streams: Readonly<Record<Side, Stream>>;

  /** Who sent the first packet is the client, unless that is the answer to a SYN that was not captured. */
  constructor({ from, to, flags }: Segment, timeMs: number) {
    const isAnswer = (flags & (SYN | ACK)) === (SYN | ACK);
    this.client = isAnswer ? to : from;
    this.server = isAnswer ? from : to;
    this.#startMs = timeMs;
    const stream = (): Stream => ({ next: undefined, parts: [], atMs: 0 });
    this.#streams = { client: stream(), server: stream() };
  }

  isOf({ from, to }: Segment): boolean {
    const { client, server } = this;
    return (from === client && to === server) || (from === server && to === client);
  }

  add({ from, seq, flags, payload }: Segment, { timeMs, direction }: CapturedPacket): void {
    const side: Side = from === this.client ? "client" : "server";
    if (direction !== undefined) this.recorded ??= direction === "outbound" ? side : other(side);
    const stream = this.#streams[side];
    const atMs = timeMs - this.#startMs;
    if ((flags & SYN) !== 0) {
      stream.next = (seq + 1) % 2 ** 32;
      return;
    }
    stream.next ??= seq;
    // How far ahead of what is known the segment begins; negative for one that was sent again.
    const ahead = (seq - stream.next) | 0;
    if (ahead > 0) throw new Error(`The capture cannot be replayed: a segment of the ${side} is missing, or late`);
    const fresh = payload.subarray(Math.min(payload.length, -ahead));
    if (fresh.length > 0) this.#addBytes(side, fresh, atMs, (flags & PSH) !== 0);
    const isEnd = (flags & (FIN | RST)) !== 0 && -ahead <= payload.length;
    if (isEnd) this.#addEnd(side, (flags & RST) === 0 ? "FIN" : "RST", atMs);
  }

  /** Hands on what no PSH has ended. */
  finish(): void {
    this.#flush("client");
    this.#flush("server");
  }

  /** Segments up to one with a PSH are a chunk, unless the other side says something before. */
  #addBytes(side: Side, bytes: Buffer, atMs: number, isWhole: boolean): void {
    this.#flush(other(side));
    const stream = this.#streams[side];
    if (stream.parts.length === 0) stream.atMs = atMs;
    stream.parts.push(bytes);
    stream.next = ((stream.next ?? 0) + bytes.length) % 2 ** 32;
    if (isWhole) this.#flush(side);
  }

  #flush(side: Side): void {
    const stream = this.#streams[side];
    if (stream.parts.length === 0) return;
    this.steps.push({ side, atMs: stream.atMs, bytes: Buffer.concat(stream.parts) });
    stream.parts = [];
  }

  #addEnd(side: Side, end: "FIN" | "RST", atMs: number): void {
    this.#flush(side);
    const stream = this.#streams[side];
    stream.next = ((stream.next ?? 0) + 1) % 2 ** 32;
    this.steps.push({ side, atMs, end });
  }
}

export function other(side: Side): Side {
  return side === "client" ? "server" : "client";
}
