import { BYTES, READ, WRITE } from "../base/channels.js";
import type { Connection } from "../connection/connection.js";
import type { Passing } from "../transport/transport.js";

/**
 * Lets bytes pass between two connections in their transports, where these can do so. Then no byte enters JavaScript.
 * Anything but plain bytes ends that: an end, a failure, a close. The bytes that are on their way are received as usual
 * then, and the relay goes on by reads and writes.
 */
export class Joint implements Passing {
  isUsed = false;
  readonly #a: Connection;
  readonly #b: Connection;

  constructor(a: Connection, b: Connection) {
    this.#a = a;
    this.#b = b;
    a.passing = b.passing = this;
  }

  /** Lets what comes pass from one to the other, if nothing has to be done before. */
  join(from: Connection, to: Connection): void {
    const { peerEnded, queue } = from.reading;
    if (isWatched() || !isFree(from) || !isFree(to) || peerEnded || queue.buffer.length > 0) return;
    const { writing, transport } = to;
    const isWriting = writing.queue.head !== null || writing.endEntry !== null || writing.finSent;
    if (isWriting || transport === null) return;
    const isTimed = from.limits.idleMs !== Infinity || to.limits.idleMs !== Infinity;
    if (from.transport?.passTo?.(transport, isTimed) !== true) return;
    this.isUsed = true;
    if (!isTimed) return;
    from.timer.watchPassing();
    to.timer.watchPassing();
  }

  account(): void {
    if (!this.isUsed) return;
    count(this.#a, this.#b);
    count(this.#b, this.#a);
  }

  part(): void {
    this.partFrom(this.#a);
    this.partFrom(this.#b);
  }

  /** Ends the way from one connection. Its bytes that are on their way are read, and so written to the other one. */
  partFrom(from: Connection): void {
    if (this.#takeBackFrom(from)) from.drain();
  }

  /** Ends both ways. The bytes that are on their way are unread from then on. */
  takeBack(): void {
    this.#takeBackFrom(this.#a);
    this.#takeBackFrom(this.#b);
  }

  /** @returns whether any bytes were on their way */
  #takeBackFrom(from: Connection): boolean {
    if (!this.isUsed) return false;
    this.account();
    const waiting = from.transport?.part?.();
    if (waiting === undefined) return false;
    from.takeAhead(waiting);
    return true;
  }
}

/** Whether anybody listens to the diagnostics channels of bytes, reads or writes, which tell of what JavaScript sees. */
function isWatched(): boolean {
  return BYTES.hasSubscribers || READ.hasSubscribers || WRITE.hasSubscribers;
}

/** Whether bytes may pass: the least rates of `limits.bytesPerSecond` need reads and writes that are seen. */
function isFree({ isOpen, upgrade, closeWhen, limits }: Connection): boolean {
  return isOpen && upgrade === null && closeWhen === 0 && limits.bytesPerSecond === Infinity;
}

function count(from: Connection, to: Connection): void {
  const bytes = from.transport?.takePassed?.() ?? 0;
  if (bytes === 0) return;
  const isTimed = from.limits.idleMs !== Infinity || to.limits.idleMs !== Infinity;
  const agoMs = isTimed ? (from.transport?.passedAgoMs ?? 0) : 0;
  from.bytesRead += bytes;
  from.timer.wasHeard = true;
  from.timer.markActive(agoMs);
  to.writing.didPass(bytes, agoMs);
}
