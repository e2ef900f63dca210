/**
 * The extensions (TLVs) of a PROXY header of version 2: a type of one byte, a length of two, and the value.
 *
 * The reader looks at no byte outside of the block it was given, and a length that leads out of its block is an error,
 * for the values inside another value, too.
 */

import { isUtf8 } from "node:buffer";
import { crc32c } from "./crc32c.js";

/** What begins a header of version 2. */
export const V2_SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n");
/** The bytes before the addresses: signature, version and command, family and transport, length. */
export const V2_FIXED_BYTES = 16;
/**
 * The most bytes of a header of version 2 that is read or sent. The specification has no bound below 64 KiB; the
 * longest addresses need 232 bytes, and the rest is for extensions.
 */
export const V2_MAX_BYTES = 4096;

export const ALPN = 0x01;
export const AUTHORITY = 0x02;
export const CRC32C = 0x03;
export const NOOP = 0x04;
export const UNIQUE_ID = 0x05;
export const TLS = 0x20;
export const NETNS = 0x30;

/** The types inside of the value of type TLS. */
export const TLS_VERSION = 0x21;
export const TLS_COMMON_NAME = 0x22;
export const TLS_CIPHER = 0x23;
export const TLS_SIGNATURE_ALGORITHM = 0x24;
export const TLS_KEY_ALGORITHM = 0x25;

/** The bits of the first byte of the value of type TLS. */
export const CLIENT_TLS = 1;
export const CLIENT_CERTIFICATE_CONNECTION = 2;
export const CLIENT_CERTIFICATE_SESSION = 4;

/** The bytes before the first extension inside of the value of type TLS: the bits, and the result of the verification. */
export const TLS_FIXED_BYTES = 5;
/** The longest values that are read, in bytes; bytes of other types may fill the header. */
export const TEXT_MAX_BYTES = 255;
export const UNIQUE_ID_MAX_BYTES = 128;

/** What the sender of a PROXY header knows of the TLS connection between the client and itself. */
export interface ProxiedTLS {
  /** Whether the client connected over TLS. */
  readonly isSecure: boolean;
  /** Whether the client showed a certificate on this connection. */
  readonly certificateInConnection: boolean;
  /** Whether the client showed a certificate at least once in the TLS session. */
  readonly certificateInSession: boolean;
  /**
   * 0 if the sender has verified the certificate of the client. Some senders also give 0 when there is no certificate,
   * so look at the two properties above as well.
   */
  readonly verify: number;
  /** The version of TLS, such as `"TLSv1.3"`. */
  readonly version?: string;
  /** The common name of the subject of the client's certificate. A name that is not UTF-8 is read as Latin-1. */
  readonly commonName?: string;
  /** The cipher, such as `"TLS_AES_256_GCM_SHA384"`. */
  readonly cipher?: string;
  /** The algorithm that signed the certificate that the client was shown, such as `"SHA256"`. */
  readonly signatureAlgorithm?: string;
  /** The algorithm of the key of that certificate, such as `"RSA2048"`. */
  readonly keyAlgorithm?: string;
  /** The values of all other types, by type. */
  readonly others: ReadonlyMap<number, Buffer>;
}

/** The extensions (TLVs) of a PROXY header of version 2. Of several of one type, the first counts. */
export interface ProxiedTLVs {
  /** The protocol that the client and the sender have negotiated, such as `"h2"`. */
  readonly alpn?: string;
  /** The name that the client asked for, by SNI for example. The client chose it. */
  readonly authority?: string;
  /** An identifier of the connection, of at most 128 bytes. */
  readonly uniqueId?: Buffer;
  readonly tls?: ProxiedTLS;
  /** The name of the network namespace. */
  readonly netns?: string;
  /** Whether the header had a checksum, which was right. */
  readonly crc32c: boolean;
  /** The values of all other types, by type. */
  readonly others: ReadonlyMap<number, Buffer>;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface TLV {
  readonly type: number;
  /** Where the value begins. */
  readonly start: number;
  readonly value: Buffer;
}

/** Why the extensions are not valid, as what follows a colon. */
export class BadTLV extends Error {}

/**
 * Reads the extensions of a header.
 * @param header the whole header, and nothing else
 * @param start where the extensions begin
 * @throws BadTLV
 */
export function readTLVs(header: Buffer, start: number): ProxiedTLVs {
  const others = new Map<number, Buffer>();
  const tlvs: Mutable<ProxiedTLVs> = { crc32c: false, others };
  for (const tlv of split(header, start)) {
    const { type, value } = tlv;
    if (type === ALPN) tlvs.alpn ??= bounded(tlv, TEXT_MAX_BYTES).toString("latin1");
    else if (type === AUTHORITY) tlvs.authority ??= utf8(tlv);
    // One checksum is enough work for a header: the peer could fill it with them.
    else if (type === CRC32C) tlvs.crc32c ||= checkSum(header, tlv);
    else if (type === UNIQUE_ID) tlvs.uniqueId ??= own(bounded(tlv, UNIQUE_ID_MAX_BYTES));
    else if (type === TLS) tlvs.tls ??= readTLS(value);
    else if (type === NETNS) tlvs.netns ??= bounded(tlv, TEXT_MAX_BYTES).toString("latin1");
    else if (type !== NOOP && !others.has(type)) others.set(type, own(value));
  }
  return tlvs;
}

function readTLS(block: Buffer): ProxiedTLS {
  if (block.length < TLS_FIXED_BYTES) {
    throw new BadTLV(`its TLS extension needs ${TLS_FIXED_BYTES} bytes, and has ${block.length}`);
  }
  const bits = block.readUInt8(0);
  const others = new Map<number, Buffer>();
  const tls: Mutable<ProxiedTLS> = {
    isSecure: (bits & CLIENT_TLS) !== 0,
    certificateInConnection: (bits & CLIENT_CERTIFICATE_CONNECTION) !== 0,
    certificateInSession: (bits & CLIENT_CERTIFICATE_SESSION) !== 0,
    verify: block.readUInt32BE(1),
    others,
  };
  for (const { type, value } of split(block, TLS_FIXED_BYTES)) {
    if (type === TLS_VERSION) tls.version ??= value.toString("latin1");
    else if (type === TLS_COMMON_NAME) tls.commonName ??= value.toString(isUtf8(value) ? "utf8" : "latin1");
    else if (type === TLS_CIPHER) tls.cipher ??= value.toString("latin1");
    else if (type === TLS_SIGNATURE_ALGORITHM) tls.signatureAlgorithm ??= value.toString("latin1");
    else if (type === TLS_KEY_ALGORITHM) tls.keyAlgorithm ??= value.toString("latin1");
    else if (type !== NOOP && !others.has(type)) others.set(type, own(value));
  }
  return tls;
}

/** Cuts a block into its extensions. */
function* split(block: Buffer, from: number): Generator<TLV> {
  for (let at = from; at < block.length;) {
    const left = block.length - at;
    if (left < 3) throw new BadTLV(`its extensions end with ${left} bytes, too few for another one`);
    const type = block.readUInt8(at);
    const length = block.readUInt16BE(at + 1);
    const start = at + 3;
    if (length > left - 3) {
      throw new BadTLV(`its extension ${named(type)} announces ${length} bytes, and ${left - 3} are left`);
    }
    yield { type, start, value: block.subarray(start, start + length) };
    at = start + length;
  }
}

function named(type: number): string {
  return `0x${type.toString(16).padStart(2, "0")}`;
}

function bounded({ type, value }: TLV, max: number): Buffer {
  if (value.length > max) throw new BadTLV(`its extension ${named(type)} has ${value.length} bytes, more than ${max}`);
  return value;
}

/** Bytes that would have to be replaced are refused, so that the text can be passed on, and is as long then as it was. */
function utf8(tlv: TLV): string {
  const bytes = bounded(tlv, TEXT_MAX_BYTES);
  if (!isUtf8(bytes)) throw new BadTLV(`its extension ${named(tlv.type)} is not UTF-8`);
  return bytes.toString("utf8");
}

/** A copy with memory of its own: it is kept, and a view of shared memory would go to another thread with all of it. */
function own(value: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(value.length);
  copy.set(value);
  return copy;
}

/** Checks the checksum, which was computed with zeros in its place. */
function checkSum(header: Buffer, { start, value }: TLV): true {
  if (value.length !== 4) throw new BadTLV(`its checksum needs 4 bytes, and has ${value.length}`);
  const blank = Buffer.from(header);
  blank.fill(0, start, start + 4);
  if (crc32c(blank) !== value.readUInt32BE()) throw new BadTLV("its checksum is wrong: a part of it was changed");
  return true;
}

/** The extensions as they come out of a structured clone, with the bytes as buffers again. */
export function revived(tlvs: ProxiedTLVs): ProxiedTLVs {
  const { uniqueId, tls, others } = tlvs;
  const fresh: Mutable<ProxiedTLVs> = { ...tlvs, others: buffers(others) };
  if (uniqueId !== undefined) fresh.uniqueId = asBuffer(uniqueId);
  if (tls !== undefined) fresh.tls = { ...tls, others: buffers(tls.others) };
  return fresh;
}

function buffers(others: ReadonlyMap<number, Uint8Array>): ReadonlyMap<number, Buffer> {
  return new Map([...others].map(([type, value]) => [type, asBuffer(value)]));
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
