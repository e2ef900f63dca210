import type { DetailedPeerCertificate } from "node:tls";
import type { Address, ProxiedAddresses } from "../base/address.js";
import type { AsyncSocketError } from "../base/errors.js";
import type { Destination } from "./destination.js";
import type { CloseReason } from "./close-reason.js";

/** What is known of a connection that never became a socket. */
export interface AcceptInfo {
  readonly local: Address | undefined;
  readonly remote: Address | undefined;
  /** Whose connection it is, where a PROXY header has told. */
  readonly proxied?: ProxiedAddresses | undefined;
}

/**
 * Whoever is told what happens. Every method is optional; the socket comes first; `this` is the delegate. One delegate
 * may serve any number of sockets, and may be changed at any time: the delegate of that moment is told.
 *
 * No method is ever called from inside a call that you make, and one that throws surfaces as an uncaught exception
 * while the socket goes on.
 */
export interface SocketDelegate<Socket, Tag = unknown> {
  /**
   * To which run loop a new connection goes, behind its PROXY header and before its TLS handshake: its `onSocket` is
   * told of it in place of `didAccept`. Null or undefined: it stays on this thread. Where it cannot go there,
   * `didFailAccept` is told, with `TRANSFER`, and the connection is reset.
   */
  wantsRunLoopForNewSocket?(listener: Socket, info: AcceptInfo): Destination | null | undefined;
  /**
   * A new socket, connected, with the listener's class, delegate, limits and options; behind its PROXY header, and
   * before its TLS handshake: what is queued here waits for that.
   */
  didAccept?(listener: Socket, socket: Socket): void;
  /**
   * A connection that never became a socket: an accept error, a limit, the block list (`ACCEPT`), its PROXY header
   * (`PROXY_PROTOCOL`), a run loop that it did not get to (`TRANSFER`); also once where a run loop ends that has
   * connections of this listener's. The listener goes on.
   */
  didFailAccept?(listener: Socket, error: AsyncSocketError, info: AcceptInfo): void;
  /**
   * The connection asked for by `connect` is there, with `tls` its handshake through. Entries queued before start after
   * this.
   */
  didConnect?(socket: Socket): void;

  /** The TLS handshake is through, and the peer trusted. What was queued behind it starts after this. */
  didSecure?(socket: Socket): void;
  /**
   * Whether the owner of this certificate is to be trusted; asked once a handshake, where the method exists and the
   * peer has shown a certificate. The handshake waits for the answer, which may be a promise, within
   * `limits.handshakeMs`. It is the last word, whatever the options say: anything but true closes the connection with
   * `TLS`, a promise that fails as well. It is asked also where the socket has become a stream meanwhile.
   * @param error - what the checks found wrong; null: nothing
   */
  shouldTrustPeer?(
    socket: Socket,
    certificate: DetailedPeerCertificate,
    error: Error | null,
  ): boolean | Promise<boolean>;

  /** A read that gives bytes is satisfied. They are yours. For a `skip` this is called with an empty buffer. */
  didRead?(socket: Socket, data: Buffer, tag: Tag | undefined): void;
  /**
   * A read that gives text (a line, or with an encoding) is satisfied. Where there is no such method, `didRead` is told,
   * with the bytes as they came (of a line without its ending).
   */
  didReadText?(socket: Socket, text: string, tag: Tag | undefined): void;
  /** A `readMessage` is satisfied whose framing decodes to neither bytes nor text. */
  didReadMessage?(socket: Socket, message: unknown, tag: Tag | undefined): void;
  /** What has come for the current read since the last report; only while it is unfinished. */
  didReadPartial?(socket: Socket, byteCount: number, tag: Tag | undefined): void;
  /** The operating system has every byte of a write. */
  didWrite?(socket: Socket, tag: Tag | undefined): void;
  /** What has gone of the current write since the last report; only while it is unfinished. */
  didWritePartial?(socket: Socket, byteCount: number, tag: Tag | undefined): void;

  /**
   * The current read's time is up. `elapsed` ms have passed since it became current, `bytesDone` bytes have come for
   * it.
   * @returns ms to add to its timeout; 0 or less lets it expire
   */
  shouldExtendReadTimeout?(socket: Socket, tag: Tag | undefined, elapsed: number, bytesDone: number): number;
  /** The same for the current write. */
  shouldExtendWriteTimeout?(socket: Socket, tag: Tag | undefined, elapsed: number, bytesDone: number): number;
  /** A read has failed, for whatever reason. No byte was taken. */
  didFailRead?(socket: Socket, error: AsyncSocketError, tag: Tag | undefined): void;
  /** A write has failed; `error.bytesDone` of its bytes are out. */
  didFailWrite?(socket: Socket, error: AsyncSocketError, tag: Tag | undefined): void;

  /** The peer has ended its side, and all that it sent has been read (or cannot satisfy the current read). */
  didEndReading?(socket: Socket): void;
  /** The connection is about to be closed, or lost. Unread bytes are still there. */
  willDisconnect?(socket: Socket, reason: CloseReason): void;
  /** Once, last, after the descriptor is closed; also after a connect that failed. The socket may connect again. */
  didDisconnect?(socket: Socket, reason: CloseReason): void;
}
