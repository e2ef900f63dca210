import { type AsyncSocketError, isCode, socketError } from "../../base/errors.js";
import type { SocketRequest } from "../../base/request.js";
import type { ConversationSocket } from "./conversation.js";
import type { ProxyServer, ProxyTarget } from "./proxy-url.js";

/**
 * What a handshake with a proxy does: send, read the answer, and fail in words. It goes through the socket's own queues,
 * so it takes not a byte more than the answer has, and what follows is there for the next read.
 */
export class ProxyDialog {
  readonly #socket: ConversationSocket;
  readonly #proxy: ProxyServer;
  readonly #target: ProxyTarget;

  constructor(socket: ConversationSocket, proxy: ProxyServer, target: ProxyTarget) {
    this.#socket = socket;
    this.#proxy = proxy;
    this.#target = target;
  }

  /** A failure to send needs no ear of its own: it closes the socket, and so the answer fails. */
  send(data: Uint8Array | string): void {
    this.#socket.write(data);
  }

  read(length: number): Promise<Buffer> {
    return this.#answer(this.#socket.readExactly(length));
  }

  skip(length: number): Promise<undefined> {
    return this.#answer(this.#socket.skip(length));
  }

  /** Through the LF. @param tooLong what to say when there is none within `maxLength` bytes */
  async line(maxLength: number, tooLong: string): Promise<Buffer> {
    if (maxLength < 1) throw this.failure(tooLong);
    try {
      return await this.#answer(this.#socket.readUntil("\n", { maxLength, onFailure: "continue" }));
    } catch (error) {
      throw isCode(error, "READ_LIMIT") ? this.failure(tooLong, error) : error;
    }
  }

  /** That the proxy went away is its answer; that this side gave up (a timeout, a signal) is not. */
  async #answer<T>(request: SocketRequest<T>): Promise<T> {
    try {
      return await request;
    } catch (error) {
      const { closeReason, peerEnded } = this.#socket;
      // Where its FIN, or a RST, came between two reads, the second one finds the socket closed, or about to be.
      const wasLeft = isCode(error, "CLOSED") && peerEnded && (closeReason?.by ?? "remote") === "remote";
      if (isCode(error, "END_OF_STREAM") || wasLeft) {
        throw this.failure("it closed the connection before its answer was complete", error);
      }
      if (isCode(closeReason?.error, "CONNECTION_LOST")) throw this.failure("the connection to it was lost", error);
      throw error;
    }
  }

  /** @param why follows a colon; without a full stop */
  failure(why: string, cause?: unknown): AsyncSocketError {
    const { host, port } = this.#target;
    const proxy = `${bracketed(this.#proxy.host)}:${this.#proxy.port}`;
    const message = `Cannot connect to ${host} port ${port} through the proxy ${proxy}: ${why}`;
    return socketError("PROXY", "connect", message, cause);
  }
}

/** A host as it stands before a colon and a port. */
export function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
