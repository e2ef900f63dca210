import type { RequestKind, RequestOwner } from "../base/request.js";
import type { DelimiterSet } from "../framing/delimiter.js";
import type { FrameHeader } from "../framing/length-prefixed.js";
import { Entry } from "./entry.js";

/** The methods that make reads; each has a rule of its own for where the read ends. */
export type ReadKind = Extract<
  RequestKind,
  "read" | "readExactly" | "readUntil" | "readLine" | "readFrame" | "peek" | "skip" | "startTLS"
>;

/** A length that no read reaches, and that is a small integer (see NO_TIMEOUT). */
export const UNLIMITED = 2 ** 31 - 1;

/** A read, and all that it needs to find its end. The fields after the constructor's are set before it is queued. */
export class ReadEntry<T = unknown> extends Entry<T> {
  declare readonly kind: ReadKind;
  /** Bytes for exactly, peek and skip; the most that may be taken for the others (of a frame: the body). */
  length: number;
  /** What marks the end: delimiters (lines: null), or a frame's header. */
  mark: DelimiterSet | FrameHeader | null = null;
  /** What is given: text in this encoding, the caller's memory, or (null) new bytes. */
  target: BufferEncoding | Uint8Array | null = null;
  /** `onFailure: "continue"` */
  failsAlone = false;

  constructor(kind: ReadKind, tag: unknown, owner: RequestOwner, timeoutMs: number, length: number) {
    super(kind, tag, owner, timeoutMs);
    this.length = length;
  }

  /** Whether what it gives is decoded. */
  get givesText(): boolean {
    return this.kind === "readLine" || typeof this.target === "string";
  }

  override get bytesTotal(): number | undefined {
    const { kind } = this;
    return kind === "readExactly" || kind === "peek" || kind === "skip" ? this.length : undefined;
  }
}
