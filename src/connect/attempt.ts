import { constants } from "node:os";
import { type Address, addressText, isOneEnd } from "../base/address.js";
import { needKernel, probesOf, THE_SYSTEM } from "../transport/kernel-settings.js";
import type { SocketSettings } from "../transport/options.js";
import type { AcceptedTransport, ConnectSink, Transport } from "../transport/transport.js";

/**
 * One attempt to connect to one endpoint. The attempt receives the transport's events until the owner of the connection
 * takes the transport over.
 */
export class Attempt implements ConnectSink {
  readonly #done: (error: Error | null) => void;
  readonly #whenClosed: (attempt: Attempt) => void;
  #transport: AcceptedTransport | null = null;

  constructor(done: (error: Error | null) => void, whenClosed: (attempt: Attempt) => void) {
    this.#done = done;
    this.#whenClosed = whenClosed;
  }

  get transport(): AcceptedTransport | null {
    return this.#transport;
  }

  begin(transport: AcceptedTransport, isReferenced: boolean): void {
    this.#transport = transport;
    if (!isReferenced) transport.unref();
  }

  cancel(): void {
    this.#transport?.destroy(false);
  }

  setReferenced(on: boolean): void {
    if (on) this.#transport?.ref();
    else this.#transport?.unref();
  }

  didOpen(): void {
    const { local, remote } = this.#transport ?? {};
    if (!isOneEnd(local, remote)) {
      this.#done(null);
      return;
    }
    // The RST frees the port at once, since a server may be about to listen on it.
    this.#transport?.destroy(true);
    this.#done(refusal(remote));
  }

  didFail(error: Error): void {
    this.cancel();
    this.#done(error);
  }

  didClose(): void {
    this.#whenClosed(this);
  }
}

/** Changes settings of a live connection: those that sockets have methods for. */
export function applySettings(transport: Transport, settings: Partial<SocketSettings>): void {
  const { noDelay, keepAliveMs } = settings;
  if (transport.setKernel !== undefined) needKernel("setKeepAlive", probesOf(settings), THE_SYSTEM);
  if (noDelay !== undefined) transport.setNoDelay(noDelay);
  if (keepAliveMs === undefined) return;
  transport.setKeepAlive(keepAliveMs);
  transport.setKernel?.("setKeepAlive", probesOf(settings));
}

/** The error for a TCP connection that met itself: that happens only where nothing listens on the port. */
function refusal(remote: Address | undefined): Error {
  const message = `connect ECONNREFUSED ${addressText(remote)}: nobody but the connecting socket itself was there`;
  const { address, port } = remote as Exclude<Address, { family: "unix" }>;
  const errno = -constants.errno.ECONNREFUSED;
  return Object.assign(new Error(message), { code: "ECONNREFUSED", errno, syscall: "connect", address, port });
}
