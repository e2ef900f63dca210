import { constants } from "node:os";
import { type Address, addressText, isOneEnd } from "../base/address.js";
import type { SocketSettings } from "../transport/options.js";
import type { AcceptedTransport, ConnectSink, Transport } from "../transport/transport.js";

/** One attempt to connect. It is its transport's sink, until whoever wanted the connection takes the transport over. */
export class Attempt implements ConnectSink {
  readonly #done: (error: Error | null) => void;
  readonly #whenClosed: (call: Attempt) => void;
  #transport: AcceptedTransport | null = null;

  constructor(done: (error: Error | null) => void, whenClosed: (call: Attempt) => void) {
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

  hangUp(): void {
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
    // With a RST, so that the port, which a server may be about to listen on, is free at once.
    this.#transport?.destroy(true);
    this.#done(refusal(remote));
  }

  didFail(error: Error): void {
    this.hangUp();
    this.#done(error);
  }

  didClose(): void {
    this.#whenClosed(this);
  }
}

export function applySettings(transport: Transport, { noDelay, keepAliveMs }: Partial<SocketSettings>): void {
  if (noDelay !== undefined) transport.setNoDelay(noDelay);
  if (keepAliveMs !== undefined) transport.setKeepAlive(keepAliveMs);
}

/** Nobody listens there, or the connection would not have met itself. */
function refusal(remote: Address | undefined): Error {
  const message = `connect ECONNREFUSED ${addressText(remote)}: nobody but the connecting socket itself was there`;
  const { address, port } = remote as Exclude<Address, { family: "unix" }>;
  const errno = -constants.errno.ECONNREFUSED;
  return Object.assign(new Error(message), { code: "ECONNREFUSED", errno, syscall: "connect", address, port });
}
