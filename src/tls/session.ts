import { X509Certificate } from "node:crypto";
import type { DetailedPeerCertificate } from "node:tls";

const SEQUENCE = 0x30;
/** The tag of the peer's certificate in OpenSSL's form of a session: [3] of SSL_SESSION_ASN1. */
const PEER = 0xa3;

/**
 * Later versions of Node (such as 24.21) put this before a client's session, followed by the name that was verified.
 */
const WRAPPER = Buffer.from("\0nodejs:tls:session:1\0");

interface Item {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

/** Parses the DER item at an offset. */
function item(bytes: Buffer, at: number): Item {
  const tag = bytes.readUInt8(at);
  const short = bytes.readUInt8(at + 1);
  if (short < 0x80) return { tag, start: at + 2, end: at + 2 + short };
  const start = at + 2 + (short & 0x7f);
  return { tag, start, end: start + bytes.readUIntBE(at + 2, short & 0x7f) };
}

/** The session in OpenSSL's form, without what Node has put before it. */
function unwrapped(session: Buffer): Buffer {
  if (session.indexOf(WRAPPER) !== 0) return session;
  return session.subarray(WRAPPER.length + 2 + session.readUInt16BE(WRAPPER.length));
}

/**
 * The peer's certificate in a session. The runtime does not reveal it on a resumed connection, but the name and the
 * fingerprint can be checked only with it. The certificate comes without its issuers, which a session does not hold.
 * @returns null where the session holds no certificate or has an unknown form
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
    // The session has an unknown form.
  }
  return null;
}
