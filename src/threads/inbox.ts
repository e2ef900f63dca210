import { surface } from "../base/uncaught.js";
import type { AcceptInfo } from "../connection/delegate.js";
import type { AsyncSocket } from "../socket/async-socket.js";

/** What `onSocket` is told with a socket that came from another thread. */
export interface Arrival {
  /** That of the socket there, or what `moveTo` was given: a structured clone. Also in `socket.userData`. */
  readonly userData: unknown;
  readonly info: AcceptInfo;
}

/** Told of sockets that come from other threads: in place of `didAccept`, behind a PROXY header, before a handshake. */
export type SocketHandler = (socket: AsyncSocket, arrival: Arrival) => void;

/** Where sockets from other threads are received: one for each thread. */
class Inbox {
  #handler: SocketHandler | null = null;
  #waiting: (() => void)[] = [];

  setHandler(handler: SocketHandler): void {
    this.#handler = handler;
    for (const arrive of this.#waiting.splice(0)) arrive();
  }

  /** At once, or when there is somebody to be told. */
  admit(arrive: () => void): void {
    if (this.#handler === null) this.#waiting.push(arrive);
    else arrive();
  }

  /** Of those that wait for a handler, when the thread takes no more. */
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
