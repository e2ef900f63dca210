import type { RequestKind, RequestOwner } from "../base/request.js";
import type { InPlaceFraming, Target } from "../framing/framing.js";
import { Entry } from "./entry.js";

/** The methods that make reads. */
export type ReadKind = Extract<
  RequestKind,
  "read" | "readExactly" | "readUntil" | "readLine" | "readFrame" | "readMessage" | "peek" | "skip" | "startTLS"
>;

/** A length that no read reaches, and that is a small integer (see NO_TIMEOUT). */
export const UNLIMITED = 2 ** 31 - 1;

/** A read: where it ends, and what it gives. The fields after the constructor's are set before it is queued. */
export class ReadEntry<T = unknown> extends Entry<T> {
  declare readonly kind: ReadKind;
  /** Says where the read ends. */
  readonly framing: InPlaceFraming<unknown>;
  /** The most bytes that the read may take, its header included. */
  limit: number;
  /** What the bytes become. */
  target: Target = null;
  /** `onFailure: "continue"` */
  failsAlone = false;

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
