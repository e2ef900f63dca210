import { ReadableStream, WritableStream } from "node:stream/web";
import { byteCount } from "../base/byte-count.js";
import { type Bytes, toBytes } from "../base/checks.js";
import { isSystemCode } from "../base/errno.js";
import { badState, isCode, isOurs } from "../base/errors.js";
import type { SocketRequest } from "../base/request.js";
import type { CloseReason } from "../connection/close-reason.js";
import type { Connection } from "../connection/connection.js";
import { tellWritten } from "../connection/notify.js";
import { NO_TIMEOUT } from "../pump/entry.js";
import type { ReadEntry } from "../pump/read-entry.js";
import { WriteEntry } from "../pump/write-queue.js";
import { type Done, GatheredDuplex } from "../transport/gathered-duplex.js";
import type { WebStreams } from "./options.js";
import { readEntry } from "./read-options.js";
import type { StreamTimeout } from "./stream-timeout.js";

/**
 * The most bytes that are written as one batch. A stream limits its own buffering, so `limits.writeQueue` should not
 * fail its writes.
 */
const BATCH_BYTES = 1024 * 1024;

/**
 * The bytes of a connection as a Node stream. It queues one read at a time. Chunks that gather while a write is under
 * way are written together. The stream keeps the socket's limits, and ends with the socket.
 *
 * It keeps three habits of Node's own sockets that programs rely on. It begins to read at once, so that the peer's end
 * is noticed even if nothing reads from the stream. It passes a write on within the call, so that `write` followed by
 * `destroy` still sends the bytes. Its 'close' event says whether there was an error.
 */
export abstract class ConnectionDuplex extends GatheredDuplex {
  readonly #connection: Connection;
  #isReading = false;
  #error: Error | null = null;
  /** The time without traffic after which the stream emits 'timeout'; null if none was ever set. */
  protected quiet: StreamTimeout | null = null;
  /** Whether the close is to send a RST. */
  protected resets = false;
  /** How many bytes were to be sent before those of the stream. */
  readonly #bytesBefore: number;
  /** How many bytes the stream has handed on, or is handing on. */
  #bytesGiven = 0;
  /** How many of those still count in `writableLength`. */
  #bytesUnderWay = 0;

  constructor(connection: Connection, allowHalfOpen: boolean) {
    super({ allowHalfOpen: true, emitClose: false });
    this.#connection = connection;
    if (!allowHalfOpen) this.once("end", this.#endSoon);
    const { bytesWritten, unsentBytes } = connection.writing;
    this.#bytesBefore = bytesWritten + unsentBytes;
    void connection.whenClosed("closed").then(({ by, error }) => {
      // If both sides ended normally, the last bytes may still be on their way to the consumer of this stream.
      if (error !== null) this.destroy(this.#errorFrom(error));
      else if (by === "local") this.destroy();
    });
    this.read(0);
  }

  override _read(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    read(this.#connection).then(this.#didRead, this.#didFailRead);
  }

  readonly #didRead = (data: Buffer): void => {
    this.#isReading = false;
    this.quiet?.refresh();
    this.push(data);
  };

  /** Any other failure closes the connection, and the stream is destroyed when that is done. */
  readonly #didFailRead = (error: unknown): void => {
    if (!isCode(error, "END_OF_STREAM")) return;
    this.push(null);
    // If no bytes are left, this lets the stream end even if nothing reads from it.
    this.read(0);
  };

  /**
   * Without `allowHalfOpen`, the end of the readable side ends the writable side. This is done here and not by the
   * Duplex, for the sake of the runtime's TLS over this stream. That takes over the Duplex's `allowHalfOpen`, and without
   * it would answer the peer's end with bytes that fail, since the Duplex has ended. And it is done a turn later, so that
   * what programs write to that TLS in its 'end' event does not fail either.
   */
  readonly #endSoon = (): void => {
    this.write = writeLate;
    this.#connection.clock.later(endStream, this);
  };

  /** The number of bytes that were given to the stream to write, whether they are out or not. */
  get bytesWritten(): number {
    return this.#bytesBefore + this.#bytesGiven + this.writableLength - this.#bytesUnderWay;
  }

  protected override send(chunks: readonly Buffer[], done: Done): void {
    this.quiet?.refresh();
    this.#bytesUnderWay = byteCount(chunks);
    this.#bytesGiven += this.#bytesUnderWay;
    this.#send(chunks, done);
  }

  #send(chunks: readonly Buffer[], done: Done): void {
    const connection = this.#connection;
    // Empty chunks are left out: a socket's write takes none, but a stream may be given some (http.Server ends a
    // response with one).
    for (let rest = chunks.filter(({ length }) => length > 0); rest.length > 0;) {
      const [batch, after] = divided(rest, Math.min(BATCH_BYTES, connection.limits.writeQueue));
      rest = after;
      const entry = write(connection, "write", batch);
      handOn(connection);
      if (entry.state !== "done") {
        const goOn = after.length === 0 ? () => this.#sent(done) : () => this.#send(after, done);
        entry.then(goOn, this.#fail(done));
        return;
      }
    }
    this.#sent(done);
  }

  #sent(done: Done): void {
    this.#bytesUnderWay = 0;
    this.quiet?.refresh();
    done();
  }

  override _final(done: Done): void {
    end(this.#connection).then(() => done(), this.#fail(done));
  }

  #fail(done: Done): (error: unknown) => void {
    return (error) => {
      // If this side closed the socket, the stream emits no error, but the callback of the write gets one.
      if (this.#connection.reason?.error === null) this.destroy();
      done(this.#errorFrom(failureOf(this.#connection, error)));
    };
  }

  /** The stream has one error, however many writes tell of it. */
  #errorFrom(error: Error): Error {
    return (this.#error ??= asSystemError(error));
  }

  override _destroy(error: Error | null, done: Done): void {
    this.quiet?.stop();
    const closed = this.resets ? this.#connection.disconnect(true) : close(this.#connection);
    void closed.then(() => {
      done(error);
      // The stream emits 'error' in the tick that `done` has scheduled, before this one.
      process.nextTick(() => this.emit("close", error !== null));
    });
  }
}

/** Takes the place of `write` when the peer has ended: a write to a stream that has ended, too, fails as on Node's sockets. */
function writeLate(this: ConnectionDuplex, chunk: unknown, encoding?: BufferEncoding | Done, done?: Done): boolean {
  if (!this.writableEnded) return ConnectionDuplex.prototype.write.call(this, chunk, encoding as BufferEncoding, done);
  const error = Object.assign(new Error("This socket has been ended by the other party"), { code: "EPIPE" });
  const told = typeof encoding === "function" ? encoding : done;
  if (told !== undefined) process.nextTick(told, error);
  this.destroy(error);
  return false;
}

function endStream(stream: ConnectionDuplex): void {
  if (stream.writable) stream.end();
}

/**
 * Gives an error as programs for Node's own sockets expect it. If the operating system gave the reason, its code (such
 * as "ECONNRESET") is the code of the error, and the socket's error is the cause. Any other error stays what it is.
 */
function asSystemError(error: Error): Error {
  const reason = isOurs(error) ? error.cause : undefined;
  if (!(reason instanceof Error) || !isSystemCode((reason as NodeJS.ErrnoException).code)) return error;
  const message = reason instanceof AggregateError ? error.message : reason.message;
  // An error of the system has its code, errno and address as properties of its own.
  return Object.assign(new Error(message, { cause: error }), reason);
}

/** The error that ended the connection, which says more than the error of a single write. */
function failureOf({ reason }: Connection, error: unknown): Error {
  return reason?.error ?? (error as Error);
}

/** Passes waiting writes on for as long as the operating system takes them at once. */
function handOn(connection: Connection): void {
  const { socket, writing } = connection;
  const { queue } = writing;
  while (connection.isCarrying && queue.hasMore && !writing.isBusy) {
    writing.flush();
    for (let entry = queue.nextDone(); entry !== null; entry = queue.nextDone()) tellWritten(socket, entry);
  }
}

/** Closes at once, after waiting writes were offered to the operating system once more. */
function close(connection: Connection): SocketRequest<CloseReason> {
  handOn(connection);
  return connection.disconnect(false);
}

function read({ reading }: Connection): ReadEntry<Buffer> {
  const entry = readEntry(reading, undefined);
  reading.enqueue(entry, undefined);
  return entry;
}

function write({ writing }: Connection, kind: "write" | "end", data: Uint8Array | readonly Uint8Array[]): WriteEntry {
  const entry = new WriteEntry(kind, undefined, writing, NO_TIMEOUT, data, null, null, writing.hasToWait);
  writing.enqueue(entry, undefined);
  return entry;
}

function end(connection: Connection): WriteEntry {
  return (connection.writing.endEntry ??= write(connection, "end", []));
}

/**
 * Divides chunks in two: the first part has at most `bytes` bytes (the last chunk may be cut), the second part has the
 * rest.
 */
function divided(chunks: readonly Buffer[], bytes: number): [Buffer[], Buffer[]] {
  let room = Math.max(1, bytes);
  const index = chunks.findIndex(({ length }) => (room -= length) < 0);
  const cut = chunks[index];
  if (cut === undefined) return [[...chunks], []];
  const at = cut.length + room;
  return [
    [...chunks.slice(0, index), cut.subarray(0, at)],
    [cut.subarray(at), ...chunks.slice(index + 1)],
  ];
}

/** Not by the runtime's way from a Duplex: there the writer's close waits for the end of what is read. */
export function webStreams(connection: Connection, allowHalfOpen: boolean): WebStreams {
  const disconnect = async (): Promise<void> => {
    await close(connection);
  };
  const closed = connection.whenClosed("closed");
  const readable = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          controller.enqueue(await read(connection));
        } catch (error) {
          if (!isCode(error, "END_OF_STREAM")) throw failureOf(connection, error);
          controller.close();
          if (!allowHalfOpen) end(connection);
        }
      },
      cancel: disconnect,
    },
    // One chunk is read ahead, so that the peer's end is noticed even if nothing reads from the stream.
    { highWaterMark: 1 },
  );
  const writable = new WritableStream<Bytes>({
    start(controller) {
      void closed.then(({ error }) => controller.error(error ?? badState("write", "the socket is closed")));
    },
    async write(chunk) {
      const bytes = toBytes("chunk", chunk);
      if (connection.writing.endEntry !== null) throw badState("write", "the peer has ended, and allowHalfOpen is off");
      const entry = write(connection, "write", bytes);
      handOn(connection);
      await entry.catch((error: unknown) => {
        throw failureOf(connection, error);
      });
    },
    close: async () => await end(connection),
    abort: disconnect,
  });
  return { readable, writable };
}
