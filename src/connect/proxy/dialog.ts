import { type AsyncSocketError, isCode, socketError } from "../../base/errors.js";
import type { SocketRequest } from "../../base/request.js";
import type { ConversationSocket } from "./conversation.js";
import type { ProxyServer, ProxyTarget } from "./proxy-url.js";

/**
 * The steps of a handshake with a proxy: it sends, reads answers, and makes readable errors. It uses the socket's own
 * read queue, so it consumes no byte after the answer: those stay for the next read.
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

  /** Sends data. A failure to send is not handled here: it closes the socket, so that reading the answer fails. */
  send(data: Uint8Array | string): void {
    this.#socket.write(data);
  }

  read(length: number): Promise<Buffer> {
    return this.#answer(this.#socket.readExactly(length));
  }

  skip(length: number): Promise<undefined> {
    return this.#answer(this.#socket.skip(length));
  }

  /** Reads a line, its LF included. @param tooLong the message if there is no LF within `maxLength` bytes */
  async line(maxLength: number, tooLong: string): Promise<Buffer> {
    if (maxLength < 1) throw this.failure(tooLong);
    try {
      return await this.#answer(this.#socket.readUntil("\n", { maxLength, onFailure: "continue" }));
    } catch (error) {
      throw isCode(error, "READ_LIMIT") ? this.failure(tooLong, error) : error;
    }
  }

  /**
   * Awaits an answer. If the proxy closed the connection, that is an answer, and gives a `PROXY` error; if this side
   * gave up (a timeout, a signal), the error stays as it is.
   */
  async #answer<T>(request: SocketRequest<T>): Promise<T> {
    try {
      return await request;
    } catch (error) {
      const { closeReason, peerEnded } = this.#socket;
      // If the proxy's FIN or RST arrived between two reads, the second read finds the socket closed, or about to be.
      const wasLeft = isCode(error, "CLOSED") && peerEnded && (closeReason?.by ?? "remote") === "remote";
      if (isCode(error, "END_OF_STREAM") || wasLeft) {
        throw this.failure("it closed the connection before its answer was complete", error);
      }
      const ending = closeReason?.error;
      if (isCode(ending, "CONNECTION_LOST")) throw this.failure("the connection to it was lost", error);
      if (isCode(ending, "TLS") || isCode(ending, "TLS_TIMEOUT")) throw this.failure(ending.message, ending);
      throw error;
    }
  }

  /** Makes a `PROXY` error. @param why the reason, which follows a colon and has no full stop */
  failure(why: string, cause?: unknown): AsyncSocketError {
    const { host, port } = this.#target;
    const proxy = `${bracketed(this.#proxy.host)}:${this.#proxy.port}`;
    const message = `Cannot connect to ${host} port ${port} through the proxy ${proxy}: ${why}`;
    return socketError("PROXY", "connect", message, cause);
  }
}

/** A host as it is written before a colon and a port. */
export function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
