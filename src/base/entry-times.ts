import type { Clock } from "./clock.js";

/** When a request was queued, and when it became the current one of its queue; -1 before that. */
interface EntryTimes {
  /** A number that no other request of this thread has. */
  readonly id: number;
  readonly clock: Clock;
  readonly queuedAt: number;
  currentAt: number;
}

let lastId = 0;

const times = new WeakMap<object, EntryTimes>();

/** Whether any times are kept, so that queues ask for them only where somebody has ever looked. */
export const entryTimes = { areKept: false };

/** Notes that a request was queued now. Called only while somebody looks. */
export function noteQueued(request: object, clock: Clock): void {
  entryTimes.areKept = true;
  times.set(request, { id: ++lastId, clock, queuedAt: clock.now(), currentAt: -1 });
}

/** Notes that a request has become the current one of its queue, or is current anew for its next message. */
export function noteCurrent(request: object): void {
  const known = times.get(request);
  if (known !== undefined) known.currentAt = known.clock.now();
}

interface KnownTimes {
  readonly id: number;
  readonly queuedMs: number;
  readonly currentMs: number;
  readonly isCurrent: boolean;
}

/** How long a request waited for its turn, and how long it has been current since, up to now. Undefined if unknown. */
export function timesOf(request: object): KnownTimes | undefined {
  const known = times.get(request);
  if (known === undefined) return undefined;
  const now = known.clock.now();
  const { id, queuedAt, currentAt } = known;
  return currentAt < 0
    ? { id, queuedMs: now - queuedAt, currentMs: 0, isCurrent: false }
    : { id, queuedMs: currentAt - queuedAt, currentMs: now - currentAt, isCurrent: true };
}
