import { FRAME_MS, frame } from "./tone.js";

/** A client that listens. Frames that it is too slow for are dropped, as on the radio. */
export interface Listener {
  write(bytes: Buffer): unknown;
  readonly unsentBytes: number;
}

const MOST_UNSENT = 256 * 1024;

/** Sends one frame after the other to all listeners, by the clock: after a delay it sends the frames that are overdue. */
export class Station {
  readonly #listeners = new Set<Listener>();
  #timer: NodeJS.Timeout | null = null;
  #startedAt = 0;
  #next = 0;

  add(listener: Listener): void {
    this.#listeners.add(listener);
    if (this.#timer !== null) return;
    this.#startedAt = performance.now() - this.#next * FRAME_MS;
    this.#timer = setTimeout(this.#play, 0);
  }

  remove(listener: Listener): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size > 0 || this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
  }

  readonly #play = (): void => {
    const due = Math.floor((performance.now() - this.#startedAt) / FRAME_MS);
    for (; this.#next <= due; this.#next++) {
      const bytes = frame(this.#next);
      for (const one of this.#listeners) if (one.unsentBytes < MOST_UNSENT) one.write(bytes);
    }
    this.#timer = setTimeout(this.#play, this.#startedAt + this.#next * FRAME_MS - performance.now());
  };
}
