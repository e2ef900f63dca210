import type { CipherNameAndProtocol, DetailedPeerCertificate, TLSSocket } from "node:tls";
import type { TLSInfo } from "./options.js";
import { certificateIn } from "./session.js";
import type { SecureSettings } from "./settings.js";

/** What was negotiated in the handshake. The session and `truncated` are filled in when they become known. */
export class SecureInfo implements TLSInfo {
  readonly version: string | null;
  readonly cipher: string | null;
  readonly alpn: string | null;
  readonly servername: string | null;
  readonly peerCertificate: DetailedPeerCertificate | null;
  readonly resumed: boolean;
  authorizationError: Error | null = null;
  /**
   * The session is a secret with which anybody can resume as this client, so the field is private and never printed.
   */
  #session: Buffer | undefined;
  readonly #cipher: CipherNameAndProtocol | undefined;
  truncated = false;

  constructor(socket: TLSSocket, settings: SecureSettings) {
    const cipher = socket.getCipher() as CipherNameAndProtocol | undefined;
    this.#cipher = cipher;
    this.version = socket.getProtocol();
    this.cipher = cipher?.name ?? null;
    this.alpn = typeof socket.alpnProtocol === "string" ? socket.alpnProtocol : null;
    this.servername = settings.servername ?? nameOf(socket);
    this.resumed = socket.isSessionReused();
    const known = this.resumed && settings.session !== undefined ? certificateIn(settings.session) : null;
    this.peerCertificate = certificateOf(socket) ?? known;
  }

  /** The cipher as the runtime tells of it; undefined if the handshake did not get that far. */
  get cipherFacts(): CipherNameAndProtocol | undefined {
    return this.#cipher;
  }

  get session(): Buffer | undefined {
    return this.#session;
  }

  set session(session: Buffer | undefined) {
    this.#session = session;
  }

  get authorized(): boolean {
    return this.authorizationError === null && this.peerCertificate !== null;
  }
}

/** The name that the client asked for, on a server. */
function nameOf(socket: TLSSocket): string | null {
  const { servername } = socket as { servername?: unknown };
  return typeof servername === "string" ? servername : null;
}

function certificateOf(socket: TLSSocket): DetailedPeerCertificate | null {
  const certificate = socket.getPeerCertificate(true) as DetailedPeerCertificate | null;
  // The runtime returns an empty object where there is no certificate.
  return certificate !== null && Object.keys(certificate).length > 0 ? certificate : null;
}
