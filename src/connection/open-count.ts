/** Counts the open connections of this thread, over all transports. */

let open = 0;
let changed: (() => void) | null = null;

export function socketOpened(): void {
  open++;
  changed?.();
}

export function socketClosed(): void {
  open--;
  changed?.();
}

export function openSocketsHere(): number {
  return open;
}

/** Sets the function that is called at each change of the count. */
export function onOpenCount(told: () => void): void {
  changed = told;
}
