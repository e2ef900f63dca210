import {
  type Bytes,
  checkBoolean,
  checkOptions,
  needOptions,
  checkSignal,
  toBytes,
  toParts,
  wrongType,
} from "./base/checks.js";
import { badState } from "./base/errors.js";
import type { SocketRequest } from "./base/request.js";
import { AFTER_WRITING } from "./connection/closing.js";
import { Securing } from "./connection/upgrade.js";
import type { MessageFraming } from "./framing/framing.js";
import { checkTimeout, NO_TIMEOUT } from "./pump/entry.js";
import { WriteEntry } from "./pump/write-queue.js";
import { SocketReader } from "./socket-reader.js";
import type { OperationOptions } from "./socket/read-options.js";
import type { StartTLSOptions, TLSInfo } from "./tls/options.js";
import { clientSettings, serverSettings } from "./tls/settings.js";

/** What a socket sends, and how: each call checks what it was given, and queues an entry. */
export abstract class SocketWriter<Tag> extends SocketReader<Tag> {
  /**
   * Sends a string (UTF-8), bytes, or a list of them. Done when the operating system has them all. Bytes are not
   * copied: leave them alone until then. Fails, and closes, with `QUEUE_FULL` when it would pass `limits.writeQueue`.
   * Once a byte of it is on its way, a timeout or a cancellation closes the connection; `error.bytesDone` are out then.
   * @throws BAD_STATE after `end` or `disconnectAfterWriting`, and on a listener
   */
  write(data: Bytes | readonly Bytes[], options?: OperationOptions<Tag>): SocketRequest<void> {
    return this.#write("write", data, options);
  }

  #write(
    operation: "write" | "writeMessage",
    data: Bytes | readonly Bytes[],
    options: OperationOptions<Tag> | undefined,
  ): WriteEntry {
    if (options === undefined) return this.#queueWrite(operation, data, undefined, NO_TIMEOUT, undefined);
    checkOptions(options);
    const timeoutMs = checkTimeout(options.timeout);
    return this.#queueWrite(operation, data, options.tag, timeoutMs, checkSignal(options.signal));
  }

  /**
   * Sends one message, as the framing encodes it: the mirror of `readMessage`. All else is as with `write`.
   * @throws what `encode` throws for a value that is no message; nothing is written then
   */
  writeMessage<Value>(
    framing: Pick<MessageFraming<unknown, Value>, "encode">,
    value: Value,
    options?: OperationOptions<Tag>,
  ): SocketRequest<void> {
    if (typeof needOptions(framing).encode !== "function")
      throw wrongType("framing.encode", "a function", framing.encode);
    return this.#write("writeMessage", framing.encode(value), options);
  }

  /**
   * FIN after the queued writes; reading goes on. A second call gives the first one's request. Done when the operating
   * system has the FIN; fails with `CANCELED`, `CLOSED` or `CONNECTION_LOST`.
   * @throws BAD_STATE on a listener
   */
  end(): SocketRequest<void> {
    const { writing } = this._connection;
    writing.endEntry ??= this.#queueWrite("end", [], undefined, NO_TIMEOUT, undefined);
    return writing.endEntry;
  }

  #queueWrite(
    operation: "write" | "writeMessage" | "end",
    data: Bytes | readonly Bytes[],
    tag: unknown,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): WriteEntry {
    const bytes = Array.isArray(data) ? toParts(data) : toBytes("data", data);
    if (this.state === "listening") throw badState(operation, "the socket listens");
    if (this._isStream) throw badState(operation, "the socket was turned into a stream");
    const connection = this._connection;
    if (!connection.isEnding) {
      if (connection.writing.endEntry !== null) throw badState(operation, "the stream was ended by end()");
      if ((connection.closeWhen & AFTER_WRITING) !== 0 && operation !== "end") {
        throw badState(operation, "the socket disconnects after the writes that were queued before");
      }
    }
    const entry = new WriteEntry(operation, tag, connection.writing, timeoutMs, bytes);
    connection.writing.enqueue(entry, signal);
    return entry;
  }

  /**
   * Goes on encrypted: what was queued before goes in the clear, then the handshake, then what is queued after. Bytes
   * that were received ahead belong to the handshake, none ever reaches a read. Gives what was negotiated.
   *
   * A client verifies the server's certificate for `servername`, or the host connected to. `limits.handshakeMs` runs
   * from when both queues have come to it, `timeout` from when the first has, until the peer is trusted.
   *
   * Fails with `TLS`, `TLS_TIMEOUT`, `END_OF_STREAM` (the peer ended before it), `CANCELED`, `CLOSED` or
   * `CONNECTION_LOST`. However it fails, cancelled too, that closes the connection: the rest must not go in the clear.
   * @throws BAD_STATE where it is secure already, or is going to be, after `end` or a graceful disconnect, and on a
   * listener
   * @throws TypeError for keys and certificates that cannot be used, and for a server without any
   */
  startTLS(options?: StartTLSOptions<Tag>): SocketRequest<TLSInfo> {
    const given = checkOptions(options) ?? {};
    const isServer = checkBoolean("isServer", given.isServer, this._connection.isAccepted);
    const settings = isServer ? serverSettings(given) : clientSettings(given);
    const timeoutMs = checkTimeout(given.timeout);
    const signal = checkSignal(given.signal);
    if (this.state === "listening") throw badState("startTLS", "the socket listens");
    if (this._isStream) throw badState("startTLS", "the socket was turned into a stream");
    const connection = this._connection;
    if (!connection.isEnding) {
      if (connection.securing !== null) throw badState("startTLS", "the connection is to be encrypted already, or is");
      if (connection.writing.endEntry !== null) throw badState("startTLS", "the stream was ended by end()");
      if (connection.closeWhen !== 0) throw badState("startTLS", "the socket disconnects after what was queued before");
    }
    const securing = new Securing(connection, settings);
    if (!connection.isEnding) connection.securing = securing;
    return securing.enqueue(given.tag, timeoutMs, signal);
  }
}
