/** Shows how far a transfer is: by a bar on a terminal, elsewhere by a line for each quarter. */

import cliProgress from "cli-progress";

export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

export class Progress {
  readonly #what: string;
  readonly #totalBytes: number | undefined;
  readonly #stream: NodeJS.WriteStream;
  readonly #bar: cliProgress.SingleBar | null;
  #doneBytes = 0;
  #shownQuarters = 0;

  /** Without `totalBytes` it shows only how many bytes were transferred. */
  constructor(what: string, totalBytes?: number, stream: NodeJS.WriteStream = process.stderr) {
    this.#what = what;
    this.#totalBytes = totalBytes;
    this.#stream = stream;
    this.#bar = stream.isTTY ? startBar(what, totalBytes, stream) : null;
  }

  add(byteCount: number): void {
    this.#doneBytes += byteCount;
    if (this.#bar === null) this.#showQuarter();
    else this.#bar.update(this.#doneBytes, { done: mebibytes(this.#doneBytes) });
  }

  /** Removes the bar, even where it is not full. */
  stop(): void {
    this.#bar?.stop();
    if (this.#totalBytes === undefined) this.#stream.write(`${this.#what} ${mebibytes(this.#doneBytes)}\n`);
  }

  #showQuarter(): void {
    if (this.#totalBytes === undefined) return;
    const quarters = Math.floor((4 * this.#doneBytes) / this.#totalBytes);
    if (quarters === this.#shownQuarters) return;
    this.#shownQuarters = quarters;
    const percent = String(25 * quarters).padStart(3);
    this.#stream.write(`${this.#what} ${percent} %  ${mebibytes(this.#doneBytes)} of ${mebibytes(this.#totalBytes)}\n`);
  }
}

function startBar(what: string, totalBytes: number | undefined, stream: NodeJS.WriteStream): cliProgress.SingleBar {
  const format =
    totalBytes === undefined ? `${what} {done}` : `${what} {bar} {percentage} %  {done} of ${mebibytes(totalBytes)}`;
  const options = {
    format,
    stream,
    barsize: 28,
    linewrap: true, // cuts at the terminal's width
    gracefulExit: false, // else it would swallow the first Ctrl-C
    clearOnComplete: totalBytes === undefined,
  };
  const bar = new cliProgress.SingleBar(options, cliProgress.Presets.shades_classic);
  bar.start(totalBytes ?? 0, 0, { done: mebibytes(0) });
  return bar;
}
