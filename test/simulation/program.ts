/** Random programs: what both sides of a connection, and the network between them, do, and when. Plain data, to be shrunk. */

import type { ReadSpec } from "../pump/entries.js";
import { Lot } from "./lot.js";

/** Who acts: the side that connects, or the side that is accepted. */
export type Side = 0 | 1;

export type Closing = "disconnect" | "reset" | "afterReading" | "afterWriting" | "afterBoth" | "dispose";

interface Asking {
  readonly timeout?: number | undefined;
  /** Somebody awaits it. */
  readonly awaits: boolean;
  /** Its signal is aborted after so many ms; 0: it is aborted already. */
  readonly abortMs?: number;
}

export type Act =
  | ({ readonly do: "read"; readonly spec: ReadSpec; readonly alone?: boolean; readonly repeats?: boolean } & Asking)
  | ({ readonly do: "write"; readonly from: number; readonly sizes: readonly number[] } & Asking)
  /** The last request, or one of those before it. */
  | { readonly do: "cancel"; readonly back: number }
  | { readonly do: "extend"; readonly back: number; readonly ms: number }
  /** Bytes, and a RST right behind them. */
  | { readonly do: "sendAndReset"; readonly from: number; readonly size: number }
  /** The thread does something else for so long: timers fall due meanwhile, and what comes waits. */
  | { readonly do: "busy"; readonly ms: number }
  | { readonly do: "cancelReads" | "end" }
  | { readonly do: "close"; readonly how: Closing }
  | { readonly do: "throw" | "connect" }
  /** Another delegate, which is told from then on. */
  | { readonly do: "replace" }
  /** The delegate's answer to the next question for more time. */
  | { readonly do: "grant"; readonly ms: number }
  | { readonly do: "stall" | "resume"; readonly up: boolean }
  | { readonly do: "break"; readonly up: boolean; readonly after: number }
  | { readonly do: "partition" | "heal" | "breakNow" };

export interface Op {
  readonly side: Side;
  readonly atMs: number;
  /** Not at that time, but from inside that callback of the side's delegate. */
  readonly call?: number;
  readonly act: Act;
}

export interface Program {
  readonly seed: number;
  readonly network: {
    readonly latencyMs: readonly [number, number];
    readonly chunkBytes: readonly [number, number];
    readonly writeBytes: readonly [number, number];
    readonly capacityBytes: number;
    readonly bytesPerMs: number;
  };
  readonly readAhead: readonly [number, number];
  readonly writeQueue: readonly [number, number];
  readonly idleMs: readonly [number, number];
  readonly allowHalfOpen: readonly [boolean, boolean];
  /** All is disconnected right after the last op, with whatever is under way then. */
  readonly isCutShort: boolean;
  /** The listener is shut down at the end, and the client leaves at such a time later; undefined: all is disconnected. */
  readonly shutdown?: { readonly graceMs: number; readonly leaveMs: number };
  readonly ops: readonly Op[];
}

/** `limits.readLength`, `limits.lingerMs` of all sockets. */
export const READ_LENGTH = 2000;
export const LINGER_MS = 70;
/** No op begins later. */
export const LAST_OP_MS = 200;

const DELIMITERS = [["\n"], ["\r\n"], ["a"], ["\n", "\r\n"], ["\r", "\u0001\u0002"]].map((list) =>
  list.map((text) => Buffer.from(text)),
);
const CLOSINGS: readonly Closing[] = ["disconnect", "reset", "afterReading", "afterWriting", "afterBoth", "dispose"];

function randomRead(lot: Lot): ReadSpec {
  const length = lot.size(0, 300);
  const most = lot.chance(0.5) ? READ_LENGTH : lot.size(2, 200);
  const text = lot.chance(0.2) ? { encoding: "latin1" as const } : {};
  switch (lot.below(9)) {
    case 0:
    case 1:
      return { kind: "read", length: lot.chance(0.5) ? 2 ** 31 - 1 : lot.size(1, 300) };
    case 2:
      return { kind: "readExactly", length, ...text };
    case 3:
      return lot.chance(0.5)
        ? { kind: "readExactly", length, intoSlack: 1 + lot.below(3) }
        : { kind: "readExactly", length };
    case 4:
      return { kind: "readUntil", length: most, delimiters: lot.of(DELIMITERS), ...text };
    case 5:
      return { kind: "readLine", length: most };
    case 6: {
      const frame = {
        lengthBytes: lot.of([1, 1, 2]),
        littleEndian: lot.chance(0.5),
        lengthIncludesHeader: lot.chance(0.5),
      };
      return { kind: "readFrame", length: lot.chance(0.7) ? 65_535 : most, frame };
    }
    case 7:
      return { kind: "peek", length, ...text };
    default:
      return { kind: "skip", length: lot.size(0, 1000) };
  }
}

function readAct(lot: Lot): Act {
  const spec = randomRead(lot);
  const mayRepeat = spec.kind !== "peek" && spec.kind !== "skip" && spec.intoSlack === undefined && spec.length > 0;
  const repeats = mayRepeat && lot.chance(0.15);
  return { do: "read", spec, alone: lot.chance(0.6), ...(repeats ? { repeats } : {}), ...asking(lot) };
}

function asking(lot: Lot): Asking {
  return {
    ...(lot.chance(0.35) ? { timeout: lot.chance(0.1) ? 0 : lot.size(1, 150) } : {}),
    awaits: lot.chance(0.3),
    ...(lot.chance(0.08) ? { abortMs: lot.size(0, 60) } : {}),
  };
}

function randomWrite(lot: Lot, least: number, largest: number): Act {
  const parts = lot.chance(0.7) ? 1 : lot.below(5);
  const sizes = Array.from({ length: parts }, () => (lot.chance(0.05) ? 0 : lot.size(least, largest)));
  if (largest > 1000 && lot.chance(0.02)) sizes.push(lot.of([70_000, 262_144, 300_000, 530_000]));
  return { do: "write", from: lot.below(100_000), sizes, ...asking(lot) };
}

interface Mood {
  /** The network breaks connections. */
  readonly isHarsh: boolean;
  /** Mostly reads and writes, and the writes are larger. */
  readonly isBusy: boolean;
  readonly largest: number;
}

function randomAct(lot: Lot, { isHarsh, isBusy, largest }: Mood): Act {
  const kind = isBusy && lot.chance(0.85) ? 10 + lot.below(60) : lot.below(100);
  const up = lot.chance(0.5);
  if (kind < 40) return readAct(lot);
  if (kind < 70) return randomWrite(lot, isBusy ? lot.size(1, largest) : 1, largest);
  if (kind < 73) return { do: "cancel", back: lot.below(5) };
  if (kind < 75) return { do: "extend", back: lot.below(5), ms: lot.size(0, 100) };
  if (kind < 77) return { do: "cancelReads" };
  if (kind < 80) return { do: "end" };
  if (kind < 82) return { do: "throw" };
  if (kind < 83) return { do: "replace" };
  if (kind < 85) return { do: "grant", ms: lot.size(0, 60) };
  if (kind < 90) return { do: "close", how: lot.of(CLOSINGS) };
  if (kind < 92) return { do: "connect" };
  if (kind < 93) return { do: "busy", ms: lot.size(1, 120) };
  if (kind < 96) return { do: lot.of(["stall", "resume"]), up };
  if (!isHarsh) return { do: lot.of(["partition", "heal"]) };
  if (kind < 97) return { do: "sendAndReset", from: lot.below(100_000), size: lot.size(1, largest) };
  return kind < 98 ? { do: "break", up, after: lot.size(0, 2000) } : { do: lot.of(["partition", "heal", "breakNow"]) };
}

function randomOp(lot: Lot, mood: Mood): Op {
  const atMs = lot.chance(0.4) ? 0 : lot.below(LAST_OP_MS);
  const act = randomAct(lot, mood);
  const side = lot.below(2) as Side;
  return lot.chance(0.35) ? { side, atMs, call: lot.size(0, 20), act } : { side, atMs, act };
}

/** Sometimes, one end closes the connection, and the client connects anew. */
function lives(lot: Lot): Op[] {
  if (lot.chance(0.75)) return [];
  const atMs = lot.below(LAST_OP_MS / 2);
  const how = lot.of(CLOSINGS);
  return [
    { side: lot.below(2) as Side, atMs, act: { do: "close", how } },
    { side: 0, atMs: atMs + lot.size(0, LAST_OP_MS / 2), act: { do: "connect" } },
  ];
}

/** Sometimes, the thread is busy while bytes are on their way to a read whose time ends meanwhile. */
function busyTimes(lot: Lot, latencyMs: number): Op[] {
  if (lot.chance(0.8)) return [];
  const side = lot.below(2) as Side;
  const atMs = lot.below(LAST_OP_MS / 2);
  const length = lot.size(1, 40);
  const timeout = latencyMs + lot.size(2, 30);
  const read: Act = {
    do: "read",
    spec: { kind: "readExactly", length },
    alone: true,
    timeout,
    awaits: lot.chance(0.5),
  };
  const write: Act = { do: "write", from: lot.below(100_000), sizes: [length], awaits: false };
  return [
    { side, atMs, act: read },
    { side: side === 0 ? 1 : 0, atMs, act: write },
    { side, atMs: atMs + 0.5, act: { do: "busy", ms: timeout + lot.size(0, 30) } },
  ];
}

export function randomProgram(seed: number): Program {
  const lot = new Lot(seed);
  const chunk = lot.chance(0.3) ? 65_536 : lot.size(1, 65_536);
  const capacityBytes = lot.chance(0.3) ? lot.of([65_536, 65_536, 2 ** 20]) : lot.size(16, 65_536);
  const bytesPerMs = lot.chance(0.8) ? Infinity : lot.size(5, 1000);
  const largest = Math.min(3000, 40 * chunk, 10 * capacityBytes, bytesPerMs * 20);
  const isBusy = lot.chance(0.5);
  const mood = { isHarsh: lot.chance(0.4), isBusy, largest };
  const ahead = (): number => (lot.chance(0.3) ? 65_536 : lot.size(1, 4096));
  const queue = (): number => (lot.chance(0.85) ? 16 * 2 ** 20 : lot.size(128, 5000));
  const idle = (): number => (lot.chance(0.9) ? Infinity : lot.size(10, 150));
  const latencyMs = lot.chance(0.5) ? 0 : lot.size(1, 30);
  return {
    seed,
    network: {
      latencyMs: [0, latencyMs],
      chunkBytes: [lot.chance(0.5) ? 1 : chunk, chunk],
      writeBytes: lot.chance(0.5) ? [65_536, 65_536] : [0, lot.size(1, 10 * largest)],
      capacityBytes,
      bytesPerMs,
    },
    readAhead: [ahead(), ahead()],
    writeQueue: [queue(), queue()],
    idleMs: [idle(), idle()],
    allowHalfOpen: [lot.chance(0.5), lot.chance(0.5)],
    isCutShort: lot.chance(0.3),
    ...(lot.chance(0.3) ? { shutdown: { graceMs: lot.size(0, 100), leaveMs: lot.size(0, 100) } } : {}),
    ops: lives(lot).concat(
      busyTimes(lot, latencyMs),
      Array.from({ length: 3 + lot.below(isBusy ? 35 : 22) }, () => randomOp(lot, mood)),
    ),
  };
}
