/** A number, or two between which one is drawn each time by the network's seed, or a function that is asked each time. */
export type Amount = number | readonly [least: number, most: number] | (() => number);

/** What a way between two ends is like. */
export interface LinkOptions {
  /** How long bytes are under way, one way. They never overtake each other. @default 0: a turn of the event loop */
  latencyMs?: Amount | undefined;
  /** Bandwidth, of each direction. @default Infinity */
  bytesPerMs?: number | undefined;
  /** How many bytes come at once, at most; asked before each delivery. @default all there are */
  chunkBytes?: Amount | undefined;
  /**
   * How many bytes of a write are taken at once, at most; what is over is taken in later turns of the event loop. 0: none
   * in the call itself, all in the next turn. @default all for which there is room
   */
  writeBytes?: Amount | undefined;
  /** What a direction holds before its sender has to wait: a socket's buffers. @default 64 KiB */
  capacityBytes?: number | undefined;
}

/** Those options, each as a function or a number. */
export interface Link {
  readonly latencyMs: () => number;
  readonly bytesPerMs: number;
  readonly chunkBytes: () => number;
  readonly writeBytes: () => number;
  readonly capacityBytes: number;
}

export function linkFrom(options: LinkOptions, random: () => number): Link {
  return {
    latencyMs: drawn(options.latencyMs ?? 0, random, false),
    bytesPerMs: checked("bytesPerMs", options.bytesPerMs ?? Infinity, Number.MIN_VALUE),
    chunkBytes: drawn(options.chunkBytes ?? Infinity, random, true),
    writeBytes: drawn(options.writeBytes ?? Infinity, random, true),
    capacityBytes: checked("capacityBytes", options.capacityBytes ?? 65_536, 1),
  };
}

function checked(name: string, value: number, least: number): number {
  if (typeof value === "number" && value >= least) return value;
  throw new RangeError(`Expected ${name} to be ${least === 1 ? "1 or more" : "more than 0"}, got ${String(value)}`);
}

/** Sizes are whole, and drawn so that small ones are as likely as large ones: those are where the mistakes are. */
function drawn(amount: Amount, random: () => number, isSize: boolean): () => number {
  if (typeof amount === "function") return amount;
  if (typeof amount === "number") return () => amount;
  const [least, most] = amount;
  if (!isSize) return () => least + random() * (most - least);
  return () => least + Math.floor((most - least + 1) ** random()) - 1;
}
