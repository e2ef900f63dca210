/** The PROXY header that a connection begins with: its options, checked, and its bytes. */

import { type Address, withoutZone } from "../base/address.js";
import { checkBoolean, checkInteger, checkOneOf, checkOptions, show, wrongRange, wrongType } from "../base/checks.js";
import { crc32c } from "../base/crc32c.js";
import { ipFamily, ipv4Bytes, ipv6Bytes, ipv6Text } from "../base/ip-bytes.js";
import { checkNames, type OptionNames } from "../base/option-names.js";
import * as wire from "../base/proxy-tlvs.js";

/** What to tell of the TLS connection between the client and this side. */
export interface SentTLS {
  /** Whether the client connected over TLS. @default true */
  isSecure?: boolean | undefined;
  /** Whether the client showed a certificate on this connection. @default false */
  certificateInConnection?: boolean | undefined;
  /** Whether the client showed a certificate at least once in the TLS session. @default false */
  certificateInSession?: boolean | undefined;
  /** 0 if this side has verified the certificate of the client, else any other number. @default 1 */
  verify?: number | undefined;
  /** The version of TLS, such as `"TLSv1.3"`. @default none */
  version?: string | undefined;
  /** The common name of the subject of the client's certificate. @default none */
  commonName?: string | undefined;
  /** The cipher. @default none */
  cipher?: string | undefined;
  /** The algorithm that signed the certificate that the client was shown. @default none */
  signatureAlgorithm?: string | undefined;
  /** The algorithm of the key of that certificate. @default none */
  keyAlgorithm?: string | undefined;
  /** The values of other types, by type. @default none */
  others?: ReadonlyMap<number, Uint8Array> | undefined;
}

/** The extensions (TLVs) to send. `socket.proxied.tlvs` of an accepted socket can be passed on as it is. */
export interface SentTLVs {
  /** The protocol that the client has negotiated, such as `"h2"`. @default none */
  alpn?: string | undefined;
  /**
   * The name that the client asked for. What a client has chosen is no reason to throw, so a name may be of any length;
   * but most receivers, this library among them, refuse a header with more than 255 bytes of `authority`, `alpn` or
   * `netns`.
   * @default none
   */
  authority?: string | undefined;
  /** An identifier of the connection, of at most 128 bytes. @default none */
  uniqueId?: Uint8Array | undefined;
  tls?: SentTLS | undefined;
  /** The name of the network namespace, in ASCII. @default none */
  netns?: string | undefined;
  /** Whether the header has a checksum. @default false */
  crc32c?: boolean | undefined;
  /** The values of other types, by type. @default none */
  others?: ReadonlyMap<number, Uint8Array> | undefined;
}

/** The PROXY header (HAProxy's proxy-protocol.txt) that a connection begins with. */
export interface ProxyHeaderOptions {
  /** 1 is a line of text, 2 is binary. */
  version: 1 | 2;
  /**
   * The address of the client: `remote` of the socket that it connected with, or `proxied.remote`. The zone of an IPv6
   * address is left out.
   *
   * Without `source` and `destination` the header names the two ends of this connection. Over a path or through a proxy
   * these mean nothing to the receiver, so it names none (`UNKNOWN`, `LOCAL`).
   * @default `local` of this connection
   */
  source?: Address | undefined;
  /**
   * The address that the client connected to: `local` of the socket that it connected with, or `proxied.local`. Over a
   * path or through a proxy, either both or none can be given, and so if one of them is a path. Where just one of them
   * is IPv6, the other is sent as an IPv4-mapped address; version 1 has no form for paths, and sends `UNKNOWN`.
   * @default `remote` of this connection
   */
  destination?: Address | undefined;
  /** Extensions, for version 2 only. @default none */
  tlvs?: SentTLVs | undefined;
}

const HEADER_OPTIONS: OptionNames<ProxyHeaderOptions> = { version: true, source: true, destination: true, tlvs: true };

const TLV_OPTIONS: OptionNames<SentTLVs> = {
  alpn: true,
  authority: true,
  uniqueId: true,
  tls: true,
  netns: true,
  crc32c: true,
  others: true,
};

const TLS_OPTIONS: OptionNames<SentTLS> = {
  isSecure: true,
  certificateInConnection: true,
  certificateInSession: true,
  verify: true,
  version: true,
  commonName: true,
  cipher: true,
  signatureAlgorithm: true,
  keyAlgorithm: true,
  others: true,
};

/** `ProxyHeaderOptions` after the checks. */
export interface ProxyHeader {
  readonly version: 1 | 2;
  /** Whether addresses that are undefined are those of the connection. */
  readonly namesOwnEnds: boolean;
  readonly source: Address | undefined;
  readonly destination: Address | undefined;
  /** The extensions as they are sent, without the checksum. */
  readonly tlvs: Buffer;
  readonly hasChecksum: boolean;
}

// -------------------------------------------------------------------- checks

const NAME = "proxyProtocol";
/** The space of a path. */
const PATH_BYTES = 108;
const CHECKSUM_BYTES = 7;
const IPV6_ENDS_BYTES = 36;

/** @param isDirect whether the ends of the connection are those that the receiver sees */
export function checkProxyHeader(given: ProxyHeaderOptions | undefined, isDirect: boolean): ProxyHeader | undefined {
  const options = checkOptions(given, NAME);
  if (options === undefined) return undefined;
  checkNames(`options of ${NAME}`, options, HEADER_OPTIONS);
  const version = needOneOf(`${NAME}.version`, options.version, [1, 2] as const);
  const source = checkEnd("source", options.source);
  const destination = checkEnd("destination", options.destination);
  checkPair(source, destination, isDirect);
  const tlvs = checkOptions(options.tlvs, `${NAME}.tlvs`) ?? {};
  checkNames(`names of ${NAME}.tlvs`, tlvs, TLV_OPTIONS);
  const hasChecksum = checkBoolean(`${NAME}.tlvs.crc32c`, tlvs.crc32c, false);
  const bytes = Buffer.concat(tlvParts(tlvs));
  const endsBytes = source && destination ? addressBlock({ source, destination })[1].length : IPV6_ENDS_BYTES;
  const space = wire.V2_MAX_BYTES - wire.V2_FIXED_BYTES - endsBytes - (hasChecksum ? CHECKSUM_BYTES : 0);
  if (bytes.length > space) throw wrongRange(`${NAME}.tlvs`, `at most ${space} bytes long`, bytes.length);
  if (version === 1 && (bytes.length > 0 || hasChecksum)) {
    throw new TypeError(`Expected ${NAME}.tlvs only with version 2, got version 1`);
  }
  return { version, namesOwnEnds: isDirect, source, destination, tlvs: bytes, hasChecksum };
}

/** As `checkOneOf`, for what has no default. */
function needOneOf<T>(name: string, value: unknown, allowed: readonly T[]): T {
  if (value === undefined) throw wrongType(name, allowed.map(show).join(" or "), value);
  return checkOneOf(name, value, allowed, allowed[0] as T);
}

function checkEnd(which: "source" | "destination", given: Address | undefined): Address | undefined {
  const name = `${NAME}.${which}`;
  const end = checkOptions(given, name);
  if (end === undefined) return undefined;
  if (end.family === "unix") return { family: "unix", path: checkEndPath(`${name}.path`, end.path) };
  const family = needOneOf(`${name}.family`, end.family, ["IPv4", "IPv6", "unix"] as const);
  if (typeof end.address !== "string") throw wrongType(`${name}.address`, "a string", end.address);
  const address = withoutZone(end.address);
  if (ipFamily(address) !== family) throw wrongRange(`${name}.address`, `an ${end.family} address`, end.address);
  return { family: end.family, address, port: checkInteger(`${name}.port`, end.port, 0, 65_535) };
}

function checkEndPath(name: string, path: unknown): string {
  if (typeof path !== "string") throw wrongType(name, "a string", path);
  if (Buffer.byteLength(path) > PATH_BYTES) throw wrongRange(name, `at most ${PATH_BYTES} bytes long`, path);
  if (path.includes("\0", 1)) throw wrongRange(name, "without NUL characters", path);
  return path;
}

/** Refuses what would leave out in silence an address that was given. */
function checkPair(source: Address | undefined, destination: Address | undefined, isDirect: boolean): void {
  const needsBoth = !isDirect || source?.family === "unix" || destination?.family === "unix";
  if (!needsBoth || (source === undefined && destination === undefined)) return;
  const kinds = [source, destination].map((end) =>
    end === undefined ? "none" : end.family === "unix" ? "a path" : "IP",
  );
  if (kinds[0] === kinds[1]) return;
  throw new TypeError(
    `Expected ${NAME}.source and ${NAME}.destination to be two paths or two IP addresses, got ${kinds.join(" and ")}`,
  );
}

// -------------------------------------------------------------------- extensions

function tlvParts(tlvs: SentTLVs): Buffer[] {
  const name = `${NAME}.tlvs`;
  const { uniqueId } = tlvs;
  return [
    ...textTLV(`${name}.alpn`, wire.ALPN, tlvs.alpn, "latin1"),
    ...textTLV(`${name}.authority`, wire.AUTHORITY, tlvs.authority, "utf8"),
    ...(uniqueId === undefined
      ? []
      : [tlv(wire.UNIQUE_ID, checkBytes(`${name}.uniqueId`, uniqueId, wire.UNIQUE_ID_MAX_BYTES))]),
    ...tlsTLV(tlvs.tls),
    ...textTLV(`${name}.netns`, wire.NETNS, tlvs.netns, "latin1"),
    ...otherTLVs(`${name}.others`, tlvs.others, KNOWN),
  ];
}

const KNOWN: readonly number[] = [
  wire.ALPN,
  wire.AUTHORITY,
  wire.CRC32C,
  wire.NOOP,
  wire.UNIQUE_ID,
  wire.TLS,
  wire.NETNS,
];
const KNOWN_IN_TLS: readonly number[] = [
  wire.NOOP,
  wire.TLS_VERSION,
  wire.TLS_COMMON_NAME,
  wire.TLS_CIPHER,
  wire.TLS_SIGNATURE_ALGORITHM,
  wire.TLS_KEY_ALGORITHM,
];

function tlsTLV(given: SentTLS | undefined): Buffer[] {
  const name = `${NAME}.tlvs.tls`;
  const tls = checkOptions(given, name);
  if (tls === undefined) return [];
  checkNames(`names of ${name}`, tls, TLS_OPTIONS);
  const bit = (key: "isSecure" | "certificateInConnection" | "certificateInSession", mask: number): number =>
    checkBoolean(`${name}.${key}`, tls[key], key === "isSecure") ? mask : 0;
  const fixed = Buffer.alloc(wire.TLS_FIXED_BYTES);
  fixed.writeUInt8(
    bit("isSecure", wire.CLIENT_TLS) |
      bit("certificateInConnection", wire.CLIENT_CERTIFICATE_CONNECTION) |
      bit("certificateInSession", wire.CLIENT_CERTIFICATE_SESSION),
  );
  fixed.writeUInt32BE(tls.verify === undefined ? 1 : checkInteger(`${name}.verify`, tls.verify, 0, 0xffff_ffff), 1);
  const parts = [
    fixed,
    ...textTLV(`${name}.version`, wire.TLS_VERSION, tls.version, "latin1"),
    ...textTLV(`${name}.commonName`, wire.TLS_COMMON_NAME, tls.commonName, "utf8"),
    ...textTLV(`${name}.cipher`, wire.TLS_CIPHER, tls.cipher, "latin1"),
    ...textTLV(`${name}.signatureAlgorithm`, wire.TLS_SIGNATURE_ALGORITHM, tls.signatureAlgorithm, "latin1"),
    ...textTLV(`${name}.keyAlgorithm`, wire.TLS_KEY_ALGORITHM, tls.keyAlgorithm, "latin1"),
    ...otherTLVs(`${name}.others`, tls.others, KNOWN_IN_TLS),
  ];
  return [tlv(wire.TLS, checkBytes(name, Buffer.concat(parts), wire.V2_MAX_BYTES))];
}

/** @param given may be empty, since a header that was read may have it so, and is passed on */
function textTLV(name: string, type: number, given: unknown, encoding: "latin1" | "utf8"): Buffer[] {
  if (given === undefined) return [];
  if (typeof given !== "string") throw wrongType(name, "a string", given);
  const value = Buffer.from(given, encoding);
  if (value.toString(encoding) !== given) {
    throw wrongRange(name, encoding === "utf8" ? "well-formed Unicode" : "without characters above U+00FF", given);
  }
  return [tlv(type, checkBytes(name, value, wire.V2_MAX_BYTES))];
}

function otherTLVs(
  name: string,
  others: ReadonlyMap<number, Uint8Array> | undefined,
  known: readonly number[],
): Buffer[] {
  if (others === undefined) return [];
  if (!(others instanceof Map)) throw wrongType(name, "a Map of types to bytes", others);
  return [...(others as ReadonlyMap<number, Uint8Array>)].map(([type, value]) => {
    checkInteger(`the types in ${name}`, type, 0, 255);
    if (known.includes(type)) throw wrongRange(`the types in ${name}`, "none that have an option of their own", type);
    return tlv(type, checkBytes(`the values in ${name}`, value, wire.V2_MAX_BYTES));
  });
}

function checkBytes(name: string, value: unknown, max: number): Uint8Array {
  if (!(value instanceof Uint8Array)) throw wrongType(name, "a Uint8Array", value);
  if (value.length > max) throw wrongRange(name, `at most ${max} bytes long`, value.length);
  return value;
}

function tlv(type: number, value: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(type, value.length >> 8, value.length & 255), value]);
}

// -------------------------------------------------------------------- bytes

/** The header as it is sent, for a socket with these addresses. */
export function proxyHeaderBytes(header: ProxyHeader, local: Address | undefined, remote: Address | undefined): Buffer {
  const own = header.namesOwnEnds ? { source: ownEnd(local), destination: ownEnd(remote) } : {};
  const { source = own.source, destination = own.destination } = header;
  const ends = source === undefined || destination === undefined ? null : { source, destination };
  return header.version === 1 ? Buffer.from(lineOf(ends), "latin1") : binary(ends, header);
}

function ownEnd(end: Address | undefined): Address | undefined {
  if (end === undefined || end.family === "unix") return end;
  return { ...end, address: withoutZone(end.address) };
}

interface Ends {
  readonly source: Address;
  readonly destination: Address;
}

type IpAddress = Exclude<Address, { family: "unix" }>;

function areIp(ends: Ends): ends is { readonly source: IpAddress; readonly destination: IpAddress } {
  return ends.source.family !== "unix" && ends.destination.family !== "unix";
}

function lineOf(ends: Ends | null): string {
  if (ends === null || !areIp(ends)) return "PROXY UNKNOWN\r\n";
  const { source, destination } = ends;
  const isV4 = areIPv4(ends);
  const text = (end: IpAddress): string => (isV4 ? end.address : ipv6Text(asIPv6(end)));
  return `PROXY TCP${isV4 ? 4 : 6} ${text(source)} ${text(destination)} ${source.port} ${destination.port}\r\n`;
}

function areIPv4({ source, destination }: Ends): boolean {
  return source.family === "IPv4" && destination.family === "IPv4";
}

/** Where the other end has an IPv6 address, an IPv4 address is sent as an IPv4-mapped one. */
function asIPv6({ family, address }: IpAddress): Buffer {
  return ipv6Bytes(family === "IPv4" ? `::ffff:${address}` : address);
}

const LOCAL = 0x20;
const PROXY = 0x21;

function binary(ends: Ends | null, { tlvs, hasChecksum }: ProxyHeader): Buffer {
  const [family, addresses] = addressBlock(ends);
  const checksum = hasChecksum ? tlv(wire.CRC32C, Buffer.alloc(4)) : Buffer.alloc(0);
  const rest = Buffer.concat([addresses, tlvs, checksum]);
  // A header of the command LOCAL says that the connection is for nobody else; receivers drop its extensions.
  const command = ends === null && rest.length === 0 ? LOCAL : PROXY;
  const fixed = Buffer.of(command, family, rest.length >> 8, rest.length & 255);
  const header = Buffer.concat([wire.V2_SIGNATURE, fixed, rest]);
  if (hasChecksum) header.writeUInt32BE(crc32c(header), header.length - 4);
  return header;
}

/** The byte of family and transport, and the addresses. */
function addressBlock(ends: Ends | null): [number, Buffer] {
  if (ends === null) return [0, Buffer.alloc(0)];
  const { source, destination } = ends;
  if (!areIp(ends)) return [0x31, Buffer.concat([pathBlock(source), pathBlock(destination)])];
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(ends.source.port, 0);
  ports.writeUInt16BE(ends.destination.port, 2);
  if (areIPv4(ends)) {
    return [0x11, Buffer.concat([ipv4Bytes(ends.source.address), ipv4Bytes(ends.destination.address), ports])];
  }
  return [0x21, Buffer.concat([asIPv6(ends.source), asIPv6(ends.destination), ports])];
}

function pathBlock(end: Address): Buffer {
  if (end.family !== "unix") throw new TypeError(`Expected a path, got ${show(end.address)}`);
  const block = Buffer.alloc(PATH_BYTES);
  block.write(end.path);
  return block;
}
