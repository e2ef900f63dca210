import type { DetailedPeerCertificate } from "node:tls";
import type { Address, ProxiedAddresses } from "../base/address.js";
import type { AsyncSocketError } from "../base/errors.js";
import type { Destination } from "./destination.js";
import type { CloseReason } from "./close-reason.js";

/** The addresses of an accepted connection. */
export interface AcceptInfo {
  readonly local: Address | undefined;
  readonly remote: Address | undefined;
  /** The addresses that a PROXY header has reported; undefined without one. */
  readonly proxied?: ProxiedAddresses | undefined;
}

/**
 * The methods that a socket calls when something happens. Every method is optional. The first argument is always the
 * socket, and `this` is the delegate. One delegate may serve any number of sockets. A socket's delegate may be changed
 * at any time; each event goes to the delegate that is set at that moment.
 *
 * No method is called before a call that you make into the library has returned. An exception thrown by a method
 * becomes an uncaught exception; the socket itself continues.
 *
 * @typeParam Socket - the type of connected sockets
 * @typeParam Tag - the type of the `tag` options of reads and writes
 * @typeParam Listener - the type of listening sockets, where it is another
 */
export interface SocketDelegate<Socket, Tag = unknown, Listener = Socket> {
  /**
   * Chooses the run loop for a new connection, after its PROXY header has arrived and before its TLS handshake. On that
   * loop, `onSocket` receives the socket in place of `didAccept`. If the answer is null or undefined, the connection
   * stays on this thread. If the connection cannot be sent there, it is reset, and `didFailAccept` is called with
   * `TRANSFER`.
   */
  wantsRunLoopForNewSocket?(listener: Listener, info: AcceptInfo): Destination | null | undefined;
  /**
   * A connection was accepted. The new socket has the listener's class, delegate, limits and options. This is called
   * after the PROXY header has arrived, and before the TLS handshake; operations queued here wait for the handshake.
   */
  didAccept?(listener: Listener, socket: Socket): void;
  /**
   * A connection did not become a socket, because of an error or limit while accepting, or the block list (`ACCEPT`),
   * its PROXY header (`PROXY_PROTOCOL`), or because it did not arrive on its run loop (`TRANSFER`). It is also called
   * once when a run loop ends by itself that has connections of this listener. The listener continues.
   */
  didFailAccept?(listener: Listener, error: AsyncSocketError, info: AcceptInfo): void;
  /**
   * The socket is connected; with the option `tls`, its handshake is done and the peer trusted. Operations that were
   * queued before start after this call.
   */
  didConnect?(socket: Socket): void;

  /** The TLS handshake is done, and the peer is trusted. Operations queued after `startTLS` start after this call. */
  didSecure?(socket: Socket): void;
  /**
   * Decides whether the peer with this certificate is trusted. It is called once for each handshake in which the peer
   * has presented a certificate, also if the socket has become a stream meanwhile. The handshake waits for the answer,
   * which may be a promise, until `limits.handshakeMs` is over. The answer overrides the options: true trusts the peer;
   * any other value, an exception or a rejected promise closes the connection with `TLS`.
   * @param error - the problem that the checks of the certificate found; null if there is none
   */
  shouldTrustPeer?(
    socket: Socket,
    certificate: DetailedPeerCertificate,
    error: Error | null,
  ): boolean | Promise<boolean>;

  /** A read of bytes is done. The library does not use the buffer any more. For a `skip`, the buffer is empty. */
  didRead?(socket: Socket, data: Buffer, tag: Tag | undefined): void;
  /**
   * A read of text (a line, or a read with an encoding) is done. If the delegate has no such method, `didRead` is
   * called with the bytes of the text; for a line, these do not include the line ending.
   */
  didReadText?(socket: Socket, text: string, tag: Tag | undefined): void;
  /** A `readMessage` is done, and its framing has decoded a value that is neither bytes nor text. */
  didReadMessage?(socket: Socket, message: unknown, tag: Tag | undefined): void;
  /**
   * Bytes have arrived for the current read, which is not done yet. `byteCount` is their number since the last report.
   */
  didReadPartial?(socket: Socket, byteCount: number, tag: Tag | undefined): void;
  /** The operating system has taken every byte of a write. */
  didWrite?(socket: Socket, tag: Tag | undefined): void;
  /**
   * Bytes of the current write, which is not done yet, were taken by the operating system. `byteCount` is their number
   * since the last report.
   */
  didWritePartial?(socket: Socket, byteCount: number, tag: Tag | undefined): void;

  /**
   * The timeout of the current read is over. It became current `elapsed` ms ago, and `bytesDone` bytes have arrived for
   * it.
   * @returns ms to add to the timeout; with 0 or less, the read fails with `READ_TIMEOUT`
   */
  shouldExtendReadTimeout?(socket: Socket, tag: Tag | undefined, elapsed: number, bytesDone: number): number;
  /** The timeout of the current write is over. The answer has the same meaning as for `shouldExtendReadTimeout`. */
  shouldExtendWriteTimeout?(socket: Socket, tag: Tag | undefined, elapsed: number, bytesDone: number): number;
  /**
   * A read has failed, for whatever reason. It has consumed no bytes, except a `skip` longer than `limits.readAhead`.
   */
  didFailRead?(socket: Socket, error: AsyncSocketError, tag: Tag | undefined): void;
  /** A write has failed. The operating system has taken `error.bytesDone` of its bytes. */
  didFailWrite?(socket: Socket, error: AsyncSocketError, tag: Tag | undefined): void;

  /** The peer has ended its side, and all bytes that it sent have been read, or cannot satisfy the current read. */
  didEndReading?(socket: Socket): void;
  /** The connection is being closed, or was lost. Unread bytes can still be seen in `unread`. */
  willDisconnect?(socket: Socket, reason: CloseReason): void;
  /**
   * The socket is closed, and so is its descriptor. This is the last call, and is made once, also after a connect that
   * failed. The socket may connect again.
   */
  didDisconnect?(socket: Socket | Listener, reason: CloseReason): void;
}
