import type { RequestKind, RequestOwner } from "../request.js";
import type { DelimiterSet } from "./delimiter.js";
import { Entry } from "./entry.js";

/** The ways in which the end of a read is found. */
export type ReadRule = "some" | "exactly" | "until" | "line" | "frame" | "peek" | "skip";

export interface FrameHeader {
  readonly lengthBytes: number;
  readonly littleEndian: boolean;
  readonly lengthIncludesHeader: boolean;
}

/** A read, and all that it needs to find its end. The fields after the constructor's are set once, before it is queued. */
export class ReadEntry<T = unknown> extends Entry<T> {
  readonly rule: ReadRule;
  /** Bytes for exactly, peek and skip; the most that may be taken for the others (of a frame: the body). */
  length: number;
  delimiters: DelimiterSet | null = null;
  frame: FrameHeader | null = null;
  /** Null: bytes are given. */
  encoding: BufferEncoding | null = null;
  into: Uint8Array | null = null;
  /** `onFailure: "continue"` */
  failsAlone = false;
  /** Of a frame, once its header has come. */
  total = -1;

  constructor(kind: RequestKind, rule: ReadRule, tag: unknown, owner: RequestOwner, timeoutMs: number, length: number) {
    super(kind, tag, owner, timeoutMs);
    this.rule = rule;
    this.length = length;
  }

  override get bytesTotal(): number | undefined {
    if (this.rule === "exactly" || this.rule === "peek" || this.rule === "skip") return this.length;
    return this.total === -1 ? undefined : this.total;
  }

  /** The most bytes that it can take, for backpressure. */
  get most(): number {
    if (this.frame === null) return this.length;
    return this.total === -1 ? this.frame.lengthBytes + this.length : this.total;
  }
}
