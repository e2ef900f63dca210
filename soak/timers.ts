/**
 * Counts the timers under way. The runtime tells only of those that hold the process, and a leaked one need not. To be
 * imported before whatever sets any.
 */
const underWay = new Set<unknown>();
const set = globalThis.setTimeout;
const clear = globalThis.clearTimeout;

function countedSet(callback: (...args: unknown[]) => void, ms?: number, ...args: unknown[]): NodeJS.Timeout {
  const fire = (): void => {
    underWay.delete(timer);
    callback(...args);
  };
  const timer = set(fire, ms);
  underWay.add(timer);
  return timer;
}

function countedClear(timer: Parameters<typeof clear>[0]): void {
  underWay.delete(timer);
  clear(timer);
}

globalThis.setTimeout = Object.assign(countedSet, set);
globalThis.clearTimeout = countedClear;

export function timersUnderWay(): number {
  return underWay.size;
}
