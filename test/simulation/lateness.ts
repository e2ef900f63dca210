import type { CloseReason } from "asyncsocket";
import { measure } from "../pump/model.js";
import type { Tracked } from "./life.js";
import type { Program } from "./program.js";

/** Smaller chunks may take more turns than a deadline that has passed is put off. */
const LEAST_CHUNK = 300;

/**
 * No deadline strikes while what it waits for is here already: also where the thread was busy when that came, and its timers
 * and what the network brought wait side by side. Where the network may hold things up, nothing is said.
 */
export class Lateness {
  readonly #isCalm: boolean;
  readonly #latencyMs: number;
  readonly #fail: (what: string) => void;

  constructor({ network, ops, idleMs }: Program, fail: (what: string) => void) {
    const { latencyMs, bytesPerMs, chunkBytes } = network;
    const isHindered = ops.some(({ act }) => act.do === "stall" || act.do === "partition");
    const hasIdle = Math.min(...idleMs) !== Infinity;
    this.#isCalm = !hasIdle && bytesPerMs === Infinity && chunkBytes[0] >= LEAST_CHUNK && !isHindered;
    this.#latencyMs = latencyMs[1];
    this.#fail = fail;
  }

  /** The time of an entry is said to be over, which has run from `startedAtMs` on. */
  shouldExtend({ life, name, spec, timeoutMs }: Tracked, startedAtMs: number): void {
    const { peer } = life;
    // Of several deadlines that pass while a thread is busy, the first may be struck before the network is asked.
    if (life.asked.some((one) => !one.isRead && one.timeoutMs !== Infinity)) return;
    if (peer === null || peer.socket.state !== "open") return;
    if (!this.#isCalm || spec === null || spec.kind === "skip" || timeoutMs === 0) return;
    const cameBefore = peer.writtenBefore(startedAtMs + timeoutMs - this.#latencyMs);
    const come = life.incoming.subarray(life.consumed, cameBefore);
    if (measure(spec, come) !== null) this.#fail(`${name} is out of time, and what it waits for is here`);
  }

  didClose({ error }: CloseReason): void {
    const isLate = error?.code === "ERR_ASYNCSOCKET_CONNECT_TIMEOUT";
    if (isLate && this.#isCalm) this.#fail("a connect is out of time, and the answer is here");
  }
}
