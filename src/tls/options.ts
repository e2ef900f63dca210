import type { DetailedPeerCertificate, SecureContext, SecureContextOptions } from "node:tls";

/** Keys and certificates of one name, as `tls.createSecureContext` takes them, or a context made of them. */
export type Certificate = SecureContextOptions | SecureContext;

/** A listener's certificate for the name that a client asks for; undefined: the listener's own. */
export type CertificateChooser = (name: string) => Certificate | undefined | PromiseLike<Certificate | undefined>;

/**
 * How a connection is secured. What is not named here is as in Node's `tls` module: `ca`, `cert`, `key`, `pfx`,
 * `passphrase`, `crl`, `ciphers`, `sigalgs`, `ecdhCurve`, `minVersion`, `maxVersion`, `ticketKeys`, and so on.
 *
 * The peer's certificate chain and name are verified unless `rejectUnauthorized` is false. TLS 1.2 is the least.
 */
export interface TLSOptions extends Omit<SecureContextOptions, "secureProtocol" | "secureOptions" | "ALPNCallback"> {
  /** Made beforehand, in place of certificates and keys here. */
  secureContext?: SecureContext | undefined;
  /**
   * Client: the name that the certificate must be for, and that is asked for (SNI).
   * @default the host connected to
   */
  servername?: string | undefined;
  /** Protocols offered (client) or spoken (server), the best first. A server that shares none ends the handshake. */
  ALPNProtocols?: readonly string[] | undefined;
  /** Client: whether a server that cannot be verified ends the handshake. Server: the same of clients, see `requestCert`. @default true */
  rejectUnauthorized?: boolean | undefined;
  /** Server: ask clients for a certificate; one is required unless `rejectUnauthorized` is false. @default false */
  requestCert?: boolean | undefined;
  /** Client: in place of the check of the name. An error returned is what is wrong. */
  checkServerIdentity?: ((hostname: string, certificate: DetailedPeerCertificate) => Error | undefined) | undefined;
  /**
   * SHA-256 fingerprints (hex, with or without colons), of which the peer's certificate must have one. Being that very
   * certificate takes the place of the checks of chain and name, and is required whatever `rejectUnauthorized` says.
   */
  fingerprints?: readonly string[] | undefined;
  /** Client: a session to resume, from `socket.tls.session` of an earlier connection to the same server. */
  session?: Buffer | undefined;
  /**
   * Server: certificates by name; `*.example.org` stands for one label. Others get the listener's own. What they leave
   * out, such as `ca`, is as here.
   */
  certificates?: Readonly<Record<string, Certificate>> | CertificateChooser | undefined;
  /** Given the lines of a key log (NSS format), with which a capture can be decrypted. For debugging only. */
  keyLog?: ((line: Buffer) => void) | undefined;
  /** Whether a FIN without close_notify (RFC 8446, section 6.1) closes with an error; `tls.truncated` tells in any case. @default false */
  requireCloseNotify?: boolean | undefined;
}

/** What `startTLS` takes. */
export interface StartTLSOptions<Tag = unknown> extends TLSOptions {
  /** Which side of the handshake this is. @default "client" for sockets that connected, "server" for accepted ones */
  isServer?: boolean | undefined;
  /**
   * Ms, from when the first of the two queues has come to the upgrade until it is done. `limits.handshakeMs` runs
   * besides, from when both have. @default none
   */
  timeout?: number | undefined;
  tag?: Tag | undefined;
  /** Aborting it before the handshake begins takes the upgrade back; later it closes the connection. */
  signal?: AbortSignal | undefined;
}

/** A secured connection, as it was negotiated. */
export interface TLSInfo {
  /** "TLSv1.3" or "TLSv1.2"; null if the handshake did not come so far. */
  readonly version: string | null;
  /** OpenSSL's name of the cipher. */
  readonly cipher: string | null;
  /** The protocol that both chose, by ALPN. */
  readonly alpn: string | null;
  /** The name asked for, by SNI. */
  readonly servername: string | null;
  /** With its issuers, unless the session was resumed; null where the peer gave none. */
  readonly peerCertificate: DetailedPeerCertificate | null;
  /** Whether the peer's certificate was verified: chain and name, or fingerprint. */
  readonly authorized: boolean;
  /** Why not. */
  readonly authorizationError: Error | null;
  /** Whether an earlier session was resumed. */
  readonly resumed: boolean;
  /** Client: to resume by; undefined until the server has given one. */
  readonly session: Buffer | undefined;
  /** The peer's FIN came without close_notify: someone may have cut the stream short. */
  readonly truncated: boolean;
}
