/** How many connections this thread has open, over whatever transport. */

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

/** Called with each change, from now on. */
export function onOpenCount(told: () => void): void {
  changed = told;
}
