/** What was negotiated for TLS, in a few lines. Who prints them escapes what the peer has chosen. */

import type { DetailedPeerCertificate } from "node:tls";
import type { TLSInfo } from "../index.js";

const DAY_MS = 86_400_000;

/** The facts about a certificate that people look for, as JSON takes them. */
export interface CertificateFacts {
  readonly subject: string;
  readonly names: readonly string[];
  readonly issuer: string;
  readonly from: string;
  readonly until: string;
  readonly daysLeft: number;
  readonly sha256: string;
}

export function certificateFacts(certificate: DetailedPeerCertificate, nowMs = Date.now()): CertificateFacts {
  const until = Date.parse(certificate.valid_to);
  return {
    subject: distinguishedName(certificate.subject),
    // A name that holds a comma is quoted, so that it cannot pass for two.
    names: (certificate.subjectaltname ?? "").split(/, (?=(?:[^"]*"[^"]*")*[^"]*$)/).filter((name) => name !== ""),
    issuer: distinguishedName(certificate.issuer),
    from: isoDate(Date.parse(certificate.valid_from)),
    until: isoDate(until),
    daysLeft: Math.floor((until - nowMs) / DAY_MS),
    sha256: certificate.fingerprint256,
  };
}

/** The parts of a name. A part may stand there several times. */
function distinguishedName(name: DetailedPeerCertificate["subject"]): string {
  const parts = Object.entries(name as Readonly<Record<string, string | string[]>>);
  return parts.flatMap(([key, values]) => [values].flat().map((value) => `${key}=${value}`)).join(", ");
}

function isoDate(ms: number): string {
  return Number.isNaN(ms) ? "?" : new Date(ms).toISOString().slice(0, 10);
}

/** The facts about an encrypted connection, as JSON takes them. */
export function tlsFacts(info: TLSInfo): Record<string, unknown> {
  const { version, cipher, alpn, resumed, authorized, authorizationError, peerCertificate } = info;
  return {
    version,
    cipher,
    alpn,
    resumed,
    authorized,
    problem: authorizationError?.message ?? null,
    certificate: peerCertificate === null ? null : certificateFacts(peerCertificate),
  };
}

/** The same in lines for people. @param needsTrust whether it matters who the peer is */
export function tlsSummary(info: TLSInfo, needsTrust = true): string[] {
  const { version, cipher, alpn, resumed, authorized, authorizationError, peerCertificate } = info;
  const trust = authorized
    ? "the peer is verified"
    : `NOT VERIFIED: ${authorizationError?.message ?? "no certificate"}`;
  const name = alpn === null ? null : `ALPN ${alpn}`;
  const head = [version, cipher, name, resumed ? "resumed" : null, needsTrust ? trust : null];
  const lines = [head.filter((part) => part !== null).join(", ")];
  if (peerCertificate !== null) lines.push(...certificateLines(certificateFacts(peerCertificate)));
  return lines;
}

function certificateLines({ subject, names, issuer, from, until, daysLeft, sha256 }: CertificateFacts): string[] {
  return [
    `  subject  ${subject}`,
    `  names    ${names.join(", ")}`,
    `  issuer   ${issuer}`,
    `  valid    ${from} to ${until}, ${daysLeft < 0 ? "EXPIRED" : `${daysLeft} days left`}`,
    `  SHA-256  ${sha256}`,
  ];
}
