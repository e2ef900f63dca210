/** A thread beside a run that tells where it was when it stopped getting further: a loop without end shows nothing else. */

import { Worker } from "node:worker_threads";

/** No run takes a hundredth of it, on whatever machine. */
const PATIENCE_MS = 120_000;

const WATCH = `
  import { writeSync } from "node:fs";
  import { workerData } from "node:worker_threads";
  const { place, patienceMs } = workerData;
  let last = -1;
  setInterval(() => {
    const now = Atomics.load(place, 0);
    if (now === last) {
      writeSync(2, "\\nseed " + now + " never ends\\n");
      process.kill(process.pid, "SIGKILL");
    }
    last = now;
  }, patienceMs);
`;

export class Watchdog {
  readonly #place = new Int32Array(new SharedArrayBuffer(4));
  readonly #worker: Worker;

  constructor(patienceMs = PATIENCE_MS) {
    this.#worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(WATCH)}`), {
      workerData: { place: this.#place, patienceMs },
    });
    this.#worker.unref();
  }

  /** A run begins. */
  note(seed: number): void {
    Atomics.store(this.#place, 0, seed);
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
