import { X509Certificate } from "node:crypto";
import type { DetailedPeerCertificate } from "node:tls";

const SEQUENCE = 0x30;
/** Where OpenSSL keeps the peer's certificate in a session: [3] of SSL_SESSION_ASN1. */
const PEER = 0xa3;

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

/**
 * Whose session it is. The runtime does not tell it of a resumed connection, but a name or a fingerprint can be checked
 * by nothing else. Without its issuers: they are not kept. Null where the session holds none, or is in no known form.
 */
export function certificateIn(session: Buffer): DetailedPeerCertificate | null {
  try {
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
