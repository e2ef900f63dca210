import type { Bytes } from "./base/checks.js";
import type { Framing } from "./framing/framing.js";
import { badState } from "./base/errors.js";
import type { SocketRequest } from "./base/request.js";
import { AFTER_READING } from "./connection/closing.js";
import type { ReadSide } from "./connection/reading.js";
import type { ReadEntry } from "./pump/read-entry.js";
import { SocketView } from "./socket-view.js";
import { ReadIterator } from "./socket/iterators.js";
import * as reads from "./socket/read-options.js";
import type {
  DataOptions,
  DelimitedOptions,
  FrameOptions,
  LineOptions,
  MessageOptions,
  PeekOptions,
  ReadingOptions,
  ReadOptions,
  WithEncoding,
  WithoutEncoding,
} from "./socket/read-options.js";

/** The reads of a socket: each call checks what it was given, and queues an entry. */
export abstract class SocketReader<Tag> extends SocketView {
  /** Whatever is there: at least one byte, at most `maxLength`. */
  read(options: ReadOptions<Tag> & WithEncoding): SocketRequest<string>;
  read(options?: ReadOptions<Tag> & WithoutEncoding): SocketRequest<Buffer>;
  read(options?: ReadOptions<Tag>): SocketRequest<Buffer | string>;
  read(options?: ReadOptions<Tag>): SocketRequest<Buffer | string> {
    return this.#queueRead("read", reads.readEntry(this._connection.reading, options), options);
  }

  /** Exactly `length` bytes; 0 gives an empty buffer in its turn. */
  readExactly(length: number, options: DataOptions<Tag> & WithEncoding): SocketRequest<string>;
  readExactly(length: number, options?: DataOptions<Tag> & WithoutEncoding): SocketRequest<Buffer>;
  readExactly(length: number, options?: DataOptions<Tag>): SocketRequest<Buffer | string>;
  readExactly(length: number, options?: DataOptions<Tag>): SocketRequest<Buffer | string> {
    return this.#queueRead("readExactly", reads.readExactlyEntry(this._connection.reading, length, options), options);
  }

  /**
   * All through the delimiter, which is included. Of a list, the one that ends first wins.
   * Fails with `READ_LIMIT` exactly when `maxLength` bytes are there and no delimiter ends within them.
   */
  readUntil(delimiter: Bytes | readonly Bytes[], options: DelimitedOptions<Tag> & WithEncoding): SocketRequest<string>;
  readUntil(
    delimiter: Bytes | readonly Bytes[],
    options?: DelimitedOptions<Tag> & WithoutEncoding,
  ): SocketRequest<Buffer>;
  readUntil(delimiter: Bytes | readonly Bytes[], options?: DelimitedOptions<Tag>): SocketRequest<Buffer | string>;
  readUntil(delimiter: Bytes | readonly Bytes[], options?: DelimitedOptions<Tag>): SocketRequest<Buffer | string> {
    return this.#queueRead("readUntil", reads.readUntilEntry(this._connection.reading, delimiter, options), options);
  }

  /** One line, without its ending, which is LF or CRLF. */
  readLine(options?: LineOptions<Tag>): SocketRequest<string> {
    return this.#queueRead("readLine", reads.readLineEntry(this._connection.reading, options), options);
  }

  /**
   * A length, and so many bytes: gives the bytes. Memory grows with what has come, not with what was announced.
   * Fails with `READ_LIMIT` as soon as more than `maxLength` is announced, with `BAD_FRAME` for an impossible length.
   */
  readFrame(options: FrameOptions<Tag> & WithEncoding): SocketRequest<string>;
  readFrame(options: FrameOptions<Tag> & WithoutEncoding): SocketRequest<Buffer>;
  readFrame(options: FrameOptions<Tag>): SocketRequest<Buffer | string>;
  readFrame(options: FrameOptions<Tag>): SocketRequest<Buffer | string> {
    return this.#queueRead("readFrame", reads.readFrameEntry(this._connection.reading, options), options);
  }

  /**
   * One message of a framing of your own, or of a built-in one. Gives what the framing decodes it to.
   * Fails with `READ_LIMIT` where the message, or what has come of it, is longer than `maxLength`, and with `BAD_FRAME`
   * where the framing throws, or gives a length that cannot be; its `cause` tells.
   */
  readMessage<T>(framing: Framing<T>, options?: MessageOptions<Tag>): SocketRequest<T> {
    const entry = reads.readMessageEntry(this._connection.reading, framing, options);
    return this.#queueRead("readMessage", entry, options);
  }

  /** A copy of the next `length` bytes, which stay for the next read. */
  peek(options: PeekOptions<Tag> & WithEncoding): SocketRequest<string>;
  peek(options: PeekOptions<Tag> & WithoutEncoding): SocketRequest<Buffer>;
  peek(options: PeekOptions<Tag>): SocketRequest<Buffer | string>;
  peek(options: PeekOptions<Tag>): SocketRequest<Buffer | string> {
    return this.#queueRead("peek", reads.peekEntry(this._connection.reading, options), options);
  }

  /** Drops the next `length` bytes without copying. One longer than `limits.readAhead` drops as they come, for good. */
  skip(length: number, options?: ReadingOptions<Tag>): SocketRequest<undefined> {
    return this.#queueRead("skip", reads.skipEntry(this._connection.reading, length, options), options);
  }

  /**
   * Every queued read, the current one included, fails with `CANCELED`; no byte is taken. A `startTLS` stays.
   * @returns how many
   */
  cancelReads(): number {
    return this._connection.cancelReads();
  }

  /**
   * Lines, until the end of the stream. Ends normally there and after a close of this side's; throws `END_OF_STREAM`
   * where a part of a line is left, and what else ends the connection or a read. Options are those of each read.
   */
  lines(options?: LineOptions<Tag>): AsyncIterableIterator<string, undefined> {
    return this.#iterate("readLine", options, (reading) => reads.readLineEntry(reading, options));
  }

  /** The bodies of frames, until the end of the stream; it ends as `lines` does. */
  frames(options: FrameOptions<Tag> & WithEncoding): AsyncIterableIterator<string, undefined>;
  frames(options: FrameOptions<Tag> & WithoutEncoding): AsyncIterableIterator<Buffer, undefined>;
  frames(options: FrameOptions<Tag>): AsyncIterableIterator<Buffer | string, undefined>;
  frames(options: FrameOptions<Tag>): AsyncIterableIterator<Buffer | string, undefined> {
    return this.#iterate("readFrame", options, (reading) => reads.readFrameEntry(reading, options));
  }

  /** The messages of a framing, until the end of the stream; it ends as `lines` does. */
  messages<T>(framing: Framing<T>, options?: MessageOptions<Tag>): AsyncIterableIterator<T, undefined> {
    return this.#iterate("readMessage", options, (reading) => reads.readMessageEntry(reading, framing, options));
  }

  /** What comes, as it comes, until the end of the stream; it ends as `lines` does. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Buffer, undefined> {
    return this.#iterate("read", undefined, (reading) => reads.readEntry(reading, undefined));
  }

  /** Wrong options throw here, not with the first read. */
  #iterate<T>(
    operation: string,
    options: ReadingOptions | undefined,
    entry: (reading: ReadSide) => ReadEntry<T>,
  ): ReadIterator<T> {
    const { reading } = this._connection;
    this.#checkReading(operation);
    entry(reading);
    return new ReadIterator(
      this,
      options?.signal !== undefined,
      () => entry(reading),
      (one) => this.#queueRead(operation, one, options),
    );
  }

  #checkReading(operation: string): void {
    if (this.state === "listening") throw badState(operation, "the socket listens");
    if (this._isStream) throw badState(operation, "the socket was turned into a stream");
    const { closeWhen, isEnding } = this._connection;
    if ((closeWhen & AFTER_READING) !== 0 && !isEnding) {
      throw badState(operation, "the socket disconnects after the reads that were queued before");
    }
  }

  #queueRead<T>(operation: string, entry: ReadEntry<T>, options: ReadingOptions | undefined): SocketRequest<T> {
    this.#checkReading(operation);
    this._connection.reading.enqueue(entry, options?.signal);
    return entry;
  }
}
