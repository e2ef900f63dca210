import { Duplex } from "node:stream";

export type Done = (error?: Error | null) => void;

/** A stream that sends everything written during one send together in the next. */
export abstract class GatheredDuplex extends Duplex {
  protected abstract send(parts: readonly Buffer[], done: Done): void;

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.send([chunk], done);
  }

  override _writev(chunks: readonly { chunk: Buffer }[], done: Done): void {
    this.send(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }
}
