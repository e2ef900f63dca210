import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import type { TLSInfo } from "./options.js";
import { certificateIn } from "./session.js";
import type { SecureSettings } from "./settings.js";

/** What was negotiated, as it is right after the handshake; the rest is filled in as it becomes known. */
export class SecureInfo implements TLSInfo {
  readonly version: string | null;
  readonly cipher: string | null;
  readonly alpn: string | null;
  readonly servername: string | null;
  readonly peerCertificate: DetailedPeerCertificate | null;
  readonly resumed: boolean;
  authorizationError: Error | null = null;
  /** A secret: whoever has it can go on as this client. So it is private, and no print shows it. */
  #session: Buffer | undefined;
  truncated = false;

  constructor(socket: TLSSocket, settings: SecureSettings) {
    const cipher = socket.getCipher() as { readonly name: string } | undefined;
    this.version = socket.getProtocol();
    this.cipher = cipher?.name ?? null;
    this.alpn = typeof socket.alpnProtocol === "string" ? socket.alpnProtocol : null;
    this.servername = settings.servername ?? nameOf(socket);
    this.resumed = socket.isSessionReused();
    const known = this.resumed && settings.session !== undefined ? certificateIn(settings.session) : null;
    this.peerCertificate = certificateOf(socket) ?? known;
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

/** On a server: what the client asked for. */
function nameOf(socket: TLSSocket): string | null {
  const { servername } = socket as { servername?: unknown };
  return typeof servername === "string" ? servername : null;
}

function certificateOf(socket: TLSSocket): DetailedPeerCertificate | null {
  const certificate = socket.getPeerCertificate(true) as DetailedPeerCertificate | null;
  // The runtime gives an empty object where there is none.
  return certificate !== null && Object.keys(certificate).length > 0 ? certificate : null;
}
