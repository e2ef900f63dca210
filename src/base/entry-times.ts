import type { Clock } from "./clock.js";

/** When a request was queued, and when it became the current one of its queue; -1 before that. */
interface EntryTimes {
  readonly clock: Clock;
  readonly queuedAt: number;
  currentAt: number;
}

const times = new WeakMap<object, EntryTimes>();

/** Whether any times are kept, so that queues ask for them only where somebody has ever looked. */
export const entryTimes = { areKept: false };

/** Notes that a request was queued now. Called only while somebody looks. */
export function noteQueued(request: object, clock: Clock): void {
  entryTimes.areKept = true;
  times.set(request, { clock, queuedAt: clock.now(), currentAt: -1 });
}

/** Notes that a request has become the current one of its queue, or is current anew for its next message. */
export function noteCurrent(request: object): void {
  const known = times.get(request);
  if (known !== undefined) known.currentAt = known.clock.now();
}

/** How long a request waited for its turn, and how long it has been current since, up to now. Undefined if unknown. */
export function timesOf(
  request: object,
): { readonly queuedMs: number; readonly currentMs: number; readonly isCurrent: boolean } | undefined {
  const known = times.get(request);
  if (known === undefined) return undefined;
  const now = known.clock.now();
  const { queuedAt, currentAt } = known;
  return currentAt < 0
    ? { queuedMs: now - queuedAt, currentMs: 0, isCurrent: false }
    : { queuedMs: currentAt - queuedAt, currentMs: now - currentAt, isCurrent: true };
}
