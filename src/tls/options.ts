import type { DetailedPeerCertificate, SecureContext, SecureContextOptions } from "node:tls";

/** The key and certificate of one name, as `tls.createSecureContext` takes them, or a context made from them. */
export type Certificate = SecureContextOptions | SecureContext;

/** Chooses the certificate for the name that a client asks for. Undefined chooses the listener's own certificate. */
export type CertificateChooser = (name: string) => Certificate | undefined | PromiseLike<Certificate | undefined>;

/**
 * How a connection is encrypted. The options that are not listed here mean the same as in Node's `tls` module: `ca`,
 * `cert`, `key`, `pfx`, `passphrase`, `crl`, `ciphers`, `sigalgs`, `ecdhCurve`, `minVersion`, `maxVersion`,
 * `ticketKeys` and others.
 *
 * The certificate chain and the name of the peer are verified unless `rejectUnauthorized` is false. The lowest version
 * of TLS is 1.2.
 */
export interface TLSOptions extends Omit<SecureContextOptions, "secureProtocol" | "secureOptions" | "ALPNCallback"> {
  /** A context that holds the certificates and keys; it replaces all such options here. */
  secureContext?: SecureContext | undefined;
  /**
   * Client: the name that the server's certificate must be for. A host name is also sent to the server (SNI).
   * @default the host connected to
   */
  servername?: string | undefined;
  /**
   * The application protocols that the client offers or the server accepts, the preferred ones first. A server that
   * finds no common protocol ends the handshake.
   */
  ALPNProtocols?: readonly string[] | undefined;
  /**
   * Client: whether the handshake fails when the server cannot be verified. Server: whether the handshake fails when
   * `requestCert` is set and the client cannot be verified. @default true
   */
  rejectUnauthorized?: boolean | undefined;
  /**
   * Server: whether clients are asked for a certificate. A certificate is then required unless `rejectUnauthorized` is
   * false. @default false
   */
  requestCert?: boolean | undefined;
  /** Client: replaces the check of the server's name. A returned error rejects the server. */
  checkServerIdentity?: ((hostname: string, certificate: DetailedPeerCertificate) => Error | undefined) | undefined;
  /**
   * SHA-256 fingerprints in hex, with or without colons. The peer's certificate must have one of them, whatever
   * `rejectUnauthorized` says. This check replaces the checks of the certificate chain and the name.
   */
  fingerprints?: readonly string[] | undefined;
  /** Client: the session to resume, from `socket.tls.session` of an earlier connection to the same server. */
  session?: Buffer | undefined;
  /**
   * Server: the certificates by name, or a function that chooses one. The `*` in `*.example.org` stands for one label.
   * A client that asks for any other name gets the listener's own certificate. A certificate given as options inherits
   * the options that it leaves out, such as `ca`, from here.
   */
  certificates?: Readonly<Record<string, Certificate>> | CertificateChooser | undefined;
  /**
   * Called with each line of a key log (NSS format), by which captured traffic can be decrypted. For debugging only.
   */
  keyLog?: ((line: Buffer) => void) | undefined;
  /**
   * Whether a FIN without close_notify (RFC 8446, section 6.1) closes the connection with `TLS`. In any case
   * `socket.tls.truncated` is then true. @default false
   */
  requireCloseNotify?: boolean | undefined;
}

/** Options of `startTLS`. */
export interface StartTLSOptions<Tag = unknown> extends TLSOptions {
  /** Whether this end is the server in the handshake. @default true for accepted sockets, false for all others */
  isServer?: boolean | undefined;
  /**
   * How long the upgrade may take, in milliseconds. The time runs from the moment the upgrade is at the head of either
   * the read queue or the write queue, until the upgrade is done. `limits.handshakeMs` bounds the handshake in
   * addition, and runs from the moment the upgrade is at the head of both queues. @default none
   */
  timeout?: number | undefined;
  /** Any value. It becomes the `tag` of the request and of its error. */
  tag?: Tag | undefined;
  /** Aborting cancels the upgrade before the handshake has begun, and closes the connection after that. */
  signal?: AbortSignal | undefined;
}

/** What was negotiated for an encrypted connection. */
export interface TLSInfo {
  /** "TLSv1.3" or "TLSv1.2"; null if the handshake did not get that far. */
  readonly version: string | null;
  /** The name of the cipher in OpenSSL. */
  readonly cipher: string | null;
  /** The application protocol that was negotiated (ALPN); null if none was. */
  readonly alpn: string | null;
  /** The name that the client asked for (SNI); null if it asked for none. */
  readonly servername: string | null;
  /** The peer's certificate; null if the peer sent none. Its issuers are included unless the session was resumed. */
  readonly peerCertificate: DetailedPeerCertificate | null;
  /** Whether the peer was verified, either by certificate chain and name or by fingerprint. */
  readonly authorized: boolean;
  /** Why the peer was not verified; null if no check has failed. */
  readonly authorizationError: Error | null;
  /** Whether an earlier session was resumed. */
  readonly resumed: boolean;
  /** Client: the session for the `session` option of a later connection; undefined until the server has sent one. */
  readonly session: Buffer | undefined;
  /** Whether the peer's FIN came without close_notify, so that an attacker may have cut the stream short. */
  readonly truncated: boolean;
}
