import type { RequestKind, RequestOwner } from "../base/request.js";
import type { InPlaceFraming, Target } from "../framing/framing.js";
import { Entry } from "./entry.js";

/** The methods that make reads. */
export type ReadKind = Extract<
  RequestKind,
  | "read"
  | "readExactly"
  | "readUntil"
  | "readLine"
  | "readFrame"
  | "readMessage"
  | "peek"
  | "skip"
  | "expect"
  | "startTLS"
>;

/** A length that no read reaches. It is a small integer for the same reason as NO_TIMEOUT. */
export const UNLIMITED = 2 ** 31 - 1;

/** What a read with `repeat: true` remembers from one message to the next. */
export interface Standing {
  /** How many messages it was served. */
  messages: number;
  /** How many bytes the last message had. */
  lastBytes: number;
  /** The timeout of each message, without what `extend` added for one. */
  readonly timeoutMs: number;
}

/** A read. The fields that the constructor does not set are set before the entry is queued. */
export class ReadEntry<T = unknown> extends Entry<T> {
  declare readonly kind: ReadKind;
  /** Decides where the read ends and what its value is. */
  readonly framing: InPlaceFraming<unknown>;
  /** The most bytes that the read may take, including the header of its framing. */
  limit: number;
  /** What the bytes become: text, a part of the caller's memory, or a new Buffer. */
  target: Target = null;
  /** Whether the option `onFailure: "continue"` was given, so that a failure leaves the connection open. */
  failsAlone = false;
  /** What a standing read remembers; null for a read of one message. */
  standing: Standing | null = null;

  constructor(
    kind: ReadKind,
    tag: unknown,
    owner: RequestOwner,
    timeoutMs: number,
    framing: InPlaceFraming<unknown>,
    limit: number,
  ) {
    super(kind, tag, owner, timeoutMs);
    this.framing = framing;
    this.limit = limit;
  }

  override get bytesTotal(): number | undefined {
    return this.framing.exactLength;
  }
}
