import { surface } from "../base/uncaught.js";
import type { AcceptInfo } from "../connection/delegate.js";
import type { AsyncSocket } from "../socket/async-socket.js";

/** What `onSocket` receives together with a socket from another thread. */
export interface Arrival {
  /**
   * A structured clone of the user data that `moveTo` was given, or else of the `userData` of the socket on the other
   * thread. The new socket's `userData` is the same object. Undefined for a socket that a listener sent.
   */
  readonly userData: unknown;
  readonly info: AcceptInfo;
}

/**
 * A function that receives sockets from other threads. It is called in place of `didAccept`: after the PROXY header has
 * arrived, and before the TLS handshake.
 */
export type SocketHandler = (socket: AsyncSocket, arrival: Arrival) => void;

/** Receives the sockets that come from other threads. There is one inbox for each thread. */
class Inbox {
  #handler: SocketHandler | null = null;
  #waiting: (() => void)[] = [];

  setHandler(handler: SocketHandler): void {
    this.#handler = handler;
    for (const arrive of this.#waiting.splice(0)) arrive();
  }

  /** Calls `arrive` at once if there is a handler, else when there is one. */
  admit(arrive: () => void): void {
    if (this.#handler === null) this.#waiting.push(arrive);
    else arrive();
  }

  /** Lets all sockets that wait for a handler arrive now, because the thread takes no more. */
  stopWaiting(): void {
    for (const arrive of this.#waiting.splice(0)) arrive();
  }

  tell(socket: AsyncSocket, arrival: Arrival): void {
    try {
      this.#handler?.(socket, arrival);
    } catch (error) {
      surface(error);
    }
  }
}

export const inbox = new Inbox();
