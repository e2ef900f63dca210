import { type Address, withoutZone } from "../base/address.js";
import { ACK, FIN, MOST_PAYLOAD, packet, type PacketEnd, PSH, RST, type Segment, SYN } from "./packet.js";

export type Direction = "sent" | "received";

/** Takes the packets of a conversation. */
export type PacketTaker = (packet: Buffer, direction: Direction, comment?: string) => void;

const NOTHING = new Uint8Array(0);
/** Addresses for what has none, such as Unix-domain sockets and streams: those of RFC 5737, which nobody has. */
const OURS = "192.0.2.1";
const THEIRS = "192.0.2.2";
const FIRST_PORT = 49_152;
const PORTS = 16_384;

interface Half {
  readonly end: PacketEnd;
  /** The number of the next byte that this side sends. */
  next: number;
  hasEnded: boolean;
}

/** One connection as packets: a handshake, segments that are acknowledged at once, FINs, or a RST. */
export class Conversation {
  readonly #take: PacketTaker;
  readonly #halves: Readonly<Record<Direction, Half>>;
  #isReset = false;

  /** @param id distinguishes conversations that have no addresses of their own */
  constructor(local: Address | undefined, remote: Address | undefined, id: number, take: PacketTaker) {
    this.#take = take;
    const [ours, theirs] = ends(local, remote, id);
    const half = (end: PacketEnd): Half => ({ end, next: 0, hasEnded: false });
    this.#halves = { sent: half(ours), received: half(theirs) };
  }

  /** The handshake. @param begins the direction of the side that connects */
  open(begins: Direction, comment: string): void {
    this.#send(begins, SYN, NOTHING, comment);
    this.#send(other(begins), SYN | ACK);
    this.#send(begins, ACK);
  }

  /** A chunk, of which the last segment has a PSH, and no other one has. */
  data(direction: Direction, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += MOST_PAYLOAD) {
      const isLast = at + MOST_PAYLOAD >= bytes.length;
      this.#send(direction, isLast ? ACK | PSH : ACK, bytes.subarray(at, at + MOST_PAYLOAD));
      this.#send(other(direction), ACK);
    }
  }

  end(direction: Direction): void {
    const half = this.#halves[direction];
    if (half.hasEnded || this.#isReset) return;
    half.hasEnded = true;
    this.#send(direction, FIN | ACK);
    this.#send(other(direction), ACK);
  }

  /** Unless both sides have ended, a RST of this one. */
  reset(direction: Direction): void {
    const { sent, received } = this.#halves;
    if (this.#isReset || (sent.hasEnded && received.hasEnded)) return;
    this.#isReset = true;
    this.#send(direction, RST | ACK);
  }

  #send(direction: Direction, flags: number, payload: Uint8Array = NOTHING, comment?: string): void {
    const from = this.#halves[direction];
    const to = this.#halves[other(direction)];
    const segment: Segment = { seq: from.next, ack: (flags & ACK) === 0 ? 0 : to.next, flags, payload };
    const counted = payload.length + ((flags & (SYN | FIN)) === 0 ? 0 : 1);
    from.next = (from.next + counted) % 2 ** 32;
    this.#take(packet(from.end, to.end, segment), direction, comment);
  }
}

export function other(direction: Direction): Direction {
  return direction === "sent" ? "received" : "sent";
}

function ends(local: Address | undefined, remote: Address | undefined, id: number): [PacketEnd, PacketEnd] {
  const [ours, theirs] = [ipEnd(local), ipEnd(remote)];
  if (ours !== null && theirs?.family === ours.family) return [ours, theirs];
  const made = { family: "IPv4", port: FIRST_PORT + (id % PORTS) } as const;
  return [
    { ...made, address: OURS },
    { ...made, address: THEIRS },
  ];
}

function ipEnd(address: Address | undefined): PacketEnd | null {
  if (address === undefined || address.family === "unix") return null;
  return { ...address, address: withoutZone(address.address) };
}
