import { X509Certificate } from "node:crypto";
import type { DetailedPeerCertificate } from "node:tls";

const SEQUENCE = 0x30;
/** Where OpenSSL keeps the peer's certificate in a session: [3] of SSL_SESSION_ASN1. */
const PEER = 0xa3;

/** What later versions of Node (24.21 for one) put ahead of a client's session, with the name that it was verified for. */
const WRAPPER = Buffer.from("\0nodejs:tls:session:1\0");

interface Item {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

/** One item of DER. */
function item(bytes: Buffer, at: number): Item {
  const tag = bytes.readUInt8(at);
  const short = bytes.readUInt8(at + 1);
  if (short < 0x80) return { tag, start: at + 2, end: at + 2 + short };
  const start = at + 2 + (short & 0x7f);
  return { tag, start, end: start + bytes.readUIntBE(at + 2, short & 0x7f) };
}

/** As OpenSSL made it. */
function unwrapped(session: Buffer): Buffer {
  if (session.indexOf(WRAPPER) !== 0) return session;
  return session.subarray(WRAPPER.length + 2 + session.readUInt16BE(WRAPPER.length));
}

/**
 * Whose session it is. The runtime does not tell it of a resumed connection, but a name or a fingerprint can be checked
 * by nothing else. Without its issuers: they are not kept. Null where the session holds none, or is in no known form.
 */
export function certificateIn(given: Buffer): DetailedPeerCertificate | null {
  try {
    const session = unwrapped(given);
    const whole = item(session, 0);
    if (whole.tag !== SEQUENCE) return null;
    for (let at = whole.start; at < whole.end;) {
      const { tag, start, end } = item(session, at);
      if (tag === PEER)
        return new X509Certificate(session.subarray(start, end)).toLegacyObject() as DetailedPeerCertificate;
      at = end;
    }
  } catch {
    // Then it is of another kind.
  }
  return null;
}
