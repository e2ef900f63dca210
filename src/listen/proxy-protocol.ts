/**
 * The PROXY protocol, versions 1 and 2, as HAProxy's proxy-protocol.txt has it: what a load balancer sends ahead of
 * everything else, to tell whose connection it passes on.
 *
 * The parser keeps no state: it is given all that has come, and may be asked again with more. Its answer depends on the
 * bytes alone, never on how they came: once it has found a header or an error, more bytes do not change that. It never
 * throws, and looks at no byte outside of what it was given.
 */

import type { Address, ProxiedAddresses } from "../base/address.js";
import { show } from "../base/checks.js";
import { ipFamily, ipv4Text, ipv6Bytes, ipv6Text, isMapped } from "../base/ip-bytes.js";
import { BadTLV, readTLVs, V2_FIXED_BYTES, V2_MAX_BYTES, V2_SIGNATURE } from "../base/proxy-tlvs.js";

export { V2_MAX_BYTES };

/** What a header says. */
export interface ProxyHeader {
  /** `"LOCAL"`: the connection is the proxy's own, such as a health check; the real addresses count. */
  readonly command: "LOCAL" | "PROXY";
  /** Who connected to the proxy, and where to. Null where it does not say (LOCAL, UNKNOWN, UNSPEC): the real ones count. */
  readonly proxied: ProxiedAddresses | null;
}

export type ProxyHeaderResult =
  /** What has come is the beginning of a header. */
  | { readonly state: "more" }
  /** A whole one, of `length` bytes; what follows is the application's. */
  | { readonly state: "header"; readonly length: number; readonly header: ProxyHeader }
  /** It is none, and will be none. `message` says why: what follows a colon, without a full stop. */
  | { readonly state: "error"; readonly message: string };

/** Of version 1, its CR LF counted: the specification's own bound. */
export const V1_MAX_BYTES = 107;

const V1_BEGINNING = Buffer.from("PROXY ");

const MORE: ProxyHeaderResult = { state: "more" };

/**
 * Looks for a header at the start of `buffer[start … end)`.
 *
 * @param start the first byte; beyond the buffer there is nothing. @default 0
 * @param end behind the last byte that has come. @default all of the buffer
 */
export function parseProxyHeader(buffer: Uint8Array, start = 0, end = buffer.length): ProxyHeaderResult {
  const from = Math.min(Math.max(0, start), buffer.length);
  const length = Math.max(0, Math.min(end, buffer.length) - from);
  const bytes = Buffer.from(buffer.buffer, buffer.byteOffset + from, length);
  if (beginsLike(bytes, V1_BEGINNING)) return bytes.length < V1_BEGINNING.length ? MORE : parseV1(bytes);
  if (beginsLike(bytes, V2_SIGNATURE)) return bytes.length < V2_FIXED_BYTES ? checkV2(bytes) : parseV2(bytes);
  return failure("it begins neither with PROXY nor with the signature of version 2");
}

/** Whether the one is the beginning of the other, whichever is longer. */
function beginsLike(bytes: Buffer, expected: Buffer): boolean {
  const length = Math.min(bytes.length, expected.length);
  return bytes.compare(expected, 0, length, 0, length) === 0;
}

function failure(message: string): ProxyHeaderResult {
  return { state: "error", message };
}

function found(length: number, command: ProxyHeader["command"]): ProxyHeaderResult {
  return { state: "header", length, header: { command, proxied: null } };
}

function foundProxied(length: number, proxied: ProxiedAddresses): ProxyHeaderResult {
  return { state: "header", length, header: { command: "PROXY", proxied } };
}

// -------------------------------------------------------------------- version 1: a line of text

function parseV1(bytes: Buffer): ProxyHeaderResult {
  const within = bytes.subarray(0, V1_MAX_BYTES);
  const lineBytes = within.indexOf("\r\n");
  if (lineBytes === -1) {
    return within.length < V1_MAX_BYTES ? MORE : failure(`it has no CR LF within ${V1_MAX_BYTES} bytes`);
  }
  const length = lineBytes + 2;
  const fields = within.toString("latin1", V1_BEGINNING.length, lineBytes).split(" ");
  const [protocol = "", sourceAddress = "", destinationAddress = "", sourcePort = "", destinationPort = ""] = fields;
  if (protocol === "UNKNOWN") return found(length, "PROXY");
  if (protocol !== "TCP4" && protocol !== "TCP6") {
    return failure(`expected TCP4, TCP6 or UNKNOWN after PROXY, got ${printable(protocol)}`);
  }
  if (fields.length !== 5) {
    return failure(`expected two addresses and two ports, one space between them, got ${fields.length - 1} fields`);
  }
  const family = protocol === "TCP4" ? "IPv4" : "IPv6";
  const source = textAddress(family, sourceAddress, sourcePort);
  if (typeof source === "string") return failure(`its source: ${source}`);
  const destination = textAddress(family, destinationAddress, destinationPort);
  if (typeof destination === "string") return failure(`its destination: ${destination}`);
  return foundProxied(length, { local: destination, remote: source });
}

/** An address, or what is wrong with it. */
function textAddress(family: "IPv4" | "IPv6", address: string, portText: string): Address | string {
  if (ipFamily(address) !== family) return `expected an ${family} address, got ${printable(address)}`;
  const port = /^(?:0|[1-9][0-9]{0,4})$/.test(portText) ? Number(portText) : Infinity;
  if (port > 65_535) return `expected a port from 0 to 65535 without leading zeros, got ${printable(portText)}`;
  return family === "IPv4" ? { family, address, port } : ipv6Address(ipv6Bytes(address), port);
}

/** What a stranger sent goes into logs: no control characters, and not too much of it. */
function printable(text: string): string {
  return show(text.replace(/[^\x20-\x7e]/g, "?"));
}

// -------------------------------------------------------------------- version 2: bytes
//
//   0            12         13                  14      16            16 + size
//   ┌────────────┬──────────┬───────────────────┬───────┬─────────────┬──────┐
//   │ signature  │ 2, cmd   │ family, transport │ size  │ addresses   │ TLVs │
//   └────────────┴──────────┴───────────────────┴───────┴─────────────┴──────┘

const LOCAL = 0;
const PROXY = 1;
/** Of transports: with it there are no addresses. Whether it is STREAM (1) or DGRAM (2) makes no difference to them. */
const UNSPEC = 0;
const LAST_TRANSPORT = 2;

interface Family {
  readonly name: string;
  readonly bytes: number;
  readonly read: (block: Buffer, index: 0 | 1) => Address;
}

/** By the number that stands for it; null: UNSPEC. */
const FAMILIES: readonly (Family | null)[] = [
  null,
  { name: "IPv4", bytes: 12, read: ipv4At },
  { name: "IPv6", bytes: 36, read: ipv6At },
  { name: "unix", bytes: 216, read: unixAt },
];

function parseV2(bytes: Buffer): ProxyHeaderResult {
  const wrong = checkV2(bytes);
  if (wrong.state === "error") return wrong;
  const size = bytes.readUInt16BE(14);
  const length = V2_FIXED_BYTES + size;
  if (length > V2_MAX_BYTES) return failure(`it announces ${length} bytes, more than ${V2_MAX_BYTES}`);
  const family = addressesOf(bytes);
  if (family !== null && size < family.bytes) {
    return failure(`its ${family.name} addresses need ${family.bytes} bytes, and it announces ${size}`);
  }
  if (bytes.length < length) return MORE;
  if (family === null) return found(length, commandOf(bytes) === LOCAL ? "LOCAL" : "PROXY");
  return withTLVs(bytes.subarray(0, length), family);
}

/** @param header a whole header with addresses */
function withTLVs(header: Buffer, family: Family): ProxyHeaderResult {
  const block = header.subarray(V2_FIXED_BYTES);
  const ends = { local: family.read(block, 1), remote: family.read(block, 0) };
  if (block.length === family.bytes) return foundProxied(header.length, ends);
  try {
    return foundProxied(header.length, { ...ends, tlvs: readTLVs(header, V2_FIXED_BYTES + family.bytes) });
  } catch (error) {
    if (error instanceof BadTLV) return failure(error.message);
    throw error;
  }
}

/** What can be told of the bytes 12 and 13, as soon as they are there. Of a LOCAL connection the family is ignored. */
function checkV2(bytes: Buffer): ProxyHeaderResult {
  if (bytes.length <= 12) return MORE;
  const version = bytes.readUInt8(12) >> 4;
  if (version !== 2) return failure(`expected version 2 behind the signature of version 2, got ${version}`);
  const command = commandOf(bytes);
  if (command !== LOCAL && command !== PROXY) return failure(`expected the command 0 or 1, got ${command}`);
  if (bytes.length <= 13 || command === LOCAL) return MORE;
  if (familyOf(bytes) === undefined)
    return failure(`expected an address family from 0 to 3, got ${bytes.readUInt8(13) >> 4}`);
  if (transportOf(bytes) > LAST_TRANSPORT)
    return failure(`expected a transport from 0 to 2, got ${transportOf(bytes)}`);
  return MORE;
}

function commandOf(bytes: Buffer): number {
  return bytes.readUInt8(12) & 15;
}

function familyOf(bytes: Buffer): Family | null | undefined {
  return FAMILIES[bytes.readUInt8(13) >> 4];
}

/** What addresses there are, if they count. */
function addressesOf(bytes: Buffer): Family | null {
  const count = commandOf(bytes) !== LOCAL && transportOf(bytes) !== UNSPEC;
  return count ? (familyOf(bytes) ?? null) : null;
}

function transportOf(bytes: Buffer): number {
  return bytes.readUInt8(13) & 15;
}

function ipv4At(block: Buffer, index: 0 | 1): Address {
  const address = ipv4Text(block.subarray(index * 4, index * 4 + 4));
  return { family: "IPv4", address, port: block.readUInt16BE(8 + index * 2) };
}

function ipv6At(block: Buffer, index: 0 | 1): Address {
  return ipv6Address(block.subarray(index * 16, index * 16 + 16), block.readUInt16BE(32 + index * 2));
}

/** An IPv4 client that came in over a dual-stack socket is shown as IPv4, as everywhere. */
function ipv6Address(bytes: Buffer, port: number): Address {
  if (isMapped(bytes)) return { family: "IPv4", address: ipv4Text(bytes.subarray(12)), port };
  return { family: "IPv6", address: ipv6Text(bytes), port };
}

/** 108 bytes, filled up with NULs; a path that begins with one is an abstract name. */
function unixAt(block: Buffer, index: 0 | 1): Address {
  const field = block.subarray(index * 108, index * 108 + 108);
  const end = field.indexOf(0, 1);
  const path = field.toString("utf8", 0, end === -1 ? 108 : end);
  return { family: "unix", path: path === "\0" ? "" : path };
}
